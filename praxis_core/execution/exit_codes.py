"""With what code a command ends, for scripts; the table for people is docs/command-line.md."""

from __future__ import annotations

import json
from enum import IntEnum

from pydantic_core import to_jsonable_python

from praxis_core.errors import (
    HostLost,
    HostNotRunning,
    PraxisError,
    RunNeedsAnswer,
    ServiceNotRunning,
    ServiceUnreachable,
)
from praxis_core.protocol.lifecycle import RunStatus


class ExitCode(IntEnum):
    """How a command ended."""

    DONE = 0
    """What was wanted: the run has succeeded, or has stopped where it was asked to."""
    FAILED = 1
    """Refused with an error in words; or the run has failed, or was refused, cancelled or given
    up."""
    MISTYPED = 2
    """There is no such command, option or kind of value."""
    ASKS = 3
    """The run goes on when a person has answered."""
    INTERRUPTED = 4
    """The run has stopped on the way, and may be resumed."""
    AWAY = 5
    """A service or a host does not answer; the same may work later."""
    PARKED = 6
    """The run waits without a process, and goes on by itself."""
    LEFT = 130
    """After Ctrl-C, as shells have it."""


_OF_STATUS = {
    RunStatus.SUCCEEDED: ExitCode.DONE,
    RunStatus.PARKED: ExitCode.PARKED,
    RunStatus.IN_DOUBT: ExitCode.ASKS,
    RunStatus.FAILED: ExitCode.FAILED,
    RunStatus.REFUSED: ExitCode.FAILED,
    RunStatus.CANCELLED: ExitCode.FAILED,
}
_AWAY = (ServiceUnreachable, ServiceNotRunning, HostNotRunning, HostLost)


def code_of_run(status: RunStatus) -> ExitCode:
    """Give the code of a run on which nobody works any more."""
    return _OF_STATUS.get(status, ExitCode.INTERRUPTED)


def code_of_error(error: PraxisError) -> ExitCode:
    """Give the code of a command that an error has ended."""
    if isinstance(error, RunNeedsAnswer):
        return ExitCode.ASKS
    return ExitCode.AWAY if isinstance(error, _AWAY) else ExitCode.FAILED


def told(error: PraxisError | OSError, words: str, *, as_json: bool) -> str:
    """Write an error as the last line that a command says.

    Args:
        error: What has ended it.
        words: The same for people.
        as_json: For scripts: one line of JSON.
    """
    if not as_json:
        return f"Error: {words}\n"
    details = error.details if isinstance(error, PraxisError) else {}
    said = {
        "error": type(error).__name__,
        "message": words,
        "details": to_jsonable_python(details, fallback=str),
    }
    return json.dumps(said, ensure_ascii=False) + "\n"
