"""The plan and the result of a run as artifacts on its page in Prefect."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from uuid import UUID

from httpx import HTTPError
from prefect.artifacts import acreate_markdown_artifact
from prefect.exceptions import PrefectException
from prefect.logging import get_run_logger
from pydantic import JsonValue

from praxis_core.execution.readout import PlateReadout, of_attempt, plate_readouts
from praxis_core.execution.timeliness import PROMISE_BROKEN, flags
from praxis_core.journal.record import Journal
from praxis_core.orchestrator import RunResult
from praxis_core.planning.plan import Plan, PlanFault

DIGITS = 5


async def publish_result(journal: Journal, result: RunResult) -> None:
    """Write the summary and the readings of a run's plates beside its logs."""
    measurements = of_attempt(await journal.measurements(result.run_id), result.attempt)
    events = await journal.events(result.run_id)
    files = await journal.data_files(result.run_id)
    parts = [
        _summary(result.summary),
        *(_plate(readout) for readout in plate_readouts(measurements, flags(events))),
        _list("Came later than promised", (e.message for e in events if e.kind == PROMISE_BROKEN)),
        *(f"Data: `{file.path}`" for file in files),
        f"In a terminal: `praxis run show {result.run_id}`",
    ]
    await _publish(parts, f"result-{result.run_id}", "Result")


async def publish_plan(run_id: UUID, plan: Plan) -> None:
    """Write what a run is going to do, take and lack beside its logs."""
    assets = [(need, _named(named)) for need, named in plan.assets.items()]
    parts = [
        f"{plan.summary[:1].upper()}{plan.summary[1:]}.",
        _list("Warnings", plan.warnings),
        _list("Bring", (f"{one.what} ({one.mend})" for one in plan.shortages)),
        _list("Faults", map(_told, plan.faults)),
        _list("Faults only if it decides as the plan did", map(_told, plan.possible_faults)),
        _condition(plan),
        "### Assets\n\n" + _table(("needed", "chosen"), assets),
        "### Takes\n\n" + _table(("labware", "tips", "µL out", "µL in"), _consumption(plan)),
    ]
    await _publish(parts, f"plan-{run_id}", "Plan")


async def _publish(parts: Iterable[str], key: str, description: str) -> None:
    try:
        await acreate_markdown_artifact(
            "\n\n".join(part for part in parts if part), key=key, description=description
        )
    except (PrefectException, HTTPError) as error:
        # The run is recorded; a page that could not be written changes nothing.
        get_run_logger().warning("The %s is not on this page: %s", description.lower(), error)


def _list(title: str, lines: Iterable[str]) -> str:
    items = [f"- {line}" for line in lines]
    return "\n".join([f"### {title}", "", *items]) if items else ""


def _named(names: str | list[str]) -> str:
    return names if isinstance(names, str) else ", ".join(names)


def _told(fault: PlanFault) -> str:
    return str(fault.problem)


def _condition(plan: Plan) -> str:
    if plan.conditional_from is None:
        return ""
    where = plan.conditional_from
    return f"Conditional after command {where.command}: {where.where}: {where.why}"


def _consumption(plan: Plan) -> list[tuple[str, str, str, str]]:
    return [
        (
            name,
            str(used.tips or ""),
            _text(used.drawn) if used.drawn else "",
            ", ".join(f"{_text(volume)} from {source}" for source, volume in used.given.items()),
        )
        for name, used in plan.consumption.items()
    ]


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
