"""The classes an encoded value may name, and how their objects are taken apart and rebuilt."""

from __future__ import annotations

import dataclasses
import importlib
import inspect
from functools import cache
from typing import Any

TRUSTED_PACKAGES = frozenset({"pylabrobot", "praxis_core"})
"""Decoding instantiates classes of these packages only: data may come from a database."""


class ClassRefusedError(Exception):
    """Internal: this class cannot be named in an encoded value; the caller says where that was."""


@dataclasses.dataclass(frozen=True, slots=True)
class Shape:
    """How objects of a class are taken apart and rebuilt."""

    parameters: tuple[str, ...]
    """What its constructor takes; each is an attribute, too."""
    later: tuple[str, ...]
    """Fields of a dataclass that the constructor does not take."""


_SHAPES: dict[type, Shape] = {}


def class_path(cls: type) -> str:
    """Give the class as ``module:QualifiedName``."""
    return f"{cls.__module__}:{cls.__qualname__}"


def importable_path(cls: type) -> str:
    """Give ``module:QualifiedName`` of a class that decoding will find again.

    Raises:
        ClassRefusedError: it belongs to another package, or is local to a function.
    """
    path = class_path(cls)
    if cls.__module__.partition(".")[0] not in TRUSTED_PACKAGES:
        what = f"{path} is no class of PyLabRobot"
        raise ClassRefusedError(what)
    if "<locals>" in path:
        what = f"{path} is local to a function, so it cannot be imported again"
        raise ClassRefusedError(what)
    return path


@cache
def trusted_class(path: str) -> type:
    """Import the class that ``importable_path`` named.

    Raises:
        ClassRefusedError: the package is not trusted, or has no such class any more.
    """
    module_name, _, qualified_name = path.partition(":")
    if module_name.partition(".")[0] not in TRUSTED_PACKAGES:
        what = f"{path} is no class of PyLabRobot"
        raise ClassRefusedError(what)
    try:
        found: Any = importlib.import_module(module_name)
        for part in qualified_name.split("."):
            found = vars(found)[part]
    except (ImportError, KeyError, TypeError) as error:
        what = f"{path} does not exist here ({error!r})"
        raise ClassRefusedError(what) from error
    if not isinstance(found, type):
        what = f"{path} is no class"
        raise ClassRefusedError(what)
    return found


def fields_of(instance: object) -> dict[str, Any]:
    """Take an object apart into what its constructor takes, plus the fields that are set later.

    Raises:
        ClassRefusedError: an argument of its constructor is not kept as an attribute of that name.
    """
    shape = _shape(type(instance))
    try:
        return {name: getattr(instance, name) for name in shape.parameters + shape.later}
    except AttributeError as error:
        what = f"{class_path(type(instance))} cannot be rebuilt from its attributes: {error}"
        raise ClassRefusedError(what) from error


def rebuild(cls: type, fields: dict[str, Any]) -> Any:
    """Build an object again from ``fields_of``.

    Raises:
        ClassRefusedError: the class no longer takes these fields.
    """
    later = [name for name in _shape(cls).later if name in fields]
    try:
        instance = cls(**{name: value for name, value in fields.items() if name not in later})
    except (TypeError, ValueError) as error:
        what = f"{class_path(cls)} does not take {sorted(fields)}: {error}"
        raise ClassRefusedError(what) from error
    for name in later:
        object.__setattr__(instance, name, fields[name])  # the dataclass may be frozen
    return instance


def _shape(cls: type) -> Shape:
    if cls not in _SHAPES:
        parameters = inspect.signature(cls).parameters.values()
        if any(p.kind not in (p.POSITIONAL_OR_KEYWORD, p.KEYWORD_ONLY) for p in parameters):
            what = f"{class_path(cls)} does not say what it is constructed from"
            raise ClassRefusedError(what)
        fields = dataclasses.fields(cls) if dataclasses.is_dataclass(cls) else ()
        named = tuple(p.name for p in parameters)
        later = tuple(field.name for field in fields if not field.init and field.name not in named)
        _SHAPES[cls] = Shape(named, later)
    return _SHAPES[cls]
