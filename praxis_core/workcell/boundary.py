"""Where software becomes physics: the coroutines of a PyLabRobot backend.

``shadow`` replaces them on one instance by senders. The instance keeps its class, so that
``isinstance``, ``lh.backend.park_iswap()`` and every frontend work as before; synchronous methods,
properties and context managers run on the instance itself, and the coroutines that they await are
commands as well.
"""

from __future__ import annotations

import functools
import inspect
from collections.abc import Awaitable, Callable, Iterator
from typing import Any

from pylabrobot.machines.backend import MachineBackend

from praxis_core.workcell.kinds import LOCAL

Send = Callable[[str, tuple[Any, ...], dict[str, Any]], Awaitable[Any]]


def coroutine_methods(backend: type[MachineBackend]) -> Iterator[str]:
    """Name the methods of a backend class that may reach the device, private ones included."""
    for name in dir(backend):
        member = inspect.getattr_static(backend, name)
        function = member.__func__ if isinstance(member, (classmethod, staticmethod)) else member
        if inspect.iscoroutinefunction(function) and not name.startswith("__"):
            yield name


def shadow(backend: MachineBackend, send: Send) -> None:
    """Turn ``backend`` into the shadow of the one beside the device.

    Args:
        backend: An instance that nothing else uses.
        send: Carries a call across the boundary: method name, positional and keyword arguments.
            What it returns or raises is what the caller of the method gets.
    """
    for name in coroutine_methods(type(backend)):
        if name not in LOCAL:
            setattr(backend, name, _sender(getattr(backend, name), name, send))


def _sender(method: Callable[..., Any], name: str, send: Send) -> Callable[..., Any]:
    @functools.wraps(method)
    async def send_command(*args: Any, **kwargs: Any) -> Any:
        return await send(name, args, kwargs)

    return send_command
