"""Changes of assets as the database takes them: the values of one statement of the journal.

What was before is written in short, since the change before tells all of it.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from pydantic_core import to_json

from praxis_core.assets.changes import AssetChange, Changes, Document, PartChange
from praxis_core.journal.asset_tables import AssetChangeKind
from praxis_core.labware.storable_text import as_storable

_NONE: Mapping[str, Any] = {}
_SHORT = ("volume", "tip", "holds")
"""A document has one of these."""

_ODD = ("\\u0000", "NaN", "Infinity")
"""In a text there may be something that Postgres refuses."""

_encode = json.JSONEncoder(allow_nan=False, separators=(",", ":")).encode


@dataclass(frozen=True, slots=True)
class By:
    """A person, or what else is no command, who changed something."""

    who: str
    why: str = ""
    kind: AssetChangeKind = AssetChangeKind.CORRECTED


def entries(
    workcell: str, changes: Changes, at: datetime, by: By | None = None
) -> dict[str, object]:
    """Write changes down for a statement.

    Args:
        workcell: Its name.
        changes: What was changed.
        at: When it was.
        by: Who did it; None: a command.

    Raises:
        ValueError: a figure is no number.
    """
    moved = any(change.places or change.rack for change in changes.assets.values())
    return {
        "only_contents": not moved and not changes.doubts,
        "asset_workcell": workcell,
        "asset_changes": _json([_entry(change, by) for change in changes.assets.values()]),
        "asset_doubts": _json(changes.doubts),
        "asset_at": at,
        "asset_who": None if by is None else as_storable(by.who),
        "asset_why": None if by is None else as_storable(by.why),
    }


def _entry(change: AssetChange, by: By | None) -> dict[str, Any]:
    kind = AssetChangeKind.CONTENTS if change.parts else AssetChangeKind.PLACE
    entry: dict[str, Any] = {
        "asset": change.asset,
        "kind": kind.value if by is None else by.kind.value,
        "parts": {name: [_short(part.before), part.after] for name, part in change.parts.items()},
        "sources": sorted(set(_sources(change))),
    }
    if change.rack:
        entry["rack"] = change.rack
    return entry | _places(change) if change.places else entry


def _places(change: AssetChange) -> dict[str, Any]:
    places = {name: [place.before, place.after] for name, place in change.places.items()}
    inside = {name: place.after for name, place in change.places.items() if name != change.asset}
    found: dict[str, Any] = {"places": places}
    if inside:
        found["inside"] = inside
    own: PartChange | None = change.places.get(change.asset)
    if own is not None:
        found |= {"gone": True} if own.after is None else {"place": own.after}
    return found


def _short(document: Document | None) -> Document | None:
    if document is None:
        return None
    for name in _SHORT:
        if name in document:
            return {name: document[name]}
    return {}


def _sources(change: AssetChange) -> Iterator[int]:
    """Give the ids of the sources that have come into the parts, or have touched their tips."""
    for part in change.parts.values():
        after, before = _liquid(part.after), _liquid(part.before)
        had = before.get("sources", _NONE)
        come = [key for key in after.get("sources", _NONE) if key not in had]
        touched, earlier = after.get("touched"), before.get("touched")
        if touched is not None and touched != earlier:
            come = [*{*come, *touched}.difference(earlier or ())]
        if come:
            yield from (int(key) for key in come if key.isdecimal())


def _liquid(document: Document | None) -> Mapping[str, Any]:
    """Give the fields of what is in a part, if it can be anything."""
    if document is None:
        return _NONE
    used = document.get("used")
    return used if isinstance(used, dict) else document


def _json(value: object) -> str:
    """Write JSON; texts of devices may hold what Postgres does not take."""
    try:
        text = to_json(value).decode()
    except ValueError:  # half of a character
        return _encode(_storable(value))
    if any(odd in text for odd in _ODD):
        return _encode(_storable(value))
    return text


def _storable(value: Any) -> Any:
    match value:
        case str():
            return as_storable(value)
        case dict():
            return {as_storable(key): _storable(one) for key, one in value.items()}
        case list() | tuple():
            return [_storable(one) for one in value]
        case _:
            return value
