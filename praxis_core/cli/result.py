"""A finished run as a person wants to see it."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from pydantic import JsonValue
from pydantic_core import to_jsonable_python
from rich.markup import escape
from rich.table import Table

from praxis_core.cli.console import console, print_json, table
from praxis_core.cli.opening import journal
from praxis_core.journal.records import Measurement, RunRecord
from praxis_core.services.prefect_api import PrefectApi
from praxis_core.settings import PraxisSettings

COLOURS = {"succeeded": "green", "failed": "red", "refused": "red", "cancelled": "yellow"}


def as_json(record: Any) -> JsonValue:
    """A frozen record as JSON."""
    data: JsonValue = to_jsonable_python(
        dataclasses.asdict(record), inf_nan_mode="strings", fallback=str
    )
    return data


async def show_result(settings: PraxisSettings, run_id: UUID, *, as_json_: bool = False) -> None:
    """Print state, steps, measurements, summary, data files and address of a run."""
    async with journal(settings) as records:
        run = await records.run(run_id)
        steps = [step for step in await records.steps(run_id) if step.attempt == run.attempt]
        measurements = await records.measurements(run_id)
        files = await records.data_files(run_id)
        events = await records.events(run_id)
    with PrefectApi(settings) as api:
        url = api.run_url(run_id)
    if as_json_:
        parts: dict[str, Sequence[Any]] = {
            "steps": steps,
            "measurements": measurements,
            "files": files,
            "events": events,
        }
        listed: dict[str, JsonValue] = {
            name: [as_json(one) for one in part] for name, part in parts.items()
        }
        print_json({"run": as_json(run), **listed, "url": url})
        return
    _show_run(run)
    rows = [
        (step.path, escape(step.name), step.status, _duration(step.started_at, step.ended_at))
        for step in steps
    ]
    console.print(table("\nSteps", ("", "step", "status", "duration"), rows))
    for plate in _plates(measurements):
        console.print(plate)
    _show_single_values(measurements)
    for file in files:
        console.print(f"\nData: {escape(file.path)}")
    console.print(f"Run in Prefect: {url}")


def _show_run(run: RunRecord) -> None:
    colour = COLOURS.get(run.status, "white")
    console.print(
        f"[bold]{escape(run.protocol)}[/bold] on {escape(run.workcell)}: "
        f"[{colour}]{run.status}[/{colour}] (run {run.run_id}, attempt {run.attempt})"
    )
    if isinstance(run.error, dict):
        console.print(f"[red]{escape(str(run.error.get('message')))}[/red]")
    if isinstance(run.summary, dict):
        for name, value in run.summary.items():
            console.print(f"  {escape(name)}: {escape(_number(value))}")


def _number(value: JsonValue) -> str:
    if isinstance(value, float):
        return f"{value:.4g}"
    if isinstance(value, list):
        return ", ".join(_number(item) for item in value)
    return str(value)


def _duration(start: datetime, end: datetime | None) -> str:
    if end is None:
        return ""
    span = end - start
    if span >= timedelta(minutes=1):
        return f"{span // timedelta(minutes=1)} min {span.seconds % 60} s"
    return f"{span.total_seconds():.2f} s"


def _plates(measurements: Sequence[Measurement]) -> list[Table]:
    """The last reading of each plate and quantity, rows by columns."""
    last: dict[tuple[str, str, str], dict[str, float]] = {}
    for one in measurements:
        if one.asset is not None and one.well is not None:
            last.setdefault((one.asset, one.quantity, one.unit), {})[one.well] = one.value
    return [_plate(*key, wells) for key, wells in last.items()]


def _plate(asset: str, quantity: str, unit: str, wells: dict[str, float]) -> Table:
    rows = sorted({well.rstrip("0123456789") for well in wells}, key=lambda name: (len(name), name))
    columns = sorted({int(well.lstrip("ABCDEFGHIJKLMNOPQRSTUVWXYZ")) for well in wells})
    grid = [
        (
            row,
            *(
                f"{wells[f'{row}{column}']:.3f}" if f"{row}{column}" in wells else ""
                for column in columns
            ),
        )
        for row in rows
    ]
    title = f"\n{quantity} of {asset}" + (f", {unit}" if unit else "")
    result = table(title, ("", *(str(column) for column in columns)), grid, gap=1)
    for column in result.columns[1:]:
        column.justify = "right"
    return result


def _show_single_values(measurements: Sequence[Measurement]) -> None:
    rows = [
        (escape(one.quantity), _number(one.value), one.unit, one.asset or "")
        for one in measurements
        if one.well is None
    ]
    if rows:
        console.print(table("\nValues", ("quantity", "value", "unit", "asset"), rows))
