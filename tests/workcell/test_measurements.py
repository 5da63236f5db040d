"""Measurements are read out of the outcomes of commands."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any
from uuid import UUID

import pytest
from pydantic import JsonValue

from praxis_core.journal.records import Measurement
from praxis_core.labware.encoded_error import EncodedError
from praxis_core.protocol.command import Command, Outcome
from praxis_core.protocol.lifecycle import CommandKind, OutcomeStatus
from praxis_core.workcell.measurements import measurements_of, well_name

AT = datetime(2025, 1, 1, tzinfo=UTC)


def measured(
    method: str, value: JsonValue, *, failed: bool = False, **arguments: JsonValue
) -> list[Measurement]:
    """Give the measurements of one command of the device ``d``."""
    command = Command(
        UUID(int=1), 1, "0", 0, "d", method, (), arguments, CommandKind.OBSERVE, "0" * 64
    )
    status = OutcomeStatus.FAILED if failed else OutcomeStatus.SUCCEEDED
    error = EncodedError("builtins:OSError", "gone") if failed else None
    return measurements_of(command, Outcome(status, AT, AT, value, error))


def test_a_plate_reading_is_one_measurement_per_well() -> None:
    """Wells that were not read, or read as NaN, are no measurements."""
    reading: JsonValue = [
        {"data": [[0.5, None, {"$float": "nan"}], [0.25, 1, 2.5]], "wavelength": 450}
    ]

    found = measured("read_absorbance", reading, plate={"$resource": "plate_01"})

    assert {each.well: each.value for each in found} == {
        "A1": 0.5,
        "B1": 0.25,
        "B2": 1.0,
        "B3": 2.5,
    }
    assert set(found) >= {
        Measurement("plate_01", "A1", "absorbance 450 nm", 0.5, "OD", AT),
    }


def test_each_kind_of_reading_has_its_unit() -> None:
    """Fluorescence names both wavelengths; temperatures and weights belong to their device."""
    light: JsonValue = [{"data": [[7.0]], "ex_wavelength": 485, "em_wavelength": 528}]
    glow: JsonValue = [{"data": [[9.0]]}]

    assert measured("read_fluorescence", light) == [
        Measurement(None, "A1", "fluorescence 485/528 nm", 7.0, "RFU", AT)
    ]
    assert measured("read_luminescence", glow) == [
        Measurement(None, "A1", "luminescence", 9.0, "RLU", AT)
    ]
    assert measured("get_current_temperature", 36.9) == [
        Measurement("d", None, "temperature", 36.9, "°C", AT)
    ]
    assert measured("read_weight", 1.25) == [Measurement("d", None, "weight", 1.25, "g", AT)]
    zones = measured("get_block_current_temperature", [95.0, 94.5])
    assert [(each.quantity, each.value) for each in zones] == [
        ("block temperature, zone 1", 95.0),
        ("block temperature, zone 2", 94.5),
    ]


def test_what_measures_nothing_gives_nothing() -> None:
    """Other commands, failures and odd answers leave no measurement, and raise nothing."""
    assert measured("aspirate", None) == []
    assert measured("read_absorbance", [{"data": [[1.0]]}], failed=True) == []
    odd_answers: list[Any] = [
        None,
        "text",
        3.5,
        [None],
        [{"data": "text"}],
        [{"data": [None, ["x"]]}],
    ]
    for odd in odd_answers:
        assert measured("read_absorbance", odd) == []
    assert measured("get_temperature", "warm") == []


@pytest.mark.parametrize(
    ("row", "column", "name"), [(0, 0, "A1"), (7, 11, "H12"), (25, 0, "Z1"), (31, 47, "AF48")]
)
def test_wells_are_named_as_people_do(row: int, column: int, name: str) -> None:
    """Letters for rows, also beyond Z; numbers for columns."""
    assert well_name(row, column) == name
