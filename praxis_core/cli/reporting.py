"""``praxis run report``: everything about a run in one HTML file."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Annotated
from uuid import UUID

import typer
from rich.markup import escape

from praxis_core.assets.catalogue import Catalogue
from praxis_core.cli.console import AsJson, console, print_json
from praxis_core.cli.opening import journal, run_id_of
from praxis_core.errors import RunNotFound
from praxis_core.execution.report import MOST_BYTES_OF_FILM, Reported
from praxis_core.execution.report import report as written
from praxis_core.journal.questions import Questions
from praxis_core.journal.record import Journal
from praxis_core.journal.records import CommandRecord, RunRecord
from praxis_core.pictures.film import Film
from praxis_core.protocol.command import DeckChange
from praxis_core.settings import PraxisSettings

STANDARD_OUTPUT = Path("-")
MOST_PICTURES = 5000


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
        run = await records.run(run_id)
        commands = await records.commands(run_id)
        told = Reported(
            run=run,
            protocol=await records.protocol_version(run.protocol_id),
            attempts=await records.attempts(run_id),
            steps=await records.steps(run_id),
            commands=commands,
            measurements=await records.measurements(run_id),
            events=await records.events(run_id),
            doubts=await records.doubts(run_id),
            questions=await Questions(records.database).of_run(run_id),
            film=await _film(records, run, [one for one in commands if not one.tail]),
            versions={"Praxis": version("prefect-praxis"), "PyLabRobot": version("pylabrobot")},
            at=datetime.now(UTC),
        )
    return written(told)


async def _film(records: Journal, run: RunRecord, done: Sequence[CommandRecord]) -> Film | None:
    film = Film()
    try:
        async with aclosing(_pictures(records, run, done[:MOST_PICTURES])) as pictures:
            async for one in pictures:
                film.add(one)
                if film.bytes_ > MOST_BYTES_OF_FILM:
                    break
    except RunNotFound:
        return None  # it never started
    return film


async def _pictures(
    records: Journal, run: RunRecord, done: Sequence[CommandRecord]
) -> AsyncGenerator[str]:
    """Draw the deck before the first command, and after each."""
    from praxis_core.pictures.built import built
    from praxis_core.pictures.command import concerned
    from praxis_core.pictures.deck import deck_svg
    from praxis_core.workcell.definition import WorkcellDefinition

    stored = await records.workcell(run.workcell, run.workcell_version)
    definition = WorkcellDefinition.model_validate(stored.definition)
    found, at, changes = built(definition), 0, list[DeckChange]()
    numbers = [one.number for one in done]
    async for state in Catalogue(records.database).decks(run.run_id, numbers):
        last = done[at - 1].command if at else None
        if last is not None:
            changes += last.deck_changes
            if any(one.definition is not None for one in last.deck_changes):
                found = built(definition, changes)  # something is there that was not
        highlight = [] if last is None else concerned(last, state)
        yield deck_svg(found.deck, state, highlight=highlight, called=found.called)
        at += 1
