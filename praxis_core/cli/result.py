"""A finished run as a person wants to see it."""

from __future__ import annotations

import dataclasses
import json
import re
import shlex
from collections import Counter
from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from pydantic import JsonValue
from pydantic_core import to_jsonable_python
from rich.markup import escape
from rich.table import Table

from praxis_core.assets.shortages import Shortages
from praxis_core.cli.console import console, print_json, table
from praxis_core.cli.lost import is_lost
from praxis_core.cli.opening import journal
from praxis_core.cli.waiting import in_prefect, not_in_history, status_words, waits_for
from praxis_core.errors import RunNotFound
from praxis_core.execution.readout import PlateReadout, of_attempt, plate_readouts
from praxis_core.journal.questions import Question, Questions, wanted
from praxis_core.journal.records import (
    AttemptRecord,
    Doubt,
    EventRecord,
    Measurement,
    RunRecord,
)
from praxis_core.protocol.lifecycle import RunStatus
from praxis_core.services.prefect_api import FlowRun, PrefectApi
from praxis_core.settings import PraxisSettings

COLOURS = {
    RunStatus.SUCCEEDED: "green",
    RunStatus.FAILED: "red",
    RunStatus.REFUSED: "red",
    RunStatus.CANCELLED: "yellow",
    RunStatus.INTERRUPTED: "yellow",
    RunStatus.IN_DOUBT: "yellow",
    RunStatus.PARKED: "cyan",
}

RESUMABLE = frozenset({RunStatus.FAILED, RunStatus.CANCELLED, RunStatus.INTERRUPTED})

TOLD = frozenset(
    {
        "parked",
        "resumed",
        "restored",
        "device_quarantined",
        "claim_lost",
        "claim_taken_over",
        "host_lost",
        "resume_refused",
        "calibration_changed",
        "calibration_expired",
    }
)
"""Kinds of events that say what a person has to know of a run."""


_PICTURE = re.compile(r"!\[[^]]*\]\(data:[^)]*\)")

IN_THE_QUESTION = frozenset({"device", "method"})


def as_json(record: Any) -> dict[str, JsonValue]:
    """A frozen record as JSON."""
    data: dict[str, JsonValue] = to_jsonable_python(
        dataclasses.asdict(record), inf_nan_mode="strings", fallback=str
    )
    return data


async def show_result(settings: PraxisSettings, run_id: UUID, *, as_json_: bool = False) -> None:
    """Print state, steps, measurements, summary, data files and address of a run."""
    async with journal(settings) as records:
        try:
            run = await records.run(run_id)
        except RunNotFound:
            raise not_in_history(settings, run_id) from None
        steps = [step for step in await records.steps(run_id) if step.attempt == run.attempt]
        measurements = of_attempt(await records.measurements(run_id), run.attempt)
        files = await records.data_files(run_id)
        events = await records.events(run_id)
        attempts = await records.attempts(run_id)
        doubts = await records.doubts(run_id)
        claims = await records.claims(run.workcell)
        shortage = await Shortages(records.database).of(run_id)
        asked = await Questions(records.database).open(run_id)
    with PrefectApi(settings) as api:
        url = api.run_url(run_id)
    flow_run = None if run.status is RunStatus.SUCCEEDED else in_prefect(settings, run_id)
    lost = flow_run if flow_run is not None and is_lost(run, flow_run) else None
    if as_json_:
        parts: dict[str, Sequence[Any]] = {
            "steps": steps,
            "measurements": measurements,
            "files": files,
            "events": events,
            "attempts": attempts,
            "doubts": doubts,
            "questions": asked,
        }
        listed: dict[str, JsonValue] = {
            name: [as_json(one) for one in part] for name, part in parts.items()
        }
        ended = None if lost is None else lost.state_name
        short = None if shortage is None else as_json(shortage)
        print_json(
            {"run": as_json(run), **listed, "short": short, "ended_in_prefect": ended, "url": url}
        )
        return
    _show_run(run, lost)
    if shortage is not None:
        console.print(escape(shortage.message))
    waiting = waits_for(settings, run, flow_run)
    if waiting is not None:
        console.print(escape(waiting))
    elif lost is not None or run.status in RESUMABLE:
        _show_ways_on(run, sorted({one.asset for one in claims if one.run_id == run_id}))
    _show_attempts(attempts, events)
    unanswered = [doubt for doubt in doubts if doubt.answer is None]
    named = len(unanswered) + len(asked) > 1
    show_questions(run_id, unanswered, named=named)
    show_asked([] if run.status is RunStatus.SUCCEEDED else asked, named=named)
    rows = [
        (step.path, escape(step.name), step.status, _duration(step.started_at, step.ended_at))
        for step in steps
    ]
    console.print(table("\nSteps", ("", "step", "status", "duration"), rows))
    _show_taught(events)
    for readout in plate_readouts(measurements):
        console.print(_plate(readout))
    _show_single_values(measurements)
    for file in files:
        console.print(f"\nData: {escape(file.path)}")
    console.print(f"Run in Prefect: {url}")


