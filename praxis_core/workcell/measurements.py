"""What a reading command measured, taken from its outcome."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from datetime import datetime
from typing import Any

from pydantic import JsonValue

from praxis_core.journal.records import Measurement
from praxis_core.protocol.command import Command, Outcome
from praxis_core.protocol.lifecycle import OutcomeStatus

Reader = Callable[[Command, JsonValue, datetime], Iterator[Measurement]]


def measurements_of(command: Command, outcome: Outcome) -> list[Measurement]:
    """Read the measurements out of the outcome of a command.

    Returns:
        One per well of a plate reading (in OD, RFU or RLU; wells that were not read are left out),
        one per temperature (°C) or weight (g); none for any other command, or one that failed.
    """
    reader = _READERS.get(command.method)
    if reader is None or outcome.status is not OutcomeStatus.SUCCEEDED:
        return []
    return list(reader(command, outcome.value, outcome.ended_at))


def well_name(row: int, column: int) -> str:
    """Name a well as people do: ``A1``, ``H12``, ``AF48``; row and column from 0."""
    letters = ""
    row += 1
    while row:
        row, letter = divmod(row - 1, 26)
        letters = chr(ord("A") + letter) + letters
    return f"{letters}{column + 1}"


def _plate_reading(quantity: str, unit: str, *wavelengths: str) -> Reader:
    def read(command: Command, value: JsonValue, at: datetime) -> Iterator[Measurement]:
        plate = _resource_name(command.kwargs.get("plate", _first(command.args)))
        for reading in value if isinstance(value, list) else []:
            if not isinstance(reading, dict):
                continue
            light = [reading[key] for key in wavelengths if reading.get(key)]
            name = (
                f"{quantity} {'/'.join(str(length) for length in light)} nm" if light else quantity
            )
            for well, number in _wells(reading.get("data")):
                yield Measurement(plate, well, name, number, unit, at)

    return read


def _wells(data: JsonValue) -> Iterator[tuple[str, float]]:
    for row, numbers in enumerate(data if isinstance(data, list) else []):
        for column, number in enumerate(numbers if isinstance(numbers, list) else []):
            if isinstance(number, (int, float)) and math.isfinite(number):
                yield well_name(row, column), float(number)


def _single(quantity: str, unit: str) -> Reader:
    def read(command: Command, value: JsonValue, at: datetime) -> Iterator[Measurement]:
        # A thermocycler answers with one number per zone.
        zones = value if isinstance(value, list) else [value]
        for zone, number in enumerate(zones, start=1):
            if isinstance(number, (int, float)) and math.isfinite(number):
                name = quantity if len(zones) == 1 else f"{quantity}, zone {zone}"
                yield Measurement(command.device, None, name, float(number), unit, at)

    return read


def _first(args: Sequence[JsonValue]) -> JsonValue:
    return args[0] if args else None


def _resource_name(encoded: Any) -> str | None:
    match encoded:
        case {"$resource": str(name)}:
            return name
        case _:
            return None


_READERS: dict[str, Reader] = {
    "read_absorbance": _plate_reading("absorbance", "OD", "wavelength"),
    "read_fluorescence": _plate_reading("fluorescence", "RFU", "ex_wavelength", "em_wavelength"),
    "read_luminescence": _plate_reading("luminescence", "RLU"),
    "get_temperature": _single("temperature", "°C"),
    "get_current_temperature": _single("temperature", "°C"),
    "get_block_current_temperature": _single("block temperature", "°C"),
    "get_lid_current_temperature": _single("lid temperature", "°C"),
    "read_weight": _single("weight", "g"),
    "get_weight": _single("weight", "g"),
}
