"""``praxis workcell release``, ``reclaim`` and ``confirm``: another program has the hardware."""

from __future__ import annotations

import asyncio
import getpass
from collections.abc import Iterator
from typing import Annotated, Any

import typer
from rich.markup import escape

from praxis_core.assets.catalogue import Catalogue
from praxis_core.assets.entries import By
from praxis_core.assets.lineage import Asset
from praxis_core.assets.manager import AssetManager
from praxis_core.assets.state import AssetManagerState
from praxis_core.cli.catalogue import ALL
from praxis_core.cli.console import AsJson, console, print_json, table
from praxis_core.cli.opening import journal
from praxis_core.errors import HostNotRunning, RequestError
from praxis_core.host.asking import ask_host
from praxis_core.host.files import HostFiles, holder
from praxis_core.host.giving import not_released, nothing_to_confirm
from praxis_core.journal.control import Control, Said, Standing
from praxis_core.settings import PraxisSettings

Why = Annotated[str, typer.Option(help="The reason, for the audit trail.")]
Who = Annotated[str | None, typer.Option("--by", help="Who says so; else your login name.")]
Name = Annotated[str, typer.Argument(help="Name of the workcell.")]

SAFE_SECONDS = 120.0
"""How long a person waits until devices are safe and let go of, or taken up."""

_LISTED = frozenset({"plate", "tip_rack", "trough", "tube", "tube_rack", "lid"})


def release(name: Name, *, by: Who = None, why: Why = "", as_json_: AsJson = False) -> None:
    """Give the hardware to another program: devices are made safe, and let go of.

    Refused while a run is at work. No run begins until: praxis workcell reclaim.
    """
    words = _words(by, why)
    answer = ask_host(PraxisSettings(), name, "/give-away", tell=words, seconds=SAFE_SECONDS)
    if as_json_:
        print_json(answer)
        return
    console.print(
        f"Workcell {name} is released: its devices are safe, and nothing is connected to them from "
        f"here. No run begins. To have it back: praxis workcell reclaim {name}"
    )
    for run in answer["runs"]:
        console.print(
            f"Run {run} has stopped, and relies on its labware being as it is now; if it will not "
            f"be, give it up: praxis run abandon {run}"
        )


def reclaim(name: Name, *, by: Who = None, why: Why = "", as_json_: AsJson = False) -> None:
    """Take the hardware back from another program; no run begins before: praxis workcell confirm.

    Its devices are connected, but none is set up anew yet.
    """
    settings, words = PraxisSettings(), _words(by, why)
    try:
        answer = ask_host(settings, name, "/reclaim", tell=words, seconds=SAFE_SECONDS)
    except HostNotRunning as silent:
        _refuse_if_it_hangs(settings, name, silent)
        asyncio.run(_note_reclaimed(settings, name, Said(**words)))
        answer = _again(settings, name, "/reclaim", words) or {"host": None, "problems": []}
    if as_json_:
        print_json(answer)
        return
    console.print(
        f"Workcell {name} is taken back. Nobody knows for certain now what stands where, and what "
        f"is in it. Look at it. Put right what is otherwise: praxis assets check -w {name} (or "
        f"praxis assets move, volume, tips, empty). Then: praxis workcell confirm {name}"
    )
    for problem in answer["problems"]:
        console.print(escape(f"Not connected yet: {problem}"))
    if "host" in answer:
        console.print("Its host is not running: praxis up")


def confirm(
    name: Name,
    *,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Without a question.")] = False,
    by: Who = None,
    why: Why = "",
    as_json_: AsJson = False,
) -> None:
    """Say that somebody has looked: all of a workcell that was taken back is as it is known."""
    if as_json_ and not yes:
        raise RequestError(what="--json asks nothing: say --yes as well")
    settings, words = PraxisSettings(), _words(by, why)
    found, state = asyncio.run(_known(settings, name))
    if not as_json_:
        _show(name, found, state)
    if not yes and not typer.confirm("Did you look, is it so, and is no device on?"):
        console.print("Nothing was written down.")
        raise typer.Exit(1)
    said = By(words["by"], words["why"] or "as it was before another program had it")
    asyncio.run(_confirm_all(settings, name, said))
    try:
        answer = ask_host(settings, name, "/confirm", tell=words, seconds=SAFE_SECONDS)
    except HostNotRunning as silent:
        _refuse_if_it_hangs(settings, name, silent)
        asyncio.run(_note_confirmed(settings, name, Said(**words)))
        answer = _again(settings, name, "/confirm", words) or {"host": None}
    standing = asyncio.run(_standing(settings, name))
    if as_json_:
        print_json({**answer, "in_use": standing.is_open, "confirmed": [one.name for one in found]})
        return
    console.print(f"Written down: {words['by']} has looked at workcell {name}.")
    console.print("Runs may begin." if standing.is_open else f"But {standing}: {standing.mend}")