def _show_run(run: RunRecord, lost: FlowRun | None) -> None:
    colour = COLOURS.get(run.status, "white")
    console.print(
        f"[bold]{escape(run.protocol)}[/bold] on {escape(run.workcell)}"
        f"{', with water' if run.water else ''}: "
        f"[{colour}]{status_words(run)}[/{colour}] "
        f"(run {run.run_id}, attempt {run.attempt})"
    )
    if lost is not None and run.status is RunStatus.PARKED:
        console.print(
            f"[red]Prefect calls it {lost.state_name}, and does not start it again by itself: "
            f"{escape(lost.state_message or '')}[/red]"
        )
    elif lost is not None:
        console.print(
            f"[red]Its process has ended without a word; Prefect calls it {lost.state_name}: "
            f"{escape(lost.state_message or '')}[/red]\n"
            "What is listed here is recorded; of a step that runs, nobody saw the end."
        )
    if isinstance(run.error, dict):
        said = run.error.get("message") or run.error.get("type")
        console.print(f"[red]{escape(str(said))}[/red]")
    if isinstance(run.summary, dict):
        for name, value in run.summary.items():
            console.print(f"  {escape(name)}: {escape(_number(value))}")


def _show_ways_on(run: RunRecord, kept: Sequence[str]) -> None:
    console.print(f"Go on from where it was: praxis run resume {run.run_id}")
    if kept:
        what = f"It keeps {', '.join(kept)}. Give it up, for others to have them"
        console.print(escape(f"{what}: praxis run abandon {run.run_id}"))


def _show_taught(events: Sequence[EventRecord]) -> None:
    """Show which versions of what was taught the run's commands were given; ``--json``: which."""
    times: Counter[tuple[str, str]] = Counter()
    for event in events:
        details = event.details
        values = details.get("values") if isinstance(details, dict) else None
        if event.kind != "taught_values_given" or not isinstance(values, dict):
            continue
        for name, used in values.items():
            if isinstance(used, dict):
                told = f"{json.dumps(used['value'])} (version {used['version']})"
                times[name, told] += 1
    if times:
        rows = [(escape(name), escape(told), str(n)) for (name, told), n in times.items()]
        console.print(table("\nTaught values given", ("value", "was", "commands"), rows))


def _show_attempts(attempts: Sequence[AttemptRecord], events: Sequence[EventRecord]) -> None:
    if len(attempts) > 1:
        rows = [
            (
                str(attempt.number),
                attempt.status.value.replace("_", " "),
                f"{attempt.begun_at:%Y-%m-%d %H:%M:%S}",
                escape(_why(attempt.error)),
            )
            for attempt in attempts
        ]
        console.print(table("\nAttempts", ("", "status", "begun", ""), rows))
    for event in events:
        if event.kind in TOLD:
            console.print(f"{event.at:%H:%M:%S} {escape(event.message)}")


def _why(error: JsonValue) -> str:
    said = error.get("message") or error.get("type") if isinstance(error, dict) else None
    return str(said or "").splitlines()[0] if said else ""


def show_asked(asked: Sequence[Question], *, named: bool) -> None:
    """Print what a protocol asks, with the words that answer it.

    Args:
        asked: The questions.
        named: Whether an answer has to say which one it answers.
    """
    for one in asked:
        console.print(f"\n[bold yellow]Question {one.id}:[/bold yellow] {escape(one.title)}")
        if one.text:
            console.print(escape(_PICTURE.sub("(a picture is on its page)", one.text)))
        if one.answered_at is None:
            number = f" --question {one.id}" if named else ""
            for choice in one.choices or (wanted(one),):
                word = shlex.quote(choice)
                console.print(escape(f"    praxis run answer {one.run_id} {word}{number}"))


def show_questions(run_id: UUID, asked: Sequence[Doubt], *, named: bool | None = None) -> None:
    """Print what nobody knows of a run, with the words that answer it; ``named`` as before."""
    for doubt in asked:
        console.print(f"\n[bold yellow]Question {doubt.id}:[/bold yellow] {escape(doubt.what)}")
        # What stands in the question already, or is for programs, is not said twice.
        details = doubt.details if isinstance(doubt.details, dict) else {}
        for name, value in details.items():
            if isinstance(value, str) and name not in IN_THE_QUESTION:
                console.print(f"  {escape(name)}: {escape(value)}")
        named = len(asked) > 1 if named is None else named
        number = f" --question {doubt.id}" if named else ""
        if doubt.answered_at is not None:
            continue
        console.print("  Look at the deck, then say what is true:")
        for choice in doubt.choices:
            word = choice.value.replace("_", "-")
            console.print(f"    praxis run answer {run_id} {word}{number}")


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


def _plate(readout: PlateReadout) -> Table:
    grid = [(row, *cells) for row, cells in zip(readout.rows, readout.cells(), strict=True)]
    columns = ("", *(str(column) for column in readout.columns))
    result = table(f"\n{readout.title}", columns, grid, gap=1)
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
