"""The result of a run as an artifact on its page in Prefect."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from httpx import HTTPError
from prefect.artifacts import acreate_markdown_artifact
from prefect.exceptions import PrefectException
from prefect.logging import get_run_logger
from pydantic import JsonValue

from praxis_core.execution.readout import PlateReadout, of_attempt, plate_readouts
from praxis_core.journal.record import Journal
from praxis_core.orchestrator import RunResult

DIGITS = 5


async def publish_result(journal: Journal, result: RunResult) -> None:
    """Write the summary and the readings of a run's plates beside its logs."""
    measurements = of_attempt(await journal.measurements(result.run_id), result.attempt)
    files = await journal.data_files(result.run_id)
    parts = [
        _summary(result.summary),
        *(_plate(readout) for readout in plate_readouts(measurements)),
        *(f"Data: `{file.path}`" for file in files),
        f"In a terminal: `praxis run show {result.run_id}`",
    ]
    try:
        await acreate_markdown_artifact(
            "\n\n".join(part for part in parts if part),
            key=f"result-{result.run_id}",
            description="Result",
        )
    except (PrefectException, HTTPError) as error:
        # The run has succeeded and is recorded; a page that could not be written changes nothing.
        get_run_logger().warning("The result is not on this page: %s", error)


def _summary(summary: JsonValue) -> str:
    if not isinstance(summary, dict):
        return "" if summary is None else f"Result: {_text(summary)}"
    rows = [(name.replace("_", " "), _text(value)) for name, value in summary.items()]
    return _table(("result", ""), rows)


def _plate(readout: PlateReadout) -> str:
    rows = [
        (f"**{row}**", *cells) for row, cells in zip(readout.rows, readout.cells(), strict=True)
    ]
    columns = ("", *(str(column) for column in readout.columns))
    return f"### {readout.title}\n\n{_table(columns, rows)}"


def _table(columns: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    lines = [columns, ["---"] * len(columns), *rows]
    return "\n".join(
        f"| {' | '.join(cell.replace('|', '&#124;') for cell in line)} |" for line in lines
    )


def _text(value: JsonValue) -> str:
    if isinstance(value, float):
        return f"{value:.{DIGITS}g}"
    if isinstance(value, list):
        return ", ".join(_text(item) for item in value)
    return str(value)
