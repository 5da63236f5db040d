"""``praxis assets``: what is where, how much of it, how so; and what people put right."""

from __future__ import annotations

import asyncio
from typing import Annotated, Any
from uuid import UUID

import typer
from rich.markup import escape

from praxis_core.assets.catalogue import Catalogue, History
from praxis_core.assets.lineage import Asset, Place
from praxis_core.assets.state import AssetManagerState
from praxis_core.cli import checking, correcting, importing, refilling
from praxis_core.cli.catalogue import Name, On, ask, meet, part_of
from praxis_core.cli.console import AsJson, console, print_json, table
from praxis_core.cli.opening import run_id_of
from praxis_core.cli.result import as_json
from praxis_core.journal.record import Journal
from praxis_core.settings import PraxisSettings

app = typer.Typer(help="What is where, how much of it, and how so.", no_args_is_help=True)


@app.command(name="list")
def list_(
    *,
    workcell: Annotated[str | None, typer.Option("--workcell", "-w")] = None,
    kind: Annotated[str | None, typer.Option(help="plate, tip_rack, trough, ...")] = None,
    barcode: Annotated[str | None, typer.Option()] = None,
    lot: Annotated[str | None, typer.Option()] = None,
    shelf: Annotated[str | None, typer.Option(help="What is on it.")] = None,
    most: Annotated[int, typer.Option(help="How many, at most.", min=1)] = 100,
    as_json_: AsJson = False,
) -> None:
    """List what there is, and who has it."""

    async def read(catalogue: Catalogue, records: Journal) -> list[Any]:
        if workcell is not None:
            await meet(catalogue, records, workcell)
        return await catalogue.find(
            workcell=workcell, kind=kind, barcode=barcode, lot=lot, shelf=shelf, limit=most
        )

    found = ask(read)
    if as_json_:
        print_json([as_json(one) for one in found])
        return
    rows = [
        (
            escape(one.name or one.barcode or str(one.id)),
            one.kind,
            one.workcell or "",
            escape(_place_of(one)),
            "in use" if one.held_by else one.status,
            one.lot or "",
        )
        for one in found
    ]
    console.print(table("Assets", ("name", "kind", "workcell", "place", "status", "lot"), rows))
    if len(found) == most:
        console.print(f"Only the first {most}; more with --most.")


def _place_of(asset: Asset) -> str:
    return f"shelf {asset.shelf}" if asset.shelf else asset.place or ""


@app.command()
def show(name: Name, *, workcell: On = "star", as_json_: AsJson = False) -> None:
    """Show an asset: what it is, where, and what is in it."""

    async def read(catalogue: Catalogue, records: Journal) -> tuple[Any, AssetManagerState]:
        await meet(catalogue, records, workcell)
        return await catalogue.thing(workcell, name), await catalogue.contents(workcell, name)

    asset, inside = ask(read)
    if as_json_:
        contents = inside.model_dump(mode="json")
        print_json({"asset": as_json(asset), "contents": contents})
        return
    place = escape(_place_of(asset) or "nobody knows where")
    console.print(f"[bold]{escape(name)}[/bold], {asset.kind} on {place}: {asset.status}")
    if asset.held_by is not None:
        console.print(f"Run {asset.held_by} has it.")
    if inside.tip_spots:
        left = sum(there is True for there in inside.tip_spots.values())
        console.print(f"{left} of {len(inside.tip_spots)} tips")
    rows = [
        (part, f"{one.volume:g}", escape(one.unknown))
        for part, one in inside.containers.items()
        if one.volume or one.unknown
    ]
    if inside.containers:
        console.print(table("\nContents", ("", "µL", "unknown, since"), rows))


@app.command()
def where(name: Name, *, workcell: On = "star", as_json_: AsJson = False) -> None:
    """Tell where an asset is, and where it has been."""

    async def read(catalogue: Catalogue, records: Journal) -> tuple[tuple[str, ...], list[Any]]:
        await meet(catalogue, records, workcell)
        places = await catalogue.places(workcell, name)
        return await catalogue.where(workcell, name), places

    now, places = ask(read)
    if as_json_:
        print_json({"now": [*now], "places": [as_json(one) for one in places]})
        return
    console.print(f"{escape(name)} is on {escape(', on '.join(now) or 'nothing known')}")
    rows = [
        (
            f"{one.at:%Y-%m-%d %H:%M:%S}",
            escape(_told_place(one)),
            _doer(one.run_id, one.command, one.who, water=one.water),
            escape(one.why or ""),
        )
        for one in places
    ]
    console.print(table("\nPlaces", ("since", "on", "by", "why"), rows))


def _doer(run: UUID | None, command: int | None, who: str | None, *, water: bool) -> str:
    if run is None:
        return escape(who or "")
    return f"{'water ' if water else ''}run {run}" + (
        f", command {command}" if command is not None else ""
    )


