"""What somebody found when he looked, against what is known: differences, and putting them right.

What was found as it is known is written down as well: somebody looked.
"""

from __future__ import annotations

import math
from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime

from sqlalchemy.ext.asyncio import AsyncSession

from praxis_core.assets.corrections import (
    Filling,
    fill,
    manager_of,
    nothing_of,
    require_free,
    require_room,
)
from praxis_core.assets.description import blocks
from praxis_core.assets.entries import By
from praxis_core.assets.inventory import enter
from praxis_core.assets.manager import AssetManager
from praxis_core.assets.state import AssetManagerState, ContainerContents, Location
from praxis_core.errors import AssetInUse, AssetUnknown, PlaceOccupied, Problem
from praxis_core.journal.asset_tables import AssetChangeKind

ROUNDING = 0.01
"""Part of a volume by which what is read off may differ from it."""


@dataclass(frozen=True, slots=True)
class Finding:
    """What somebody found of one asset; None: he did not look at that."""

    asset: str
    place: Location | None = None
    missing: frozenset[str] | None = None
    """Tip spots without a tip; all others have one."""
    volumes: Mapping[str, Filling] = field(default_factory=dict)
    """What is in its containers, by their names. Without reagent and lot it is what was in them
    before, more or less of it."""
    where: str = ""
    """Where somebody wrote it, for messages."""


@dataclass(frozen=True, slots=True)
class Difference:
    """Something that is otherwise than it is known."""

    asset: str
    what: str
    known: str
    found: str


def compare(state: AssetManagerState, findings: Sequence[Finding]) -> list[Difference]:
    """List what is otherwise than it is known."""
    return [one for finding in findings for one in _differences(state, finding)]


def _differences(state: AssetManagerState, finding: Finding) -> Iterator[Difference]:
    name, known = finding.asset, state.locations.get(finding.asset)
    if finding.place is not None and _is_elsewhere(state, finding):
        yield Difference(name, "place", place_told(known), place_told(finding.place))
    if finding.missing is not None:
        spots = state.racks.get(name, [])
        gone = [spot for spot in spots if state.tip_spots[spot] is False]
        maybe = [spot for spot in spots if state.tip_spots[spot] is None]
        if maybe or finding.missing != {*gone}:
            known_told = spots_told(gone) + (f"; unknown: {spots_told(maybe)}" if maybe else "")
            found = [spot for spot in spots if spot in finding.missing]
            yield Difference(name, "without a tip", known_told, spots_told(found))
    for container, filling in finding.volumes.items():
        there = state.containers[container]
        if not _is_same(there, filling):
            told = f"{filling.volume:g} µL" + (f" of {_named(filling)}" if _named(filling) else "")
            yield Difference(name, blocks([container]), liquid_told(there), told)


def _is_same(known: ContainerContents, found: Filling) -> bool:
    if known.unknown or _named(found):
        return False
    return math.isclose(known.volume, found.volume, rel_tol=ROUNDING, abs_tol=1e-6)


def _named(filling: Filling) -> str:
    return " ".join(one for one in (filling.reagent, filling.lot) if one)


def place_told(location: Location | None) -> str:
    """Say where something is."""
    if location is None or location.unknown:
        return f"unknown: {location.unknown}" if location else "unknown"
    if location.shelf:
        return f"shelf {location.shelf}"
    return location.parent or "in a gripper"


def spots_told(spots: Sequence[str]) -> str:
    """Name tip spots without their rack, as people write them: ``A1:H6``."""
    if not spots:
        return "none"
    return blocks(spots).partition(" ")[2] or blocks(spots)


def liquid_told(liquid: ContainerContents) -> str:
    """Say what is in a container."""
    return f"unknown: {liquid.unknown}" if liquid.unknown else f"{liquid.volume:g} µL"


# --- putting right --------------------------------------------------------------------------------


