"""One kill of a run that learns from its state and from the clock, and what must be true then."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from time import monotonic
from typing import Any
from uuid import UUID, uuid4

from redis import Redis

from praxis_core.errors import StateError
from praxis_core.redis_connection import connect
from praxis_core.state import PraxisState
from tests.chaos.killing import Case, kill
from tests.chaos.protocols import COLUMNS, PAUSE
from tests.chaos.world import World

CLOCKS = 60.0
"""Seconds by which a pause may be longer: the real time of the trial passes as well."""


@dataclass(frozen=True)
class Result:
    """What became of it."""

    case: str
    victim: str
    point: str
    hit: bool
    counted: int
    seen: list[int]
    poured: list[float]
    """µL in the first well of each column: what the run saw says how much."""
    waited: float
    """Seconds by which the lab's clock jumped."""
    seconds: float

    @property
    def faults(self) -> list[str]:
        """Say what broke the promise; empty: nothing."""
        found = []
        if self.counted != COLUMNS:
            found.append(f"{self.counted} columns counted")
        if self.poured != [float(20 + one % 7) for one in self.seen]:
            found.append(f"saw {self.seen}, poured {self.poured}")
        if not PAUSE - CLOCKS < self.waited <= PAUSE:
            found.append(f"waited {self.waited:g} s")
        return [f"{self.case}: {fault}" for fault in found]


def carry_out(world: World, case: Case) -> Result:
    """Kill, bring the run to its end, and look what it learned."""
    began, run_id = monotonic(), uuid4()
    world.answers.clear()
    world.mark()
    before: float = world.control.truth()["skipped"]
    with _another_program(world, run_id):
        process, hit = kill(world, case, run_id)
        world.finish(case.story, run_id, process)
    world.control.clear()
    state = PraxisState.open(run_id, world.settings)
    liquids = world.truth(run_id).liquids
    first = [f"plate_01_well_A{column}" for column in range(1, COLUMNS + 1)]
    return Result(
        case=str(case),
        victim=case.victim,
        point=case.point,
        hit=hit,
        counted=_number(state["columns"]),
        seen=[_number(one) for one in _items(state["seen"])],
        poured=[liquids[name] for name in first],
        waited=world.control.truth()["skipped"] - before,
        seconds=monotonic() - began,
    )


@contextmanager
def _another_program(world: World, run_id: UUID) -> Iterator[None]:
    """Let somebody else write ever higher numbers into the run's state."""
    ended = threading.Event()

    def write(client: Redis) -> None:
        number = 0
        while not ended.wait(0.001):
            number += 1
            with suppress(StateError):  # it has not begun, or has ended
                PraxisState(run_id, client)["said"] = number

    with connect(world.settings.addresses().redis_url) as client:
        thread = threading.Thread(target=write, args=(client,))
        thread.start()
        try:
            yield
        finally:
            ended.set()
            thread.join()


def _number(value: Any) -> int:
    assert isinstance(value, int), value
    return value


def _items(value: Any) -> list[Any]:
    return list(value)
