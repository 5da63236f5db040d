"""What the commands of ``praxis assets`` have in common: how they ask, and put something right."""

from __future__ import annotations

import asyncio
import getpass
import re
from collections.abc import Awaitable, Callable, Collection
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, TypeVar

import typer
from rich.markup import escape

from praxis_core.assets.catalogue import Catalogue
from praxis_core.assets.corrections import spots
from praxis_core.assets.entries import By
from praxis_core.assets.state import AssetManagerState
from praxis_core.cli.console import console, print_json, say
from praxis_core.cli.opening import journal
from praxis_core.errors import DeviceLinkLost, PlaceUnknown, RequestError
from praxis_core.journal.record import Journal
from praxis_core.settings import PraxisSettings

if TYPE_CHECKING:
    from praxis_core.workcell.model import WorkcellModel

Name = Annotated[str, typer.Argument(help="Name of the asset on its workcell.")]
On = Annotated[str, typer.Option("--workcell", "-w", help="The workcell.")]
Who = Annotated[str | None, typer.Option("--by", help="Who says so; else your login name.")]
Why = Annotated[str, typer.Option("--why", help="Why; it is written down.")]

_Answer = TypeVar("_Answer")
ALL = 100_000
"""Assets of one workcell, at most."""
_PART = re.compile(r"(?P<name>[^\[\]]+)\[(?P<well>[A-Za-z]+[0-9]+)\]")


def ask(question: Callable[[Catalogue, Journal], Awaitable[_Answer]]) -> _Answer:
    """Ask the catalogue and the journal something."""

    async def asked() -> _Answer:
        async with journal(PraxisSettings()) as records:
            return await question(Catalogue(records.database), records)

    return asyncio.run(asked())


async def model_of(catalogue: Catalogue, records: Journal, workcell: str) -> WorkcellModel:
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


async def meet(catalogue: Catalogue, records: Journal, workcell: str) -> None:
    """Take a workcell up if the catalogue knows nothing of it yet."""
    if not await catalogue.ids(workcell):
        await model_of(catalogue, records, workcell)


async def part_of(catalogue: Catalogue, workcell: str, name: str, well: str | None) -> str:
    """Name the container that people mean by ``plate_01 B3``, ``plate_01[B3]`` or ``trough``.

    Raises:
        AssetUnknown: there is no such asset, or it has no such well.
        RequestError: it has several, and nobody said which.
    """
    name, said = well_of(name)
    well = said or well
    containers = [*(await catalogue.contents(workcell, name)).containers]
    if well is not None:
        found = spots(containers, well.upper())
        return found[0]
    if not containers:
        raise RequestError(what=f"{name} of workcell {workcell} holds no liquid")
    if len(containers) > 1:
        raise RequestError(what=f"{name} has {len(containers)} wells; say which: {name}[B3]")
    return containers[0]


def well_of(name: str) -> tuple[str, str | None]:
    """Read ``plate_01[B3]``: the asset, and its well if one is named."""
    match = _PART.fullmatch(name)
    return (name, None) if match is None else (match["name"], match["well"].upper())


def text_of(file: Path) -> str:
    """Read a file that a person has written.

    Raises:
        RequestError: it cannot be read.
    """
    try:
        return file.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        what = getattr(error, "strerror", None) or error
        raise RequestError(what=f"{file} cannot be read: {what}") from error


def by_whom(name: str | None, why: str) -> By:
    """Say who puts something right: who was named, else whose login it is."""
    return By(name or getpass.getuser(), why)


def resource_at(model: WorkcellModel, place: str) -> str:
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


def put_right(  # what all corrections have in common
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
        model = await model_of(catalogue, records, workcell)
        names = await correction(catalogue, who, model)
        if model.definition.mode != "simulated" or not names:
            return None
        return in_the_lab(model, await catalogue.state(workcell), names, fresh)

    done = ask(correct)
    if as_json_:
        print_json({"done": told, "by": who.who, "why": who.why, "in_the_lab": done})
        return
    console.print(escape(f"{told}. Written down: {who.who}, {who.why or 'without a reason'}."))
    say_not_in_the_lab(workcell, done)


def say_not_in_the_lab(workcell: str, done: bool | None) -> None:
    """Say how to put the pretend lab right, where it does not run."""
    if done is False:
        say(
            f"The pretend lab of {workcell} does not run, so nothing was moved in it. When it "
            f"does: praxis assets lab {workcell}"
        )


def in_the_lab(
    model: WorkcellModel,
    known: AssetManagerState,
    names: Collection[str],
    fresh: Collection[str] = (),
) -> bool:
    """Let the pretend lab be as it is known, by hand.

    Args:
        model: As the definition built it.
        known: What is in the catalogue.
        names: Of the labware.
        fresh: Of these, racks with other tips than before.

    Returns:
        Whether it runs.
    """
    from praxis_core.simulator.hands import put_right
    from praxis_core.simulator.lab_control import LabControl

    try:
        control = LabControl(PraxisSettings().lab_socket(model.definition.name))
    except DeviceLinkLost:
        return False
    with control:
        put_right(control, model, known, names, fresh)
    return True
