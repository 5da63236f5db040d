"""``praxis assets``: what people put right, one line each, with who and why."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from praxis_core.assets.catalogue import Catalogue
from praxis_core.assets.corrections import FIXED, Filling
from praxis_core.assets.entries import By
from praxis_core.assets.lineage import Asset
from praxis_core.assets.shelves import Bringing
from praxis_core.assets.units import read_solute, read_volume
from praxis_core.cli.console import AsJson, console, print_json
from praxis_core.errors import RequestError
from praxis_core.journal.asset_tables import AssetStatus
from praxis_core.journal.record import Journal

if TYPE_CHECKING:
    from praxis_core.workcell.model import WorkcellModel

from praxis_core.cli.catalogue import (
    ALL,
    Name,
    On,
    Who,
    Why,
    ask,
    by_whom,
    in_the_lab,
    model_of,
    part_of,
    put_right,
    resource_at,
)


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

    put_right(
        workcell, by_whom(by, why), correct, f"{name} is a new one", fresh=[name], as_json_=as_json_
    )


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
    put_right(workcell, by_whom(by, why), correct, told, fresh=others, as_json_=as_json_)


def empty(
    name: Annotated[str, typer.Argument(help="Name of a device with channels.")],
    *,
    workcell: On = "star",
    by: Who = None,
    why: Why = "taken off by hand",
    as_json_: AsJson = False,
) -> None:
    """Say that a device carries no tips: somebody took them off and threw them away."""

    async def correct(catalogue: Catalogue, who: By, _model: WorkcellModel) -> list[str]:
        await catalogue.empty_heads(workcell, name, who)
        return [name]

    told = f"{name} carries no tips"
    put_right(workcell, by_whom(by, why), correct, told, as_json_=as_json_)


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
        part = await part_of(catalogue, workcell, name, None)
        most = (await catalogue.state(workcell)).containers[part].max_volume
        if most is not None and microlitres > most:
            raise RequestError(what=f"{part} holds {most:g} µL at most, not {microlitres:g} µL")
        filling = Filling(microlitres, amounts, reagent=reagent, lot=lot)
        changes = await catalogue.set_volume(workcell, part, filling, who)
        return [*changes.assets]

    told = f"{name} holds {microlitres:g} µL"
    put_right(workcell, by_whom(by, why), correct, told, as_json_=as_json_)


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
                await catalogue.move(workcell, name, resource_at(model, place), who)
            return [name]
        thing = await catalogue.on_shelf(workcell, name)
        if shelf:
            raise RequestError(what=f"{name} is on shelf {thing.shelf}, and on no workcell")
        what = await _bringing(catalogue, model, thing, resource_at(model, place), as_)
        await catalogue.bring(workcell, what, who)
        return [what.name]

    put_right(workcell, by_whom(by, why), correct, f"{name} is on {place}", as_json_=as_json_)


def _shelf(model: WorkcellModel, place: str) -> str:
    """Read ``"shelf freezer 2"``; empty: it is a place of the workcell."""
    word, _, shelf = place.strip().partition(" ")
    return "" if word != "shelf" or place in model.places else shelf.strip()


async def _bringing(
    catalogue: Catalogue, model: WorkcellModel, thing: Asset, place: str, named: str | None
) -> Bringing:
    """Say what a thing from a shelf becomes on the workcell."""
    from praxis_core.workcell.stock import as_new, descriptions

    workcell, things = model.definition.name, descriptions(model)
    here = {str(one.name): one for one in await catalogue.find(workcell=workcell, limit=ALL)}
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
        return [name] if to is AssetStatus.DISCARDED else []

    put_right(workcell, by_whom(by, why), correct, f"{name} is {to.value}", as_json_=as_json_)


def confirm(
    name: Name, *, workcell: On = "star", by: Who = None, why: Why = "", as_json_: AsJson = False
) -> None:
    """Write down that somebody looked, and an asset is as it is known."""

    async def correct(catalogue: Catalogue, who: By, _model: WorkcellModel) -> list[str]:
        await catalogue.confirm(workcell, name, who)
        return []

    put_right(workcell, by_whom(by, why), correct, f"{name} is as it is known", as_json_=as_json_)


def lab(
    workcell: Annotated[str, typer.Argument(help="A simulated workcell.")],
    *,
    as_json_: AsJson = False,
) -> None:
    """Put the pretend lab right by hand: all that no run has becomes as it is known."""

    async def bring(catalogue: Catalogue, records: Journal) -> list[str]:
        model = await model_of(catalogue, records, workcell)
        if model.definition.mode != "simulated":
            raise RequestError(what=f"workcell {workcell} is real; put it right yourself")
        held = {claim.asset for claim in await records.claims(workcell)}
        known = await catalogue.find(workcell=workcell, limit=ALL)
        movable = {str(one.name) for one in known if one.kind not in FIXED - {"device"}}
        free = sorted((movable | await catalogue.gone(workcell)) - held)
        if not in_the_lab(model, await catalogue.state(workcell), free):
            raise RequestError(what=f"the pretend lab of {workcell} does not run; start: praxis up")
        return free

    names = ask(bring)
    if as_json_:
        print_json([*names])
    else:
        console.print(
            f"{len(names)} assets of the pretend lab of {workcell} are as they are known."
        )
