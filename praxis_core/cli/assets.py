"""``praxis assets``: what is where, how much of it, how so; and what people put right."""

from __future__ import annotations

import asyncio
import getpass
import re
from collections.abc import Awaitable, Callable, Collection, Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, TypeVar
from uuid import UUID

import typer
from rich.markup import escape

from praxis_core.assets.catalogue import Catalogue, History
from praxis_core.assets.corrections import FIXED, Filling, spots, unknown
from praxis_core.assets.entries import By
from praxis_core.assets.imports import SetUp, refuse
from praxis_core.assets.lineage import Asset, Place
from praxis_core.assets.shelves import Bringing
from praxis_core.assets.state import AssetManagerState
from praxis_core.assets.units import read_solute, read_volume
from praxis_core.cli.console import console, print_json, say, table
from praxis_core.cli.opening import journal, run_id_of
from praxis_core.cli.result import as_json
from praxis_core.errors import DeviceLinkLost, PlaceUnknown, Problem, RequestError
from praxis_core.journal.asset_tables import AssetStatus
from praxis_core.journal.record import Journal
from praxis_core.settings import PraxisSettings

if TYPE_CHECKING:
    from praxis_core.workcell.definition import WorkcellDefinition
    from praxis_core.workcell.model import WorkcellModel

app = typer.Typer(help="What is where, how much of it, and how so.", no_args_is_help=True)

AsJson = Annotated[bool, typer.Option("--json", help="Print JSON for scripts.")]
Name = Annotated[str, typer.Argument(help="Name of the asset on its workcell.")]
On = Annotated[str, typer.Option("--workcell", "-w", help="The workcell.")]
Who = Annotated[str | None, typer.Option("--by", help="Who says so; else your login name.")]
Why = Annotated[str, typer.Option("--why", help="Why; it is written down.")]

_Answer = TypeVar("_Answer")
_ALL = 100_000
_PART = re.compile(r"(?P<name>[^\[\]]+)\[(?P<well>[A-Za-z]+[0-9]+)\]")


def _ask(question: Callable[[Catalogue, Journal], Awaitable[_Answer]]) -> _Answer:
    async def asked() -> _Answer:
        async with journal(PraxisSettings()) as records:
            return await question(Catalogue(records.database), records)

    return asyncio.run(asked())


async def _model(catalogue: Catalogue, records: Journal, workcell: str) -> WorkcellModel:
    """Build a workcell, and take it up if the catalogue knows nothing of it yet."""
    from praxis_core.workcell.definition import WorkcellDefinition
    from praxis_core.workcell.initial_state import initial_assets
    from praxis_core.workcell.model import build, simulated_backend
    from praxis_core.workcell.stock import descriptions

    stored = await records.workcell(workcell)
    model = build(WorkcellDefinition.model_validate(stored.definition), simulated_backend)
    if not await catalogue.ids(workcell):
        by = By("definition", f"version {stored.version}")
        await catalogue.register(workcell, initial_assets(model), descriptions(model), by)
    return model


async def _meet(catalogue: Catalogue, records: Journal, workcell: str) -> None:
    """Take a workcell up if the catalogue knows nothing of it yet."""
    if not await catalogue.ids(workcell):
        await _model(catalogue, records, workcell)


# --- questions ------------------------------------------------------------------------------------


@app.command(name="list")
def list_(
    *,
    workcell: Annotated[str | None, typer.Option("--workcell", "-w")] = None,
    kind: Annotated[str | None, typer.Option(help="plate, tip_rack, trough, ...")] = None,
    barcode: Annotated[str | None, typer.Option()] = None,
    lot: Annotated[str | None, typer.Option()] = None,
    as_json_: AsJson = False,
) -> None:
    """List what there is, and who has it."""

    async def read(catalogue: Catalogue, records: Journal) -> list[Any]:
        if workcell is not None:
            await _meet(catalogue, records, workcell)
        return await catalogue.find(workcell=workcell, kind=kind, barcode=barcode, lot=lot)

    found = _ask(read)
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


def _place_of(asset: Asset) -> str:
    return f"shelf {asset.shelf}" if asset.shelf else asset.place or ""


