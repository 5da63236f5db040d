"""Commands and steps of a run as people name them: by the numbers that ``run show`` prints.

What counts of a run's commands is numbered from 1 in the order in which it was done. The one after
them that was tried and set aside is the next one: it is done when the run goes on.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from uuid import UUID

from praxis_core.errors import DecisionRefused
from praxis_core.execution.decisions import Decisions
from praxis_core.execution.past import RESTORING
from praxis_core.journal.record import Journal
from praxis_core.journal.records import CommandRecord, StepRecord
from praxis_core.protocol.lifecycle import StepStatus

STEP = "step:"
"""How a step is named among commands: ``step:2``, ``step:Mix column 3``."""

_RANGE = re.compile(r"(?P<first>[1-9][0-9]*)(-(?P<last>[1-9][0-9]*))?")


@dataclass(frozen=True, slots=True)
class Numbered:
    """What a run did, by number.

    Args:
        run_id: The run.
        known: What counts of its commands, in order.
        next_one: The one that was tried after them, and is done next; None: nobody knows it.
        steps: The newest row of each step, by number.
    """

    run_id: UUID
    known: Sequence[CommandRecord]
    next_one: CommandRecord | None
    steps: Mapping[str, StepRecord]

    @property
    def next_number(self) -> int:
        """The number of the command that is done next."""
        return len(self.known) + 1

    def is_complete(self, path: str) -> bool:
        """Whether a step was completed."""
        return path in self.steps and self.steps[path].status is StepStatus.SUCCEEDED

    def of_step(self, path: str) -> list[CommandRecord]:
        """List what counts of a step's commands, with those of the steps in it."""
        return [one for one in self.known if within(one.command.step, path)]

    def step(self, named: str) -> str:
        """Find a step by its number or its name.

        Raises:
            DecisionRefused: there is none, or several are called so.
        """
        if named in self.steps:
            return named
        found = [path for path, one in self.steps.items() if one.name == named]
        if len(found) == 1:
            return found[0]
        if found:
            what = f"steps {', '.join(found)} are called {named!r}; say which by its number"
        else:
            what = f"it has come to no step {named!r}. See: praxis run show {self.run_id}"
        raise DecisionRefused(run_id=self.run_id, what=what)

    def commands(self, named: str) -> list[CommandRecord]:
        """Find commands that were done: ``12``, ``10-12`` or ``step:2``.

        Raises:
            DecisionRefused: there are none of that name.
        """
        if named.startswith(STEP):
            path = self.step(named.removeprefix(STEP))
            found = self.of_step(path)
            if not found:
                raise DecisionRefused(run_id=self.run_id, what=f"step {path} has done nothing yet")
            return found
        read = _RANGE.fullmatch(named)
        if read is None:
            what = f"{named!r} names no commands; write 12, 10-12 or step:2"
            raise DecisionRefused(run_id=self.run_id, what=what)
        first = int(read["first"])
        last = int(read["last"] or first)
        if not first <= last <= len(self.known):
            what = f"there are no commands {named}: {len(self.known)} were done. "
            what += f"See: praxis run show {self.run_id} --commands"
            raise DecisionRefused(run_id=self.run_id, what=what)
        return [*self.known[first - 1 : last]]


def within(step: str | None, path: str) -> bool:
    """Whether a step is another one, or in it."""
    return step is not None and (step == path or step.startswith(f"{path}."))


async def numbered(journal: Journal, run_id: UUID, decisions: Decisions) -> Numbered:
    """Look up what a run did."""
    written = [
        one
        for one in await journal.commands(run_id)
        if not one.command.branch.startswith(RESTORING)
    ]
    known = sorted((one for one in written if not one.tail), key=lambda one: one.number)
    aside = {(one.command.attempt, one.command.step) for one in written if one.tail}
    steps: dict[str, StepRecord] = {}
    for step in sorted(await journal.steps(run_id), key=lambda one: one.attempt):
        complete = step.status is StepStatus.SUCCEEDED and (step.attempt, step.path) not in aside
        if complete or step.path not in steps or step.status is not StepStatus.SUCCEEDED:
            steps[step.path] = step
    return Numbered(run_id, known, _next(written, known, decisions), dict(sorted(steps.items())))


def _next(
    written: Iterable[CommandRecord], known: Iterable[CommandRecord], decisions: Decisions
) -> CommandRecord | None:
    """Find the first command of the end that the last attempt did, and that is done anew."""
    done = {one.key for one in known} | decisions.commands.keys()
    last = max((one.command.attempt for one in written), default=0)
    tail = [one for one in written if one.tail and one.command.attempt == last]
    first = min(tail, key=lambda one: one.number, default=None)
    return None if first is None or first.key in done else first
