"""The part of a broken definition that is well formed, so that it can be checked as well."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

from pydantic import JsonValue

from praxis_core.workcell.yaml_lines import Location


@dataclass(frozen=True, slots=True)
class WellFormed:
    """A document without its faulty entries."""

    data: dict[str, JsonValue]
    broken: list[str] = field(default_factory=list)
    """Names of the entries that were left out."""
    kept: list[int] = field(default_factory=list)
    """Position in the original list of each piece of labware that is left."""

    def original(self, where: Location) -> Location:
        """Turn a location in what is left into the location in the original document."""
        match where:
            case ("labware", int(position), *rest):
                return ("labware", self.kept[position], *rest)
            case _:
                return where


def well_formed(document: JsonValue, faults: Iterable[Location]) -> WellFormed:
    """Leave out each entry of a definition in which a fault lies.

    Args:
        document: As the file has it.
        faults: Where in it something is not of the right form.
    """
    data: dict[str, Any] = dict(document) if isinstance(document, dict) else {}
    faulty = {where[:2] for where in faults}
    for key in [where[0] for where in faulty if len(where) == 1]:
        data.pop(str(key), None)
    broken: list[str] = []
    for section, entries in data.items():
        if isinstance(entries, dict):
            left = {name: entry for name, entry in entries.items() if (section, name) not in faulty}
            broken += [name for name in entries if name not in left]
            data[section] = left
    labware = data.get("labware", [])
    kept = [number for number in range(len(labware)) if ("labware", number) not in faulty]
    for number in set(range(len(labware))) - set(kept):
        if isinstance(labware[number], dict):
            broken.append(str(labware[number].get("name")))
    if "labware" in data:
        data["labware"] = [labware[number] for number in kept]
    return WellFormed(data, broken, kept)
