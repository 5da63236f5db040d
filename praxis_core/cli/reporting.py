"""``praxis run report``: everything about a run in one HTML file."""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path
from typing import Annotated
from uuid import UUID

import typer
from rich.markup import escape

from praxis_core.cli.console import AsJson, console, print_json
from praxis_core.cli.opening import journal, run_id_of
from praxis_core.execution.report import report as written
from praxis_core.execution.report_material import gathered
from praxis_core.settings import PraxisSettings

STANDARD_OUTPUT = Path("-")


def report(
    run: Annotated[str, typer.Argument(help="Id of the run, or its first characters.")],
    *,
    output: Annotated[
        Path | None, typer.Option("--output", "-o", help="File to write; -: standard output.")
    ] = None,
    as_json_: AsJson = False,
) -> None:
    """Write one HTML file that tells all of a run; it opens in any browser, without a network."""
    settings = PraxisSettings()
    run_id = asyncio.run(run_id_of(settings, run))
    html = asyncio.run(_report(settings, run_id))
    if output == STANDARD_OUTPUT:
        sys.stdout.write(html)
        return
    file = output or Path(f"report-{str(run_id)[:8]}.html")
    file.write_text(html, encoding="utf-8")
    if as_json_:
        print_json({"file": str(file), "bytes": len(html.encode())})
        return
    console.print(escape(f"{file}: open it in any browser."))


async def _report(settings: PraxisSettings, run_id: UUID) -> str:
    async with journal(settings) as records:
        return written(await gathered(records, run_id))
