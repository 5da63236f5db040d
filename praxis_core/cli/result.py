"""A finished run as a person wants to see it."""

from __future__ import annotations

import dataclasses
import json
import re
import shlex
import textwrap
from collections import Counter
from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from operator import itemgetter
from typing import Any
from uuid import UUID

from pydantic import JsonValue
from pydantic_core import to_jsonable_python
from rich.markup import escape
from rich.table import Table

from praxis_core.assets.description import describe
from praxis_core.assets.operations import written_channels
from praxis_core.assets.shortages import Shortage, Shortages
from praxis_core.cli.console import console, print_json, table
from praxis_core.cli.lost import is_gone, is_lost
from praxis_core.cli.opening import journal
from praxis_core.cli.waiting import in_prefect, not_in_history, status_words, waits_for
from praxis_core.errors import RunNotFound
from praxis_core.execution.answered import answer_of
from praxis_core.execution.consent import ABANDONED
from praxis_core.execution.data_file import HTML
from praxis_core.execution.doubt_told import DoubtTold, tell
from praxis_core.execution.in_doubt import MEANINGS, told_channels
from praxis_core.execution.readout import PlateReadout, of_attempt, plate_readouts
from praxis_core.execution.running_low import CONSUMABLES_LOW
from praxis_core.execution.timeliness import PROMISE_BROKEN, flags
from praxis_core.journal.control import Control, Said, WorkcellStanding
from praxis_core.journal.doubts import FAILURE, channels_of
from praxis_core.journal.questions import Question, Questions, wanted
from praxis_core.journal.record import Journal
from praxis_core.journal.records import (
    AttemptRecord,
    CommandRecord,
    Doubt,
    EventRecord,
    Measurement,
    RunRecord,
    StepRecord,
)
from praxis_core.protocol.lifecycle import Answer, RunStatus
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

_WORDS_OF_A_QUESTION = 100
"""Letters of what was asked, beside its answer."""

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
        "stop_asked",
        "stopped_as_asked",
        "stop_not_reached",
        "command_left_out",
        "step_left_out",
        "changed_for_the_rest",
        "to_do_again",
        "done_again",
        "calibration_changed",
        "calibration_expired",
        ABANDONED,
        PROMISE_BROKEN,
        CONSUMABLES_LOW,
        "stopped",
        "paused",
        "went_on",
        "tried_again",
        "left_in_the_way",
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


@dataclasses.dataclass(frozen=True, kw_only=True)
class _Told:
    """All that is known of a run."""

    run: RunRecord
    commands: Sequence[CommandRecord]
    """Of what is done by hand; else nothing."""
    steps: Sequence[StepRecord]
    measurements: Sequence[Measurement]
    files: Sequence[Any]
    events: Sequence[EventRecord]
    attempts: Sequence[AttemptRecord]
    doubts: Sequence[Doubt]
    questions: Sequence[Question]
    """All that it asked."""
    told: Mapping[int, DoubtTold]
    """What helps to answer the doubts."""
    kept: Sequence[str]
    """What belongs to it."""
    short: Shortage | None
    paused: Said | None
    standing: WorkcellStanding

    def url(self, settings: PraxisSettings) -> str | None:
        """Say where it is in Prefect; None: it is not there."""
        with PrefectApi(settings) as api:
            return None if self.run.by_hand else api.run_url(self.run.run_id)


async def show_result(settings: PraxisSettings, run_id: UUID, *, as_json_: bool = False) -> None:
    """Print state, steps, measurements, summary, data files and address of a run."""
    async with journal(settings) as records:
        try:
            run = await records.run(run_id)
        except RunNotFound:
            raise not_in_history(settings, run_id) from None
        told = await _read(settings, records, run)
    url = told.url(settings)
    known = run.by_hand or run.status is RunStatus.SUCCEEDED
    flow_run = None if known else in_prefect(settings, run_id)
    lost = flow_run if flow_run is not None and is_lost(run, flow_run) else None
    if as_json_:
        _print_json(told, lost, url)
        return
    _show_run(run, lost)
    if told.short is not None:
        console.print(escape(told.short.message))
    _show_control(run, told.paused, told.standing)
    waiting = waits_for(settings, run, flow_run)
    if waiting is not None:
        console.print(escape(waiting))
    elif lost is not None or run.status in RESUMABLE:
        given_up = any(event.kind == ABANDONED for event in told.events)
        _show_ways_on(run, told.kept, given_up=given_up)
    _show_course(told)
    console.print("" if url is None else f"Run in Prefect: {url}")


