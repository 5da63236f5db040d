"""How much of a failed call reached its device."""

from __future__ import annotations

import functools
from asyncio import CancelledError
from collections.abc import Awaitable, Callable
from typing import Any

from pylabrobot.io.io import IOBase
from pylabrobot.liquid_handling.errors import ChannelizedError
from pylabrobot.machines.backend import MachineBackend

from praxis_core.errors import DeviceLinkLost
from praxis_core.protocol.lifecycle import Sent

_LINK_ERRORS = (ConnectionError, TimeoutError, OSError, CancelledError, DeviceLinkLost)
"""What is raised when a device does not answer; anything else is an answer, or a refusal here."""


def is_link_error(error: BaseException) -> bool:
    """Whether an error says that the device did not answer."""
    return isinstance(error, _LINK_ERRORS)


def sent_of(error: BaseException, before: int | None, after: int | None) -> Sent:
    """Say how much of a failed call was sent.

    Args:
        error: What the call raised.
        before: How many messages the device had been sent when the call began; None: nobody counts.
        after: How many when it failed.

    Returns:
        ``none`` only if that is certain.
    """
    if isinstance(error, ChannelizedError):
        return Sent.SOME  # only a device knows which of its channels failed
    if before is not None and before == after:
        return Sent.NONE
    return Sent.UNKNOWN if is_link_error(error) else Sent.SOME


class WrittenCounter:
    """Counts what a backend writes to its own io, where it has one."""

    def __init__(self) -> None:
        self._ios: list[IOBase] = []
        self._count = 0

    @property
    def count(self) -> int | None:
        """How many messages were written; None: the backend has no io that can be counted."""
        return self._count if self._ios else None

    def watch(self, backend: MachineBackend) -> None:
        """Count on every io that the backend has by now; set-up may have made new ones."""
        for value in vars(backend).values():
            if isinstance(value, IOBase) and value not in self._ios:
                self._ios.append(value)
                value.write = self._counted(value.write)

    def _counted(self, write: Callable[..., Awaitable[Any]]) -> Callable[..., Awaitable[Any]]:
        @functools.wraps(write)
        async def counted(*args: Any, **kwargs: Any) -> Any:
            self._count += 1  # before: what fails in the middle may have been written
            return await write(*args, **kwargs)

        return counted
