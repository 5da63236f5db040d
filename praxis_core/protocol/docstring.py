"""A Google-style docstring, as far as a protocol's form needs it."""

from __future__ import annotations

import inspect
import re
from collections.abc import Callable
from typing import Any, NamedTuple

_SECTION = re.compile(
    r"(Args|Arguments|Parameters|Returns?|Yields|Raises|Examples?|Notes?|Warnings?"
    r"|References|See Also)::?\s*"
)
_ARGUMENTS = ("Args", "Arguments", "Parameters")
_ENTRY = re.compile(r"\*{0,2}(?P<name>\w+)\s*(\([^)]*\))?\s*:\s*(?P<text>.*)")


class Docstring(NamedTuple):
    """What a docstring says."""

    prose: str
    """Everything before the first section."""
    arguments: dict[str, str]
    """What it says of each argument, as one line."""


def docstring(function: Callable[..., Any]) -> Docstring:
    """Read the docstring of a function; of one that has none, nothing."""
    lines = (inspect.getdoc(function) or "").splitlines()
    prose: list[str] = []
    arguments: list[str] = []
    section = ""
    for line in lines:
        heading = _SECTION.fullmatch(line)
        if heading:
            section = heading[1]
        elif not section:
            prose.append(line)
        elif section in _ARGUMENTS:
            arguments.append(line)
    return Docstring("\n".join(prose).strip(), _entries(arguments))


def _entries(lines: list[str]) -> dict[str, str]:
    entries: dict[str, str] = {}
    name = ""
    depth: int | None = None
    for line in filter(str.strip, lines):
        indent = len(line) - len(line.lstrip())
        depth = indent if depth is None else depth
        entry = _ENTRY.fullmatch(line.strip())
        if entry and indent <= depth:
            name = entry["name"]
            entries[name] = entry["text"].strip()
        elif name:
            entries[name] = f"{entries[name]} {line.strip()}".strip()
    return entries
