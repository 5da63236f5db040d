"""``praxis db``: the history as a file, and the schema."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer
from rich.markup import escape

from praxis_core.cli.console import AsJson, console, print_json
from praxis_core.services import database
from praxis_core.settings import PraxisSettings

app = typer.Typer(help="Dump, restore and upgrade the database.", no_args_is_help=True)


@app.command()
def dump(
    file: Annotated[Path, typer.Argument(help="File to write; an old one is replaced.")],
    *,
    as_json_: AsJson = False,
) -> None:
    """Write all that Praxis keeps in the database to a file."""
    database.dump(PraxisSettings(), file)
    size = file.stat().st_size
    if as_json_:
        print_json({"file": str(file), "bytes": size})
    else:
        console.print(f"Written: {escape(str(file))} ({size} bytes)")


@app.command()
def restore(
    file: Annotated[Path, typer.Argument(help="A file written by: praxis db dump")],
    *,
    replace: Annotated[
        bool, typer.Option("--replace", help="Delete what the database holds now.")
    ] = False,
    as_json_: AsJson = False,
) -> None:
    """Read a dump into the database and bring it to this version; all of it or nothing."""
    settings = PraxisSettings()
    database.restore(settings, file, replace=replace)
    revision = database.upgrade(settings)
    if as_json_:
        print_json({"schema": revision})
    else:
        console.print(
            f"Restored; the schema is at {revision}. Register the library with: praxis up"
        )


@app.command()
def upgrade(*, as_json_: AsJson = False) -> None:
    """Bring the schema to this version; praxis up does this, too."""
    revision = database.upgrade(PraxisSettings())
    if as_json_:
        print_json({"schema": revision})
    else:
        console.print(f"The schema is at {revision}")
