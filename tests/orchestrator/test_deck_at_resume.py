"""A resumed run tells the devices' side each change of the deck once, whoever carries it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime
from uuid import uuid4

import pytest

from praxis_core.execution.course import Course
from praxis_core.execution.trail import Trail
from praxis_core.journal.records import CommandRecord
from praxis_core.protocol.command import Command, DeckChange, Outcome
from praxis_core.protocol.lifecycle import CommandKind, OutcomeStatus, RunStatus
from praxis_core.workcell.clock import SimulatedClock
from praxis_core.workcell.link import Attached, Attaching, PauseHeard

AT = datetime(2025, 3, 14, tzinfo=UTC)
RUN = uuid4()
DONE = Outcome(OutcomeStatus.SUCCEEDED, AT, AT)


class Listening:
    """Devices that note which changes of the deck they are told."""

    def __init__(self) -> None:
        self.clock = SimulatedClock()
        self.pause = PauseHeard()
        self.lasting = True
        self.told: list[tuple[int, str]] = []

    async def attach(self, asking: Attaching) -> Attached:
        """Whoever asks gets them, with nothing on them."""
        return Attached(assets={"devices": list(asking.devices)})

    async def execute(self, command: Command) -> Outcome:
        """Note it."""
        self.told += [(one.number, one.resource) for one in command.deck_changes]
        return DONE

    async def restore(self, expected: object) -> None:
        """Nothing is set."""

    async def detach(self, ended: RunStatus) -> None:
        """Nothing is attached."""


def command(branch: str, ordinal: int, *changes: tuple[int, str]) -> Command:
    """A command that carries changes of the deck."""
    return Command(
        run_id=RUN,
        attempt=1,
        branch=branch,
        ordinal=ordinal,
        device="lh",
        method="move",
        args=(),
        kwargs={},
        kind=CommandKind.ONCE,
        fingerprint="same",
        deck_changes=tuple(DeckChange(number, name, "deck", (1, 2, 3)) for number, name in changes),
    )


async def written_before() -> None:
    """Nothing was learned."""


def resumed(link: Listening, known: Sequence[Command], last: int) -> Course:
    """A course that replays commands, at devices that have heard of ``last`` changes."""
    course = Course(link, Trail())
    course.begin(None, {})
    records = [
        CommandRecord(number=number, command=one, issued_at=AT, outcome=DONE, delivered=number)
        for number, one in enumerate(known, 1)
    ]
    course.follow(records, run_id=RUN, heard=last, before_live=written_before, going_live=None)
    return course


async def test_a_change_that_a_replayed_command_takes_along_is_told_with_the_next_one() -> None:
    """The first time it was to go with a command of another branch, which was never sent."""
    link = Listening()
    course = resumed(link, [command("0.1", 0)], 0)

    await course.execute(command("0.1", 0, (1, "plate")))
    await course.execute(command("0.2", 0, (2, "lid")))
    await course.execute(command("0.2", 1, (3, "plate")))

    assert link.told == [(1, "plate"), (2, "lid"), (3, "plate")]


async def test_a_command_that_is_sent_again_brings_its_changes_again() -> None:
    """Its first row is set aside when it certainly did not happen."""
    link = Listening()
    before = command("0", 0, (1, "plate"))
    course = Course(link, Trail())
    record = CommandRecord(number=1, command=before, issued_at=AT, outcome=None)
    course.follow([record], run_id=RUN, heard=1, before_live=written_before, going_live=None)

    await course.execute(before)
    await course.execute(command("0", 1, (2, "lid")))

    assert link.told == [(1, "plate"), (2, "lid")]


@pytest.mark.parametrize("early", [True, False])
async def test_changes_that_come_in_another_order_are_told_once(*, early: bool) -> None:
    """What was told the first time is left out whenever it comes up, and the rest is not."""
    link = Listening()
    course = resumed(link, [command("0.1", 0, (1, "plate"))], 1)
    other = command("0.2", 0, (1, "lid")) if early else command("0.2", 0, (1, "lid"), (2, "plate"))

    await course.execute(replace(command("0.1", 0), deck_changes=()))
    await course.execute(other)
    if early:
        await course.execute(command("0.2", 1, (2, "plate")))
    await course.execute(command("0.2", 2, (3, "lid")))

    assert link.told == [(2, "lid"), (3, "lid")]
