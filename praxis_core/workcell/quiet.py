"""Simulated devices without their printing.

PyLabRobot's chatterboxes tell what they do with ``print``. Redirecting standard output would
silence everything else in the process as well, so the modules that they live in get a ``print`` of
their own: it stays silent while the runtime calls a device (the text goes to the log, level DEBUG)
and prints as ever when a script uses a chatterbox directly.
"""

from __future__ import annotations

import builtins
import logging
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any

from pylabrobot.machines.backend import MachineBackend

_log = logging.getLogger(__name__)
_called: ContextVar[str | None] = ContextVar("praxis_device_called", default=None)


def _print(*values: object, **options: Any) -> None:
    if _called.get() is not None:
        _log.debug("%s", " ".join(str(value) for value in values))
    else:
        builtins.print(*values, **options)  # noqa: T201  # what the chatterbox itself would do


def quieten(backend: MachineBackend) -> None:
    """Let ``backend`` print only when the runtime is not the one who calls it."""
    for cls in type(backend).__mro__:
        if cls.__module__.startswith("pylabrobot."):
            vars(sys.modules[cls.__module__])["print"] = _print


def called_device() -> str | None:
    """Name the device that the runtime is calling here; None: it is calling none."""
    return _called.get()


@contextmanager
def device_call(device: str = "") -> Iterator[None]:
    """Mark what is inside as a call of a device by the runtime."""
    before = _called.get()
    _called.set(device)
    try:
        yield
    finally:
        _called.set(before)
