"""``praxis run``: start runs, follow them, look at what they left."""

from __future__ import annotations

import asyncio
import json
from contextlib import suppress
from typing import Annotated, Any
from uuid import UUID

import typer
from rich.markup import escape

from praxis_core.assets.shortages import Shortages
from praxis_core.cli import (
    answering,
    comparing,
    controlling,
    data,
    deciding,
    firmware,
    reporting,
    resuming,
    watching,
)
from praxis_core.cli.commands_told import show_commands
from praxis_core.cli.console import AsJson, console, print_json, table
from praxis_core.cli.lost import ASKED_SECONDS, lost_runs
from praxis_core.cli.opening import journal, run_id_of
from praxis_core.cli.result import as_json, show_result
from praxis_core.cli.starting import announce, follow_deployed, run_here, start_deployed
from praxis_core.cli.waiting import status_words
from praxis_core.errors import RequestError, ServiceError
from praxis_core.journal.control import Control, Said
from praxis_core.journal.records import RunRecord
from praxis_core.services.missed import Missed, missed_runs
from praxis_core.services.prefect_api import PrefectApi
from praxis_core.settings import PraxisSettings

app = typer.Typer(help="Start runs, follow them, go on with them.", no_args_is_help=True)

app.command()(resuming.resume)
app.command()(answering.answer)
app.command()(answering.questions)
app.command()(resuming.abandon)
app.command()(comparing.diff)
app.command()(data.data)
app.command()(reporting.report)
app.command()(firmware.firmware)
app.command()(controlling.pause)
app.command()(controlling.go_on)
app.command(name="watch")(watching.run)


@app.command()
def start(
    protocol: Annotated[
        str,
        typer.Argument(
            help="A deployed protocol (serial-dilution, or serial-dilution/star), "
            "or a file: my_protocol.py or my_protocol.py:function."
        ),
    ],
    *,
    parameter: Annotated[
        list[str] | None,
        typer.Option("--parameter", "-p", help="NAME=VALUE; the value is JSON or plain text."),
    ] = None,
    asset: Annotated[
        list[str] | None,
        typer.Option("--asset", "-a", help="NAME=NAME ON THE WORKCELL; several for lists: a,b,c."),
    ] = None,
    workcell: Annotated[
        str | None, typer.Option("--workcell", "-w", help="Workcell to run on.")
    ] = None,
    simulate: Annotated[bool, typer.Option(help="Rehearse on simulated devices.")] = False,
    water: Annotated[
        bool, typer.Option("--water", help="Do it with water in place of everything else.")
    ] = False,
    carry_from: Annotated[
        str | None, typer.Option(help="Start with a copy of this run's PraxisState.")
    ] = None,
    priority: Annotated[
        int, typer.Option(help="Among runs that wait for the same assets the greater goes first.")
    ] = 0,
    until: deciding.Until = None,
    step_by_step: deciding.StepByStep = False,
    detach: Annotated[bool, typer.Option(help="Do not wait for the run's end.")] = False,
    as_json_: AsJson = False,
) -> None:
    """Start a run and follow it to its end."""
    if water and simulate:
        raise RequestError(what="a water run uses the real devices: say --simulate or --water")
    settings = PraxisSettings()
    carried = str(asyncio.run(run_id_of(settings, carry_from))) if carry_from else None
    said: dict[str, Any] = {
        "assets": {name: names(value) for name, value in pairs(asset)} if asset else None,
        "workcell": workcell,
        "carry_from": carried,
        "priority": priority,
        "water_run": water,
        "until": deciding.asked_stop(until, step_by_step=step_by_step),
    }
    # What nobody said is left to the deployment.
    given = {name: value for name, value in said.items() if value}
    request = {**assigned(parameter), "simulate": simulate, **given}
    if is_file(protocol):
        run_here(settings, [protocol], request, detach=detach, as_json_=as_json_)
    else:
        run_id = start_deployed(settings, protocol, request)
        if detach:
            announce(run_id, as_json_=as_json_)
        else:
            follow_deployed(settings, run_id, as_json_=as_json_)


