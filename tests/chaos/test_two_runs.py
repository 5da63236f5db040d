"""Two runs that fight for one plate, each a process: one is killed, and keeps what is its own."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import replace
from typing import Any
from uuid import UUID, uuid4

import psycopg
import pytest

from praxis_core.assets.catalogue import Catalogue
from praxis_core.assets.manager import AssetManager
from praxis_core.execution.abandoning import abandon
from praxis_core.journal.database import Database
from praxis_core.journal.record import Journal
from praxis_core.locks import AssetLockManager
from praxis_core.protocol.lifecycle import RunStatus
from praxis_core.redis_connection import connect_async
from praxis_core.simulator.comparison import differences
from tests.chaos.attempt import Ended
from tests.chaos.conftest import OpenWorld
from tests.chaos.gate import Event
from tests.chaos.sharing import SHARING
from tests.chaos.world import World, wait_for

WAITS = """
SELECT details FROM praxis.run_event WHERE run_id = %s AND kind = 'waiting' ORDER BY id DESC LIMIT 1
"""
DROP = ("0", 3)
"""The last command of the first column: after it nothing is on the channels."""


@pytest.mark.parametrize("ends", ["resumed", "abandoned"])
def test_the_other_gets_it_when_it_is_resumed_or_abandoned(
    open_world: OpenWorld, ends: str
) -> None:
    """Before that it waits, and nothing of it moves; after it nothing of the first does."""
    world = open_world(SHARING, grace_seconds=1)
    first, second = uuid4(), uuid4()
    mine = SHARING.told(columns=[1, 2])
    other = replace(mine.told(columns=[3]), assets={**mine.assets, "tips": "tips_300_02"})
    with world.gate.closed_for(*DROP, Event.INTENT):
        killed = world.start(mine, first)
        wait_for(lambda: world.gate.waiting() or not killed.is_alive())
        waiting = world.start(other, second)
        wait_for(lambda: _waits_for(world, second, first, "leased"))
        killed.kill()
        killed.join()

    wait_for(lambda: _waits_for(world, second, first, "reserved"))
    assert waiting.is_alive()
    assert _effects(world, second) == []

    assert ENDS[ends](world, first) == 0
    assert world.end_of(waiting) == Ended.SUCCEEDED, world.said(second)
    assert max(_effects(world, first)) < min(_effects(world, second))
    assert len(_effects(world, first)) == (8 if ends == "resumed" else 4)
    assert len(_effects(world, second)) == 4
    assert asyncio.run(_differences(world)) == []
    if ends == "abandoned":
        assert world.end_of(world.start(mine, first)) == Ended.REFUSED


def _resumed(world: World, run_id: UUID) -> int:
    return world.end_of(world.start(SHARING.told(columns=[1, 2]), run_id)) or 0


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
