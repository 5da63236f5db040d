"""``praxis run data``: what a run measured, for other programs."""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path
from typing import Annotated
from uuid import UUID

import typer

from praxis_core.cli.console import print_json, say
from praxis_core.cli.opening import journal, run_id_of
from praxis_core.execution.measured import Row, as_csv, measured
from praxis_core.execution.timeliness import flags
from praxis_core.settings import PraxisSettings

STANDARD_OUTPUT = Path("-")


def data(
    run: Annotated[str, typer.Argument(help="Id of the run, or its first characters.")],
    *,
    output: Annotated[
        Path, typer.Option("--output", "-o", help="File to write; -: standard output.")
    ] = STANDARD_OUTPUT,
    as_json_: Annotated[bool, typer.Option("--json", help="JSON instead of CSV.")] = False,
) -> None:
    """Give a run's measurements as CSV, one row per number; docs/data.md tells the columns."""
    settings = PraxisSettings()
    run_id = asyncio.run(run_id_of(settings, run))
    rows = asyncio.run(_rows(settings, run_id))
    if as_json_:
        print_json([{**row} for row in rows])
        return
    text = as_csv(rows)
    if output == STANDARD_OUTPUT:
        sys.stdout.write(text)
        return
    output.write_text(text, encoding="utf-8", newline="")
    say(f"{output}: {len(rows)} measurements.")


async def _rows(settings: PraxisSettings, run_id: UUID) -> list[Row]:
    async with journal(settings) as records:
        run = await records.run(run_id)
        found = await records.measurements(run_id)
        commands = await records.commands(run_id)
        return measured(run, found, commands, flags(await records.events(run_id)))
