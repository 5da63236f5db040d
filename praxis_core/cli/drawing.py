"""``praxis deck``: a picture of the deck, now or after any command of a run."""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated
from uuid import UUID

import typer
from rich.markup import escape

from praxis_core.assets.catalogue import Catalogue
from praxis_core.assets.description import describe
from praxis_core.cli.catalogue import meet
from praxis_core.cli.console import AsJson, console, print_json
from praxis_core.cli.opening import journal, run_id_of
from praxis_core.errors import RequestError
from praxis_core.journal.record import Journal
from praxis_core.settings import PraxisSettings

if TYPE_CHECKING:
    from praxis_core.assets.state import AssetManagerState
    from praxis_core.journal.records import CommandRecord

STANDARD_OUTPUT = Path("-")


def deck(
    name: Annotated[str | None, typer.Argument(help="The workcell; star.")] = None,
    *,
    run: Annotated[
        str | None, typer.Option(help="As it was during a run: its id, or the first characters.")
    ] = None,
    command: Annotated[
        int | None,
        typer.Option(min=1, help="After the how-manieth command of the run; the last one."),
    ] = None,
    output: Annotated[
        Path | None, typer.Option("--output", "-o", help="File to write; -: standard output.")
    ] = None,
    as_json_: AsJson = False,
) -> None:
    """Draw the deck as an SVG picture: what is where, and what is in it."""
    if command is not None and run is None:
        raise RequestError(what="--command needs --run: whose command it is")
    settings = PraxisSettings()
    run_id = None if run is None else asyncio.run(run_id_of(settings, run))
    svg, told = asyncio.run(_drawn(settings, name, run_id, command))
    file = output or Path("-".join(["deck", *told]).replace("/", "-") + ".svg")
    if file == STANDARD_OUTPUT:
        sys.stdout.write(svg)
        return
    file.write_text(svg, encoding="utf-8")
    if as_json_:
        print_json({"file": str(file), "bytes": len(svg.encode())})
        return
    console.print(escape(f"{file}: open it in any browser."))


async def _drawn(
    settings: PraxisSettings, name: str | None, run_id: UUID | None, command: int | None
) -> tuple[str, list[str]]:
    """Draw a deck.

    Returns:
        The picture, and words for the name of its file.
    """
    async with journal(settings) as records:
        catalogue = Catalogue(records.database)
        if run_id is None:
            workcell = name or "star"
            await meet(catalogue, records, workcell)
            svg = await _now(catalogue, records, workcell)
            return svg, [workcell]
        done = await records.recorded(run_id)
        run = await records.run(run_id)
        if name not in {None, run.workcell}:
            raise RequestError(what=f"run {run_id} is on workcell {run.workcell}, not {name}")
        number = command or len(done)
        if not 1 <= number <= len(done):
            raise RequestError(what=f"run {run_id} has {len(done)} commands, no {number}.")
        state = await catalogue.deck_after(run_id, number)
        stored = await records.workcell(run.workcell, run.workcell_version)
        svg = _after(stored.definition, done[:number], state, f"run {str(run_id)[:8]}")
        return svg, [str(run_id)[:8], str(number)]


async def _now(catalogue: Catalogue, records: Journal, workcell: str) -> str:
    from praxis_core.pictures.built import built
    from praxis_core.pictures.deck import deck_svg
    from praxis_core.workcell.definition import WorkcellDefinition

    stored = await records.workcell(workcell)
    found = built(WorkcellDefinition.model_validate(stored.definition))
    state = await catalogue.state(workcell)
    return deck_svg(found.deck, state, title=f"Deck of {workcell}", called=found.called)


def _after(
    definition: object, done: list[CommandRecord], state: AssetManagerState, run: str
) -> str:
    from praxis_core.pictures.built import built
    from praxis_core.pictures.command import concerned
    from praxis_core.pictures.deck import deck_svg
    from praxis_core.workcell.definition import WorkcellDefinition

    last = done[-1].command
    changes = [change for one in done for change in one.command.deck_changes]
    found = built(WorkcellDefinition.model_validate(definition), changes)
    return deck_svg(
        found.deck,
        state,
        highlight=concerned(last, state),
        title=f"After command {len(done)} of {run}: {describe(last)}",
        called=found.called,
    )
