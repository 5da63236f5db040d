"""From JSON back to values: the reading half of ``encoding``, which documents the forms."""

from __future__ import annotations

import base64
import dataclasses
import enum
import sys
from collections.abc import Callable
from datetime import date, datetime, timedelta
from functools import reduce
from operator import or_
from typing import Any

from pydantic import JsonValue
from pylabrobot.machines.backend import MachineBackend
from pylabrobot.machines.machine import Machine
from pylabrobot.resources import Resource, Tip
from pylabrobot.serializer import SerializableMixin

from praxis_core.errors import DeviceRaised
from praxis_core.labware.classes import (
    TRUSTED_PACKAGES,
    ClassRefusedError,
    class_path,
    rebuild,
    trusted_class,
)
from praxis_core.labware.encoder import made_in_c, message_of

Resolve = Callable[[str], Resource]
"""The live resource of a name; raises LookupError or ResourceNotFoundError when there is none."""


def decoded(data: JsonValue, resolve: Resolve) -> Any:
    """Decode one value.

    Raises:
        ClassRefusedError: it names a class that decoding must not or cannot instantiate.
    """
    if isinstance(data, list):
        return [decoded(item, resolve) for item in data]
    if not isinstance(data, dict):
        return data
    tag = next((key for key in data if key.startswith("$")), None)
    if tag is None:
        return {key: decoded(item, resolve) for key, item in data.items()}
    if tag not in _DECODERS:
        what = f"the form {tag!r} is unknown to this version"
        raise ClassRefusedError(what)
    return _DECODERS[tag](data, resolve)


def _tip(data: dict[str, Any], resolve: Resolve) -> Tip:
    parts = data["$tip"]
    cls = trusted_class(parts["class"])
    if not issubclass(cls, Tip):
        what = f"{parts['class']} is no tip"
        raise ClassRefusedError(what)
    # PyLabRobot warns about a tip without a name; "" and None mean the same to its tracker.
    fields = {**decoded(parts["fields"], resolve), "name": parts["name"] or ""}
    tip: Tip = rebuild(cls, fields)
    tip.name = parts["name"]
    return tip


def _enum(data: dict[str, Any], _resolve: Resolve) -> enum.Enum:
    cls, name = trusted_class(data["$enum"]), data["name"]
    if issubclass(cls, enum.Flag) and name not in cls.__members__:
        return reduce(or_, (cls[part] for part in name.split("|") if part), cls(0))
    if not issubclass(cls, enum.Enum) or name not in cls.__members__:
        what = f"{data['$enum']} is no enum with a member {name!r}"
        raise ClassRefusedError(what)
    return cls[name]


def _data(data: dict[str, Any], resolve: Resolve) -> Any:
    cls = trusted_class(data["$data"] if "$data" in data else data["$object"])
    is_data = dataclasses.is_dataclass(cls) or issubclass(cls, (SerializableMixin, tuple))
    if not is_data or issubclass(cls, (Resource, Machine, MachineBackend)):
        what = f"{class_path(cls)} is no data class"
        raise ClassRefusedError(what)
    return rebuild(cls, {name: decoded(item, resolve) for name, item in data["fields"].items()})


def _no_resource(name: str) -> Resource:
    what = f"the resource {name!r} inside an error"
    raise ClassRefusedError(what)


def decoded_error(path: str, message: str, parts: dict[str, Any]) -> Exception:
    """Rebuild an exception of the same class and text; ``DeviceRaised`` where that is impossible.

    Args:
        path: Its class, ``module:QualifiedName``.
        message: Its text.
        parts: From ``encoder.error_parts``.
    """
    cls = _exception_class(path)
    if cls is None:
        return DeviceRaised(type=path, message=message)
    try:
        error = _rebuilt_error(cls, parts)
    except (ClassRefusedError, TypeError):  # its class has changed since
        return DeviceRaised(type=path, message=message)
    if (
        message_of(error) != message
    ):  # an argument was no data; most exceptions print their only one
        error.args = (message,)
    return error if message_of(error) == message else DeviceRaised(type=path, message=message)


def _exception_class(path: str) -> type[Exception] | None:
    """Find the class of an exception, or None when it is not ours to instantiate.

    PyLabRobot's are imported; those of the standard library are taken when they are loaded already,
    so that decoding never imports a module that the data names.
    """
    module_name, _, name = path.partition(":")
    package = module_name.partition(".")[0]
    try:
        if package in TRUSTED_PACKAGES:
            cls: object = trusted_class(path)
        elif package in sys.stdlib_module_names and module_name in sys.modules:
            cls = vars(sys.modules[module_name]).get(name)
        else:
            return None
    except ClassRefusedError:
        return None
    return cls if isinstance(cls, type) and issubclass(cls, Exception) else None


def _rebuilt_error(cls: type[Exception], parts: dict[str, Any]) -> Exception:
    """Rebuild without ``__init__`` of PyLabRobot's, whose arguments exceptions do not keep."""
    args = decoded(parts["args"], _no_resource)
    # Those made in C keep arguments in fields of their own, which only their __init__ fills.
    error = cls(*args) if made_in_c(cls) else cls.__new__(cls, *args)
    if not made_in_c(cls):
        error.args = tuple(args)
    vars(error).update(decoded(parts["state"], _no_resource))
    error.__cause__ = decoded(parts["cause"], _no_resource)
    return error


def _error(data: dict[str, Any], _resolve: Resolve) -> Exception:
    written = data["$error"]
    return decoded_error(written["type"], written["message"], written["parts"])


_DECODERS: dict[str, Callable[[dict[str, Any], Resolve], Any]] = {
    "$resource": lambda data, resolve: resolve(data["$resource"]),
    "$tip": _tip,
    "$enum": _enum,
    "$data": _data,
    "$object": _data,
    "$error": _error,
    "$float": lambda data, _: float(data["$float"]),
    "$text": lambda data, _: base64.b64decode(data["$text"]).decode("utf-8", "surrogatepass"),
    "$bytes": lambda data, _: base64.b64decode(data["$bytes"]),
    "$tuple": lambda data, resolve: tuple(decoded(data["$tuple"], resolve)),
    "$set": lambda data, resolve: set(decoded(data["$set"], resolve)),
    "$dict": lambda data, resolve: {
        decoded(key, resolve): decoded(item, resolve) for key, item in data["$dict"]
    },
    "$datetime": lambda data, _: datetime.fromisoformat(data["$datetime"]),
    "$date": lambda data, _: date.fromisoformat(data["$date"]),
    "$seconds": lambda data, _: timedelta(seconds=data["$seconds"]),
}
