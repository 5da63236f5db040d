"""``praxis workcell stop``, ``drain`` and ``start``; ``praxis run pause`` and ``go-on``."""

from __future__ import annotations

import asyncio
import getpass
from collections.abc import Sequence
from time import sleep
from typing import Annotated, Any
from uuid import UUID

import typer
from rich.markup import escape

from praxis_core.cli.console import AsJson, console, print_json
from praxis_core.cli.opening import journal, run_id_of
from praxis_core.cli.waiting import not_in_history
from praxis_core.errors import HostNotRunning, RequestError, RunNotFound
from praxis_core.host.asking import ask_host
from praxis_core.host.at_once import answers
from praxis_core.host.stopping import note_standing, stop_workcell
from praxis_core.journal.control import Control, Said, Standing, WorkcellStanding
from praxis_core.journal.record import Journal
from praxis_core.journal.records import RunRecord
from praxis_core.settings import PraxisSettings

Why = Annotated[str, typer.Option(help="The reason, for the audit trail.")]
Name = Annotated[str, typer.Argument(help="Name of the workcell.")]
RunId = Annotated[str, typer.Argument(help="Id of the run, or its first characters.")]

DRAINED_EVERY = 1.0
"""Seconds between two looks whether a workcell is drained."""


def stop(name: Name, *, why: Why = "", as_json_: AsJson = False) -> None:
    """Send nothing more to any device of a workcell, and make every device safe, at once.

    What is under way comes to its end. Runs stop where they are, and can be resumed after: praxis
    workcell start.
    """
    settings, said = PraxisSettings(), _said(why)
    answer = stop_workcell(settings, name, said, answers.pop(name, None))
    if as_json_:
        print_json(answer)
    else:
        _show_stopped(name, answer)


def _show_stopped(name: str, answer: dict[str, Any]) -> None:
    if "host" in answer:
        where = "in the database" if answer["in_database"] else "on this computer"
        console.print(
            f"The host of workcell {name} is not running, so that nothing is sent to its devices. "
            f"Noted {where}: a host that starts now finds the workcell stopped. What was on when "
            "the host ended, its watchdog has made safe."
        )
    else:
        console.print(f"Workcell {name} is stopped: nothing more is sent to its devices.")
        for command in answer["under_way"]:
            console.print(escape(f"Under way, and comes to its end: {command}"))
        safe = (
            "Its devices are safe."
            if answer["safe"]
            else (f"Its devices are being made safe; how far that is: praxis workcell show {name}")
        )
        console.print(safe)
    if answer.get("given_away"):
        console.print(
            "But another program has its devices, or had them and nobody has looked since: what "
            "that sends, nothing here can stop. Use the emergency stop of the devices."
        )
    console.print(f"When it is safe to go on: praxis workcell start {name}")
    for run in answer["runs"]:
        console.print(f"and then, what was under way: praxis run resume {run}")


def drain(
    name: Name,
    *,
    wait: Annotated[bool, typer.Option("--wait", help="Until no run is at work there.")] = False,
    why: Why = "",
    as_json_: AsJson = False,
) -> None:
    """Take no run on any more, and let those at work come to their end; before an upgrade."""
    settings = PraxisSettings()
    at_work = asyncio.run(_drain(settings, name, _said(why)))
    if not as_json_:
        console.print(
            f"Workcell {name} takes no run on. It does again: praxis workcell start {name}"
        )
    while wait and at_work:
        if not as_json_:
            console.print(_told(at_work))
        at_work = _until_fewer(settings, name, at_work)
    if as_json_:
        print_json({"drained": not at_work, "at_work": [str(run) for run in at_work]})
    else:
        console.print(_told(at_work) if at_work else f"Workcell {name} is drained.")


def _until_fewer(settings: PraxisSettings, name: str, before: Sequence[UUID]) -> Sequence[UUID]:
    now = before
    while list(now) == list(before):
        sleep(DRAINED_EVERY)
        now = asyncio.run(_at_work(settings, name))
    return now


def _told(at_work: Sequence[UUID]) -> str:
    return f"At work: {', '.join(str(run) for run in at_work)}"


async def _drain(settings: PraxisSettings, name: str, said: Said) -> Sequence[UUID]:
    async with journal(settings) as records:
        await records.workcell(name)
        control = Control(records.database)
        if (await control.use(name)).standing is Standing.STOPPED:
            what = f"workcell {name} is stopped, and takes no run on. praxis workcell start {name}"
            raise RequestError(what=what)
        await control.say(name, Standing.DRAINING, said)
        return await control.at_work(name)


async def _at_work(settings: PraxisSettings, name: str) -> Sequence[UUID]:
    async with journal(settings) as records:
        return await Control(records.database).at_work(name)


