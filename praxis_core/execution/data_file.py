"""The files a run leaves for people: its measurements as CSV."""

from __future__ import annotations

import csv
import hashlib
import io
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from praxis_core.execution.timeliness import FlagOf
from praxis_core.journal.records import Measurement

COLUMNS = ("asset", "well", "quantity", "value", "unit", "time", "flag")


@dataclass(frozen=True, slots=True)
class DataFile:
    """A file that a run wrote, and what proves that it has not changed."""

    path: Path
    sha256: str
    media_type: str = "text/csv"


def write_measurements(
    folder: Path, measurements: Iterable[Measurement], flag_of: FlagOf
) -> DataFile:
    """Write measurements to ``folder/measurements.csv``, whole or not at all."""
    text = io.StringIO(newline="")
    writer = csv.writer(text)
    writer.writerow(COLUMNS)
    writer.writerows(
        (one.asset, one.well, one.quantity, one.value, one.unit, one.at.isoformat(), flag_of(one))
        for one in measurements
    )
    content = text.getvalue().encode()
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / "measurements.csv"
    draft = path.with_suffix(".new")
    draft.write_bytes(content)
    draft.replace(path)
    return DataFile(path, hashlib.sha256(content).hexdigest())
