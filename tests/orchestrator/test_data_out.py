"""What a run measured leaves Praxis as a table whose columns are documented."""

from __future__ import annotations

import asyncio
import csv
import io
import json
import re
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from uuid import uuid4

import psycopg
import pytest
from psycopg.rows import dict_row
from pylabrobot.liquid_handling import LiquidHandler
from pylabrobot.plate_reading import PlateReader
from pylabrobot.resources import Plate
from typer.testing import CliRunner

from praxis_core.cli import app
from praxis_core.execution.measured import COLUMNS, as_csv, measured
from praxis_core.journal.record import Journal
from praxis_core.journal.records import RecordedMeasurement
from praxis_core.orchestrator import Orchestrator, RunRequest
from praxis_core.protocol import protocol, run, step

DOCS = Path(__file__).parents[2] / "docs" / "data.md"


@step("Read")
async def read(reader: PlateReader) -> None:
    """Read a plate at two wavelengths."""
    await reader.read_absorbance(wavelength=430, use_new_return_type=True)
    await reader.read_absorbance(wavelength=600, use_new_return_type=True)


@protocol
async def reading(lh: LiquidHandler, reader: PlateReader, plate: Plate) -> None:
    """Bring a plate and read it."""
    assert lh.setup_finished
    await reader.open()
    await run.bring(plate, "reader")
    await read(reader)


async def test_a_plate_reading_is_a_row_per_well_and_wavelength(
    orchestrator: Orchestrator,
    journal: Journal,
    database_url: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """With what read it, when and in which run; as CSV in a file and as JSON."""
    request = RunRequest(uuid4(), "reading", reading, "star", assets={"plate": "plate_01"})
    run_id = str((await orchestrator.run(request)).run_id)
    monkeypatch.setenv("PRAXIS_DATABASE_URL", database_url)
    monkeypatch.setenv("PRAXIS_HOME", str(tmp_path))
    file = tmp_path / "data.csv"

    await asyncio.to_thread(praxis, "run", "data", run_id, "-o", str(file))
    rows = list(csv.DictReader(file.read_text().splitlines()))

    assert list(rows[0]) == list(COLUMNS)
    assert {(one["wavelength_nm"], one["excitation_nm"], one["unit"]) for one in rows} == {
        ("430.0", "", "OD"),
        ("600.0", "", "OD"),
    }
    assert len({one["well"] for one in rows}) == 96
    assert len(rows) == 2 * 96
    assert {(one["run_id"], one["labware"], one["step"]) for one in rows} == {
        (run_id, "plate_01", "1")
    }
    assert {(one["device"], one["method"]) for one in rows} == {("reader", "read_absorbance")}
    stored = [one.value for one in await journal.measurements(request.run_id)]
    assert [float(one["value"]) for one in rows] == stored
    told = json.loads(await asyncio.to_thread(praxis, "run", "data", run_id, "--json"))
    assert [one["value"] for one in told] == stored

    with psycopg.connect(database_url, row_factory=dict_row) as sql:
        seen = sql.execute("SELECT * FROM praxis.measured").fetchall()
        comments = sql.execute(
            "SELECT attname, col_description(attrelid, attnum) AS said FROM pg_attribute "
            "WHERE attrelid = 'praxis.measured'::regclass AND attnum > 0 ORDER BY attnum"
        ).fetchall()
    rows_seen = [
        {**one, "run_id": str(one["run_id"]), "measured_at": one["measured_at"].isoformat()}
        for one in seen
    ]
    assert sorted(rows_seen, key=_place) == [
        {name: one[name] for name in one if name != "flag"} for one in sorted(told, key=_place)
    ]
    documented = {name: said for name, said in COLUMNS.items() if name != "flag"}
    assert {one["attname"]: one["said"] for one in comments} == documented

    said = ("plate_01", "A1", "fluorescence 485/535 nm", 7.0, "RFU", datetime.now(UTC), 1)
    own = RecordedMeasurement(*said, None, None)
    [row] = measured(await journal.run(request.run_id), [own], [])
    assert (row["excitation_nm"], row["wavelength_nm"], row["device"]) == (485.0, 535.0, None)


def test_no_name_is_calculated_by_a_spreadsheet() -> None:
    """Names come from people; quotes, commas and lines stay within their cell."""
    row: dict[str, Any] = dict.fromkeys(COLUMNS)
    row |= {"protocol": '=HYPERLINK("x")', "labware": 'a,"b"\nc', "value": -0.1, "water": False}

    [read_back] = csv.DictReader(io.StringIO(as_csv([row]), newline=""))

    assert read_back["protocol"] == '\'=HYPERLINK("x")'
    assert read_back["labware"] == 'a,"b"\nc'
    assert (read_back["value"], read_back["water"], read_back["unit"]) == ("-0.1", "false", "")


def test_the_docs_tell_every_column() -> None:
    """In the same order and words as the program."""
    of_csv = DOCS.read_text().partition("\n# ")[0]

    assert _documented(of_csv) == COLUMNS


def test_every_column_of_every_view_is_documented(database_url: str) -> None:
    """In the database, and in the docs in the same order and words."""
    with psycopg.connect(database_url) as sql:
        columns = sql.execute(
            "SELECT c.relname, obj_description(c.oid), a.attname, col_description(c.oid, a.attnum) "
            "FROM pg_class c JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum > 0 "
            "WHERE c.relnamespace = 'praxis'::regnamespace AND c.relkind = 'v' "
            "ORDER BY c.relname, a.attnum"
        ).fetchall()
    views: dict[str, dict[str, str]] = {}
    for view, about, column, told in columns:
        assert about, view
        assert told, f"{view}.{column}"
        views.setdefault(view, {})[column] = told
    section = re.compile(r"^## praxis\.(\w+)\n(.*?)(?=^#)", re.MULTILINE | re.DOTALL)
    sections = dict(section.findall(DOCS.read_text()))

    assert {view: _documented(text) for view, text in sections.items()} == {
        view: told for view, told in views.items() if view != "measured"
    }
    for view, text in sections.items():
        assert list(_documented(text)) == list(views[view])


def _documented(text: str) -> dict[str, str]:
    return dict(re.findall(r"^\| `(\w+)` \| (.*) \|$", text, re.MULTILINE))


def _place(row: dict[str, Any]) -> tuple[str, str]:
    return row["quantity"], row["well"]


def praxis(*words: str) -> str:
    """What the command line prints."""
    result = CliRunner().invoke(app, [*words])
    assert result.exit_code == 0, result.output
    return result.stdout
