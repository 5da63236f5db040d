"""The command line: ``praxis``. Each module of this package holds one group of commands."""

from __future__ import annotations

import sys
from typing import NoReturn

import typer

from praxis_core.cli import (
    assets,
    calibration,
    database,
    demo,
    devices,
    drawing,
    notifying,
    planning,
    protocols,
    runs,
    stack,
    state,
    why,
    workcells,
)
from praxis_core.errors import PraxisError, ServiceNotRunning, ServiceUnreachable
from praxis_core.execution.exit_codes import ExitCode, code_of_error, told
from praxis_core.settings import PraxisSettings

app = typer.Typer(
    name="praxis",
    help="Laboratory protocols on PyLabRobot devices, run by Prefect.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)
app.command()(stack.up)
app.command()(stack.down)
app.command()(stack.status)
app.command(name="exec", context_settings={"ignore_unknown_options": True})(stack.exec_)
app.command()(demo.demo)
app.command()(planning.plan)
app.add_typer(runs.app, name="run")
app.add_typer(protocols.app, name="protocols")
app.add_typer(workcells.app, name="workcell")
app.add_typer(devices.app, name="device")
app.add_typer(assets.app, name="assets")
app.add_typer(calibration.app, name="calibration")
app.command()(drawing.deck)
app.command()(why.why)
app.command()(state.state)
app.add_typer(database.app, name="db")
app.command()(notifying.notify)


def main() -> None:
    """Run a command; an error of Praxis is one message without a trace, and an exit code."""
    try:
        app()
    except ServiceUnreachable as error:
        _end(error, str(_embedded(error) or error))
    except PraxisError as error:
        _end(error, str(error))
    except OSError as error:
        # Disk full, no permission, a folder for a file: nothing of Praxis is broken.
        _end(error, f"{error.filename or 'The system'}: {error.strerror or error}")


def _end(error: PraxisError | OSError, words: str) -> NoReturn:
    sys.stderr.write(told(error, words, as_json="--json" in sys.argv))
    sys.exit(code_of_error(error) if isinstance(error, PraxisError) else ExitCode.FAILED)


def _embedded(error: ServiceUnreachable) -> ServiceNotRunning | None:
    """Say of an embedded service how to start it; nobody has set its address."""
    addresses = PraxisSettings().addresses()
    embedded = {
        "PRAXIS_DATABASE_URL": addresses.embedded_database,
        "PRAXIS_REDIS_URL": addresses.embedded_redis,
    }
    details = error.details
    if not embedded.get(str(details["setting"])):
        return None
    what = str(details["what"]).rstrip(".?")
    return ServiceNotRunning(service=details["service"], address=details["address"], what=what)
