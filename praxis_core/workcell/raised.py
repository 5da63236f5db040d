"""Which command an error of protocol code came from, noted in the error itself."""

from __future__ import annotations

from praxis_core.protocol.command import Command

_COMMAND = "__praxis_command__"


def raised_by(command: Command, error: Exception) -> Exception:
    """Note in an error that a command failed with it; give the error."""
    # Past the error's own __setattr__: it may be a frozen dataclass.
    BaseException.__setattr__(error, _COMMAND, (command.branch, command.ordinal))
    return error


def command_of(error: BaseException) -> tuple[str, int] | None:
    """Branch and ordinal of the command that failed with an error; None: it came from none."""
    found = getattr(error, _COMMAND, None)
    return found if isinstance(found, tuple) else None
