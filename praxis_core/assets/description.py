"""A command in the words of a person who stands before the deck."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Sequence

from pydantic import JsonValue

from praxis_core.assets.operations import (
    Aspirate,
    Dispense,
    DropTip,
    Grip,
    Mixing,
    Operation,
    PickTip,
    Release,
    operations_of,
    uses_head96,
)
from praxis_core.assets.state import AssetManagerState
from praxis_core.protocol.command import Command

_LONGEST = 160
"""Characters of plain arguments."""

_MOST_NAMES = 4

PLACE = re.compile(r"(?P<labware>.+)_(?:well|tipspot)_(?P<row>[A-Z]+)(?P<column>[0-9]+)")
"""Name of a well or tip spot."""

_WELL = re.compile(r"(?P<labware>.+)_well_(?P<well>[A-Z]+[0-9]+)")

_FORMS = ("$resource", "name", "$float", "$datetime", "$date", "$seconds")
"""Where the forms of ``labware.encoding`` have what a person would say."""


def describe(command: Command) -> str:
    """Tell what a command does: channels, volumes and places, else its plain arguments.

    Channels count from 0, as PyLabRobot counts them; places read as in ``plate["A1:H1"]``.
    """
    try:
        told = _told(command)
    except (AttributeError, LookupError, TypeError, ValueError):
        told = ""  # written by another version: its name is all that is sure
    return f"{command.device}.{command.method}" + (f": {told}" if told else "")


def _told(command: Command) -> str:
    operations = operations_of(command, AssetManagerState())
    if not operations:
        return _arguments(command)
    first = operations[0]
    if isinstance(first, Grip | Release):
        is_put = isinstance(first, Release) and command.new_parent
        onto = f" onto {command.new_parent}" if is_put else ""
        return f"{first.resource}{onto}"
    head = "the 96-head" if uses_head96(command) else _channels(operations)
    return f"{head}, {_act(operations)}"


def _channels(operations: Iterable[Operation]) -> str:
    """Write channels as ranges: "channels 0-3, 6"."""
    numbers = sorted(one.channel for one in operations if not isinstance(one, Grip | Release))
    runs: list[list[int]] = []
    for number in numbers:
        if runs and runs[-1][-1] == number - 1:
            runs[-1].append(number)
        else:
            runs.append([number])
    told = ", ".join(f"{run[0]}-{run[-1]}" if len(run) > 1 else str(run[0]) for run in runs)
    return f"channel{'' if len(numbers) == 1 else 's'} {told}"


def _act(operations: Sequence[Operation]) -> str:
    liquids = [one for one in operations if isinstance(one, Aspirate | Dispense)]
    if liquids:
        where = blocks([one.container for one in liquids])
        preposition = "from" if isinstance(liquids[0], Aspirate) else "to"
        mixing = _mixing([one.mixing for one in liquids if one.mixing], liquids[0])
        return f"{_volumes([one.volume for one in liquids])} {preposition} {where}{mixing}"
    spots = [one.spot for one in operations if isinstance(one, PickTip)]
    targets = [one.target for one in operations if isinstance(one, DropTip)]
    return f"tips from {blocks(spots)}" if spots else f"tips to {blocks(targets)}"


def _volumes(volumes: Sequence[float]) -> str:
    if len(set(volumes)) == 1:
        return f"{volumes[0]:g} µL{' each' if len(volumes) > 1 else ''}"
    return f"{_some([f'{volume:g}' for volume in volumes], most=8)} µL"


def _mixing(mixing: Sequence[Mixing], first: Operation) -> str:
    if not mixing:
        return ""
    told = f"{mixing[0].repetitions} times {mixing[0].volume:g} µL"
    return f", after mixing {told}" if isinstance(first, Aspirate) else f", then mixing {told}"


def called(name: str) -> str:
    """Call a well as people type it: ``plate[B3]``."""
    well = _WELL.fullmatch(name)
    return name if well is None else f"{well['labware']}[{well['well']}]"


def blocks(names: Iterable[str]) -> str:
    """Write wells and tip spots by their labware, a whole block of them: ``plate A1:H1``."""
    by_labware: dict[str, list[tuple[str, int]]] = {}
    for name in dict.fromkeys(names):
        place = PLACE.fullmatch(name)
        if place is None:
            by_labware[name] = []
        else:
            spot = place["row"], int(place["column"])
            by_labware.setdefault(place["labware"], []).append(spot)
    return _some([f"{name} {block_of(spots)}".strip() for name, spots in by_labware.items()])


def block_of(spots: Sequence[tuple[str, int]]) -> str:
    """Write rows and columns of one labware, a whole block of them: ``A1:H1``."""
    if not spots:
        return ""
    rows = sorted({row for row, _ in spots}, key=lambda row: (len(row), row))
    columns = sorted({column for _, column in spots})
    whole = len(spots) == len(rows) * len(columns) and columns[-1] - columns[0] < len(columns)
    if whole and _next_to_each_other(rows) and len(spots) > 1:
        return f"{rows[0]}{columns[0]}:{rows[-1]}{columns[-1]}"
    return _some([f"{row}{column}" for row, column in spots], most=8)


def _next_to_each_other(rows: Sequence[str]) -> bool:
    return all(len(row) == 1 for row in rows) and ord(rows[-1]) - ord(rows[0]) < len(rows)


def _some(texts: Sequence[str], most: int = _MOST_NAMES) -> str:
    more = f" and {len(texts) - most} more" if len(texts) > most else ""
    return ", ".join(texts[:most]) + more


def _arguments(command: Command) -> str:
    arguments = [_argument(value) for value in command.args]
    arguments += [
        f"{name} {_argument(value)}" for name, value in command.kwargs.items() if value is not None
    ]
    told = ", ".join(arguments)
    return told if len(told) <= _LONGEST else f"{told[:_LONGEST]}…"


def _argument(value: JsonValue) -> str:
    match value:
        case str():
            return value
        case {"$tuple": list(items)} | {"$set": list(items)} | list(items):
            return blocks([_argument(item) for item in items])
        case {"$tip": {"name": name}}:
            return str(name).partition("#")[0]
        case {"$data": path} | {"$object": path}:
            return str(path).rpartition(":")[2]
        case dict():
            return next((str(value[form]) for form in _FORMS if form in value), "…")
        case _:
            return json.dumps(value)
