"""What a protocol takes, returns and raises, as data that the database can hold.

It is written down at the end of a run, when the work is done: nothing here may fail over a value.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from pydantic import JsonValue
from pydantic_core import to_jsonable_python

from praxis_core.labware.encoder import message_of
from praxis_core.labware.storable_text import as_storable


def describe_error(error: BaseException) -> dict[str, JsonValue]:
    """An exception as the database keeps it; with its notes, and of a group what it holds."""
    return {"type": f"{type(error).__module__}.{type(error).__qualname__}", "message": _told(error)}


def _told(error: BaseException) -> str:
    lines = [message_of(error), *map(as_storable, getattr(error, "__notes__", ()))]
    if isinstance(error, BaseExceptionGroup):
        lines += [f"{type(one).__name__}: {_told(one)}" for one in error.exceptions]
    return "\n".join(lines)


def summary_of(value: Any) -> JsonValue:
    """What a protocol returned, as JSON; what is not data is described by its repr."""
    try:
        data = to_jsonable_python(value, fallback=repr, serialize_unknown=True)
    except (ValueError, RecursionError):  # bytes that are no text; what contains itself
        data = repr(value)
    return _storable(data)


def json_object(values: Mapping[str, Any]) -> dict[str, JsonValue]:
    """Named values as JSON; see ``summary_of``."""
    return {name: summary_of(value) for name, value in values.items()}


def _storable(data: Any) -> JsonValue:
    if isinstance(data, str):
        return as_storable(data)
    if isinstance(data, float) and not math.isfinite(data):
        return repr(data)
    if isinstance(data, list):
        return [_storable(item) for item in data]
    if isinstance(data, dict):
        return {as_storable(name): _storable(item) for name, item in data.items()}
    number: JsonValue = data
    return number
