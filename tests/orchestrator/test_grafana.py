"""The dashboard for Grafana: each of its queries runs on a database with runs in it."""

from __future__ import annotations

import json
import re
from collections.abc import Awaitable, Callable, Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

import psycopg
import pytest
from psycopg.rows import dict_row
from pylabrobot.liquid_handling import LiquidHandler
from pylabrobot.plate_reading import PlateReader
from pylabrobot.resources import Plate
from pylabrobot.shaking import Shaker

from praxis_core.journal.questions import Questions
from praxis_core.journal.record import Journal
from praxis_core.journal.records import AttemptRequest
from praxis_core.orchestrator import Orchestrator, RunRequest
from praxis_core.protocol import protocol, run
from praxis_core.protocol.asking import Asked
from praxis_core.protocol.lifecycle import Answer, DoubtSubject

DOCS = Path(__file__).parents[2] / "docs"
DASHBOARD: dict[str, Any] = json.loads((DOCS / "grafana" / "praxis.json").read_text())
PANELS: dict[str, dict[str, Any]] = {
    one["title"]: one for one in DASHBOARD["panels"] if one["type"] != "row"
}
QUERIES: dict[str, str] = {
    one["name"]: one["query"] for one in DASHBOARD["templating"]["list"] if one["type"] == "query"
}
HOUR = timedelta(hours=1)

COLUMNS = {
    "Runs under way": {"runs"},
    "In doubt": {"doubts"},
    "Other questions": {"questions"},
    "Failed commands": {"failures"},
    "What waits for a person": {"asked_at", "workcell", "run", "kind", "title", "waited"},
    "Runs by status": {"time", "metric", "runs"},
    "How long runs took": {"time", "metric", "seconds"},
    "Commands per hour": {"time", "metric", "commands"},
    "Time at work": {"device", "worked"},
    "Failures": {"time", "metric", "failures"},
    "Last failures": {
        "issued_at",
        "workcell",
        "device",
        "method",
        "error",
        "error_message",
        "run",
    },
    "Tips": {"rack", "tips"},
    "Liquids": {"workcell", "name", "reagent", "lot", "expires", "microlitres", "unknown"},
    "${quantity} of ${labware}": {"row", "column", "value"},
    "${quantity} over time": {"time", "metric", "value"},
    "All measurements": {
        "measured_at",
        "labware",
        "well",
        "quantity",
        "value",
        "unit",
        "device",
        "method",
        "step",
        "attempt",
    },
}
"""What each panel needs."""


@protocol
async def reading(lh: LiquidHandler, reader: PlateReader, plate: Plate) -> None:
    """Bring a plate and read it."""
    assert lh.setup_finished
    await reader.open()
    await run.bring(plate, "reader")
    await reader.read_absorbance(wavelength=600, use_new_return_type=True)


@protocol
async def shaking(shaker: Shaker) -> None:
    """Shake."""
    await shaker.shake(300)


class Grafana:
    """Puts in what Grafana puts into a query, and asks Postgres as a role that the docs make."""

    def __init__(self, url: str, **variables: str) -> None:
        self._url = url
        [self._role] = re.findall(r"```sql\n(.*?)```", (DOCS / "grafana.md").read_text(), re.DOTALL)
        self._values = {name: _quoted(value) for name, value in variables.items()}
        now = datetime.now(UTC)
        self._between = f"'{(now - HOUR).isoformat()}' AND '{(now + HOUR).isoformat()}'"

    def __call__(self, sql: str) -> list[dict[str, Any]]:
        """Give the rows; a variable without a value is an empty text."""
        sql = re.sub(r"\$__timeFilter\((\w+)\)", rf"\1 BETWEEN {self._between}", sql)
        sql = sql.replace("$__interval", "60s")
        sql = re.sub(r"\$__timeGroupAlias\((\w+), '?(\w+)'?\)", _time_group, sql)
        sql = re.sub(r"\$\{(\w+):sqlstring\}", lambda one: self._values.get(one[1], "''"), sql)
        assert "$" not in re.sub(r"\[0-9\]\+\$", "", sql), "Grafana puts something else in"
        with psycopg.connect(self._url, row_factory=dict_row) as connection:
            connection.execute(f"{self._role}; SET LOCAL ROLE grafana")
            rows = connection.execute(sql).fetchall()
            connection.rollback()  # and there is no such role
        return rows


def _time_group(found: re.Match[str]) -> str:
    seconds = {"60s": 60, "1h": 3600}[found[2]]
    return f'floor(extract(epoch from {found[1]})/{seconds})*{seconds} AS "time"'


def _quoted(values: str) -> str:
    return ",".join(f"'{one}'" for one in values.split(","))


@pytest.fixture
async def grafana(
    orchestrator: Orchestrator,
    journal: Journal,
    database_url: str,
    store_shaker: Callable[[str], Awaitable[None]],
) -> Grafana:
    """Somebody who looks at a database: a run that read, one that failed, one that asks."""
    request = RunRequest(uuid4(), "reading", reading, "star", assets={"plate": "plate_01"})
    await orchestrator.run(request)
    await store_shaker("JammedShaker")
    with pytest.raises(TimeoutError):
        await orchestrator.run(RunRequest(uuid4(), "shaking", shaking, "bench"))
    await _ask(journal)
    some = Grafana(database_url, workcell="bench,star")
    [chosen] = some(QUERIES["run"])
    assert chosen["__value"] == str(request.run_id)
    return Grafana(
        database_url,
        workcell="bench,star",
        run=chosen["__value"],
        quantity="absorbance 600 nm",
        labware="plate_01",
    )


