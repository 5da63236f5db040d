"""Who is cancelled while the past is given back leaves the past as it is."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from datetime import UTC, datetime
from uuid import uuid4

import pytest

from praxis_core.execution.course import Course
from praxis_core.execution.trail import Trail
from praxis_core.journal.records import CommandRecord
from praxis_core.protocol.command import Command, Outcome
from praxis_core.protocol.lifecycle import CommandKind, OutcomeStatus
from praxis_core.workcell.bench import local_link
from praxis_core.workcell.definition import WorkcellDefinition

AT = datetime(2025, 3, 14, tzinfo=UTC)
DONE = Outcome(OutcomeStatus.SUCCEEDED, AT, AT)
FIRST = Command(
    run_id=uuid4(),
    attempt=1,
    branch="0",
    ordinal=0,
    device="lh",
    method="discard",
    args=(),
    kwargs={},
    kind=CommandKind.ONCE,
    fingerprint="same",
)
KNOWN = [
    CommandRecord(
        number=number,
        command=replace(FIRST, ordinal=number - 1),
        issued_at=AT,
        outcome=DONE,
        delivered=number,
    )
    for number in range(1, 4)
]


_BACKEND = "pylabrobot.shaking.chatterbox:ShakerChatterboxBackend"
SHAKER = {
    "name": "shaker",
    "devices": {
        "shaker": {
            "frontend": "pylabrobot.shaking:Shaker",
            "config": {"size_x": 1, "size_y": 1, "size_z": 1, "child_location": [0, 0, 0]},
            "backend": _BACKEND,
            "simulated_backend": _BACKEND,
        }
    },
}


async def nothing() -> None:
    """Nothing was learned."""


@pytest.mark.parametrize(("replayed", "kept"), [(1, True), (3, False)])
async def test_what_was_done_before_is_not_set_aside(replayed: int, *, kept: bool) -> None:
    """A ``finally`` that looks like the past is the past; after all of it, it is the tail."""
    course = Course(local_link(WorkcellDefinition.model_validate(SHAKER)), Trail())
    course.follow(KNOWN, run_id=FIRST.run_id, before_live=nothing, going_live=None)
    there = asyncio.Event()

    async def protocol() -> None:
        for number in range(replayed):
            await course.execute(KNOWN[number].command)
        there.set()
        try:
            await asyncio.Event().wait()
        finally:
            if replayed < len(KNOWN):
                await course.execute(KNOWN[replayed].command)

    running = asyncio.create_task(course.carry_out(protocol))
    await there.wait()
    running.cancel()
    with pytest.raises(asyncio.CancelledError) as raised:
        await running

    tail = course.trail.tail_of(raised.value)
    assert (tail is None) is kept
