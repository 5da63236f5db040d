"""Two commands that should be one, as a person reads them."""

from __future__ import annotations

import json

from pydantic import JsonValue

from praxis_core.assets.description import describe
from praxis_core.protocol.command import Command

_LONGEST = 160
"""Characters of one argument."""


def told(command: Command) -> str:
    """Tell what a command did."""
    return f'"{describe(command)}"'


def difference(now: Command, then: Command) -> str:
    """Tell what ``now`` is; of one that is the same call, where it differs from ``then``."""
    if told(now) != told(then):
        return told(now)
    asked: JsonValue = {"args": list(now.args), **now.kwargs}
    found = _first_difference(asked, {"args": list(then.args), **then.kwargs}, "")
    if found is None:
        return told(now)
    path, one, other = found
    where = path.removeprefix(".")
    return f"{told(now)} with {where} = {_cut(one)} (it was {_cut(other)})"


def _first_difference(one: JsonValue, other: JsonValue, path: str) -> tuple[str, str, str] | None:
    if isinstance(one, dict) and isinstance(other, dict) and one.keys() == other.keys():
        parts = [(f"{path}.{key}", one[key], other[key]) for key in one]
    elif isinstance(one, list) and isinstance(other, list) and len(one) == len(other):
        parts = [
            (f"{path}[{number}]", *pair) for number, pair in enumerate(zip(one, other, strict=True))
        ]
    else:
        same = _without_counter(one) == _without_counter(other)
        return None if same else (path, _text(one), _text(other))
    found = (_first_difference(mine, yours, where) for where, mine, yours in parts)
    return next((one for one in found if one is not None), None)


def _without_counter(value: JsonValue) -> JsonValue:
    """The name of a tip ends in a counter that means nothing."""
    return value.partition("#")[0] if isinstance(value, str) else value


def _text(value: JsonValue) -> str:
    return json.dumps(value, ensure_ascii=False)


def _cut(text: str) -> str:
    return text if len(text) <= _LONGEST else f"{text[:_LONGEST]}…"