def start(name: Name, *, why: Why = "", as_json_: AsJson = False) -> None:
    """Take a workcell into use again that was stopped, or told to drain.

    Nothing moves by that. Runs that wait begin; what a stop has interrupted goes on when somebody
    resumes it.
    """
    settings, said = PraxisSettings(), _said(why)
    try:
        answer = ask_host(settings, name, "/start", tell=_words(said))
    except HostNotRunning:
        asyncio.run(note_standing(settings, name, Standing.STARTED, said))
        answer = {"host": None}
    interrupted = asyncio.run(_interrupted(settings, name))
    if as_json_:
        print_json({**answer, "interrupted": [str(run) for run in interrupted]})
        return
    standing = asyncio.run(_standing(settings, name))
    if standing.is_open:
        console.print(f"Workcell {name} is in use again.")
    else:
        console.print(escape(f"It is not stopped any more; but {standing}: {standing.mend}"))
    if "host" in answer:
        console.print("Its host is not running: praxis up")
    for run in interrupted:
        console.print(f"To go on where it was: praxis run resume {run}")


async def _standing(settings: PraxisSettings, name: str) -> WorkcellStanding:
    async with journal(settings) as records:
        return await Control(records.database).standing(name)


async def _interrupted(settings: PraxisSettings, name: str) -> list[UUID]:
    async with journal(settings) as records:
        runs = {
            claim.run_id: await records.run(claim.run_id) for claim in await records.claims(name)
        }
        return [run.run_id for run in runs.values() if run.status == "interrupted"]


def pause(run: RunId, *, why: Why = "", as_json_: AsJson = False) -> None:
    """Let a run wait before its next command; what is under way comes to its end."""
    settings, said = PraxisSettings(), _said(why)
    record = asyncio.run(_run(settings, run))
    if record.status.ended:
        what = f"run {record.run_id} is {record.status}, and does nothing that could be paused"
        raise RequestError(what=what)
    answer = _tell_of_run(settings, record, "/pause", said)
    if as_json_:
        print_json({"run_id": str(record.run_id), "paused": True, **answer})
        return
    for command in answer["under_way"]:
        console.print(escape(f"Under way, and comes to its end: {command}"))
    console.print(f"Run {record.run_id} is paused: its next command is not sent. Its devices stay")
    console.print(f"as they are set. To go on: praxis run go-on {record.run_id}")


def go_on(run: RunId, *, why: Why = "", as_json_: AsJson = False) -> None:
    """Let a paused run send its next command."""
    settings, said = PraxisSettings(), _said(why)
    record = asyncio.run(_run(settings, run))
    written = asyncio.run(_pause_of(settings, record.run_id))
    answer = _tell_of_run(settings, record, "/go-on", said)
    if written is None and not answer.get("was_paused"):
        raise RequestError(what=f"run {record.run_id} was not paused. It is {record.status}")
    if as_json_:
        print_json({"run_id": str(record.run_id), "paused": False, **answer})
    else:
        console.print(f"Run {record.run_id} is no longer paused.")


def _tell_of_run(
    settings: PraxisSettings, record: RunRecord, path: str, said: Said
) -> dict[str, Any]:
    """Tell the host, or whoever comes after it."""
    words = {**_words(said), "run_id": str(record.run_id)}
    try:
        return ask_host(settings, record.workcell, path, tell=words)
    except HostNotRunning:
        asyncio.run(_write(settings, record.run_id, said, pause=path == "/pause"))
    try:  # one that has begun meanwhile may have the run by now
        return ask_host(settings, record.workcell, path, tell=words)
    except HostNotRunning:
        return {"attended": False, "under_way": []}


async def _write(settings: PraxisSettings, run_id: UUID, said: Said, *, pause: bool) -> None:
    async with journal(settings) as records:
        control = Control(records.database)
        await (control.pause(run_id, said) if pause else control.go_on(run_id, said))


async def _pause_of(settings: PraxisSettings, run_id: UUID) -> Said | None:
    async with journal(settings) as records:
        return await Control(records.database).pause_of(run_id)


async def _run(settings: PraxisSettings, text: str) -> RunRecord:
    run_id = await run_id_of(settings, text)
    async with journal(settings) as records:
        return await _known(settings, records, run_id)


async def _known(settings: PraxisSettings, records: Journal, run_id: UUID) -> RunRecord:
    try:
        return await records.run(run_id)
    except RunNotFound:
        raise not_in_history(settings, run_id) from None


def _said(why: str) -> Said:
    return Said(getpass.getuser(), why)


def _words(said: Said) -> dict[str, str]:
    return {"by": said.by, "why": said.why}
