"""Things from shelves outside are brought onto a workcell, and go by a name of it then."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from uuid import UUID

from pydantic import JsonValue
from sqlalchemy import String, cast, or_, select, update
from sqlalchemy.ext.asyncio import AsyncSession

from praxis_core.assets.changes import AssetChange, Changes, Document, PartChange
from praxis_core.assets.corrections import (
    manager_of,
    named,
    nothing_of,
    require_free,
    require_room,
)
from praxis_core.assets.documents import put_part
from praxis_core.assets.entries import By
from praxis_core.assets.inventory import as_new, enter, filled, hold, ids
from praxis_core.assets.state import AssetManagerState, Location
from praxis_core.errors import AssetUnknown, RequestError
from praxis_core.journal.asset_tables import AssetChangeKind, AssetPartRow, AssetRow

VOLUME = "volume"
"""Of ``AssetRow.config``: what is in a thing that came with an inventory, µL."""
_SHORTEST_ID = 6
_MOST = 20


@dataclass(frozen=True, slots=True)
class Bringing:
    """What is brought, and whose place on the workcell it takes."""

    asset: UUID
    name: str
    """By which it goes there."""
    place: str
    """Name of the resource that it stands on."""
    new: AssetManagerState
    """What a new one of that name is: its parts, nothing in its containers."""


async def on_shelves(session: AsyncSession, called: str) -> list[UUID]:
    """Find things that are on no workcell.

    Args:
        session: Of the database.
        called: A barcode, the first characters of an accession id, or the name that a thing had
            on its last workcell.

    Returns:
        Their accession ids.
    """
    one = AssetRow
    ways = [one.barcode == called, one.name == called]
    if len(called) >= _SHORTEST_ID:
        ways.append(cast(one.id, String).startswith(called.lower(), autoescape=True))
    query = select(one.id).where(one.workcell.is_(None), one.discarded_at.is_(None), or_(*ways))
    return [*await session.scalars(query.order_by(one.created_at).limit(_MOST))]


async def bring(session: AsyncSession, workcell: str, what: Bringing, by: By) -> Changes:
    """Put a thing from a shelf onto a workcell; see ``Catalogue.bring``."""
    await hold(session, workcell)
    row = await session.get_one(AssetRow, what.asset)
    if row.workcell is not None or row.discarded_at is not None:
        raise AssetUnknown(asset=str(what.asset), closest="none; it is on no shelf any more")
    if row.name not in {None, what.name}:
        raise RequestError(
            what=f"it was {row.name} before, and its wells are called so: only {row.name} can it be"
        )
    await _free_the_name(session, workcell, what.name, by)
    shelf, volume = row.shelf or "", row.config.get(VOLUME)
    row.workcell, row.name, row.shelf = workcell, what.name, None
    row.config = {key: value for key, value in row.config.items() if key != VOLUME}
    await session.flush()
    assets = await manager_of(session, workcell)
    await require_room(session, workcell, assets, what.name, what.place)
    known = await _known_of(session, row.id)
    changes = _placed(what.name, shelf, what.place)
    if not (known.containers or known.tip_spots):
        new = what.new.model_copy(deep=True)
        new.locations[what.name] = Location(parent=what.place)
        _fill(new, row, volume)
        changes = as_new(new, {*await ids(session, workcell)}, [what.name])
        changes = await filled(session, workcell, changes, by)
    await enter(session, workcell, changes, replace(by, kind=AssetChangeKind.PLACE))
    return changes


async def _free_the_name(session: AsyncSession, workcell: str, name: str, by: By) -> None:
    """Let a thing that is on a shelf no longer go by its name, nor what lies on it."""
    held = await session.scalar(named(workcell).where(AssetRow.name == name))
    if held is None:
        return
    await require_free(session, workcell, name)
    if held.shelf is None:
        where = held.parent or "nothing known"
        raise RequestError(
            what=f"{name} is on {where}; first say where it went: praxis assets move {name} "
            f'"shelf ...", or praxis assets status {name} discarded'
        )
    assets = await manager_of(session, workcell)
    going = _with_all_on_it(name, assets.state, {*await ids(session, workcell)})
    for one in going:
        why = f"another thing is called {name} now" + (f": {by.why}" if by.why else "")
        told = By(by.who, why, AssetChangeKind.PLACE)
        await enter(session, workcell, nothing_of(one), told)
    gone = {"workcell": None, "parent": None, "place_unknown": None, "shelf": held.shelf}
    await session.execute(
        update(AssetRow)
        .where(
            AssetRow.workcell == workcell, AssetRow.name.in_(going), AssetRow.discarded_at.is_(None)
        )
        .values(gone)
    )


def _with_all_on_it(name: str, state: AssetManagerState, assets: set[str]) -> Sequence[str]:
    return [one for one in state.restricted([name]).locations if one in assets]


async def _known_of(session: AsyncSession, asset: UUID) -> AssetManagerState:
    known = AssetManagerState()
    query = select(AssetPartRow).where(AssetPartRow.asset_id == asset)
    for part in await session.scalars(query):
        put_part(known, part.name, part.contents)
    return known


def _fill(new: AssetManagerState, row: AssetRow, volume: JsonValue) -> None:
    """Enter what came in a thing; how much it is nobody may have said."""
    for container in new.containers.values():
        if isinstance(volume, int | float):
            container.volume = float(volume)
        elif row.reagent is not None or row.sample is not None:
            container.unknown = "nobody said how much is in it"


def _placed(name: str, shelf: str, place: str) -> Changes:
    before: Document = {"parent": None, "unknown": "", "shelf": shelf}
    moved = PartChange(before, {"parent": place, "unknown": ""})
    return Changes({name: AssetChange(name, {}, {name: moved})})