@app.command()
def show(name: Name, *, workcell: On = "star", as_json_: AsJson = False) -> None:
    """Show an asset: what it is, where, and what is in it."""

    async def read(catalogue: Catalogue, records: Journal) -> tuple[Any, AssetManagerState]:
        await _meet(catalogue, records, workcell)
        return await catalogue.asset(workcell, name), await catalogue.contents(workcell, name)

    asset, inside = _ask(read)
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
        await _meet(catalogue, records, workcell)
        places = await catalogue.places(workcell, name)
        return await catalogue.where(workcell, name), places

    now, places = _ask(read)
    if as_json_:
        print_json({"now": [*now], "places": [as_json(one) for one in places]})
        return
    console.print(f"{escape(name)} is on {escape(', on '.join(now) or 'nothing known')}")
    rows = [
        (
            f"{one.at:%Y-%m-%d %H:%M:%S}",
            escape(_told_place(one)),
            _doer(one.run_id, one.command, one.who),
            escape(one.why or ""),
        )
        for one in places
    ]
    console.print(table("\nPlaces", ("since", "on", "by", "why"), rows))


def _doer(run: UUID | None, command: int | None, who: str | None) -> str:
    if run is None:
        return escape(who or "")
    return f"run {run}" + (f", command {command}" if command is not None else "")


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
        await _meet(catalogue, records, workcell)
        return await catalogue.history(workcell, name, last)

    found = _ask(read)
    if as_json_:
        print_json(as_json(found))
        return
    rows = [
        (
            f"{one.at:%Y-%m-%d %H:%M:%S}",
            one.kind,
            escape(one.told),
            _doer(one.run_id, one.command, one.who) + (f" ({escape(one.did)})" if one.did else ""),
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
        await _meet(catalogue, records, workcell)
        return await catalogue.lineage(workcell, await _part(catalogue, workcell, name, well))

    found = _ask(read)
    if as_json_:
        print_json(as_json(found))
        return
    console.print(
        escape(f"Nobody knows: {found.unknown}" if found.unknown else f"{found.volume:g} µL")
    )
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

    found = _ask(read)
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

    async def read(catalogue: Catalogue, records: Journal) -> AssetManagerState:
        commands = await records.recorded(run_id)
        if command > len(commands):
            raise RequestError(what=f"run {run_id} has {len(commands)} commands, not {command}")
        return await catalogue.deck_at(run_id, commands[command - 1].number)

    state = _ask(read)
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


async def _part(catalogue: Catalogue, workcell: str, name: str, well: str | None) -> str:
    """Name the container that people mean by ``plate_01 B3``, ``plate_01[B3]`` or ``trough``.

    Raises:
        AssetUnknown: there is no such asset, or it has no such well.
        RequestError: it has several, and nobody said which.
    """
    match = _PART.fullmatch(name)
    if match is not None:
        name, well = match["name"], match["well"]
    containers = [*(await catalogue.contents(workcell, name)).containers]
    if well is not None:
        found = spots(containers, well.upper())
        return found[0]
    if not containers:
        raise RequestError(what=f"{name} of workcell {workcell} holds no liquid")
    if len(containers) > 1:
        raise RequestError(what=f"{name} has {len(containers)} wells; say which: {name}[B3]")
    return containers[0]


# --- corrections ----------------------------------------------------------------------------------


@app.command()
def replace(  # what a person may say
    name: Name,
    *,
    lot: Annotated[str | None, typer.Option(help="Lot of the new one.")] = None,
    barcode: Annotated[str | None, typer.Option(help="Barcode of the new one.")] = None,
    workcell: On = "star",
    by: Who = None,
    why: Why = "replaced by hand",
    as_json_: AsJson = False,
) -> None:
    """Say that a new, full rack or a new, empty plate stands in the place of one."""
    from praxis_core.assets.inventory import Description

    async def correct(catalogue: Catalogue, who: By, _model: WorkcellModel) -> list[str]:
        old = await catalogue.asset(workcell, name)
        thing = None
        if lot is not None or barcode is not None:
            thing = Description(
                old.kind, old.factory, barcode=barcode, reagent=old.reagent, lot=lot
            )
        await catalogue.replace(workcell, name, who, thing)
        return [name]

    _correct(
        workcell, _by(by, why), correct, f"{name} is a new one", fresh=[name], as_json_=as_json_
    )


@app.command()
def tips(  # what a person may say
    name: Name,
    *,
    used: Annotated[
        str | None, typer.Option(help='Spots without a tip: A1:H6, "A1,B2", all or none.')
    ] = None,
    fresh: Annotated[bool, typer.Option("--fresh", help="All are there, and never used.")] = False,
    workcell: On = "star",
    by: Who = None,
    why: Why = "counted",
    as_json_: AsJson = False,
) -> None:
    """Say which tips of a rack are gone, all others are there; or that all are fresh."""
    if fresh == (used is not None):
        raise RequestError(what="say --used A1:H6, or --fresh")

    async def correct(catalogue: Catalogue, who: By, _model: WorkcellModel) -> list[str]:
        if used is None:
            await catalogue.fresh_tips(workcell, name, who)
        else:
            await catalogue.set_tips(workcell, name, used, who)
        return [name]

    told = f"{name} has fresh tips" if used is None else f"{name} has no tips in {used}"
    others = [name] if fresh else []
    _correct(workcell, _by(by, why), correct, told, fresh=others, as_json_=as_json_)


@app.command()
def volume(  # what a person may say
    name: Annotated[str, typer.Argument(help="A trough or tube, or a well: plate_01[B3].")],
    *,
    to: Annotated[str, typer.Option("--set", help="What is in it: 40mL, 350uL.")],
    reagent: Annotated[str | None, typer.Option(help="What it is.")] = None,
    lot: Annotated[str | None, typer.Option(help="Its lot.")] = None,
    solute: Annotated[
        list[str] | None, typer.Option(help="What is dissolved in it: dye=50uM; may be repeated.")
    ] = None,
    workcell: On = "star",
    by: Who = None,
    why: Why = "measured",
    as_json_: AsJson = False,
) -> None:
    """Say how much is in a container now, and what is dissolved in it; else nothing is."""
    microlitres = read_volume(to)
    # µM times µL is pmol.
    amounts = {of: micromolar * microlitres for of, micromolar in map(read_solute, solute or ())}

    async def correct(catalogue: Catalogue, who: By, _model: WorkcellModel) -> list[str]:
        part = await _part(catalogue, workcell, name, None)
        most = (await catalogue.state(workcell)).containers[part].max_volume
        if most is not None and microlitres > most:
            raise RequestError(what=f"{part} holds {most:g} µL at most, not {microlitres:g} µL")
        filling = Filling(microlitres, amounts, reagent=reagent, lot=lot)
        changes = await catalogue.set_volume(workcell, part, filling, who)
        return [*changes.assets]

    told = f"{name} holds {microlitres:g} µL"
    _correct(workcell, _by(by, why), correct, told, as_json_=as_json_)


@app.command()
def move(  # what a person may say
    name: Annotated[str, typer.Argument(help="Its name; of a thing on a shelf also its barcode.")],
    place: Annotated[
        str,
        typer.Argument(help='"carrier 1, site 2", "carrier_plates[1]", reader; "shelf freezer 2"'),
    ],
    *,
    as_: Annotated[
        str | None, typer.Option("--as", help="What a thing from a shelf is called there.")
    ] = None,
    workcell: On = "star",
    by: Who = None,
    why: Why = "moved by hand",
    as_json_: AsJson = False,
) -> None:
    """Say where an asset is now: on the workcell, or on a shelf."""

    async def correct(catalogue: Catalogue, who: By, model: WorkcellModel) -> list[str]:
        shelf = _shelf(model, place)
        if name in await catalogue.ids(workcell):
            if shelf:
                await catalogue.shelve(workcell, name, shelf, who)
            else:
                await catalogue.move(workcell, name, _resource_at(model, place), who)
            return [name]
        thing = await _from_a_shelf(catalogue, workcell, name)
        if shelf:
            raise RequestError(what=f"{name} is on shelf {thing.shelf}, and on no workcell")
        what = await _bringing(catalogue, model, thing, _resource_at(model, place), as_)
        await catalogue.bring(workcell, what, who)
        return [what.name]

    _correct(workcell, _by(by, why), correct, f"{name} is on {place}", as_json_=as_json_)


def _shelf(model: WorkcellModel, place: str) -> str:
    """Read ``"shelf freezer 2"``; empty: it is a place of the workcell."""
    word, _, shelf = place.strip().partition(" ")
    return "" if word != "shelf" or place in model.places else shelf.strip()


async def _from_a_shelf(catalogue: Catalogue, workcell: str, called: str) -> Asset:
    found = await catalogue.on_shelves(called)
    if not found:
        raise unknown(called, await catalogue.ids(workcell))
    if len(found) > 1:
        listed = ", ".join(f"{str(one.id)[:8]} on {one.shelf}" for one in found)
        raise RequestError(what=f"several things are called {called}; say which: {listed}")
    return found[0]


async def _bringing(
    catalogue: Catalogue, model: WorkcellModel, thing: Asset, place: str, named: str | None
) -> Bringing:
    """Say what a thing from a shelf becomes on the workcell."""
    from praxis_core.workcell.stock import as_new, descriptions

    workcell, things = model.definition.name, descriptions(model)
    here = {str(one.name): one for one in await catalogue.find(workcell=workcell, limit=_ALL)}
    alike = [
        name
        for name, one in things.items()
        if one.kind == thing.kind and thing.factory in {None, one.factory}
    ]
    free = [name for name in alike if name not in here or here[name].shelf]
    name = named or thing.name or (free[0] if len(free) == 1 else None)
    what = f"a {thing.kind}" + (f" ({thing.factory})" if thing.factory else "")
    if name is None:
        known = ", ".join(free or alike) or "none"
        raise RequestError(
            what=f"which one of workcell {workcell} shall it be? Say --as NAME. Those that are "
            f"{what}: {known}" + ("" if free else ", and all of them are on it")
        )
    if name not in alike:
        raise RequestError(
            what=f"the definition of workcell {workcell} has no {name} that is {what}; it has: "
            + (", ".join(alike) or "none")
        )
    return Bringing(thing.id, name, place, as_new(model, name))


@app.command()
def status(  # what a person may say
    name: Name,
    to: Annotated[AssetStatus, typer.Argument(help="What may be done with it.")],
    *,
    workcell: On = "star",
    by: Who = None,
    why: Why = "",
    as_json_: AsJson = False,
) -> None:
    """Say what may be done with an asset; what is discarded does not come back."""

    async def correct(catalogue: Catalogue, who: By, _model: WorkcellModel) -> list[str]:
        await catalogue.set_status(workcell, name, to, who)
        return []

    _correct(workcell, _by(by, why), correct, f"{name} is {to.value}", as_json_=as_json_)


@app.command()
def confirm(
    name: Name, *, workcell: On = "star", by: Who = None, why: Why = "", as_json_: AsJson = False
) -> None:
    """Write down that somebody looked, and an asset is as it is known."""

    async def correct(catalogue: Catalogue, who: By, _model: WorkcellModel) -> list[str]:
        await catalogue.confirm(workcell, name, who)
        return []

    _correct(workcell, _by(by, why), correct, f"{name} is as it is known", as_json_=as_json_)


@app.command(name="import")
def import_(
    file: Annotated[
        Path, typer.Argument(help="CSV of what is on shelves, or the YAML of a workcell.")
    ],
    *,
    by: Who = None,
    why: Why = "",
    as_json_: AsJson = False,
) -> None:
    """Take in what stands on shelves, or what a workcell was set up with; all of it or nothing."""
    text = _text_of(file)
    if file.suffix.lower() in {".yaml", ".yml"}:
        _set_up(file, text, By(_by(by, "").who, why or f"as in {file.name}"), as_json_=as_json_)
        return

    async def take(catalogue: Catalogue, _records: Journal) -> list[str]:
        return await catalogue.take_in(file.name, text, _by(by, why))

    barcodes = _ask(take)
    if as_json_:
        print_json([*barcodes])
    else:
        console.print(f"{len(barcodes)} assets of {escape(file.name)} were taken in.")


def _text_of(file: Path) -> str:
    try:
        return file.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        what = getattr(error, "strerror", None) or error
        raise RequestError(what=f"{file} cannot be read: {what}") from error


def _set_up(file: Path, text: str, who: By, *, as_json_: bool) -> None:
    """Let a workcell hold what its file says."""
    from praxis_core.workcell.definition import load_definition
    from praxis_core.workcell.initial_state import initial_assets
    from praxis_core.workcell.model import build, simulated_backend
    from praxis_core.workcell.stock import descriptions
    from praxis_core.workcell.yaml_lines import read_yaml

    wanted = load_definition(file)
    document = read_yaml(text)
    lines = {
        labware.name: document.line(("labware", number))
        for number, labware in enumerate(wanted.labware)
    }

    async def take(catalogue: Catalogue, records: Journal) -> tuple[list[str], bool | None]:
        model = await _model(catalogue, records, wanted.name)
        refuse(file.name, [*_other_labware(file.name, model, wanted, lines)])
        held = initial_assets(build(wanted, simulated_backend))
        movable = {
            name: lines[name]
            for name, thing in descriptions(model).items()
            if name in lines and thing.kind not in FIXED
        }
        what = SetUp(file.name, held, descriptions(model), movable)
        changed = await catalogue.set_up(wanted.name, what, who)
        if model.definition.mode != "simulated":
            return changed, None
        known = await catalogue.state(wanted.name)
        return changed, _in_the_lab(model, known, [*movable], [*movable])

    changed, done = _ask(take)
    if as_json_:
        print_json({"changed": [*changed], "in_the_lab": done})
        return
    listed = ", ".join(changed) or "nothing was otherwise"
    console.print(escape(f"{wanted.name} holds what {file.name} says. Changed: {listed}."))
    _say_not_in_the_lab(wanted.name, done)


def _other_labware(
    source: str, model: WorkcellModel, wanted: WorkcellDefinition, lines: Mapping[str, int]
) -> Iterator[Problem]:
    """Say what a file names that the workcell, as it is stored, does not have."""
    stored = {labware.name: labware for labware in model.definition.labware}
    for labware in wanted.labware:
        where = f"{source}:{lines[labware.name]}"
        mend = "store the definition first: praxis workcell add FILE.yaml"
        if labware.name not in stored:
            what = f"workcell {wanted.name} has no labware called {labware.name}"
            yield Problem(where, what, mend)
        elif stored[labware.name].factory != labware.factory:
            is_ = stored[labware.name].factory
            yield Problem(where, f"{labware.name} is {is_} there, not {labware.factory}", mend)


def _by(name: str | None, why: str) -> By:
    return By(name or getpass.getuser(), why)


def _resource_at(model: WorkcellModel, place: str) -> str:
    """Name the resource that people mean by a place."""
    from praxis_core.workcell.positions import NoSuchPositionError, parse_position, place_of

    if place in model.places:
        return str(model.places[place].name)
    things = {one.name: one for one in model.resources}
    try:
        return str(place_of(parse_position(place), things).name)
    except NoSuchPositionError:
        known = ", ".join(repr(one) for one in model.places)
        workcell = model.definition.name
        raise PlaceUnknown(place=place, workcell=workcell, known=known) from None


def _correct(  # what all corrections have in common
    workcell: str,
    who: By,
    correction: Callable[[Catalogue, By, WorkcellModel], Awaitable[list[str]]],
    told: str,
    *,
    fresh: Collection[str] = (),
    as_json_: bool,
) -> None:
    """Put something right in the catalogue, then by hand in the pretend lab."""

    async def correct(catalogue: Catalogue, records: Journal) -> bool | None:
        model = await _model(catalogue, records, workcell)
        names = await correction(catalogue, who, model)
        if model.definition.mode != "simulated" or not names:
            return None
        return _in_the_lab(model, await catalogue.state(workcell), names, fresh)

    done = _ask(correct)
    if as_json_:
        print_json({"done": told, "by": who.who, "why": who.why, "in_the_lab": done})
        return
    console.print(escape(f"{told}. Written down: {who.who}, {who.why or 'without a reason'}."))
    _say_not_in_the_lab(workcell, done)


def _say_not_in_the_lab(workcell: str, done: bool | None) -> None:
    if done is False:
        say(
            f"The pretend lab of {workcell} does not run, so nothing was moved in it. When it "
            f"does: praxis assets lab {workcell}"
        )


def _in_the_lab(
    model: WorkcellModel,
    known: AssetManagerState,
    names: Collection[str],
    fresh: Collection[str] = (),
) -> bool:
    from praxis_core.simulator.hands import put_right
    from praxis_core.simulator.lab_control import LabControl

    try:
        control = LabControl(PraxisSettings().lab_socket(model.definition.name))
    except DeviceLinkLost:
        return False
    with control:
        put_right(control, model, known, names, fresh)
    return True


@app.command()
def lab(
    workcell: Annotated[str, typer.Argument(help="A simulated workcell.")],
    *,
    as_json_: AsJson = False,
) -> None:
    """Put the pretend lab right by hand: all that no run has becomes as it is known."""

    async def bring(catalogue: Catalogue, records: Journal) -> list[str]:
        model = await _model(catalogue, records, workcell)
        if model.definition.mode != "simulated":
            raise RequestError(what=f"workcell {workcell} is real; put it right yourself")
        held = {claim.asset for claim in await records.claims(workcell)}
        known = await catalogue.find(workcell=workcell, limit=_ALL)
        movable = {str(one.name) for one in known if one.kind not in FIXED}
        free = sorted(movable - held)
        if not _in_the_lab(model, await catalogue.state(workcell), free):
            raise RequestError(what=f"the pretend lab of {workcell} does not run; start: praxis up")
        return free

    names = _ask(bring)
    if as_json_:
        print_json([*names])
    else:
        console.print(
            f"{len(names)} assets of the pretend lab of {workcell} are as they are known."
        )
