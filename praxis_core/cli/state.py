"""``praxis state``: the PraxisState of a run, live or archived."""

from __future__ import annotations

import asyncio
from typing import Annotated

import typer
from pydantic import JsonValue
from pydantic_core import to_jsonable_python
from rich.markup import escape

from praxis_core.cli.console import AsJson, console, print_json, table
from praxis_core.cli.opening import run_id_of
from praxis_core.settings import PraxisSettings
from praxis_core.state import PraxisState

CUT_AT = 200
"""Characters of a value that the table shows; --json shows all."""


def state(
    run: Annotated[str, typer.Argument(help="Id of the run, or its first characters.")],
    *,
    watch: Annotated[bool, typer.Option("--watch", help="Go on and print each change.")] = False,
    as_json_: AsJson = False,
) -> None:
    """Show what a run keeps in its PraxisState."""
    settings = PraxisSettings()
    run_id = asyncio.run(run_id_of(settings, run))
    opened = PraxisState.open(run_id, settings)
    content = {key: to_jsonable_python(value, fallback=repr) for key, value in opened.items()}
    if as_json_:
        print_json(content)
    else:
        rows = [(escape(key), escape(_short(value))) for key, value in content.items()]
        console.print(table(f"PraxisState of run {run_id}", ("key", "value"), rows))
    if watch:
        for change in opened.watch():
            print_json(to_jsonable_python(change))


def _short(value: JsonValue) -> str:
    text = str(value)
    return text if len(text) <= CUT_AT else text[:CUT_AT] + " ..."
