"""Measurements of a run as a table that other programs read: one row per number."""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Iterable, Mapping, Sequence

from praxis_core.execution.readout import of_attempt
from praxis_core.execution.timeliness import FlagOf
from praxis_core.journal.records import CommandRecord, RecordedMeasurement, RunRecord

COLUMNS: Mapping[str, str] = {
    "run_id": "Id of the run.",
    "protocol": "Name of the run's protocol.",
    "protocol_version": "Version that its author gave the protocol.",
    "workcell": "Name of the workcell.",
    "simulated": "true: the numbers come from simulated devices.",
    "water": "true: the run was done with water in place of everything else.",
    "attempt": "Attempt of the run that measured it, from 1.",
    "step": "Path of the step, e.g. 2.1; empty for what no step did.",
    "device": "Device that read it; empty for what the protocol recorded itself.",
    "method": "Method of the device that read it; empty as above.",
    "labware": "Plate or other thing it belongs to; of a temperature or a weight the device.",
    "well": "Well of the plate, e.g. B3; empty for what belongs to no well.",
    "quantity": "What was measured, e.g. absorbance 600 nm.",
    "wavelength_nm": "Wavelength that was read, nm; of fluorescence the emitted. Empty: none.",
    "excitation_nm": "Wavelength of excitation, nm; of fluorescence only.",
    "value": "The number, with all its digits.",
    "unit": "Its unit; empty: none.",
    "measured_at": "When, UTC, ISO 8601.",
    "flag": "What is to be known of it, e.g. that the sample came too late; empty: nothing.",
}
"""Every column, in this order, and what it means; docs/data.md says the same."""

_LIGHT = re.compile(r" (?:(?P<excited>[0-9.]+)/)?(?P<read>[0-9.]+) nm$")
_FORMULA = ("=", "+", "-", "@", "\t", "\r")
"""What a spreadsheet takes for the beginning of a formula."""

Row = dict[str, str | float | int | bool | None]


def measured(
    run: RunRecord,
    measurements: Iterable[RecordedMeasurement],
    commands: Iterable[CommandRecord],
    flag_of: FlagOf = lambda _: "",
) -> list[Row]:
    """Arrange what counts of a run's measurements.

    Args:
        run: The run.
        measurements: All of its measurements.
        commands: All of its commands: they say which device measured.
        flag_of: Says what is to be known of a measurement.

    Returns:
        One row per number with the ``COLUMNS``, in the order in which they were written down.
    """
    by_place = {(one.command.attempt, *one.key): one.command for one in commands}
    rows: list[Row] = []
    for one in of_attempt(measurements, run.attempt):
        command = None
        if one.branch is not None and one.ordinal is not None:
            command = by_place.get((one.attempt, one.branch, one.ordinal))
        light = _LIGHT.search(one.quantity)
        rows.append(
            {
                "run_id": str(run.run_id),
                "protocol": run.protocol,
                "protocol_version": run.protocol_version,
                "workcell": run.workcell,
                "simulated": run.simulated,
                "water": run.water,
                "attempt": one.attempt,
                "step": None if command is None else command.step,
                "device": None if command is None else command.device,
                "method": None if command is None else command.method,
                "labware": one.asset,
                "well": one.well,
                "quantity": one.quantity,
                "wavelength_nm": _length(light, "read"),
                "excitation_nm": _length(light, "excited"),
                "value": one.value,
                "unit": one.unit,
                "measured_at": one.at.isoformat(),
                "flag": flag_of(one),
            }
        )
    return rows


def as_csv(rows: Sequence[Row]) -> str:
    """Write rows as CSV (RFC 4180), with a first line of the columns' names.

    A text that a spreadsheet would calculate has an apostrophe before it: names come from people.
    """
    text = io.StringIO()
    writer = csv.writer(text)
    writer.writerow(COLUMNS)
    writer.writerows([_cell(row[name]) for name in COLUMNS] for row in rows)
    return text.getvalue()


def _length(light: re.Match[str] | None, which: str) -> float | None:
    found = None if light is None else light[which]
    return None if found is None else float(found)


def _cell(value: str | float | bool | None) -> str:
    match value:
        case None:
            return ""
        case bool():
            return "true" if value else "false"
        case str():
            return "'" + value if value.startswith(_FORMULA) else value
        case _:
            return repr(value)
