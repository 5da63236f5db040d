"""How long devices are left as they are for a run that has no process."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from uuid import uuid4

import pytest

from praxis_core.labware.encoding import fingerprint
from praxis_core.protocol.command import Command
from praxis_core.protocol.lifecycle import CommandKind
from praxis_core.workcell import safekeeping
from praxis_core.workcell.attending import AttendedRun
from praxis_core.workcell.deck_changes import DeckFollower
from praxis_core.workcell.definition import OnLost
from praxis_core.workcell.runtime import WorkcellRuntime
from tests.chaos.parked import story

NIGHT = timedelta(hours=8)
LATE, HOLD = safekeeping.LATE_SECONDS, 30 * 60.0


@pytest.fixture
async def runtime() -> AsyncIterator[WorkcellRuntime]:
    """A workcell whose heater-shaker is warm, for half an hour if its run is lost, and shakes."""
    workcell = story("warming").workcell()
    shaker = workcell.devices["shaker"].model_copy(update={"on_lost": OnLost(hold_minutes=30)})
    devices = {**workcell.devices, "shaker": shaker}
    found = WorkcellRuntime(workcell.model_copy(update={"devices": devices}), simulate=True)
    await found.connect(["shaker"])
    for number, (method, value) in enumerate([("set_temperature", 37.0), ("start_shaking", 300.0)]):
        await found.execute(_command(number, method, value))
    yield found
    await found.disconnect()


async def test_they_are_left_until_the_deadline_and_what_a_late_run_may_need(
    runtime: WorkcellRuntime,
) -> None:
    """And nothing of it is for those who end all processes in order."""
    now = datetime.now(UTC)
    runtime.safekeeping.park(_run(), now + NIGHT, now)

    left = {one.method: one.after_seconds for one in runtime.safe_actions()}
    night = NIGHT.total_seconds()
    assert left == {"deactivate": night + HOLD, "stop_shaking": night + LATE}
    assert all(one.parked and one.due_at for one in runtime.safe_actions())

    runtime.safekeeping.hold_no_longer(["shaker"])
    left = {one.method: one.after_seconds for one in runtime.safe_actions()}
    assert left == {"deactivate": HOLD, "stop_shaking": 0.0}
    assert not any(one.parked or one.due_at for one in runtime.safe_actions())


async def test_one_that_is_late_is_made_safe(
    runtime: WorkcellRuntime, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What may not be held goes off when nobody came for it in time."""
    monkeypatch.setattr(safekeeping, "LATE_SECONDS", 0.1)
    is_off = asyncio.Event()

    def look() -> None:
        if [one.method for one in runtime.safe_actions()] == ["deactivate"]:
            is_off.set()

    runtime.safekeeping.changed = look
    now = datetime.now(UTC)
    runtime.safekeeping.park(_run(), now, now)
    async with asyncio.timeout(10):
        await is_off.wait()


async def test_without_a_deadline_they_are_left_for_years(runtime: WorkcellRuntime) -> None:
    """Somebody has to come."""
    runtime.safekeeping.park(_run(), None, datetime.now(UTC))
    assert min(one.after_seconds for one in runtime.safe_actions()) > 365 * 86400


def _run() -> AttendedRun:
    return AttendedRun(uuid4(), 1, DeckFollower(), devices={"shaker"})


def _command(number: int, method: str, value: float) -> Command:
    return Command(
        run_id=uuid4(),
        attempt=1,
        branch="0",
        ordinal=number,
        device="shaker",
        method=method,
        args=(value,),
        kwargs={},
        kind=CommandKind.REPEATABLE,
        fingerprint=fingerprint("shaker", method, (value,), {}),
    )