@app.command(name="list")
def list_(
    limit: Annotated[int, typer.Option(min=1, help="How many, newest first.")] = 20,
    *,
    as_json_: AsJson = False,
) -> None:
    """List runs, newest first."""
    settings = PraxisSettings()

    async def read() -> tuple[list[Any], set[UUID], dict[UUID, Said]]:
        async with journal(settings) as records:
            short = await Shortages(records.database).all()
            paused = await Control(records.database).paused()
            return await records.runs(limit=limit), {one.run_id for one in short}, paused

    runs, short, paused = asyncio.run(read())
    lost = {run_id: flow_run.state_name for run_id, flow_run in lost_runs(settings, runs).items()}
    if as_json_:
        print_json(
            [
                {
                    **as_json(run),
                    "ended_in_prefect": lost.get(run.run_id),
                    "short": run.run_id in short,
                    "paused_by": paused[run.run_id].by if run.run_id in paused else None,
                }
                for run in runs
            ]
        )
        return
    rows = [
        (
            str(run.run_id),
            _named(run),
            run.workcell,
            _status(
                run,
                lost.get(run.run_id),
                short=run.run_id in short,
                paused=paused.get(run.run_id),
            ),
            str(run.attempt),
            f"{run.created_at:%Y-%m-%d %H:%M:%S}",
        )
        for run in runs
    ]
    console.print(table("Runs", ("id", "protocol", "workcell", "status", "attempt", "since"), rows))
    for one in _missed(settings):
        console.print(escape(f"Not begun: {one}. Is the worker there? praxis status"))


@app.command()
def show(
    run: Annotated[str, typer.Argument(help="Id of the run, or its first characters.")],
    *,
    commands: Annotated[
        bool, typer.Option("--commands", help="List its commands by their numbers instead.")
    ] = False,
    as_json_: AsJson = False,
) -> None:
    """Show what a run did and measured."""
    settings = PraxisSettings()
    run_id = asyncio.run(run_id_of(settings, run))
    if commands:
        asyncio.run(show_commands(settings, run_id, as_json_=as_json_))
        return
    asyncio.run(show_result(settings, run_id, as_json_=as_json_))


def _named(run: RunRecord) -> str:
    if run.by_hand:
        return f"manual, {run.asked_by}"
    return run.protocol + (", with water" if run.water else "")


def _missed(settings: PraxisSettings) -> list[Missed]:
    with suppress(ServiceError), PrefectApi(settings, timeout=ASKED_SECONDS) as api:
        return missed_runs(api)
    return []


def _status(run: RunRecord, in_prefect: str | None, *, short: bool, paused: Said | None) -> str:
    words = status_words(run) + (", short of material" if short else "")
    words += "" if paused is None else f", paused by {paused.by}"
    return words if in_prefect is None else f"{words} ({in_prefect} in Prefect)"


def is_file(protocol: str) -> bool:
    """Whether a protocol is named by its file or module, not by its name."""
    return ":" in protocol or protocol.endswith(".py")


def pairs(assignments: list[str] | None) -> list[tuple[str, str]]:
    """Take NAME=VALUE apart.

    Raises:
        RequestError: one of them is something else.
    """
    pairs = []
    for assignment in assignments or []:
        name, equals, value = assignment.partition("=")
        if not equals or not name:
            raise RequestError(what=f"{assignment!r} is not NAME=VALUE")
        pairs.append((name.strip(), value))
    return pairs


def assigned(assignments: list[str] | None) -> dict[str, Any]:
    """Read parameters, each NAME=VALUE with JSON or plain text.

    Raises:
        RequestError: one of them is something else.
    """
    return {name: _value(value) for name, value in pairs(assignments)}


def _value(text: str) -> Any:
    try:
        return json.loads(text)
    except ValueError:
        return text


def names(text: str) -> str | list[str]:
    """Read the name of an asset, or several with commas."""
    return text.split(",") if "," in text else text
