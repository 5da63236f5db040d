"""Where people follow a run while it is under way, and answer what it asks."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import NamedTuple
from uuid import UUID

from pydantic import JsonValue

from praxis_core.errors import RunParked
from praxis_core.planning.plan import Plan


@dataclass(frozen=True, slots=True)
class Form:
    """What a page asks."""

    number: int
    """Of the question."""
    title: str
    """The question on one line."""
    text: str
    """More about it, Markdown."""
    schema: dict[str, JsonValue]
    """JSON schema of an answer, which is an object."""


class Said(NamedTuple):
    """What somebody filled in on a page."""

    answer: JsonValue
    by: str


@dataclass(frozen=True, slots=True)
class Advance:
    """How far a run is."""

    step: str
    """Title of the step under way; empty: there is none."""
    steps: int
    """How many have begun."""
    commands: int
    """How many have an outcome."""
    of_steps: int | None = None
    """How many there are going to be; None: nobody knows."""
    of_commands: int | None = None
    certain: bool = False
    """Whether it does just what was planned; else it decides on its way."""
    seconds_left: float | None = None
    """Estimated, on the workcell's clock; None: nobody knows."""

    @property
    def share(self) -> float | None:
        """What is done of all commands, 0 to 1; None: nobody knows how many there are."""
        if not self.of_commands:
            return None
        most = 1.0 if self.certain or self.commands == self.of_commands else 0.99
        return min(self.commands / self.of_commands, most)

    def __str__(self) -> str:
        """Say it as people do: "step 4 of 12, command 57 of 148, about 11 min left"."""
        about = "" if self.certain else "about "
        of_steps = f" of {about}{self.of_steps}" if self.of_steps else ""
        of_commands = f" of {about}{self.of_commands}" if self.of_commands else ""
        said = [f"step {self.steps}{of_steps}"] if self.steps else []
        said.append(f"command {self.commands}{of_commands}")
        if self.seconds_left:
            said.append(f"about {_in_words(self.seconds_left)} left")
        return ", ".join(said)


def _in_words(seconds: float) -> str:
    if seconds < 90:  # noqa: PLR2004  # below it, minutes say too little
        return f"{max(10, round(seconds / 10) * 10)} s"
    minutes = round(seconds / 60)
    return f"{minutes} min" if minutes < 100 else f"{minutes / 60:.1f} h"  # noqa: PLR2004


class RunPage:
    """A run's page in an engine; this one shows nothing, and nobody answers there.

    What its methods raise ends the run, so that one that cannot be written says so by itself.
    """

    starts_again = True
    """Whether a run whose process has ended is started again at its time."""

    async def parked(self, parked: RunParked) -> None:
        """Show that the run waits without a process, and let it be started again at its time."""

    via = "page"
    """How an answer comes that is given there: a word."""

    async def with_water(self) -> None:
        """Show that the run is done with water in place of everything else."""

    async def waiting(self, reason: str) -> None:
        """Show that the run waits for assets, and whom it waits for."""

    async def short(self, reason: str) -> None:
        """Show that the run waits for material, what is missing and how to mend it."""

    async def closed(self, reason: str) -> None:
        """Show that the run waits for its workcell, which takes no run on, and why."""

    async def paused(self, by: str, reason: str) -> None:
        """Show that somebody has paused the run."""

    async def going_on(self) -> None:
        """Show that it waits no longer."""

    async def planned(self, plan: Plan) -> None:
        """Show what the run is going to do, take and lack."""

    async def advanced(self, advance: Advance) -> None:
        """Show how far the run is; told a few times in a minute at most."""

    async def left_behind(self, run_id: UUID, number: int) -> Said | None:  # noqa: ARG002
        """Give what somebody filled in while the run had no process; None: nobody has.

        Args:
            run_id: The run.
            number: Of the question.
        """
        return None

    async def asked(self, run_id: UUID, form: Form) -> Said:  # noqa: ARG002  # shows nothing
        """Show a form until somebody fills it in; cancelled when that is not needed any more."""
        await asyncio.Event().wait()
        raise AssertionError
