"""How far a run has come of what was planned, and how long the rest will probably take."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from datetime import datetime
from math import ceil

from pydantic import BaseModel, ConfigDict

from praxis_core.execution.page import Advance, RunPage
from praxis_core.execution.protocol_state import ProtocolState
from praxis_core.journal.records import EventRecord
from praxis_core.planning.plan import Plan
from praxis_core.workcell.branches import outside_protocol

LOOK_SECONDS = 2.0
"""How often it is looked whether there is something new to show."""

PLANNED = "planned"
"""Kind of the event that says what was planned."""

_POINTS = 200
"""Of a plan's time that are kept at most."""


class Outlook(BaseModel):
    """What was planned of a run, as far as its progress is measured by it."""

    model_config = ConfigDict(frozen=True)

    steps: int
    commands: int
    certain: bool
    """Whether these commands come for sure; else it decides on its way, and they are likely."""
    every: int = 1
    """How many commands lie between two points of ``begins``."""
    begins: tuple[float, ...] = ()
    """Seconds after which every so many commands begin, and with which it ends; empty: unknown."""

    @classmethod
    def of(cls, plan: Plan) -> Outlook | None:
        """Take what counts of a plan; None: it was broken off, and says nothing of the end."""
        commands = plan.commands
        if plan.ended or not commands:
            return None
        condition = plan.conditional_from
        every = ceil(len(commands) / _POINTS)
        begins = [round(one.at, 1) for one in commands[::every]]
        begins.append(round(plan.duration or 0.0, 1))
        return cls(
            steps=plan.steps,
            commands=len(commands),
            certain=condition is None or condition.command >= len(commands),
            every=every,
            begins=() if plan.duration is None or plan.not_estimated else tuple(begins),
        )

    @classmethod
    def among(cls, events: Sequence[EventRecord]) -> Outlook | None:
        """Find it in a run's audit trail; None: nobody knows it."""
        for event in reversed(events):
            if event.kind == PLANNED and isinstance(event.details, dict):
                found = event.details.get("outlook")
                return None if found is None else cls.model_validate(found)
        return None

    def seconds_left(self, begun: int, since: float) -> float | None:
        """Estimate how long the rest takes.

        Args:
            begun: How many commands have begun.
            since: Seconds since the last of them did.
        """
        if not self.begins:
            return None
        last, next_one = self._begins_at(max(begun - 1, 0)), self._begins_at(begun)
        return self.begins[-1] - min(last + since, next_one)

    def _begins_at(self, index: int) -> float:
        """Say when the command of an index begins; behind the last one: when the run ends."""
        if index >= self.commands:
            return self.begins[-1]
        point, more = divmod(index, self.every)
        upto = min(self.every, self.commands - point * self.every)
        before, after = self.begins[point], self.begins[point + 1]
        return before + more / upto * (after - before)


class Following:
    """Follows one attempt of a run.

    Args:
        progress: Its steps.
        outlook: What was planned; None: nobody knows.
        now: The workcell's time.
    """

    def __init__(
        self, progress: ProtocolState, outlook: Outlook | None, now: Callable[[], datetime]
    ) -> None:
        self._progress = progress
        self._outlook = outlook
        self._now = now
        self._begun = 0
        self._done = 0
        self._since = now()

    def command_begun(self) -> None:
        """Take in that the protocol has asked for a command, be it one that was done before."""
        self._begun += 1
        self._since = self._now()

    def command_done(self) -> None:
        """Take in that a command has its outcome, be it a known one."""
        self._done += 1

    @property
    def advance(self) -> Advance:
        """How far it is."""
        outlook = self._outlook
        since = (self._now() - self._since).total_seconds()
        current = self._progress.current
        return Advance(
            step="" if current is None else current.name,
            steps=len(self._progress.steps),
            commands=self._done,
            of_steps=None if outlook is None else outlook.steps,
            of_commands=None if outlook is None else outlook.commands,
            certain=outlook is not None and outlook.certain,
            seconds_left=None if outlook is None else outlook.seconds_left(self._begun, since),
        )


@asynccontextmanager
async def showing_advance(following: Following, page: RunPage) -> AsyncIterator[None]:
    """Show on a run's page how far it is, until the block ends; whatever ends it, once more then.

    Args:
        following: The run.
        page: Its page.
    """
    shown: list[str] = []

    async def show() -> None:
        now = following.advance
        if [str(now)] != shown:
            await page.advanced(now)
            shown[:] = [str(now)]

    async def go_on_showing() -> None:
        while True:
            await show()
            await asyncio.sleep(LOOK_SECONDS)

    with outside_protocol():
        task = asyncio.create_task(go_on_showing(), name="showing how far it is")
    try:
        yield
    finally:
        task.cancel()
        await asyncio.wait({task})
    await show()
