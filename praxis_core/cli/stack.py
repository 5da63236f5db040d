"""``praxis up``, ``down`` and ``status``: the services."""

from __future__ import annotations

import os
from collections.abc import Sequence
from datetime import timedelta
from typing import Annotated

import typer
from rich.markup import escape

from praxis_core.cli.console import AsJson, console, print_json, say, table
from praxis_core.errors import RequestError
from praxis_core.execution.exit_codes import ExitCode
from praxis_core.services import stack
from praxis_core.services.environment import environment
from praxis_core.settings import PraxisSettings

COLUMNS = ("service", "state", "address", "pid", "uptime", "health")


def up(
    *,
    skip_missed: Annotated[
        bool, typer.Option("--skip-missed", help="Leave out runs that nobody began at their time.")
    ] = False,
    as_json_: AsJson = False,
) -> None:
    """Start the services, and bring database, deployments and library up to date."""
    settings = PraxisSettings()
    services = stack.up(settings, say=say if as_json_ else _say, skip_missed=skip_missed)
    if as_json_:
        print_json([service.as_json() for service in services])
        return
    _show(services)
    page = f"   Workcells: {settings.page_url}" if settings.page_port else ""
    prefect = settings.addresses().prefect_ui_url
    console.print(f"\nPrefect: {prefect}{page}   Stop with: praxis down")


def down(*, as_json_: AsJson = False) -> None:
    """Stop the services; the data stays."""
    settings = PraxisSettings()
    stack.down(settings, say=say if as_json_ else _say)
    if as_json_:
        print_json([service.as_json() for service in stack.status(settings)])


def status(*, as_json_: AsJson = False) -> None:
    """Show each service: address, process, uptime, health. Exit code 5 when one is not healthy."""
    services = stack.status(PraxisSettings())
    if as_json_:
        print_json([service.as_json() for service in services])
    else:
        _show(services)
    if not all(service.healthy for service in services):
        raise typer.Exit(ExitCode.AWAY)


def exec_(
    words: Annotated[
        list[str], typer.Argument(metavar="COMMAND...", help="e.g. prefect deploy --all")
    ],
) -> None:
    """Run a command that finds this stack, e.g.: praxis exec python my_flow.py."""
    try:
        os.execvpe(words[0], words, environment(PraxisSettings()))  # noqa: S606  # what the user wrote
    except OSError as error:
        raise RequestError(what=f"{words[0]} cannot be run: {error.strerror}") from error


def _say(message: str) -> None:
    console.print(escape(message))


def _show(services: Sequence[stack.ServiceStatus]) -> None:
    rows = [
        (
            service.service,
            service.state,
            escape(service.address),
            "" if service.pid is None else str(service.pid),
            _duration(service.uptime_seconds),
            "healthy" if service.healthy else escape(service.problem or "not running"),
        )
        for service in services
    ]
    console.print(table("Services", COLUMNS, rows))


def _duration(seconds: float | None) -> str:
    return "" if seconds is None else str(timedelta(seconds=round(seconds)))
