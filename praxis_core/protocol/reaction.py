"""What a protocol wants when a command of its fails: ``@step(on_error="ask")``."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar

from praxis_core.protocol.lifecycle import OnError

_wanted: ContextVar[OnError | None] = ContextVar("praxis_on_error", default=None)


def wanted_on_error() -> OnError | None:
    """Give what the calling code wants when its next command fails; None: it does not say."""
    return _wanted.get()


@contextmanager
def on_error(wanted: OnError | None) -> Iterator[None]:
    """Let what is called inside want something when a command fails; None: as outside."""
    token = _wanted.set(wanted or _wanted.get())
    try:
        yield
    finally:
        _wanted.reset(token)


def reaction_in(told: object) -> OnError | None:
    """Read what an author wrote; None: it says nothing, or cannot be read."""
    return OnError(told) if isinstance(told, str) and told in [*OnError] else None
