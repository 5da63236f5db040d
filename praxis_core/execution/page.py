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

    async def asked(self, run_id: UUID, form: Form) -> Said:  # noqa: ARG002  # shows nothing
        """Show a form until somebody fills it in; cancelled when that is not needed any more."""
        await asyncio.Event().wait()
        raise AssertionError
