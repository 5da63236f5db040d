"""``praxis run``: start runs, follow them, look at what they left."""

from __future__ import annotations

import asyncio
import json
import signal
import subprocess
import sys
from contextlib import suppress
from typing import Annotated, Any
from uuid import UUID

import typer

from praxis_core.cli.console import console, print_json, say, table
from praxis_core.cli.following import follow
from praxis_core.cli.lost import lost_runs
from praxis_core.cli.opening import journal, run_id_of
from praxis_core.cli.result import as_json, show_result
from praxis_core.errors import RequestError, ServiceError, ServiceRefused
from praxis_core.protocol.lifecycle import RunStatus
from praxis_core.services.environment import environment
from praxis_core.services.prefect_api import CONFLICT, PrefectApi
from praxis_core.settings import PraxisSettings

app = typer.Typer(help="Start runs, follow them, look at what they left.", no_args_is_help=True)

INTERRUPTED = 130
"""Exit code after Ctrl-C, as shells have it."""

AsJson = Annotated[bool, typer.Option("--json", help="Print JSON for scripts.")]


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
    workcell: Annotated[str | None, typer.Option(help="Workcell to run on.")] = None,
    simulate: Annotated[bool, typer.Option(help="Rehearse on simulated devices.")] = False,
    carry_from: Annotated[
        str | None, typer.Option(help="Start with a copy of this run's PraxisState.")
    ] = None,
    detach: Annotated[bool, typer.Option(help="Do not wait for the run's end.")] = False,
    as_json_: AsJson = False,
) -> None:
    """Start a run and follow it to its end."""
    settings = PraxisSettings()
    request: dict[str, Any] = {**_assignments(parameter), "simulate": simulate}
    if asset:
        request["assets"] = {name: _names(value) for name, value in _pairs(asset)}
    if workcell:
        request["workcell"] = workcell
    if carry_from:
        request["carry_from"] = str(asyncio.run(run_id_of(settings, carry_from)))
    if _is_file(protocol):
        _start_here(settings, protocol, request, detach=detach, as_json_=as_json_)
    else:
        run_id = start_deployed(settings, protocol, request)
        if detach:
            _announce(run_id, as_json_=as_json_)
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

    async def read() -> list[Any]:
        async with journal(settings) as records:
            return await records.runs(limit=limit)

    runs = asyncio.run(read())
    lost = {run_id: flow_run.state_name for run_id, flow_run in lost_runs(settings, runs).items()}
    if as_json_:
        print_json([{**as_json(run), "ended_in_prefect": lost.get(run.run_id)} for run in runs])
        return
    rows = [
        (
            str(run.run_id),
            run.protocol,
            run.workcell,
            f"{run.status} ({lost[run.run_id]} in Prefect)" if run.run_id in lost else run.status,
            str(run.attempt),
            f"{run.created_at:%Y-%m-%d %H:%M:%S}",
        )
        for run in runs
    ]
    console.print(table("Runs", ("id", "protocol", "workcell", "status", "attempt", "since"), rows))


@app.command()
def show(
    run: Annotated[str, typer.Argument(help="Id of the run, or its first characters.")],
    *,
    as_json_: AsJson = False,
) -> None:
    """Show what a run did and measured."""
    settings = PraxisSettings()
    run_id = asyncio.run(run_id_of(settings, run))
    asyncio.run(show_result(settings, run_id, as_json_=as_json_))


def start_deployed(settings: PraxisSettings, name: str, request: dict[str, Any]) -> UUID:
    """Create a flow run of a deployment; a bare protocol name finds its only deployment.

    Raises:
        RequestError: Prefect refuses it, or cannot start it now.
    """
    with PrefectApi(settings) as api:
        try:
            deployment = api.find_deployment(name)
            return api.create_flow_run(deployment.id, request).id
        except ServiceRefused as error:
            raise _not_started(name, error) from error


