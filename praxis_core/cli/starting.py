"""Runs that a person starts: by the worker, or from a file in a process of their own."""

from __future__ import annotations

import asyncio
import json
import signal
import subprocess
import sys
from collections.abc import Sequence
from contextlib import suppress
from typing import Any
from uuid import UUID

import typer

from praxis_core.cli.console import console, print_json, say
from praxis_core.cli.following import follow
from praxis_core.cli.opening import journal
from praxis_core.cli.result import show_result
from praxis_core.errors import RequestError, ServiceError, ServiceRefused
from praxis_core.execution.decisions import has_stopped_as_asked
from praxis_core.execution.exit_codes import ExitCode, code_of_run
from praxis_core.protocol.lifecycle import RunStatus
from praxis_core.services.environment import environment
from praxis_core.services.home import prepare
from praxis_core.services.prefect_api import CONFLICT, PrefectApi
from praxis_core.settings import PraxisSettings


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
    settings: PraxisSettings,
    run_id: UUID,
    *,
    as_json_: bool = False,
    steps: int | None = None,
    after_attempt: int = 0,
) -> None:
    """Follow a run of the worker to its end and show its result; leaving it does not end it.

    Raises:
        RequestError: Prefect ended the run before it began.
        typer.Exit: with how it ended, or is no longer followed.
    """
    with PrefectApi(settings) as api:

        def over() -> bool:
            with suppress(ServiceError):
                return api.read_flow_run(run_id).ended
            return False

        try:
            status = asyncio.run(
                follow(
                    settings,
                    run_id,
                    over=over,
                    quiet=as_json_,
                    steps=steps,
                    after_attempt=after_attempt,
                )
            )
        except KeyboardInterrupt:
            say(
                f"Run {run_id} goes on; it is only no longer followed. Look at it with: "
                f"praxis run show {run_id}. Cancel it on its page: {api.run_url(run_id)}"
            )
            raise typer.Exit(ExitCode.LEFT) from None
        if status is None:
            what = api.read_flow_run(run_id).state_message or ""
            what = what.removeprefix("Flow run encountered an exception: ")
            raise RequestError(
                what=f"Prefect ended run {run_id} before it began: {what.rstrip('.')}. "
                f"More: {settings.home_path / 'logs' / 'worker.log'} and "
                f"{api.run_url(run_id)}"
            )
    _show_end(settings, run_id, status, as_json_=as_json_)


def run_here(
    settings: PraxisSettings,
    words: Sequence[str],
    request: dict[str, Any],
    *,
    detach: bool = False,
    as_json_: bool = False,
    after_attempt: int = 0,
) -> None:
    """Run a protocol file as a flow run in a process of its own.

    Args:
        settings: Where the stack is.
        words: The file, and what else ``flows.run`` takes.
        request: The flow's parameters.
        detach: Do not wait for the run's end.
        as_json_: Print JSON.
        after_attempt: The run's last attempt, when it is resumed.

    Raises:
        typer.Exit: with how it ended.
    """
    prepare(settings)  # Prefect warns when it cannot make a folder of its own in there
    process = subprocess.Popen(  # noqa: S603  # the user's own protocol
        [sys.executable, "-m", "flows.run", *words, *(["--json"] if as_json_ else [])],
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
            announce(run_id, as_json_=as_json_, resumed=after_attempt > 0)
            return
        status = asyncio.run(
            follow(
                settings,
                run_id,
                over=lambda: process.poll() is not None,
                quiet=as_json_,
                after_attempt=after_attempt,
            )
        )
    except KeyboardInterrupt:
        if run_id is None:
            process.terminate()
        else:
            say("Cancelling the run: the command in flight ends, and the devices are left safe.")
            process.send_signal(signal.SIGINT)
        process.wait()
        raise typer.Exit(ExitCode.LEFT) from None
    if process.wait() < 0:
        # No worker watches a run of one's own file: that a signal killed it is seen only here.
        with PrefectApi(settings) as api:
            api.set_state(run_id, "CRASHED", name="Crashed")
    if status is None:
        raise typer.Exit(ExitCode.FAILED)  # the process has said why
    _show_end(settings, run_id, status, as_json_=as_json_)


def _show_end(settings: PraxisSettings, run_id: UUID, status: RunStatus, *, as_json_: bool) -> None:
    asyncio.run(show_result(settings, run_id, as_json_=as_json_))
    if status is RunStatus.INTERRUPTED and asyncio.run(_as_asked(settings, run_id)):
        return
    raise typer.Exit(code_of_run(status))


async def _as_asked(settings: PraxisSettings, run_id: UUID) -> bool:
    """Whether a run stopped where somebody wanted it to."""
    async with journal(settings) as records:
        return await has_stopped_as_asked(records, run_id)


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


def announce(run_id: UUID, *, as_json_: bool, resumed: bool = False) -> None:
    """Say that a run has begun, or goes on."""
    if as_json_:
        print_json({"run_id": str(run_id)})
    else:
        done = "Resumed" if resumed else "Started"
        console.print(f"{done} run {run_id}. Look at it with: praxis run show {run_id}")
