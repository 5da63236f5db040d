"""Readings of a plate, rows by columns, as people look at them."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass

from praxis_core.execution.timeliness import FlagOf
from praxis_core.journal.records import Measurement, RecordedMeasurement

_WELL = re.compile(r"(?P<row>[A-Z]+)(?P<column>[1-9][0-9]*)")


@dataclass(frozen=True, slots=True)
class PlateReadout:
    """The last reading of one quantity in each well of one plate."""

    asset: str
    quantity: str
    unit: str
    rows: tuple[str, ...]
    columns: tuple[int, ...]
    values: dict[str, float]
    """By well, e.g. ``"B3"``."""
    flagged: frozenset[str] = frozenset()
    """Wells of which something is to be known: they came too late."""

    @property
    def title(self) -> str:
        """What was read of what, in which unit."""
        return f"{self.quantity} of {self.asset}" + (f", {self.unit}" if self.unit else "")

    def cells(self) -> list[list[str]]:
        """Three decimals each, a star after what is flagged; a well that was not read is empty."""
        return [[self._cell(f"{row}{column}") for column in self.columns] for row in self.rows]

    def _cell(self, well: str) -> str:
        if well not in self.values:
            return ""
        return f"{self.values[well]:.3f}{'*' if well in self.flagged else ''}"


def of_attempt(
    measurements: Iterable[RecordedMeasurement], attempt: int
) -> list[RecordedMeasurement]:
    """What counts of a run's measurements at the end of an attempt.

    What a command measured, by whichever attempt: a later attempt replays it. A command that was
    done anew counts the last time only, and so does what the protocol itself recorded.
    """
    upto = [one for one in measurements if one.attempt <= attempt]
    last: dict[tuple[str | None, int | None], int] = {(None, None): attempt}
    for one in upto:
        if one.branch is not None:
            key = one.branch, one.ordinal
            last[key] = max(one.attempt, last.get(key, 0))
    return [one for one in upto if one.attempt == last[one.branch, one.ordinal]]


def plate_readouts(
    measurements: Iterable[Measurement], flag_of: FlagOf = lambda _: ""
) -> list[PlateReadout]:
    """Arrange the measurements that belong to wells; a later reading replaces an earlier one."""
    last: dict[tuple[str, str, str], dict[str, Measurement]] = {}
    for one in measurements:
        if one.asset is not None and one.well is not None and _WELL.fullmatch(one.well):
            last.setdefault((one.asset, one.quantity, one.unit), {})[one.well] = one
    return [_readout(*key, found, flag_of) for key, found in last.items()]


def _readout(
    asset: str, quantity: str, unit: str, found: dict[str, Measurement], flag_of: FlagOf
) -> PlateReadout:
    values = {well: one.value for well, one in found.items()}
    flagged = frozenset(well for well, one in found.items() if flag_of(one))
    wells = [match for well in values if (match := _WELL.fullmatch(well))]
    rows = sorted({well["row"] for well in wells}, key=lambda row: (len(row), row))
    columns = sorted({int(well["column"]) for well in wells})
    return PlateReadout(asset, quantity, unit, tuple(rows), tuple(columns), values, flagged)