def follow_deployed(
    settings: PraxisSettings, run_id: UUID, *, as_json_: bool = False, steps: int | None = None
) -> None:
    """Follow a run of the worker to its end and show its result; leaving it does not end it.

    Raises:
        RequestError: Prefect ended the run before it began.
        typer.Exit: it did not succeed (1), or is no longer followed (130).
    """
    with PrefectApi(settings) as api:

        def over() -> bool:
            with suppress(ServiceError):
                return api.read_flow_run(run_id).ended
            return False

        try:
            status = asyncio.run(follow(settings, run_id, over=over, quiet=as_json_, steps=steps))
        except KeyboardInterrupt:
            say(
                f"Run {run_id} goes on; it is only no longer followed. Look at it with: "
                f"praxis run show {run_id}. Cancel it on its page: {api.run_url(run_id)}"
            )
            raise typer.Exit(INTERRUPTED) from None
        if status is None:
            what = api.read_flow_run(run_id).state_message or ""
            what = what.removeprefix("Flow run encountered an exception: ")
            raise RequestError(
                what=f"Prefect ended run {run_id} before it began: {what.rstrip('.')}. "
                f"More: {settings.home_path / 'logs' / 'worker.log'} and "
                f"{api.run_url(run_id)}"
            )
    _show_end(settings, run_id, status, as_json_=as_json_)


def _start_here(
    settings: PraxisSettings, spec: str, request: dict[str, Any], *, detach: bool, as_json_: bool
) -> None:
    """Run a protocol file as a flow run in a process of its own."""
    process = subprocess.Popen(  # noqa: S603  # the user's own protocol
        [sys.executable, "-m", "flows.run", spec],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        env=environment(settings),
        # Ctrl-C reaches it once, through this process, and a closed terminal does not.
        start_new_session=True,
    )
    process.stdin.write(json.dumps(request))  # type: ignore[union-attr]  # a pipe
    process.stdin.close()  # type: ignore[union-attr]  # a pipe
    run_id = None
    try:
        line = process.stdout.readline()  # type: ignore[union-attr]  # a pipe
        if not line:
            raise typer.Exit(process.wait())  # it has said why
        run_id = UUID(json.loads(line)["run_id"])
        if detach:
            _announce(run_id, as_json_=as_json_)
            return
        status = asyncio.run(
            follow(settings, run_id, over=lambda: process.poll() is not None, quiet=as_json_)
        )
    except KeyboardInterrupt:
        if run_id is None:
            process.terminate()
        else:
            say("Cancelling the run: the command in flight ends, and the devices are left safe.")
            process.send_signal(signal.SIGINT)
        process.wait()
        raise typer.Exit(INTERRUPTED) from None
    if process.wait() < 0:
        # No worker watches a run of one's own file: that a signal killed it is seen only here.
        with PrefectApi(settings) as api:
            api.set_state(run_id, "CRASHED", name="Crashed")
    if status is None:
        raise typer.Exit(1)  # the process has said why
    _show_end(settings, run_id, status, as_json_=as_json_)


def _show_end(settings: PraxisSettings, run_id: UUID, status: RunStatus, *, as_json_: bool) -> None:
    asyncio.run(show_result(settings, run_id, as_json_=as_json_))
    if status is not RunStatus.SUCCEEDED:
        raise typer.Exit(1)


def _not_started(name: str, error: ServiceRefused) -> RequestError:
    what, protocol = str(error.details["what"]), name.partition("/")[0]
    if error.details["status"] == CONFLICT:
        what = what.removeprefix("Error creating flow run: ")
        what = what.removeprefix("Validation failed for ").replace(". Failure reason: ", ": ")
        return RequestError(what=f"{what}. What it takes: praxis protocols show {protocol}")
    return RequestError(
        what=f"{error}. A service that Prefect needs may be down; see: praxis status. "
        "Start what is missing with: praxis up"
    )


def _announce(run_id: UUID, *, as_json_: bool) -> None:
    if as_json_:
        print_json({"run_id": str(run_id)})
    else:
        console.print(f"Started run {run_id}. Look at it with: praxis run show {run_id}")


def _is_file(protocol: str) -> bool:
    return ":" in protocol or protocol.endswith(".py")


def _pairs(assignments: list[str] | None) -> list[tuple[str, str]]:
    pairs = []
    for assignment in assignments or []:
        name, equals, value = assignment.partition("=")
        if not equals or not name:
            raise RequestError(what=f"{assignment!r} is not NAME=VALUE")
        pairs.append((name.strip(), value))
    return pairs


def _assignments(assignments: list[str] | None) -> dict[str, Any]:
    return {name: _value(value) for name, value in _pairs(assignments)}


def _value(text: str) -> Any:
    try:
        return json.loads(text)
    except ValueError:
        return text


def _names(text: str) -> str | list[str]:
    return text.split(",") if "," in text else text
