"""The state of a run that has ended, read from Postgres."""

from __future__ import annotations

from collections.abc import Callable
from uuid import UUID, uuid4

import pytest
import redis
from pydantic import SecretStr
from pylabrobot.resources import cor_96_wellplate_360uL_Fb

from praxis_core.errors import RunNotFound, StateEnded
from praxis_core.journal.database import Database
from praxis_core.journal.record import Journal
from praxis_core.journal.records import AttemptRequest
from praxis_core.protocol.lifecycle import RunStatus
from praxis_core.settings import PraxisSettings
from praxis_core.state import ChangeKind, PraxisState, StateChange

RETENTION_DAYS = 1


@pytest.fixture
def settings(redis_url: str, database_url: str) -> PraxisSettings:
    """The settings of an installation with the test's own Redis and Postgres."""
    return PraxisSettings(redis_url=SecretStr(redis_url), database_url=SecretStr(database_url))


@pytest.fixture
async def archived(
    state: PraxisState, database_url: str, client: redis.Redis
) -> Callable[[], PraxisState]:
    """A run that was carried out, archived and forgotten by Redis: opens it."""
    plate = cor_96_wellplate_360uL_Fb(name="plate_01")
    plate.get_well("A1").tracker.set_volume(120)
    state.update(plan=["A1", {"volume": 1e20, "µ": -0.0}], count=2**80, plate=plate, nothing=None)
    async with Database(database_url) as database:
        journal = Journal(database)
        await _begin(journal, state.run_id)
        with state.ending(RETENTION_DAYS) as final_state:
            await journal.finish(
                state.run_id,
                RunStatus.CANCELLED,
                summary=None,
                final_state=final_state,
                error=None,
            )
    client.flushdb()
    settings = PraxisSettings(
        redis_url=SecretStr(_url(client)), database_url=SecretStr(database_url)
    )
    return lambda: PraxisState.open(state.run_id, settings)


def _url(client: redis.Redis) -> str:
    known = client.connection_pool.connection_kwargs
    return f"unix://{known['path']}?db={known['db']}"


async def _begin(journal: Journal, run_id: UUID) -> None:
    workcell = await journal.store_workcell("star", {"mode": "simulated", "devices": {}})
    protocol = await journal.store_protocol(
        name="dilution",
        version="1.0.0",
        entrypoint="flows.dilution:dilution",
        source_hash="a" * 64,
        content_hash="b" * 64,
        definition={},
    )
    await journal.begin_attempt(
        AttemptRequest(
            run_id=run_id,
            run_name="dilution on star",
            protocol_id=protocol.id,
            workcell_id=workcell.id,
            parameters={},
            assets={},
            simulated=True,
        )
    )


async def test_an_archived_run_reads_as_it_did(archived: Callable[[], PraxisState]) -> None:
    """To the last type: also numbers that a database's own JSON would alter."""
    state = archived()

    assert repr(state["plan"]) == repr(["A1", {"volume": 1e20, "µ": -0.0}])
    assert state.count == 2**80
    assert list(state) == list(state.keys()) == ["count", "nothing", "plan", "plate"]
    assert len(state) == 4
    assert "plan" in state
    assert "missing" not in state
    assert state.get("missing") is None
    assert state.ended


async def test_a_resource_in_the_archive_is_rebuilt(archived: Callable[[], PraxisState]) -> None:
    """With what was in it when it was stored."""
    plate = archived().plate

    assert plate.name == "plate_01"
    assert plate.get_well("A1").tracker.get_used_volume() == 120


async def test_an_archive_is_read_only(archived: Callable[[], PraxisState]) -> None:
    """And it says why; watching it ends at once."""
    state = archived()
    with pytest.raises(StateEnded):
        state["a"] = 1
    with pytest.raises(StateEnded), state.edit("plan") as plan:
        plan.append("B1")

    assert list(state.watch()) == [StateChange(ChangeKind.END)]
    assert state.archive() == archived().archive()


async def test_a_run_starts_with_a_copy_of_an_archived_one(
    archived: Callable[[], PraxisState], client: redis.Redis
) -> None:
    """It persists between runs."""
    following = PraxisState(uuid4(), client)
    following.carry_from(archived())

    assert following.plan == ["A1", {"volume": 1e20, "µ": -0.0}]
    assert following.plate.name == "plate_01"


async def test_a_run_without_an_archive_is_not_found(settings: PraxisSettings) -> None:
    """Neither Redis nor Postgres knows it."""
    with pytest.raises(RunNotFound):
        PraxisState.open(uuid4(), settings)
