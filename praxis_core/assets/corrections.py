"""What people say is otherwise than it is known: one line each, with who and why.

Refused while a run has the asset: what it relies on must not change under it. Unless the run waits
for it: then what is in it may be put right, and nothing else of it.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime

from sqlalchemy import Select, select, update
from sqlalchemy.ext.asyncio import AsyncSession

from praxis_core.assets.changes import AssetChange, Changes
from praxis_core.assets.documents import put_part
from praxis_core.assets.entries import By
from praxis_core.assets.inventory import (
    Description,
    add_rows,
    as_new,
    enter,
    filled,
    hold,
    ids,
    load,
)
from praxis_core.assets.manager import AssetManager
from praxis_core.assets.shortages import lets_put_right
from praxis_core.assets.standing import gone
from praxis_core.assets.state import AssetManagerState, ContainerContents
from praxis_core.errors import (
    AssetInUse,
    AssetUnknown,
    JournalError,
    PlaceOccupied,
    PraxisError,
    RequestError,
)
from praxis_core.journal.asset_tables import (
    AssetChangeKind,
    AssetPartRow,
    AssetRow,
    AssetStatus,
    SourceRow,
)
from praxis_core.journal.tables import ClaimRow, RunRow

FIXED = frozenset({"device", "deck", "carrier"})
"""Kinds of things that only a new definition of the workcell moves."""
_HOLDING_MANY = frozenset({"deck", "waste"})

_SPOT = re.compile(r".*_([A-Z]+)([0-9]+)")
_BLOCK = re.compile(r"([A-Z]+)([0-9]+)(?::([A-Z]+)([0-9]+))?")


@dataclass(frozen=True, slots=True)
class Filling:
    """What somebody filled into a container."""

    volume: float
    """µL."""
    amounts: Mapping[str, float] | None = None
    """pmol of each solute."""
    reagent: str | None = None
    lot: str | None = None


async def require_free(
    session: AsyncSession, workcell: str, name: str, *, contents: bool = False
) -> AssetRow:
    """Give an asset that may be changed; nobody claims it until this transaction ends.

    Args:
        session: In a transaction.
        workcell: Its name.
        name: Of the asset.
        contents: Only what is in it is going to change, so that a run may have it that waits for
            just that.

    Raises:
        AssetInUse: a run has it.
        AssetUnknown: the workcell has no such asset.
    """
    await hold(session, workcell)
    held = await session.execute(
        select(RunRow.id, RunRow.status)
        .join(ClaimRow, ClaimRow.run_id == RunRow.id)
        .where(
            ClaimRow.workcell == workcell, ClaimRow.asset == name, ClaimRow.released_at.is_(None)
        )
    )
    for run, status in held.all():
        if contents and await lets_put_right(session, run, name):
            continue
        raise AssetInUse(asset=name, workcell=workcell, run=run, status=status)
    row = await session.scalar(named(workcell).where(AssetRow.name == name))
    if row is None:
        raise await not_here(session, workcell, name)
    return row


async def not_here(session: AsyncSession, workcell: str, name: str) -> PraxisError:
    """Say that a workcell has no such thing, or none any more, and what to do."""
    if name not in await gone(session, workcell):
        return unknown(name, await ids(session, workcell))
    mend = f"praxis assets refill {name} -w {workcell}"
    return RequestError(what=f"{name} was discarded; once another one stands in its place: {mend}")


async def volume(
    session: AsyncSession, workcell: str, container: str, filling: Filling, by: By
) -> Changes:
    """Say what is in a container; see ``Catalogue.set_volume``."""
    owner = await _owner(session, workcell, container)
    row = await require_free(session, workcell, owner, contents=True)
    assets = await manager_of(session, workcell)
    await fill(session, row, assets, {container: filling}, by)
    return await entered(session, workcell, assets, by)


async def fill(
    session: AsyncSession,
    row: AssetRow,
    assets: AssetManager,
    filling: Mapping[str, Filling],
    by: By,
) -> None:
    """Enter what is in containers now, each as a source of its own.

    Args:
        session: In a transaction.
        row: The asset.
        assets: What is known.
        filling: What is in them, by container of the asset.
        by: Who says so.
    """
    for container, one in filling.items():
        amounts, sources = dict(one.amounts or {}), {}
        if one.volume > 0:
            source = SourceRow(
                asset_id=row.id,
                part=container,
                reagent=one.reagent or row.reagent,
                lot=one.lot or (row.lot if one.reagent in {None, row.reagent} else None),
                sample=row.sample,
                volume=one.volume,
                amounts=amounts,
                by=by.who,
            )
            session.add(source)
            await session.flush()
            sources[str(source.id)] = one.volume
        assets.say(container, one.volume, amounts, sources=sources, at=datetime.now(UTC))


async def tips(session: AsyncSession, workcell: str, rack: str, used: str, by: By) -> Changes:
    """Say which tips of a rack are gone; see ``Catalogue.set_tips``."""
    row = await require_free(session, workcell, rack, contents=True)
    gone = set(spots(row.rack or (), used))
    assets = await manager_of(session, workcell)
    for spot in row.rack or ():
        if assets.has_tip(spot) is not (spot not in gone):
            assets.say_tip(spot, there=spot not in gone)
    return await entered(session, workcell, assets, by)


async def empty_heads(session: AsyncSession, workcell: str, device: str, by: By) -> Changes:
    """Say that a device carries no tips; see ``Catalogue.empty_heads``."""
    row = await require_free(session, workcell, device)
    if row.kind != "device":
        raise RequestError(what=f"{device} is a {row.kind}: only devices carry tips on channels")
    assets = await manager_of(session, workcell)
    assets.discard_head(device)
    return await entered(session, workcell, assets, by)


async def fresh_tips(session: AsyncSession, workcell: str, rack: str, by: By) -> Changes:
    """Say that all tips of a rack are new; see ``Catalogue.fresh_tips``."""
    row = await require_free(session, workcell, rack, contents=True)
    if not row.rack:
        raise RequestError(what=f"{rack} is a {row.kind.replace('_', ' ')}, and holds no tips")
    assets = await manager_of(session, workcell)
    for spot in row.rack:
        assets.say_tip(spot, there=False)  # with it goes what is known of its use
        assets.say_tip(spot, there=True)
    return await entered(session, workcell, assets, by)


async def move(session: AsyncSession, workcell: str, name: str, place: str, by: By) -> Changes:
    """Say where an asset stands; see ``Catalogue.move``."""
    row = await _movable(session, workcell, name)
    assets = await manager_of(session, workcell)
    await require_room(session, workcell, assets, str(row.name), place)
    assets.say_place(name, place)
    return await entered(session, workcell, assets, by)


async def shelve(session: AsyncSession, workcell: str, name: str, shelf: str, by: By) -> Changes:
    """Say that an asset is on a shelf; see ``Catalogue.shelve``."""
    await _movable(session, workcell, name)
    assets = await manager_of(session, workcell)
    assets.say_place(name, None, shelf)
    return await entered(session, workcell, assets, by)


async def _movable(session: AsyncSession, workcell: str, name: str) -> AssetRow:
    row = await require_free(session, workcell, name)
    if row.kind in FIXED:
        raise RequestError(what=f"{name} is a {row.kind}: say in the workcell's definition where")
    return row


async def require_room(
    session: AsyncSession, workcell: str, assets: AssetManager, name: str, place: str
) -> None:
    """See that something can be put where somebody says it is.

    Args:
        session: In a transaction.
        workcell: Its name.
        assets: What is known of it.
        name: What is put there.
        place: Name of the resource on which it is put.

    Raises:
        AssetUnknown: there is no such place.
        PlaceOccupied: something else stands there.
        RequestError: it would stand on itself.
    """
    if name in {place, *assets.where(place)}:
        raise RequestError(what=f"{name} cannot stand on itself or on a part of itself")
    known = {asset.name: asset.kind for asset in await session.scalars(named(workcell))}
    there = [other for other in assets.stands_on(place) if other in known and other != name]
    there += [held for held in [assets.gripper(place)] if held is not None and held != name]
    if there and known.get(place) not in _HOLDING_MANY:
        raise PlaceOccupied(resource=name, place=place, by=there[0], workcell=workcell)


async def new_in_its_place(
    session: AsyncSession, workcell: str, name: str, given: Description | None, by: By
) -> Changes:
    """Put a new thing of the same kind in the place of one; see ``Catalogue.replace``."""
    row = await require_free(session, workcell, name, contents=True)
    fresh = await _fresh(session, row)
    if not fresh.tip_spots and not fresh.containers:
        raise JournalError(what=f"{name} of workcell {workcell} holds nothing; it stays itself")
    assets = await manager_of(session, workcell)
    before = _state(assets)
    fresh.locations[name] = before.locations[name].model_copy(update={"unknown": ""})
    assets.set_back(fresh)
    others = assets.take_changes()
    thing = given or Description(row.kind, row.factory, row.config)
    await enter(session, workcell, nothing_of(name), replace(by, kind=AssetChangeKind.DISCARDED))
    await _discard(session, row)
    await add_rows(session, workcell, {name: replace(thing, kind=row.kind)})
    whole = as_new(_state(assets), await ids(session, workcell), [name])
    changes = Changes({**others.assets, **whole.assets}, others.doubts)
    changes = await filled(session, workcell, changes, by)
    await enter(session, workcell, changes, replace(by, kind=AssetChangeKind.REPLACED))
    return changes


async def status(
    session: AsyncSession, workcell: str, name: str, to: AssetStatus, by: By
) -> Changes:
    """Say what may be done with an asset; see ``Catalogue.set_status``."""
    row = await require_free(session, workcell, name)
    kind = AssetChangeKind.STATUS
    why = f"{row.status} -> {to}" + (f": {by.why}" if by.why else "")
    changes = nothing_of(name)
    if to is AssetStatus.DISCARDED:
        kind = AssetChangeKind.DISCARDED
        await enter(session, workcell, changes, By(by.who, why, kind))
        await _discard(session, row)
        return changes
    await enter(session, workcell, changes, By(by.who, why, kind))
    row.status = to.value
    await session.flush()
    return changes


async def confirm(session: AsyncSession, workcell: str, name: str, by: By) -> Changes:
    """Write down that a person looked, and it is as it is known."""
    await require_free(session, workcell, name)
    changes = nothing_of(name)
    await enter(session, workcell, changes, replace(by, kind=AssetChangeKind.CONFIRMED))
    return changes


async def confirm_all(session: AsyncSession, workcell: str, by: By) -> list[str]:
    """Write down that a person looked at all there is; see ``Catalogue.confirm_all``.

    Also what runs have that stopped: they go on with it as it is.
    """
    await hold(session, workcell)
    names = [*await ids(session, workcell)]
    changes = Changes({name: AssetChange(name) for name in names}, {})
    await enter(session, workcell, changes, replace(by, kind=AssetChangeKind.CONFIRMED))
    return names


def spots(rack: Sequence[str], which: str) -> list[str]:
    """Give the tip spots, or wells, that people name.

    Args:
        rack: Names of all of them; they end in ``_A1``.
        which: ``"all"``, ``"none"``, ``"A1"``, ``"A1:H6"`` or several with commas.

    Raises:
        AssetUnknown: there are none of these.
    """
    if which in {"all", "none"}:
        return [*rack] if which == "all" else []
    places = {name: _place(name) for name in rack}
    found: list[str] = []
    for block in which.replace(" ", "").split(","):
        match = _BLOCK.fullmatch(block)
        row, column, last_row, last_column = match.groups() if match else ("", "0", None, None)
        rows, columns = (row, last_row or row), (int(column), int(last_column or column))
        inside = [
            name
            for name, (at_row, at_column) in places.items()
            if _key(rows[0]) <= _key(at_row) <= _key(rows[1])
            and columns[0] <= at_column <= columns[1]
        ]
        if not inside:
            raise AssetUnknown(asset=block, closest=", ".join([*rack][:3]) or "none")
        found += inside
    return found


def _place(name: str) -> tuple[str, int]:
    match = _SPOT.fullmatch(name)
    return (match[1], int(match[2])) if match else ("", 0)


def _key(row: str) -> tuple[int, str]:
    return len(row), row


def named(workcell: str) -> Select[AssetRow]:
    """Select what goes by a name on a workcell."""
    return select(AssetRow).where(AssetRow.workcell == workcell, AssetRow.discarded_at.is_(None))


def unknown(name: str, known: Mapping[str, object]) -> AssetUnknown:
    """Say that a workcell has no such thing, and what comes closest."""
    closest = difflib.get_close_matches(name, known, n=3, cutoff=0.4)
    return AssetUnknown(asset=name, closest=", ".join(closest) or "none")


async def _owner(session: AsyncSession, workcell: str, part: str) -> str:
    """Name the asset that a container belongs to."""
    query = (
        select(AssetRow.name)
        .join(AssetPartRow, AssetPartRow.asset_id == AssetRow.id)
        .where(
            AssetRow.workcell == workcell,
            AssetRow.discarded_at.is_(None),
            AssetPartRow.name == part,
            AssetPartRow.volume.is_not(None),
        )
    )
    found = await session.scalar(query)
    if found is None:
        raise unknown(part, await ids(session, workcell))
    return found


async def manager_of(session: AsyncSession, workcell: str) -> AssetManager:
    """Begin with what is known of a workcell."""
    return AssetManager(await load(session, workcell), await ids(session, workcell))


def _state(assets: AssetManager) -> AssetManagerState:
    return AssetManagerState.model_validate(assets.snapshot())


async def entered(session: AsyncSession, workcell: str, assets: AssetManager, by: By) -> Changes:
    """Write down what was changed there."""
    changes = assets.take_changes()
    if changes:
        await enter(session, workcell, changes, by)
    return changes


async def _fresh(session: AsyncSession, row: AssetRow) -> AssetManagerState:
    """Give the parts of an asset as if it were new: all tips there, all containers empty."""
    known = AssetManagerState()
    query = select(AssetPartRow).where(
        AssetPartRow.asset_id == row.id, AssetPartRow.contents.is_not(None)
    )
    for part in await session.scalars(query):
        put_part(known, part.name, part.contents)
    return AssetManagerState(
        containers={
            name: ContainerContents(max_volume=one.max_volume)
            for name, one in known.containers.items()
        },
        tip_spots=dict.fromkeys(known.tip_spots, True),
    )


async def _discard(session: AsyncSession, row: AssetRow) -> None:
    discarded = {"status": AssetStatus.DISCARDED.value, "discarded_at": datetime.now(UTC)}
    await session.execute(update(AssetRow).where(AssetRow.id == row.id).values(discarded))


def nothing_of(name: str) -> Changes:
    """Speak of an asset of which no part was changed."""
    return Changes({name: AssetChange(name)})
