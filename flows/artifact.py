"""The plan of a run, and its result or its error, as artifacts on its page in Prefect."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from uuid import UUID

from httpx import HTTPError
from prefect.artifacts import acreate_markdown_artifact
from prefect.exceptions import PrefectException
from prefect.logging import get_run_logger
from pydantic import JsonValue

from praxis_core.errors import PraxisError
from praxis_core.execution.data_file import HTML
from praxis_core.execution.readout import PlateReadout, of_attempt, plate_readouts
from praxis_core.execution.timeliness import PROMISE_BROKEN, flags
from praxis_core.journal.record import Journal
from praxis_core.orchestrator import RunResult
from praxis_core.pictures.heat_map import heat_map_svg
from praxis_core.pictures.svg import markdown
from praxis_core.planning.plan import Plan, PlanFault
from praxis_core.protocol.lifecycle import RunStatus, StepStatus

DIGITS = 5

MOST_BYTES = 55_000
"""Of the pictures and tables of one artifact: Prefect keeps it in its database."""

NEXT = {
    RunStatus.REFUSED: "Nothing has moved. Mend what is listed above, then start it again.",
    RunStatus.IN_DOUBT: "Look at the deck, then say what happened: `praxis run answer {run}`",
    **dict.fromkeys(
        (RunStatus.FAILED, RunStatus.INTERRUPTED),
        "1. Look at the deck, and mend what is named above.\n"
        "2. `praxis run resume {run}` goes on from where it was; what was done is not done again. "
        "So does *Retry* on this page.\n"
        "3. Or give it up: `praxis run abandon {run}`; what it had is free.",
    ),
}
"""What a person can do about a run that an error ended."""


def key_of(what: str, run_id: UUID) -> str:
    """Name an artifact of a run: Prefect heads it with its key, so that all of an id is too long.

    Two runs whose ids begin alike would share the list of versions behind a key, and nothing else.
    """
    return f"{what}-{str(run_id)[:8]}"


async def publish_result(journal: Journal, result: RunResult, links: str) -> None:
    """Write the summary and the readings of a run's plates beside its logs; and where more is."""
    measured = await _measured(journal, result.run_id, result.attempt)
    parts = [_summary(result.summary), *measured, _where_to_look(result.run_id), links]
    await _publish(parts, key_of("result", result.run_id), "Result")


async def publish_error(journal: Journal, run_id: UUID, error: Exception, links: str) -> None:
    """Write what went wrong beside a run's logs, what to do next, and what it measured so far.

    That it cannot be told must not hide the error.
    """
    try:
        run = await journal.run(run_id)
        failed = [
            step.name
            for step in await journal.steps(run_id)
            if step.attempt == run.attempt and step.status is StepStatus.FAILED
        ]
        parts = [
            f"**{type(error).__name__}**" + (f" in step *{failed[0]}*" if failed else ""),
            _as_it_is(str(error)),
            "### What to do next",
            NEXT[run.status].format(run=run_id) if run.status in NEXT else "",
            *await _measured(journal, run_id, run.attempt),
            _where_to_look(run_id),
            links,
        ]
    except PraxisError as untold:
        get_run_logger().warning("The error is not on this page: %s", untold)
        return
    await _publish(parts, key_of("error", run_id), "Error")


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
    await _publish(parts, key_of("plan", run_id), "Plan")


async def _measured(journal: Journal, run_id: UUID, attempt: int) -> list[str]:
    """Give what a run measured so far: each plate as a picture, as long as they fit, and a table.

    Raises:
        ServiceError: nobody can be asked.
    """
    measurements = of_attempt(await journal.measurements(run_id), attempt)
    events = await journal.events(run_id)
    files = await journal.data_files(run_id)
    plates, room = [], MOST_BYTES
    for readout in plate_readouts(measurements, flags(events)):
        drawn, table = _heat_map(readout), _plate(readout)
        shown = [one for one in (table, drawn) if (room := room - len(one)) >= 0]
        plates += [f"### {readout.title}", *reversed(shown)]
    late = (event.message for event in events if event.kind == PROMISE_BROKEN)
    return [
        *plates,
        _list("Came later than promised", late),
        *(f"Data: `{file.path}`" for file in files if file.media_type != HTML),
    ]


def _where_to_look(run_id: UUID) -> str:
    return (
        f"In a terminal: `praxis run show {run_id}`; all of it in one file, with the deck after "
        f"each command: `praxis run report {run_id}`"
    )


def _as_it_is(text: str) -> str:
    """Show a text as it is, line by line, whatever stands in it; what it lists stays a list."""
    lines = []
    for line in text.splitlines():
        item = line.lstrip().removeprefix("- ")
        shown = re.sub(r"([\\`*_\[\]<>#|~!])", r"\\\1", item)
        lines.append(f"- {shown}" if line.lstrip().startswith("- ") else f"\n{shown}\n")
    return "\n".join(lines)


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
            used.tips_told,
            used.drawn_told,
            ", ".join(f"{_text(volume)} from {source}" for source, volume in used.given.items()),
        )
        for name, used in plan.consumption.items()
    ]


def _summary(summary: JsonValue) -> str:
    if not isinstance(summary, dict):
        return "" if summary is None else f"Result: {_text(summary)}"
    rows = [(name.replace("_", " "), _text(value)) for name, value in summary.items()]
    return _table(("result", ""), rows)


def _heat_map(readout: PlateReadout) -> str:
    drawn = heat_map_svg(
        readout.rows,
        readout.columns,
        readout.values,
        title=readout.title,
        flagged=readout.flagged,
    )
    return markdown(drawn, readout.title)


def _plate(readout: PlateReadout) -> str:
    rows = [
        (f"**{row}**", *cells) for row, cells in zip(readout.rows, readout.cells(), strict=True)
    ]
    return _table(("", *(str(column) for column in readout.columns)), rows)


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
