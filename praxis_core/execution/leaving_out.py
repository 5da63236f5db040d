"""What people decided to leave out of a run: a command that is not sent, the rest of a step.

A command that is left out is given to the protocol as done, with the value that somebody said. A
step that is left out does what it did before; then its next command ends it, and what it does to
clean up (``finally``, ``except``) is done as ever. Either is known by its place in the protocol, so
that each later replay comes to the same.
"""

from __future__ import annotations

import sys
from collections.abc import Awaitable, Callable
from contextvars import ContextVar
from typing import Any
from uuid import UUID

from praxis_core.errors import ReplayDivergence
from praxis_core.execution.decisions import Decisions
from praxis_core.execution.difference import told
from praxis_core.execution.trail import chain
from praxis_core.journal.records import CommandRecord
from praxis_core.protocol.command import Command, Outcome
from praxis_core.protocol.lifecycle import OutcomeStatus
from praxis_core.workcell.branches import current_branch
from praxis_core.workcell.raised import command_of

_entered: ContextVar[tuple[str, BaseException | None] | None] = ContextVar(
    "praxis_step_left_out", default=None
)
"""The step that is left out, and the error that was handled when it was entered."""


class StepLeftOut(BaseException):
    """The rest of a step is left out; no error, so that no protocol catches it."""

    def __init__(self, path: str) -> None:
        super().__init__(path)
        self.path = path


class LeavingOut:
    """What one attempt leaves out.

    Args:
        run_id: The run.
        decisions: What people decided.
        known: Gives what was asked for at a place of the protocol before; None: nothing yet.
        stopped: Whether nothing may happen any more.
    """

    def __init__(
        self,
        run_id: UUID,
        decisions: Decisions,
        known: Callable[[str, int], CommandRecord | None],
        stopped: Callable[[], bool],
    ) -> None:
        self._run_id = run_id
        self._decisions = decisions
        self._known = known
        self._stopped = stopped

    def outcome(self, command: Command) -> Outcome | None:
        """Give what the protocol is told of a command that is left out; None: it is not.

        Raises:
            StepLeftOut: the step that it belongs to is.
            ReplayDivergence: another command was to be left out here.
        """
        if self._known(command.branch, command.ordinal) is not None:
            return None
        skip = self._decisions.commands.get((command.branch, command.ordinal))
        if skip is not None:
            if skip.fingerprint != command.fingerprint:
                then = f"{skip.what}, which was to be left out,"
                raise ReplayDivergence(
                    run_id=self._run_id, number=skip.number, now=told(command), then=then
                )
            return Outcome(OutcomeStatus.SUCCEEDED, skip.at, skip.at, value=skip.value)
        path = self._step_that_ends()
        if path is not None:
            raise StepLeftOut(path)
        return None

    def comes_next(self) -> bool:
        """Whether the next command of the calling branch is going to be left out."""
        branch = current_branch()
        if branch is None or self._known(branch.path, branch.upcoming) is not None:
            return False
        skipped = (branch.path, branch.upcoming) in self._decisions.commands
        return skipped or self._step_that_ends() is not None

    async def step(self, path: str, invoke: Callable[[], Awaitable[Any]]) -> Any:
        """Carry out a step, or what of it is not left out.

        Returns:
            What it returned, or what somebody said that it returns.
        """
        left = self._decisions.steps.get(path)
        if left is None:
            return await invoke()
        token = _entered.set((path, sys.exception()))
        try:
            return await invoke()
        except StepLeftOut as out:
            if out.path != path:
                raise
        except Exception as error:
            # What failed on a device was sent in spite of all: to clean up.
            if self._stopped() or any(command_of(one) for one in chain(error)):
                raise
        finally:
            _entered.reset(token)
        return left.value

    @staticmethod
    def _step_that_ends() -> str | None:
        """Name the step that is left out from here on; None: there is none, or it cleans up."""
        entered = _entered.get()
        return entered[0] if entered is not None and sys.exception() is entered[1] else None
