"""What a device can be told: the methods of its frontend and of its backend, for people."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Any

from pylabrobot.machines.machine import Machine
from pylabrobot.resources import Resource

from praxis_core.protocol.lifecycle import CommandKind
from praxis_core.workcell.definition import DeviceDefinition
from praxis_core.workcell.kinds import KINDS, LIFECYCLE, LOCAL, kind_of
from praxis_core.workcell.model import class_of
from praxis_core.workcell.timed import TIMED


@dataclass(frozen=True, slots=True)
class Method:
    """One thing that a device can be told."""

    name: str
    of_backend: bool
    """Whether only the backend has it."""
    kind: CommandKind
    """What it would be to do it twice; ``once`` where nobody has said."""
    signature: str
    """Its parameters, as they are written."""
    summary: str
    """The first line of what its author says."""


def methods_of(device: DeviceDefinition) -> list[Method]:
    """List what a device can be told, by name; a frontend's method hides its backend's.

    Raises:
        ImportError, AttributeError, TypeError: its definition names classes that are not there.
    """
    frontend, backend = class_of(device.frontend), class_of(device.backend)
    found = {name: _method(name, backend, backend) for name in _public(backend)}
    found |= {name: _method(name, frontend, backend) for name in _public(frontend)}
    return [found[name] for name in sorted(found)]


def fault_in(
    device: DeviceDefinition, method: Method, positional: int, named: Iterable[str]
) -> str | None:
    """Say what is wrong with the number and the names of arguments; None: nothing is."""
    owner = class_of(device.backend if method.of_backend else device.frontend)
    signature = inspect.signature(inspect.unwrap(getattr(owner, method.name)))
    try:
        signature.bind(*[None] * (positional + 1), **dict.fromkeys(named))
    except TypeError as error:
        return str(error)
    return None


def callable_of(machine: Machine, method: Method) -> Callable[..., Any]:
    """Give what is to be called on a live device."""
    owner = machine.backend if method.of_backend else machine
    found: Callable[..., Any] = getattr(owner, method.name)
    return found


def _public(cls: type[Any]) -> Iterator[str]:
    hidden = {*LIFECYCLE, *LOCAL, *dir(Resource)}
    for name in dir(cls):
        function = inspect.unwrap(getattr(cls, name))
        if (
            not name.startswith("_")
            and name not in hidden
            and inspect.iscoroutinefunction(function)
        ):
            yield name


def _method(name: str, owner: type[Any], backend: type[Any]) -> Method:
    function = inspect.unwrap(getattr(owner, name))
    parameters = [*inspect.signature(function).parameters.values()][1:]
    shown = [str(one.replace(annotation=one.empty)) for one in parameters]
    summary = (inspect.getdoc(function) or "").partition("\n")[0]
    of_backend = owner is backend
    kind = kind_of(backend, name) if of_backend else _kind_on(owner, backend, name)
    return Method(name, of_backend, kind, ", ".join(shown), summary)


def _kind_on(frontend: type[Any], backend: type[Any], name: str) -> CommandKind:
    """Tell the kind of a frontend's method: of the command that it is known to become."""
    for cls, entries in TIMED.items():
        for timed in entries if issubclass(frontend, cls) else ():
            if timed.method == name:
                return timed.kind
    known = any(name in KINDS.get(cls, {}) for cls in backend.__mro__)
    return kind_of(backend, name) if known else CommandKind.ONCE
