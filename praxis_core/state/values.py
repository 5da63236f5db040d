"""The values of a PraxisState as JSON text, and back.

What is not JSON is refused, never altered: a tuple would come back as a list and a number as a key
would come back as text, so neither is taken. Text that a database cannot hold (NUL, half a pair of
surrogates) is refused as well, because the state of an ended run is archived in Postgres.
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable
from typing import Any, NoReturn

from pydantic import JsonValue

from praxis_core.errors import NotEncodable, StateValueRefused
from praxis_core.labware.storable_text import is_storable
from praxis_core.state.frozen import frozen

Resolve = Callable[[str], object]
"""Gives the live resource or machine of a name; raises LookupError when there is none."""

REFERENCE = "$praxis"
"""Marks the dictionary that stands for a PyLabRobot resource or machine."""

_encode = json.JSONEncoder(ensure_ascii=False, allow_nan=False, separators=(",", ":")).encode


def _refuse_constant(name: str) -> NoReturn:
    message = f"{name} is not JSON"
    raise ValueError(message)


_decode = json.JSONDecoder(parse_constant=_refuse_constant).decode


def to_text(value: object, path: str) -> bytes:
    """Encode a value.

    Args:
        value: JSON, or PyLabRobot resources and machines anywhere in it.
        path: How the caller writes the place of the value, e.g. ``state["plan"]``.

    Returns:
        Compact JSON, UTF-8.

    Raises:
        StateValueRefused: naming the path to what is not JSON.
    """
    try:
        text = _encode(value)
        # Python's JSON turns tuples into lists and other keys into text; reading it again tells.
        if '"$' not in text and "\\u0000" not in text and _decode(text) == value:
            return text.encode()
    except (TypeError, ValueError, RecursionError):
        pass  # The walk below says what is wrong, and where; or finds a resource.
    try:
        return _encode(_plain(value, path)).encode()
    except RecursionError:
        raise StateValueRefused(
            path=path, what="it contains itself, or is nested too deeply"
        ) from None


def to_frozen(text: bytes, key: str, resolve: Resolve | None) -> Any:
    """Decode a value that the reader cannot change by mistake.

    Raises:
        ValueError: the text is not JSON.
    """
    return frozen(to_plain(text, resolve), key)


def to_plain(text: bytes, resolve: Resolve | None) -> Any:
    """Decode a value that is the caller's own.

    Raises:
        ValueError: the text is not JSON.
    """
    value = _decode(text.decode())
    if REFERENCE.encode() in text:
        return _dereferenced(value, resolve)
    return value


def to_json(text: bytes) -> JsonValue:
    """Decode a value as it is stored: resources and machines stay references.

    Raises:
        ValueError: the text is not JSON.
    """
    value: JsonValue = _decode(text.decode())
    return value


def checked_key(key: object) -> str:
    """Give back a key that is text, and that a database can hold.

    Raises:
        StateValueRefused: it is not.
    """
    path = f"state[{key!r}]"
    if not isinstance(key, str):
        raise StateValueRefused(
            path=path, what=f"the key is of type {type(key).__name__}, not text"
        )
    if not is_storable(key):
        raise StateValueRefused(path=path, what="the key contains NUL or half a surrogate pair")
    return key


def _plain(value: object, path: str) -> JsonValue:
    if isinstance(value, str):
        if not is_storable(value):
            raise StateValueRefused(
                path=path, what="the text contains NUL or half a surrogate pair"
            )
        return value
    if isinstance(value, float) and not math.isfinite(value):
        raise StateValueRefused(path=path, what=f"JSON has no {value!r}; use None")
    if value is None or isinstance(value, (bool, int, float)):
        return _sized(value, path)
    if isinstance(value, list):
        return [_plain(item, f"{path}[{index}]") for index, item in enumerate(value)]
    if isinstance(value, dict):
        return {
            _name(name, path): _plain(item, f"{path}[{name!r}]") for name, item in value.items()
        }
    if isinstance(value, tuple):
        raise StateValueRefused(path=path, what="a tuple would be read as a list; write list(...)")
    return _reference(value, path)


def _sized(value: JsonValue, path: str) -> JsonValue:
    try:
        _encode(value)
    except ValueError as error:  # an integer of more digits than Python reads
        raise StateValueRefused(path=path, what=str(error)) from None
    return value


def _name(name: object, path: str) -> str:
    if not isinstance(name, str):
        what = f"the key is of type {type(name).__name__}, not text"
    elif not is_storable(name):
        what = "the key contains NUL or half a surrogate pair"
    elif name.startswith("$"):
        what = 'keys inside a value that begin with "$" are reserved'
    else:
        return name
    raise StateValueRefused(path=f"{path}[{name!r}]", what=what)


def _reference(value: object, path: str) -> JsonValue:
    from praxis_core.labware.references import reference

    try:
        data: JsonValue = reference(value)
    except NotEncodable as refused:
        what = f"it is of type {_type_name(value)}; {refused.details.get('what')}"
        raise StateValueRefused(path=path, what=what) from None
    return data


def _type_name(value: object) -> str:
    cls = type(value)
    return cls.__name__ if cls.__module__ == "builtins" else f"{cls.__module__}.{cls.__qualname__}"


def _dereferenced(value: Any, resolve: Resolve | None) -> Any:
    if isinstance(value, list):
        return [_dereferenced(item, resolve) for item in value]
    if not isinstance(value, dict):
        return value
    if REFERENCE in value:
        from praxis_core.labware.references import dereference

        return dereference(value, resolve)
    return {name: _dereferenced(item, resolve) for name, item in value.items()}