def _words(by: str | None, why: str) -> dict[str, str]:
    return {"by": by or getpass.getuser(), "why": why}


def _refuse_if_it_hangs(settings: PraxisSettings, name: str, silent: HostNotRunning) -> None:
    """Say nothing beside a host that is there, and would not hear of it.

    Raises:
        HostNotRunning: one is, or may be.
    """
    local = name not in settings.workcell_hosts
    if not local or holder(HostFiles.of(settings, name).lock) is not None:
        raise silent


def _again(
    settings: PraxisSettings, name: str, path: str, words: dict[str, str]
) -> dict[str, Any] | None:
    """Tell a host that has begun meanwhile; None: there is none."""
    try:
        return ask_host(settings, name, path, tell=words, seconds=SAFE_SECONDS)
    except (HostNotRunning, RequestError):  # or it has found what was noted
        return None


async def _standing(settings: PraxisSettings, name: str) -> Any:
    async with journal(settings) as records:
        return await Control(records.database).standing(name)


async def _note_reclaimed(settings: PraxisSettings, name: str, said: Said) -> None:
    async with journal(settings) as records:
        control = Control(records.database)
        await records.workcell(name)
        if (await control.standing(name)).standing is not Standing.RELEASED:
            raise not_released(name)
        await control.say(name, Standing.RECLAIMED, said)


async def _note_confirmed(settings: PraxisSettings, name: str, said: Said) -> None:
    async with journal(settings) as records:
        await Control(records.database).say(name, Standing.CONFIRMED, said)


async def _known(settings: PraxisSettings, name: str) -> tuple[list[Asset], AssetManagerState]:
    """Read what is known of a workcell that was taken back.

    Raises:
        RequestError: it was not.
    """
    async with journal(settings) as records:
        await records.workcell(name)
        standing = await Control(records.database).standing(name)
        if standing.standing is not Standing.RECLAIMED:
            raise nothing_to_confirm(standing)
        catalogue = Catalogue(records.database)
        found = [one for one in await catalogue.find(workcell=name, limit=ALL) if one.name]
        return found, await catalogue.state(name)


async def _confirm_all(settings: PraxisSettings, name: str, by: By) -> None:
    async with journal(settings) as records:
        await Catalogue(records.database).confirm_all(name, by)


def _show(name: str, found: list[Asset], state: AssetManagerState) -> None:
    assets = AssetManager(state)
    rows = [
        (escape(str(one.name)), escape(_place(one)), escape(_inside(str(one.name), assets)))
        for one in found
        if one.kind in _LISTED
    ]
    console.print(table(f"What is known of workcell {name}", ("name", "on", "holds"), rows))
    for told in (line for one in found if one.kind == "device" for line in _carried(one, assets)):
        console.print(escape(told))


def _place(asset: Asset) -> str:
    return f"shelf {asset.shelf}" if asset.shelf else asset.place or "nobody knows where"


def _inside(name: str, assets: AssetManager) -> str:
    """Say in short what a thing holds."""
    state = assets.state
    spots = state.racks.get(name, [])
    if spots:
        left = sum(state.tip_spots.get(spot) is True for spot in spots)
        return f"{left} of {len(spots)} tips"
    mine = [one for part, one in state.containers.items() if part == name or _of(part, name, state)]
    filled = [one for one in mine if one.volume]
    unknown = sum(bool(one.unknown) for one in mine)
    told = f"{sum(one.volume for one in filled):g} µL in {len(filled)} of {len(mine)}"
    return (told if mine else "") + (f", {unknown} unknown" if unknown else "")


def _of(part: str, name: str, state: AssetManagerState) -> bool:
    place = state.locations.get(part)
    return place is not None and place.parent == name


def _carried(device: Asset, assets: AssetManager) -> Iterator[str]:
    """Say what a device carries, as far as is known."""
    name = str(device.name)
    for head96 in (False, True):
        tips = assets.mounted_tips(name, head96=head96)
        if tips:
            where = "its 96-head" if head96 else "its channels " + ", ".join(map(str, sorted(tips)))
            yield f"{name} carries tips on {where}"
    held = assets.gripper(name)
    if held is not None:
        yield f"the gripper of {name} holds {held}"
