"""How far a run is of what was planned: what its page is told."""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
from pydantic import SecretStr
from pylabrobot.heating_shaking import HeaterShaker

from flows.serial_dilution import serial_dilution
from praxis_core.execution.advance import Following, Outlook
from praxis_core.execution.page import Advance, RunPage
from praxis_core.execution.protocol_state import ProtocolState
from praxis_core.journal.record import Journal
from praxis_core.orchestrator import Orchestrator, RunRequest
from praxis_core.planning.plan import Plan, PlannedCommand
from praxis_core.protocol import protocol, run, step
from praxis_core.protocol.lifecycle import RunStatus
from praxis_core.settings import PraxisSettings

WRONG: list[bool] = []
"""Whether it goes well: the last one for the plan."""


@step("Lock")
async def lock(shaker: HeaterShaker) -> None:
    """One command."""
    await shaker.lock_plate()


@step("Unlock")
async def unlock(shaker: HeaterShaker) -> None:
    """One command."""
    await shaker.unlock_plate()


@protocol(name="locking", version="1.0.0")
async def locking(shaker: HeaterShaker) -> None:
    """Lock and unlock."""
    await lock(shaker)
    if WRONG and not WRONG.pop():
        raise ValueError("somebody is in the way")
    await unlock(shaker)


@protocol(name="deciding", version="1.0.0")
async def deciding(shaker: HeaterShaker) -> None:
    """Do something else at night."""
    await lock(shaker)
    if run.now().year > 1:
        await unlock(shaker)


class Page(RunPage):
    """Keeps what it is told."""

    def __init__(self) -> None:
        self.told: list[Advance] = []

    async def advanced(self, advance: Advance) -> None:
        """Keep it."""
        self.told.append(advance)


class Lab:
    """Runs protocols and keeps their pages."""

    def __init__(self, journal: Journal, settings: PraxisSettings) -> None:
        self.page = Page()
        self.orchestrator = Orchestrator(journal=journal, settings=settings, page=self.page)

    async def run(self, function: Any) -> RunRequest:
        """Run a protocol."""
        request = RunRequest(uuid4(), "a run", function, "star")
        await self.orchestrator.run(request)
        return request


@pytest.fixture
async def lab(
    journal: Journal, database_url: str, redis_url: str, tmp_path: Path
) -> AsyncIterator[Lab]:
    """A laboratory with one page."""
    settings = PraxisSettings(
        home=tmp_path, database_url=SecretStr(database_url), redis_url=SecretStr(redis_url)
    )
    lab = Lab(journal, settings)
    yield lab
    await lab.orchestrator.close()
    WRONG.clear()


async def test_at_its_end_a_run_has_done_all_that_was_planned(lab: Lab) -> None:
    """Steps and commands are counted in the plan as in the run."""
    await lab.run(serial_dilution)

    last = lab.page.told[-1]
    assert last.certain
    assert last.steps == last.of_steps == 14
    assert last.commands == last.of_commands
    assert last.commands > 60
    assert (last.share, last.step) == (1.0, "")


async def test_a_run_that_is_resumed_knows_what_was_planned_before(lab: Lab) -> None:
    """What is done counts, although it is not done again."""
    WRONG.extend([False, True])
    request = RunRequest(uuid4(), "a run", locking, "star")
    with pytest.raises(ValueError, match="in the way"):
        await lab.orchestrator.run(request)
    lab.page.told.clear()

    await lab.orchestrator.run(request)

    assert str(lab.page.told[-1]) == "step 2 of 2, command 2 of 2"


async def test_a_run_that_decides_on_its_way_is_never_done_before_its_end(lab: Lab) -> None:
    """What is only likely is said to be so."""
    await lab.run(deciding)

    assert str(lab.page.told[-1]) == "step 2 of about 2, command 2 of about 2"
    assert Advance("", 1, 7, 2, 6).share == 0.99


def test_what_is_left_follows_the_plans_time_and_not_its_commands() -> None:
    """Eight hours between two commands are not over with the first of them."""
    now = datetime(2026, 1, 1, tzinfo=UTC)
    clock = [now]
    outlook = Outlook.of(_plan([0.0, 10.0, 20.0, 28820.0], 28840.0))
    progress = ProtocolState(
        run_id=uuid4(), protocol="p", attempt=1, status=RunStatus.RUNNING, parameters={}
    )
    following = Following(progress, outlook, lambda: clock[0])

    told = [str(following.advance)]
    for _ in range(3):
        following.command_begun()
        following.command_done()
    clock[0] = now + timedelta(hours=7, minutes=30)
    told.append(str(following.advance))
    clock[0] = now + timedelta(hours=9)
    told.append(str(following.advance))
    following.command_begun()
    clock[0] += timedelta(minutes=1)
    following.command_done()
    told.append(str(following.advance))

    assert told == [
        "command 0 of 4, about 8.0 h left",
        "command 3 of 4, about 30 min left",
        "command 3 of 4, about 20 s left",
        "command 4 of 4",
    ]


def test_of_a_long_plan_a_few_points_are_kept() -> None:
    """The audit trail is no place for a hundred thousand numbers."""
    outlook = Outlook.of(_plan([float(number) for number in range(10_001)], 10_001.0))

    assert outlook is not None
    assert len(outlook.begins) <= 201
    for done in (0, 50, 51, 5_000, 10_000):
        assert outlook.seconds_left(done + 1, 0.0) == pytest.approx(10_001 - done)


def _plan(begins: list[float], duration: float) -> Plan:
    commands = tuple(
        PlannedCommand(
            number=number, device="d", method="m", description="", step=None, where="", at=at
        )
        for number, at in enumerate(begins, start=1)
    )
    return Plan(
        protocol="p",
        workcell="w",
        assets={},
        commands=commands,
        consumption={},
        faults=(),
        possible_faults=(),
        refill=(),
        conditional_from=None,
        without_max=(),
        duration=duration,
        not_estimated=(),
        left_out=(),
    )
