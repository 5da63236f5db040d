"""The command line: ``praxis``. Each module of this package holds one group of commands."""

from __future__ import annotations

import sys

import typer

from praxis_core.cli import database, demo, protocols, runs, stack, state, workcells
from praxis_core.errors import PraxisError

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
app.command()(demo.demo)
app.add_typer(runs.app, name="run")
app.add_typer(protocols.app, name="protocols")
app.add_typer(workcells.app, name="workcell")
app.command()(state.state)
app.add_typer(database.app, name="db")


def main() -> None:
    """Run a command; an error of Praxis is one message without a trace, and exit code 1."""
    try:
        app()
    except PraxisError as error:
        sys.stderr.write(f"Error: {error}\n")
        sys.exit(1)
