"""What PraxisState costs beside raw redis-py, with the same JSON on the same Redis.

Prints its table with ``python -m benchmarks.praxis_state``. Needs the Redis of the settings
(``praxis up``); writes only keys of its own and removes them.
"""

from __future__ import annotations

import itertools
import json
from collections.abc import Callable
from statistics import median
from time import perf_counter
from typing import Any
from uuid import uuid4

import redis

from benchmarks.row import Row
from praxis_core.redis_connection import connect
from praxis_core.settings import PraxisSettings
from praxis_core.state import PraxisState

ROUNDS = 250
CALLS = 10
"""Calls of each kind in a round; the kinds take turns, so that a slow moment slows all of them."""

VALUE: dict[str, Any] = {"well": "A1", "volume": 12.5}
RETENTION_DAYS = 1 / 24 / 60


def rows() -> list[Row]:
    """Measure against the Redis of the settings."""
    with connect(PraxisSettings().addresses().redis_url) as client:
        raw = f"praxis:benchmark:{uuid4()}"
        small, large = _filled(client, 10), _filled(client, 10_000)
        try:
            return _measured(client, raw, small, large)
        finally:
            client.delete(raw)
            small.end(RETENTION_DAYS)
            large.end(RETENTION_DAYS)


def _measured(client: redis.Redis, raw: str, small: PraxisState, large: PraxisState) -> list[Row]:
    document = {f"key_{number}": VALUE for number in range(10_000)}

    def rewrite_document() -> None:
        document["key"] = VALUE
        client.set(raw + ":document", json.dumps(document), ex=60)

    numbers = itertools.count()
    recorded = small.recorded(lambda: ("0", next(numbers)))
    times = _medians(
        {
            "recorded set": lambda: recorded.__setitem__("key", VALUE),
            "recorded get": lambda: recorded["key"],
            "raw set": lambda: client.hset(raw, "key", json.dumps(VALUE)),
            "set": lambda: small.__setitem__("key", VALUE),
            "set of 10 000": lambda: large.__setitem__("key", VALUE),
            "raw get": lambda: json.loads(_text(client, raw)),
            "get": lambda: small["key"],
        },
        CALLS,
    )
    times |= _medians({"document": rewrite_document}, 1, rounds=25)
    return [
        _row("PraxisState set against HSET", times, "set", "raw set", 1.5),
        _row("PraxisState get against HGET", times, "get", "raw get", 1.5),
        _row("recorded PraxisState set against HSET", times, "recorded set", "raw set", 1.5),
        # It leaves its result on the disk, as a write does.
        _row("recorded PraxisState get against HSET", times, "recorded get", "raw set", 1.5),
        _row("PraxisState set at 10 000 keys against 10 keys", times, "set of 10 000", "set", 1.2),
        _row(
            "PraxisState set against rewriting one JSON document, 10 000 keys",
            times,
            "set of 10 000",
            "document",
            None,
        ),
    ]


def _text(client: redis.Redis, raw: str) -> Any:
    return client.hget(raw, "key")


def _filled(client: redis.Redis, keys: int) -> PraxisState:
    state = PraxisState(uuid4(), client)
    state.update({f"key_{number}": VALUE for number in range(keys)})
    return state


def _medians(
    acts: dict[str, Callable[[], object]], calls: int, rounds: int = ROUNDS
) -> dict[str, float]:
    """Let the acts take turns; microseconds per call."""
    times: dict[str, list[float]] = {name: [] for name in acts}
    for _ in range(rounds):
        for name, act in acts.items():
            start = perf_counter()
            for _ in range(calls):
                act()
            times[name].append((perf_counter() - start) / calls * 1e6)
    return {name: median(taken) for name, taken in times.items()}


def _row(what: str, times: dict[str, float], ours: str, theirs: str, target: float | None) -> Row:
    measured = f"{times[ours]:.0f} µs against {times[theirs]:.0f} µs"
    return Row(what=what, measured=measured, ratio=times[ours] / times[theirs], target=target)


if __name__ == "__main__":
    print("| what | measured | ratio | target | met |\n| --- | --- | --- | --- | --- |")
    print("\n".join(row.line() for row in rows()))