async def _read(settings: PraxisSettings, records: Journal, run: RunRecord) -> _Told:
    run_id, control = run.run_id, Control(records.database)
    claims, doubts = await records.claims(run.workcell), await records.doubts(run_id)
    return _Told(
        run=run,
        commands=await records.commands(run_id) if run.by_hand else [],
        steps=[step for step in await records.steps(run_id) if step.attempt == run.attempt],
        measurements=of_attempt(await records.measurements(run_id), run.attempt),
        files=await records.data_files(run_id),
        events=await records.events(run_id),
        attempts=await records.attempts(run_id),
        doubts=doubts,
        told=await told_of(settings, records, doubts),
        questions=await Questions(records.database).of_run(run_id),
        kept=sorted({one.asset for one in claims if one.run_id == run_id}),
        short=await Shortages(records.database).of(run_id),
        paused=None if run.status.ended else await control.pause_of(run_id),
        standing=await control.standing(run.workcell),
    )


def _print_json(told: _Told, lost: FlowRun | None, url: str | None) -> None:
    parts = ("steps", "files", "events", "attempts", "doubts", "questions")
    listed: dict[str, JsonValue] = {
        name: [as_json(one) for one in getattr(told, name)] for name in parts
    }
    flag_of = flags(told.events)
    print_json(
        {
            "run": as_json(told.run),
            **listed,
            "measurements": [{**as_json(one), "flag": flag_of(one)} for one in told.measurements],
            "short": None if told.short is None else as_json(told.short),
            "paused": None if told.paused is None else as_json(told.paused),
            "ended_in_prefect": None if lost is None else lost.state_name,
            "url": url,
        }
    )


def _show_course(told: _Told) -> None:
    """Show what was done, asked and measured."""
    _show_attempts(told.attempts, told.events)
    _show_what_is_asked(told)
    _show_answers([*told.doubts, *told.questions])
    if told.run.by_hand:
        _show_commands(told.commands)
    else:
        _show_steps(told.steps)
    _show_taught(told.events)
    for readout in plate_readouts(told.measurements, flags(told.events)):
        console.print(_plate(readout))
    _show_single_values(told.measurements)
    for file in told.files:
        what = "Report" if file.media_type == HTML else "Data"
        console.print(f"\n{what}: {escape(file.path)}")


def _show_what_is_asked(known: _Told) -> None:
    doubts = [one for one in known.doubts if one.answered_at is None]
    over = known.run.status in {RunStatus.SUCCEEDED, RunStatus.REFUSED}
    questions = [one for one in known.questions if one.answered_at is None and not over]
    named = len(doubts) + len(questions) > 1
    show_questions(known.run.run_id, doubts, named=named, known=known.told)
    show_asked(questions, named=named)


def _show_answers(asked: Sequence[Doubt | Question]) -> None:
    """Show what people have said, oldest first."""
    said = sorted(
        ((one.answered_at, one) for one in asked if one.answered_at is not None),
        key=itemgetter(0),
    )
    rows = [
        (
            f"{at:%H:%M:%S}",
            escape(one.answered_by or ""),
            escape(_shortly(one)),
            escape(answer_of(one)),
        )
        for at, one in said
    ]
    if rows:
        console.print(table("\nAnswers", ("at", "by", "question", "answer"), rows))


def _shortly(asked: Doubt | Question) -> str:
    what = asked.what if isinstance(asked, Doubt) else asked.title
    return textwrap.shorten(what, _WORDS_OF_A_QUESTION, placeholder=" ...")


def _show_steps(steps: Sequence[StepRecord]) -> None:
    rows = [
        (step.path, escape(step.name), step.status, _duration(step.started_at, step.ended_at))
        for step in steps
    ]
    console.print(table("\nSteps", ("", "step", "status", "duration"), rows))


def _show_run(run: RunRecord, lost: FlowRun | None) -> None:
    colour = COLOURS.get(run.status, "white")
    console.print(
        f"[bold]{escape(run.protocol)}[/bold] on {escape(run.workcell)}"
        f"{', with water' if run.water else ''}: "
        f"[{colour}]{status_words(run)}[/{colour}] "
        f"(run {run.run_id}, attempt {run.attempt})"
    )
    if run.by_hand:
        console.print(escape(f"{by_whom(run)}; since {run.created_at:%Y-%m-%d %H:%M:%S}"))
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


