"""The plain attributes of a backend, which its instances on both sides of the boundary share.

A real set-up fills in what the machine reported (channels, installed arms, calibration), commands
change settings, and protocol code may write them (``lh.backend.core_adjustment = ...``). Values
that are no data (connections, threads, the deck, trackers) stay where they are.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable, Iterable, Mapping
from copy import deepcopy
from dataclasses import fields, is_dataclass
from enum import Enum
from functools import cache
from typing import Any, cast

from pydantic import JsonValue
from pylabrobot.machines.backend import MachineBackend
from pylabrobot.resources import Coordinate, Resource, Rotation

from praxis_core.errors import NotEncodable
from praxis_core.labware.encoding import decode, encode

_PLAIN = (type(None), bool, int, float, str, bytes, dt.date, Enum, Coordinate, Rotation)

_ATOMS = frozenset({type(None), bool, int, float, str, bytes})
"""Of these classes themselves most values are."""

_NO_DATA = object()

_CONTAINERS = (Mapping, list, tuple)
"""Whether these are data depends on what they hold."""


def _is_plain(value: object) -> bool:
    if isinstance(value, _PLAIN):
        return True
    if isinstance(value, Mapping):
        return all(_is_plain(item) for pair in value.items() for item in pair)
    if isinstance(value, (list, tuple)):
        return all(_is_plain(item) for item in value)
    if is_dataclass(value) and type(value).__module__.startswith("pylabrobot."):
        return all(_is_plain(getattr(value, field.name)) for field in fields(value))
    return False


class PlainAttributes:
    """The attributes of one backend that are data, and what changed since the last look."""

    def __init__(self, backend: MachineBackend) -> None:
        self._backend = backend
        self._known: dict[str, Any] = {}
        self._no_data: dict[str, type] = {}
        """Attributes that hold something else, by its type; a backend has hundreds of methods."""
        self.changed()  # what it is made with is known on both sides

    def all(self) -> dict[str, JsonValue]:
        """Encode every attribute that is data.

        Returns:
            Encoded value by attribute name.
        """
        self._known.clear()
        return self.changed()

    def changed(self) -> dict[str, JsonValue]:
        """Encode what was written, by whomever, since the last look or ``take``.

        Returns:
            Encoded value by attribute name.
        """
        changes: dict[str, JsonValue] = {}
        for name, value in vars(self._backend).items():
            if self._no_data.get(name) is type(value) or self._is_known(name, value):
                continue
            encoded = self._encoded(name, value)
            if encoded is not _NO_DATA:
                self._known[name] = deepcopy(value)
                changes[name] = encoded
            elif not isinstance(value, _CONTAINERS):
                self._no_data[name] = type(value)
        return changes

    def of(self, names: Iterable[str]) -> dict[str, JsonValue]:
        """Encode some attributes as they are now, without those that are no data or not there.

        Returns:
            Encoded value by attribute name.
        """
        has = vars(self._backend)
        encoded = {name: self._encoded(name, has[name]) for name in names if name in has}
        return {name: value for name, value in encoded.items() if value is not _NO_DATA}

    def take(self, attributes: Mapping[str, JsonValue], resolve: Callable[[str], Resource]) -> None:
        """Give the backend the values of the one on the other side."""
        for name, value in attributes.items():
            decoded = decode(value, resolve)
            setattr(self._backend, name, decoded)
            self._known[name] = deepcopy(decoded)

    def _encoded(self, name: str, value: object) -> Any:
        if not _is_plain(value):
            return _NO_DATA
        try:
            return encode(value, f"{type(self._backend).__name__}.{name}")
        except NotEncodable:
            # A data class with an __init__ of its own (ThermocyclerState of the chatterbox) cannot
            # be rebuilt; it is the backend's own affair.
            return _NO_DATA

    def _is_known(self, name: str, value: object) -> bool:
        return name in self._known and _same(self._known[name], value)


def _same(one: object, other: object) -> bool:
    """Compare by content: some of PyLabRobot's data classes compare by identity."""
    kind: Any = type(one)
    if kind is not type(other) or kind in _ATOMS:
        return kind is type(other) and one == other
    if isinstance(one, Mapping) and isinstance(other, Mapping):
        return one.keys() == other.keys() and all(_same(one[key], other[key]) for key in one)
    if isinstance(one, (list, tuple)) and isinstance(other, (list, tuple)):
        return len(one) == len(other) and all(map(_same, one, other))
    names = _parts(cast("Any", kind))
    if names is not None:
        return all(_same(getattr(one, name), getattr(other, name)) for name in names)
    if isinstance(one, (Coordinate, Rotation)):
        return _same(vars(one), vars(other))
    return one == other


@cache
def _parts(cls: Any) -> tuple[str, ...] | None:
    """Name the fields of a data class; None: it is none."""
    return tuple(field.name for field in fields(cls)) if is_dataclass(cls) else None
