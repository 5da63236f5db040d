"""Which command the backend call that is under way belongs to.

A backend's method knows nothing of runs; what is under it (the connection to the pretend lab, the
log of a device's io) asks here.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar

from praxis_core.protocol.command import Command

_command: ContextVar[Command | None] = ContextVar("praxis_command_under_way", default=None)


def command_under_way() -> Command | None:
    """Give the command whose backend call this is part of; None: it belongs to no run."""
    return _command.get()


@contextmanager
def under_way(command: Command) -> Iterator[None]:
    """Mark what is inside as the backend call of a command."""
    token = _command.set(command)
    try:
        yield
    finally:
        _command.reset(token)


def tag(command: Command) -> str:
    """Name a command across all attempts: ``run/branch/ordinal``."""
    return f"{command.run_id}/{command.branch}/{command.ordinal}"