async def _ask(journal: Journal) -> UUID:
    """Let a run wait for two answers."""
    stored, workcell = (await journal.protocols())[0], await journal.workcell("bench")
    request = AttemptRequest(
        run_id=uuid4(),
        run_name="one that asks",
        protocol_id=stored.id,
        workcell_id=workcell.id,
        parameters={},
        assets={},
        simulated=True,
    )
    attempt = await journal.begin_attempt(request)
    await Questions(journal.database).ask(request.run_id, attempt, "0:0", Asked("Which?", form={}))
    choices = [Answer.HAPPENED, Answer.DID_NOT_HAPPEN]
    words = (DoubtSubject.COMMAND, "0", 0, "Did it happen?", choices)
    await journal.raise_doubt(request.run_id, attempt, *words)
    return request.run_id


async def test_every_panel_shows_what_happened(grafana: Grafana) -> None:
    """Each query runs, gives the columns that its panel needs, and the rows of these runs."""
    found = {title: grafana(one["targets"][0]["rawSql"]) for title, one in PANELS.items()}

    assert {title: set(rows[0]) for title, rows in found.items() if rows} == COLUMNS
    assert [
        rows[0][column]
        for title, column in (
            ("Runs under way", "runs"),
            ("In doubt", "doubts"),
            ("Other questions", "questions"),
            ("Failed commands", "failures"),
        )
        for rows in (found[title],)
    ] == [1, 1, 1, 1]
    assert {one["kind"] for one in found["What waits for a person"]} == {"doubt", "question"}
    assert {one["metric"] for one in found["Runs by status"]} == {
        "succeeded",
        "failed",
        "in_doubt",
    }
    [took] = found["How long runs took"]
    assert (took["metric"], took["seconds"] > 0) == ("reading", True)
    assert "star reader" in {one["metric"] for one in found["Commands per hour"]}
    assert all(one["worked"] is not None for one in found["Time at work"])
    assert [one["metric"] for one in found["Failures"]] == ["bench shaker TimeoutError"]
    [failed] = found["Last failures"]
    assert "no answer within 30 s" in failed["error_message"]
    assert {one["tips"] for one in found["Tips"]} >= {96}
    assert {one["name"] for one in found["Liquids"]} == {"diluent", "dye_stock"}
    plate = found["${quantity} of ${labware}"]
    assert [(one["row"], one["column"]) for one in plate] == [
        (row, column) for row in "ABCDEFGH" for column in range(1, 13)
    ]
    assert [one["value"] for one in plate].count(None) == 0
    assert len(found["${quantity} over time"]) == len(found["All measurements"]) == 96
    assert grafana(QUERIES["quantity"]) == [{"quantity": "absorbance 600 nm"}]
    assert grafana(QUERIES["labware"]) == [{"labware": "plate_01"}]
    assert [one["workcell"] for one in grafana(QUERIES["workcell"])] == ["bench", "star"]


def test_every_query_runs_on_an_empty_database(database_url: str) -> None:
    """Nothing was measured, nothing chosen: the panels are empty, and none shows an error."""
    nothing = Grafana(database_url)

    for one in PANELS.values():
        rows = nothing(one["targets"][0]["rawSql"])
        assert rows == [] or {*rows[0].values()} == {0}
    assert [nothing(query) for query in QUERIES.values()] == [[]] * len(QUERIES)


def test_the_dashboard_is_one_that_grafana_takes() -> None:
    """As its schema says: panels in their places, each with its own number and its data source."""
    assert DASHBOARD["schemaVersion"] >= 36
    assert DASHBOARD["id"] is None
    assert 8 <= len(DASHBOARD["uid"]) <= 40
    variables = [one["name"] for one in DASHBOARD["templating"]["list"]]
    assert variables == ["datasource", "workcell", "run", "quantity", "labware"]
    source = {"type": "postgres", "uid": "${datasource}"}
    taken: set[tuple[int, int]] = set()
    for one in DASHBOARD["panels"]:
        place = one["gridPos"]
        cells = {
            (place["x"] + x, place["y"] + y) for x in range(place["w"]) for y in range(place["h"])
        }
        assert not cells & taken, one["title"]
        assert place["x"] + place["w"] <= 24
        taken |= cells
    numbers = [one["id"] for one in DASHBOARD["panels"]]
    assert len({*numbers}) == len(numbers)
    for one in PANELS.values():
        _check(one, source)


def _check(panel: Mapping[str, Any], source: Mapping[str, str]) -> None:
    assert panel["type"] in {"stat", "table", "timeseries", "bargauge"}
    assert panel["description"]
    assert panel["datasource"] == source
    assert {"defaults", "overrides"} == panel["fieldConfig"].keys()
    [target] = panel["targets"]
    assert target["datasource"] == source
    assert target["format"] == ("time_series" if panel["type"] == "timeseries" else "table")
    assert target["rawQuery"] is True
    shown = set(re.findall(r"\$\{(\w+)", panel["title"] + target["rawSql"]))
    assert shown <= {"workcell", "run", "quantity", "labware"}
    read = set(re.findall(r"\b(?:FROM|JOIN) praxis\.(\w+)", target["rawSql"]))
    views = {"run_overview", "command_overview", "question_overview", "asset_now", "contents_now"}
    assert read <= views | {"measured"}
    assert read