async def problems(
    session: AsyncSession, workcell: str, findings: Sequence[Finding]
) -> list[Problem]:
    """List what stands against putting right what was found; see ``Catalogue.check``."""
    assets = await manager_of(session, workcell)
    found = [one async for one in _in_use(session, workcell, findings)]
    found += _unsaid(assets.state, findings)
    for finding in findings:
        if finding.place is not None:
            assets.say_place(finding.asset, finding.place.parent, finding.place.shelf)
    for finding in findings:
        if finding.place is None or finding.place.parent is None:
            continue
        try:
            await require_room(session, workcell, assets, finding.asset, finding.place.parent)
        except PlaceOccupied as error:
            found.append(Problem(finding.where or finding.asset, str(error)))
    return found


async def _in_use(
    session: AsyncSession, workcell: str, findings: Sequence[Finding]
) -> AsyncIterator[Problem]:
    for finding in findings:
        try:
            await require_free(session, workcell, finding.asset)
        except (AssetInUse, AssetUnknown) as error:
            yield Problem(finding.where or finding.asset, str(error))


def _unsaid(state: AssetManagerState, findings: Sequence[Finding]) -> Iterator[Problem]:
    for finding in findings:
        for container, filling in finding.volumes.items():
            there = state.containers[container]
            where = finding.where or finding.asset
            if there.max_volume is not None and filling.volume > there.max_volume:
                what = f"{container} holds {there.max_volume:g} µL at most, not {filling.volume:g}"
                yield Problem(where, what)
            new = there.unknown or not there.volume
            if new and filling.volume and not _named(filling):
                what = f"nobody knows what is in {container}: {there.unknown or 'it was empty'}"
                yield Problem(where, what, "say its reagent, or its lot")


def _is_elsewhere(state: AssetManagerState, finding: Finding) -> bool:
    return finding.place is not None and finding.place != state.locations.get(finding.asset)


async def settle(
    session: AsyncSession, workcell: str, findings: Sequence[Finding], by: By
) -> list[Difference]:
    """Put right what is otherwise, and write down that the rest is so; see ``Catalogue.check``."""
    assets = await manager_of(session, workcell)
    before = assets.state
    differences = compare(before, findings)
    for finding in findings:
        _enter(assets, before, finding)
        new = {
            container: filling
            for container, filling in finding.volumes.items()
            if not _is_same(before.containers[container], filling) and _is_new(filling)
        }
        row = await require_free(session, workcell, finding.asset)
        await fill(session, row, assets, new, by)
    changes = assets.take_changes()
    if changes:
        await enter(session, workcell, changes, by)
    confirmed = replace(by, kind=AssetChangeKind.CONFIRMED)
    otherwise = {one.asset for one in differences}
    for name in dict.fromkeys(one.asset for one in findings):
        if name not in otherwise:
            await enter(session, workcell, nothing_of(name), confirmed)
    return differences


def _enter(assets: AssetManager, before: AssetManagerState, finding: Finding) -> None:
    """Enter what was found of what was known."""
    if finding.place is not None and _is_elsewhere(before, finding):
        assets.say_place(finding.asset, finding.place.parent, finding.place.shelf)
    if finding.missing is not None:
        for spot in before.racks.get(finding.asset, ()):
            there = spot not in finding.missing
            if before.tip_spots[spot] is not there:
                assets.say_tip(spot, there=there)
    for container, filling in finding.volumes.items():
        there_before = before.containers[container]
        if not _is_same(there_before, filling) and not _is_new(filling):
            _scale(assets, container, there_before, filling.volume)


def _is_new(filling: Filling) -> bool:
    """Whether it is something else than what was there before, or nothing."""
    return bool(_named(filling)) or filling.volume == 0


def _scale(assets: AssetManager, container: str, there: ContainerContents, volume: float) -> None:
    """Enter that there is more or less of what is in a container."""
    part = volume / there.volume
    amounts = {name: amount * part for name, amount in there.amounts.items()}
    sources = {name: of * part for name, of in there.sources.items()}
    assets.say(container, volume, amounts, sources=sources, at=datetime.now(UTC))
