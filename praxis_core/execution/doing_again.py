"""Commands that are done once more because somebody decided it, before a run goes on.

They are sent when all that is known was replayed, and before anything new. Physics is never rolled
back: each is another command of the run, on a branch of its decision's own, recorded as any other,
so that after a kill only what is missing of them is sent, and what is in doubt is asked about.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from uuid import UUID

from praxis_core.assets.description import describe
from praxis_core.errors import RedoFailed
from praxis_core.execution.course import Course
from praxis_core.execution.decisions import Key, Redo
from praxis_core.journal.record import Journal
from praxis_core.journal.records import CommandRecord
from praxis_core.protocol.command import Command, Outcome
from praxis_core.protocol.lifecycle import Answer, CommandKind, DoubtSubject, Sent

FIRST_BRANCH = 1_000_000
"""Their branches are ``r1000001``, ``r1000002``: beyond those of attempts (``RESTORING``)."""


class DoingAgain:
    """Does once more, in one attempt of a run, what is still to be done so.

    Args:
        run_id: The run.
        attempt: Its attempt.
        course: Where commands pass.
        journal: Where they are.
        redos: What people decided, in order.
    """

    def __init__(
        self, run_id: UUID, attempt: int, *, course: Course, journal: Journal, redos: Sequence[Redo]
    ) -> None:
        self._run_id = run_id
        self._attempt = attempt
        self._course = course
        self._journal = journal
        self._redos = redos
        self._is_done = not redos

    async def carry_out(self) -> None:
        """Send what was not done yet.

        Raises:
            RedoFailed: a device refused; the run stops.
            CommandInDoubt, PraxisError: as the devices' side raises.
        """
        if self._is_done:
            return
        written = await self._journal.commands(self._run_id)
        counts = {one.key: one for one in written if not one.tail}
        first = {one.key: one for one in reversed(written)}
        for number, redo in enumerate(self._redos, 1):
            sent = [await self._again(number, n, first[key], counts) for n, key in redo.places]
            if any(sent):
                what = f"Done once more: {redo.what}."
                await self._journal.event(self._run_id, "done_again", what)
        self._is_done = True

    async def _again(
        self, number: int, ordinal: int, source: CommandRecord, counts: Mapping[Key, CommandRecord]
    ) -> bool:
        """Do one command again, unless it has been; whether it was sent."""
        command = again(source.command, number, ordinal, self._attempt)
        before = counts.get((command.branch, ordinal))
        if before is not None and before.outcome is not None:
            if before.outcome.error is None:
                return False
            # Its process was killed before it could say so.
            await self._fail(before.command, before.outcome)
        outcome = await self._course.again(command)
        if outcome.error is not None:
            await self._fail(command, outcome)
        return True

    async def _fail(self, command: Command, outcome: Outcome) -> None:
        """Leave a failed command to be done anew, once a person has looked; stop the run.

        Raises:
            RedoFailed: always.
        """
        error = outcome.error
        said = "" if error is None else error.message
        what = f"{describe(command)} was to be done once more, and failed: {said}"
        if command.kind is CommandKind.ONCE and outcome.sent is not Sent.NONE:
            # The question first: killed between the two, the run still asks.
            await self._journal.raise_doubt(
                self._run_id,
                command.attempt,
                DoubtSubject.TAIL,
                command.branch,
                command.ordinal,
                f"{what}. To go on, bring the deck to where it was before; it is done again then",
                (Answer.DID_NOT_HAPPEN, Answer.ABORT),
                {"commands": [], "effects": []},
            )
        await self._journal.set_aside(self._run_id, command.branch, command.ordinal)
        failed = RedoFailed(run_id=self._run_id, what=what)
        self._course.stop(failed)
        raise failed


def again(source: Command, number: int, ordinal: int, attempt: int) -> Command:
    """Make the command that does another once more.

    Args:
        source: What was done.
        number: Of the decision, from 1.
        ordinal: Its place in the decision.
        attempt: Of the run.
    """
    return replace(
        source,
        attempt=attempt,
        branch=f"r{FIRST_BRANCH + number}",
        ordinal=ordinal,
        step=None,
        task_run_id=None,
        deck_changes=(),
        token=None,
    )
