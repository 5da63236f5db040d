"""Two runs that fight for one plate, each a process: one is killed, and keeps what is its own."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import replace
from multiprocessing.context import ForkServerProcess
from typing import Any
from uuid import UUID, uuid4

import psycopg
import pytest

from praxis_core.assets.catalogue import Catalogue
from praxis_core.assets.entries import By
from praxis_core.assets.manager import AssetManager
from praxis_core.execution.abandoning import abandon
from praxis_core.journal.database import Database
from praxis_core.journal.record import Journal
from praxis_core.locks import AssetLockManager
from praxis_core.protocol.lifecycle import RunStatus
from praxis_core.redis_connection import connect_async
from praxis_core.simulator.comparison import differences
from praxis_core.simulator.hands import put_right
from praxis_core.workcell.model import build, simulated_backend
from tests.chaos.attempt import Ended
from tests.chaos.conftest import OpenWorld
from tests.chaos.gate import Event
from tests.chaos.sharing import SHARING
from tests.chaos.world import World, wait_for

WAITS = """
SELECT details FROM praxis.run_event WHERE run_id = %s AND kind = 'waiting' ORDER BY id DESC LIMIT 1
"""
ASPIRATE, DROP = ("0", 1), ("0", 3)
"""Of the first column: after the one, tips with liquid are on the channels, after the other none.
"""


@pytest.mark.parametrize("ends", ["resumed", "abandoned"])
def test_the_other_gets_it_when_it_is_resumed_or_abandoned(
    open_world: OpenWorld, ends: str
) -> None:
    """Before that it waits, and nothing of it moves; after it nothing of the first does."""
    world = open_world(SHARING, grace_seconds=1)
    first, second = uuid4(), uuid4()
    waiting = _killed_and_waited_for(world, first, second, DROP)

    assert ENDS[ends](world, first) == 0
    assert world.end_of(waiting) == Ended.SUCCEEDED, world.said(second)
    assert max(_effects(world, first)) < min(_effects(world, second))
    assert len(_effects(world, first)) == (8 if ends == "resumed" else 4)
    assert len(_effects(world, second)) == 4
    assert asyncio.run(_differences(world)) == []
    if ends == "abandoned":
        assert world.end_of(world.start(MINE, first)) == Ended.REFUSED


def test_tips_of_a_run_that_was_given_up_are_taken_off_before_another_one_begins(
    open_world: OpenWorld,
) -> None:
    """The one that waited is refused, and says what to do; when it is done the next one runs."""
    world = open_world(SHARING, grace_seconds=1)
    first, second, third = uuid4(), uuid4(), uuid4()
    waiting = _killed_and_waited_for(world, first, second, ASPIRATE)
    _abandoned(world, first)

    assert world.end_of(waiting) == Ended.REFUSED
    assert "then: praxis assets empty star" in world.said(second)
    asyncio.run(_take_off(world))

    assert world.end_of(world.start(OTHER, third)) == Ended.SUCCEEDED, world.said(third)
    assert asyncio.run(_differences(world)) == []


MINE = SHARING.told(columns=[1, 2])
OTHER = replace(MINE.told(columns=[3]), assets={**MINE.assets, "tips": "tips_300_02"})


def _killed_and_waited_for(
    world: World, first: UUID, second: UUID, last: tuple[str, int]
) -> ForkServerProcess:
    """Let one run wait for another that is killed at a command; give the one that waits."""
    with world.gate.closed_for(*last, Event.INTENT):
        killed = world.start(MINE, first)
        wait_for(lambda: world.gate.waiting() or not killed.is_alive())
        waiting = world.start(OTHER, second)
        wait_for(lambda: _waits_for(world, second, first, "leased"))
        killed.kill()
        killed.join()
    wait_for(lambda: _waits_for(world, second, first, "reserved"))
    assert waiting.is_alive()
    assert _effects(world, second) == []
    return waiting


async def _take_off(world: World) -> None:
    """Throw away what is on the channels."""
    async with Database(world.settings.addresses().database_url) as database:
        catalogue = Catalogue(database)
        await catalogue.empty_heads(world.name, "star", By("the test", "taken off"))
        known = await catalogue.state(world.name)
    put_right(world.control, build(world.workcell, simulated_backend), known, ["star"])


def _resumed(world: World, run_id: UUID) -> int:
    return world.end_of(world.start(MINE, run_id)) or 0


def _abandoned(world: World, run_id: UUID) -> int:
    assert asyncio.run(_abandon(world, run_id)) is RunStatus.CANCELLED
    return 0


ENDS: dict[str, Callable[[World, UUID], int]] = {"resumed": _resumed, "abandoned": _abandoned}


async def _abandon(world: World, run_id: UUID) -> RunStatus:
    addresses = world.settings.addresses()
    redis = connect_async(addresses.redis_url)
    try:
        async with Database(addresses.database_url) as database:
            journal = Journal(database)
            locks = AssetLockManager(redis, lease_seconds=2, journal=journal)
            return await abandon(journal, locks, run_id, "somebody")
    finally:
        await redis.aclose()


def _waits_for(world: World, run_id: UUID, other: UUID, state: str) -> bool:
    """Whether a run says that it waits for a plate which another one has in this way."""
    with psycopg.connect(world.settings.addresses().database_url) as connection:
        found: Any = connection.execute(WAITS, (run_id,)).fetchone()
    waits = {"asset": f"{world.name}/plate_01", "for": f"run {other}", "state": state}
    return found is not None and waits in found[0]


def _effects(world: World, run_id: UUID) -> list[int]:
    """Number what a run did in the lab, among all that happened there."""
    effects = world.control.effects()
    return [one["n"] for one in effects if str(one.get("tag")).startswith(f"{run_id}/")]


async def _differences(world: World) -> list[str]:
    """Compare what is recorded with what is so."""
    async with Database(world.settings.addresses().database_url) as database:
        state = await Catalogue(database).state(world.name)
    return differences(world.control.truth(), AssetManager(state).snapshot())