def _show_control(run: RunRecord, paused: Said | None, standing: WorkcellStanding) -> None:
    """Show what people have said that keeps a run from going on."""
    if paused is not None:
        said = f"Paused {paused}; its next command is not sent"
        console.print(escape(f"{said} before: praxis run go-on {run.run_id}"))
    if not standing.is_open and run.status is not RunStatus.SUCCEEDED:
        told = str(standing)
        mend = f"To use it again: {standing.mend}"
        console.print(escape(f"{told[0].upper()}{told[1:]}. {mend}"))


def _show_commands(commands: Sequence[CommandRecord]) -> None:
    """Show what was done by hand; nobody has named steps of it."""
    rows = [
        (
            str(one.number),
            f"{one.issued_at:%H:%M:%S}",
            escape(describe(one.command)),
            "not known" if one.outcome is None else one.outcome.status.value,
        )
        for one in commands
    ]
    console.print(table("\nCommands", ("", "at", "command", "outcome"), rows))


def by_whom(run: RunRecord) -> str:
    """Say who does a run by hand, and where; empty: nobody does."""
    if not run.by_hand:
        return ""
    where = run.parameters.get("computer")
    gone = ", which is gone" if not run.status.ended and is_gone(run) else ""
    return f"By hand: {run.asked_by} on {where}, process {run.parameters.get('process')}{gone}"


def _show_ways_on(run: RunRecord, kept: Sequence[str], *, given_up: bool) -> None:
    if not run.by_hand and not given_up:
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
                attempt.how,
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
            for words in words_of_question(one, named=named):
                console.print(escape(f"    {words}"))


def show_questions(
    run_id: UUID,
    asked: Sequence[Doubt],
    *,
    named: bool | None = None,
    known: Mapping[int, DoubtTold] | None = None,
) -> None:
    """Print what nobody knows of a run, with the words that answer it.

    Args:
        run_id: The run.
        asked: The questions.
        named: Whether an answer has to say which one it answers; None: if there are several.
        known: What helps to answer them, by their ids.
    """
    for doubt in asked:
        console.print(f"\n[bold yellow]Question {doubt.id}:[/bold yellow] {escape(doubt.what)}")
        _show_told((known or {}).get(doubt.id))
        # What stands in the question already, or is for programs, is not said twice.
        details = doubt.details if isinstance(doubt.details, dict) else {}
        for name, value in details.items():
            if isinstance(value, str) and name not in IN_THE_QUESTION:
                console.print(f"  {escape(name)}: {escape(value)}")
        named = len(asked) > 1 if named is None else named
        if doubt.answered_at is not None:
            continue
        console.print("  Look at the deck, then say what is true:")
        for choice, words in words_of_doubt(run_id, doubt, named=named).items():
            console.print(f"    {words}")
            if FAILURE in details:
                console.print(f"        [dim]{MEANINGS[choice]}[/dim]")


def words_of_question(asked: Question, *, named: bool) -> list[str]:
    """Give what to type as an answer to a question; ``named``: it has to say which one it is."""
    number = f" --question {asked.id}" if named else ""
    choices = asked.choices or (wanted(asked),)
    return [f"praxis run answer {asked.run_id} {shlex.quote(one)}{number}" for one in choices]


def words_of_doubt(run_id: UUID, doubt: Doubt, *, named: bool) -> dict[Answer, str]:
    """Give what to type as each answer about a command; ``named``: it has to say which one."""
    number = f" --question {doubt.id}" if named else ""
    words = {one: one.value.replace("_", "-") for one in doubt.choices}
    if Answer.PARTLY in words:
        words[Answer.PARTLY] += f" --channels {_channels_to_type(doubt)}"
    return {one: f"praxis run answer {run_id} {word}{number}" for one, word in words.items()}


def _channels_to_type(doubt: Doubt) -> str:
    """Write the channels on which it happened, as its device says; else the first as an example."""
    used = channels_of(doubt.details)
    return written_channels(told_channels(doubt) or used[: len(used) // 2])


def _show_told(known: DoubtTold | None) -> None:
    """Print what was sent, and what came back before it."""
    for title, lines in () if known is None else known.parts.items():
        console.print(f"  {escape(title)}:")
        for line in lines:
            console.print(f"    {escape(line)}")
    if known is not None and known.line:
        console.print("  On its line:")
        for line in known.line:
            console.print(f"    {escape(line)}", soft_wrap=True)


async def told_of(
    settings: PraxisSettings, records: Journal, doubts: Sequence[Doubt]
) -> dict[int, DoubtTold]:
    """Gather what helps to answer what nobody has answered yet, by question."""
    logs = settings.home_path / "logs"
    return {one.id: await tell(records, one, logs) for one in doubts if one.answer is None}


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
