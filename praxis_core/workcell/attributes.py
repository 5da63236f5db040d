"""The plain attributes of a backend, which its instances on both sides of the boundary share.

A real set-up fills in what the machine reported (channels, installed arms, calibration), commands
change settings, and protocol code may write them (``lh.backend.core_adjustment = ...``). Values
that are no data (connections, threads, the deck, trackers) stay where they are.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable, Mapping
from dataclasses import fields, is_dataclass
from enum import Enum

from pydantic import JsonValue
from pylabrobot.machines.backend import MachineBackend
from pylabrobot.resources import Coordinate, Resource, Rotation

from praxis_core.labware.encoding import decode, encode

_PLAIN = (type(None), bool, int, float, str, bytes, dt.date, Enum, Coordinate, Rotation)


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


def plain_attributes(backend: MachineBackend) -> dict[str, JsonValue]:
    """Encode those attributes of ``backend`` that are data.

    Returns:
        Encoded value by attribute name.
    """
    return {
        name: encode(value, f"{type(backend).__name__}.{name}")
        for name, value in vars(backend).items()
        if _is_plain(value)
    }


def changed_attributes(
    before: Mapping[str, JsonValue], after: Mapping[str, JsonValue]
) -> dict[str, JsonValue]:
    """Pick from ``after`` what ``before`` lacks or has with another value."""
    return {
        name: value for name, value in after.items() if name not in before or before[name] != value
    }


def set_attributes(
    backend: MachineBackend,
    attributes: Mapping[str, JsonValue],
    resolve: Callable[[str], Resource],
) -> None:
    """Give ``backend`` the values of ``attributes``."""
    for name, value in attributes.items():
        setattr(backend, name, decode(value, resolve))
