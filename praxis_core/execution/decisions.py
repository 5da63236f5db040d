"""What people decided about the course of a run, kept in its audit trail and honoured for good.

Each decision is one event: who, when and what. Every later attempt of the run reads them all, so
that a replay comes to the same: what is left out stays left out, and what was done once more is not
done a third time.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any
from uuid import UUID

from pydantic import JsonValue

from praxis_core.errors import DecisionRefused
from praxis_core.journal.doubts import LEFT_OUT
from praxis_core.journal.history import History
from praxis_core.journal.record import Journal
from praxis_core.journal.records import EventRecord
from praxis_core.protocol.definition import ProtocolDefinition
from praxis_core.protocol.step_name import may_be
from praxis_core.workcell.changed import CHANGED, Change, changes_in

STOP_ASKED = "stop_asked"
"""Kind of the event that says after which step the run is to stop."""
STOPPED = "stopped_as_asked"
"""Kind of the event that says that it has."""
COMMAND_LEFT_OUT = LEFT_OUT
STEP_LEFT_OUT = "step_left_out"
"""Kind of the event that says which step is not done any further, and what it gives."""
TO_DO_AGAIN = "to_do_again"
"""Kind of the event that says which commands are done once more before the run goes on."""

LASTING = frozenset({COMMAND_LEFT_OUT, STEP_LEFT_OUT, TO_DO_AGAIN, CHANGED})
"""Kinds of the decisions that nothing takes back."""

END = "end"
"""What is asked for instead of a step by who wants the run to go on to its end."""
EACH = "each"
"""What is asked for instead of a step by who wants to be asked after each whether it goes on."""

Key = tuple[str, int]
"""Branch and ordinal of a command."""

NUMBER = re.compile(r"[a-z]*[1-9][0-9]*(\.[a-z]*[1-9][0-9]*)*")
"""What numbers of steps look like: ``2``, ``2.1``, ``2.a1``."""


@dataclass(frozen=True, slots=True)
class Stop:
    """After which step a run stops, until somebody lets it go on."""

    step: str
    """Number or name; ``EACH``: any step that is not part of another."""
    passed: frozenset[str]
    """Numbers of the steps after which it does not stop (any more)."""

    def comes_after(self, path: str, name: str) -> bool:
        """Whether the run stops after a step.

        Args:
            path: Its number, as ``praxis run show`` prints it.
            name: What it is called.
        """
        if path in self.passed:
            return False
        if self.step == EACH:
            return "." not in path
        return self.step in {path, name}


@dataclass(frozen=True, slots=True)
class Skip:
    """A command that is not sent."""

    number: int
    """As ``praxis run show`` counted it then."""
    fingerprint: str
    what: str
    """The command in words."""
    value: JsonValue
    """What the protocol is given for it."""
    at: datetime
    """When that was decided."""


@dataclass(frozen=True, slots=True)
class StepSkip:
    """A step that is not done any further."""

    value: JsonValue
    """What it gives to whoever called it."""


@dataclass(frozen=True, slots=True)
class Redo:
    """Commands that are done once more, in order."""

    what: str
    """In words."""
    commands: tuple[Key, ...]
    """Branch and ordinal of each as it was done first."""

    @property
    def places(self) -> Iterator[tuple[int, Key]]:
        """Number the commands, from 0."""
        return enumerate(self.commands)


@dataclass(frozen=True, slots=True)
class Decisions:
    """All that was decided about a run."""

    stop: Stop | None = None
    commands: Mapping[Key, Skip] = field(default_factory=dict)
    """Those that are left out, by their branch and ordinal."""
    steps: Mapping[str, StepSkip] = field(default_factory=dict)
    """Those that are left out, by their numbers."""
    redos: tuple[Redo, ...] = ()
    changes: tuple[Change, ...] = ()
    """How methods are called for the rest of it."""


NO_DECISIONS = Decisions()


def require_step(definition: ProtocolDefinition, run_id: UUID, step: str) -> None:
    """See that a protocol may have a step.

    Args:
        definition: The protocol.
        run_id: The run.
        step: Number or name, or ``EACH`` or ``END``.

    Raises:
        DecisionRefused: it has none of that name.
    """
    known = [one.name for one in definition.steps]
    if step in {EACH, END} or NUMBER.fullmatch(step) or any(may_be(one, step) for one in known):
        return
    names = "; ".join(known) or "none"
    what = f"{definition.name} has no step {step!r}. Its steps: {names}"
    raise DecisionRefused(run_id=run_id, what=f"{what}; or give the number of one")


async def ask_to_stop(
    journal: Journal, run_id: UUID, by: str, step: str, passed: Iterable[str] = ()
) -> None:
    """Let a run stop after a step.

    Args:
        journal: Where it is written down.
        run_id: The run.
        by: Who wants it.
        step: Number or name of the step; ``EACH``: after each; ``END``: it does not stop any more.
        passed: Numbers of the steps that are complete already.
    """
    after = "each step" if step == EACH else f"step {step}"
    what = f"wants the run to stop after {after}" if step != END else "lets it go on to its end"
    details: dict[str, JsonValue] = {"by": by, "step": step, "passed": [*sorted(passed)]}
    await journal.event(run_id, STOP_ASKED, f"{by} {what}.", details)


async def last_decision(history: History, run_id: UUID) -> int:
    """Give the id of the last event that decides something for good; 0: there is none."""
    events = await history.events(run_id)
    return max((event.id for event in events if event.kind in LASTING), default=0)


async def decisions_of(history: History, run_id: UUID) -> Decisions:
    """Look up what was decided about a run."""
    return decided_in(await history.events(run_id))


def decided_in(events: Sequence[EventRecord]) -> Decisions:
    """Read what was decided from the audit trail of a run."""
    commands: dict[Key, Skip] = {}
    steps: dict[str, StepSkip] = {}
    redos: list[Redo] = []
    for event in events:
        details: Any = event.details
        match event.kind:
            case "command_left_out":
                parts = {name: details[name] for name in ("number", "fingerprint", "what", "value")}
                key = details["branch"], details["ordinal"]
                commands.setdefault(key, Skip(**parts, at=event.at))
            case "step_left_out":
                steps.setdefault(details["path"], StepSkip(details["value"]))
            case "to_do_again":
                places = tuple((branch, ordinal) for branch, ordinal in details["commands"])
                redos.append(Redo(details["what"], places))
    return Decisions(_stop_of(events), commands, steps, tuple(redos), changes_in(events))


async def has_stopped_as_asked(history: History, run_id: UUID) -> bool:
    """Whether the last attempt of a run ended where somebody wanted it to stop."""
    attempts = await history.attempts(run_id)
    kinds = [
        event.kind for event in await history.events(run_id) if event.at > attempts[-1].begun_at
    ]
    return STOPPED in kinds


def _stop_of(events: Sequence[EventRecord]) -> Stop | None:
    """Tell after which step it stops now; None: after none."""
    stop: Stop | None = None
    for event in events:
        details = event.details if isinstance(event.details, dict) else {}
        if event.kind == STOP_ASKED:
            step, passed = details.get("step"), details.get("passed")
            names = frozenset(map(str, passed)) if isinstance(passed, list) else frozenset()
            asked = Stop(str(step), names)
            stop = None if asked.step == END else asked
        elif event.kind == STOPPED and stop is not None:
            # One that was asked for a single step is over; one for each goes on with the next.
            path = str(details.get("path"))
            stop = Stop(EACH, stop.passed | {path}) if stop.step == EACH else None
    return stop
