"""The files a run leaves for people: its measurements as CSV, and its report."""

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
REPORT = "report.html"
"""Name of the report in the folder of an attempt."""
HTML = "text/html"


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
    return DataFile(*_written(folder / "measurements.csv", content))


def write_report(path: Path, html: str) -> DataFile:
    """Write a report, whole or not at all."""
    return DataFile(*_written(path, html.encode()), media_type=HTML)


def _written(path: Path, content: bytes) -> tuple[Path, str]:
    """Write a file so that nobody ever sees a part of it; give its SHA-256, too."""
    path.parent.mkdir(parents=True, exist_ok=True)
    draft = path.with_name(f".{path.name}.new")
    try:
        draft.write_bytes(content)
        draft.replace(path)
    finally:
        draft.unlink(missing_ok=True)
    return path, hashlib.sha256(content).hexdigest()