@app.command()
def history(
    name: Annotated[str, typer.Argument(help="Its name, barcode or accession id.")],
    *,
    last: Annotated[int, typer.Option(help="How many changes, at most.", min=1)] = 30,
    workcell: On = "star",
    as_json_: AsJson = False,
) -> None:
    """Tell each change of an asset: of its place, contents and status, and who or what did it."""

    async def read(catalogue: Catalogue, records: Journal) -> History:
        await meet(catalogue, records, workcell)
        return await catalogue.history(workcell, name, last)

    found = ask(read)
    if as_json_:
        print_json(as_json(found))
        return
    rows = [
        (
            f"{one.at:%Y-%m-%d %H:%M:%S}",
            one.kind,
            escape(one.told),
            _doer(one.run_id, one.command, one.who, water=one.water)
            + (f" ({escape(one.did)})" if one.did else ""),
            escape(one.why or ""),
        )
        for one in found.events
    ]
    console.print(table(f"{escape(name)}, {found.asset.id}", ("at", "", "what", "by", "why"), rows))
    if len(found.events) == last:
        console.print(f"Only the last {last} changes; more with --last.")
    if found.before is not None:
        console.print(f"What was called so before it: praxis assets history {found.before}")


def _told_place(place: Place) -> str:
    on_shelf = f"shelf {place.shelf}" if place.shelf else None
    return place.unknown or place.parent or on_shelf or "in a gripper"


@app.command()
def lineage(
    name: Name,
    well: Annotated[str | None, typer.Argument(help="Of a plate: B3.")] = None,
    *,
    workcell: On = "star",
    as_json_: AsJson = False,
) -> None:
    """Tell what is in a well, and which fillings, lots and samples it came from."""

    async def read(catalogue: Catalogue, records: Journal) -> Any:
        await meet(catalogue, records, workcell)
        return await catalogue.lineage(workcell, await part_of(catalogue, workcell, name, well))

    found = ask(read)
    if as_json_:
        print_json(as_json(found))
        return
    console.print(
        escape(f"Nobody knows: {found.unknown}" if found.unknown else f"{found.volume:g} µL")
    )
    if found.water:
        console.print(f"{found.water:g} µL of it are water of water runs.")
    rows = [
        (
            f"{one.volume:g}",
            escape(one.part or one.source),
            escape(one.reagent or ""),
            escape(one.lot or ""),
            escape(str(one.sample or "")),
            f"{one.filled_at:%Y-%m-%d %H:%M} by {escape(one.by or '')}" if one.filled_at else "",
        )
        for one in found.origins
    ]
    columns = ("µL", "filled into", "reagent", "lot", "sample", "filled")
    console.print(table("\nFrom", columns, rows))


@app.command()
def touched(
    sample: Annotated[str, typer.Argument(help="Identity of the sample.")],
    *,
    as_json_: AsJson = False,
) -> None:
    """List the tips that touched a sample: had it in them, or were in it."""

    async def read(catalogue: Catalogue, _records: Journal) -> list[Any]:
        return await catalogue.tips_that_touched(sample=sample)

    found = ask(read)
    if as_json_:
        print_json([as_json(one) for one in found])
        return
    rows = [
        (escape(one.spot or "unknown"), str(one.run_id or ""), str(one.command or ""), str(one.at))
        for one in found
    ]
    console.print(table("Tips", ("tip of", "run", "first with command", "at"), rows))


@app.command()
def deck(
    run: Annotated[str, typer.Argument(help="Id of the run, or its first characters.")],
    command: Annotated[int, typer.Argument(min=1, help="The how-manieth of the run, from 1.")],
    *,
    as_json_: AsJson = False,
) -> None:
    """Tell what was where, and how much of it, after a command of a run."""
    run_id = asyncio.run(run_id_of(PraxisSettings(), run))

    async def read(catalogue: Catalogue, _records: Journal) -> AssetManagerState:
        return await catalogue.deck_after(run_id, command)

    state = ask(read)
    if as_json_:
        print_json(state.model_dump(mode="json"))
        return
    rows = [
        (name, f"{one.volume:g}", escape(one.unknown))
        for name, one in state.containers.items()
        if one.volume or one.unknown
    ]
    title = f"After command {command} of run {run_id}"
    console.print(table(title, ("container", "µL", "unknown, since"), rows))
    tips = [
        (rack, f"{sum(state.tip_spots[spot] is True for spot in of)} of {len(of)}")
        for rack, of in state.racks.items()
    ]
    console.print(table("\nTips", ("rack", "left"), tips))


for command in (
    correcting.replace,
    refilling.refill,
    correcting.tips,
    correcting.empty,
    correcting.volume,
    correcting.move,
    correcting.status,
    correcting.confirm,
    correcting.lab,
    checking.check,
):
    app.command()(command)
app.command(name="import")(importing.import_)
