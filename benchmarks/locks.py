"""What it costs to take 8 assets and give them back, beside redis-py's ``Lock`` on one key.

Prints its table with ``python -m benchmarks.locks``. Needs the services of the settings
(``praxis up``); what it writes to Redis it removes, and in Postgres it leaves a run that is over.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from statistics import median
from time import perf_counter
from uuid import UUID, uuid4

import redis.asyncio
import redis.asyncio.lock

from benchmarks.row import Row
from praxis_core.journal.database import Database
from praxis_core.journal.record import Journal
from praxis_core.journal.records import AttemptRequest
from praxis_core.locks import AssetLockManager, holder_of
from praxis_core.protocol.lifecycle import RunStatus
from praxis_core.redis_connection import connect_async
from praxis_core.settings import Addresses, PraxisSettings

ROUNDS = 60
CALLS = 5
"""Of each kind in a round; the kinds take turns, so that a slow moment slows all of them."""

WORKCELL = "benchmark"
ASSETS = [f"{WORKCELL}/{name}_{uuid4()}" for name in "abcdefgh"]

Act = Callable[[], Awaitable[None]]


def rows() -> list[Row]:
    """Measure against the services of the settings."""
    return asyncio.run(_rows(PraxisSettings().addresses()))


async def _rows(addresses: Addresses) -> list[Row]:
    async with (
        connect_async(addresses.redis_url) as client,
        Database(addresses.database_url) as database,
    ):
        journal = Journal(database)
        run_id = await _run(journal)
        try:
            return await _measured(client, journal, run_id)
        finally:
            await journal.set_status(run_id, RunStatus.CANCELLED)


async def _measured(client: redis.asyncio.Redis, journal: Journal, run_id: UUID) -> list[Row]:
    locks = AssetLockManager(client)
    claiming = AssetLockManager(client, journal=journal)
    key = f"praxis:benchmark:{uuid4()}"

    async def one_lock() -> None:
        lock = redis.asyncio.lock.Lock(client, key, timeout=30)
        await lock.acquire()
        await lock.release()

    async def eight_assets() -> None:
        await locks.release(await locks.acquire(ASSETS, "benchmark"))

    async def eight_claims() -> None:
        lease = await claiming.acquire(ASSETS, holder_of(run_id), attempt=1)
        await claiming.release(lease)

    times = await _medians({"one": one_lock, "eight": eight_assets, "claims": eight_claims})
    return [
        _row("8 assets taken and given back against redis-py's Lock on one", times, "eight", 1.5),
        _row("the same with the claims in Postgres", times, "claims", None),
    ]


async def _medians(acts: dict[str, Act]) -> dict[str, float]:
    """Let the acts take turns; microseconds per call."""
    times: dict[str, list[float]] = {name: [] for name in acts}
    for _ in range(ROUNDS):
        for name, act in acts.items():
            start = perf_counter()
            for _ in range(CALLS):
                await act()
            times[name].append((perf_counter() - start) / CALLS * 1e6)
    return {name: median(taken) for name, taken in times.items()}


async def _run(journal: Journal) -> UUID:
    workcell = await journal.store_workcell(WORKCELL, {"mode": "simulated", "devices": {}})
    protocol = await journal.store_protocol(
        name="benchmark",
        version="1",
        entrypoint="benchmarks.locks:rows",
        source_hash="0" * 64,
        content_hash="0" * 64,
        definition={},
    )
    request = AttemptRequest(
        run_id=uuid4(),
        run_name="benchmark of the locks",
        protocol_id=protocol.id,
        workcell_id=workcell.id,
        parameters={},
        assets={},
        simulated=True,
    )
    await journal.begin_attempt(request)
    return request.run_id


def _row(what: str, times: dict[str, float], ours: str, target: float | None) -> Row:
    measured = f"{times[ours]:.0f} µs against {times['one']:.0f} µs"
    return Row(what=what, measured=measured, ratio=times[ours] / times["one"], target=target)


if __name__ == "__main__":
    print("| what | measured | ratio | target | met |\n| --- | --- | --- | --- | --- |")
    print("\n".join(row.line() for row in rows()))
