"""Labware that a person brings anew, with what the definition of the workcell says is in it."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, replace

from sqlalchemy import exists, select
from sqlalchemy.ext.asyncio import AsyncSession

from praxis_core.assets.changes import Changes
from praxis_core.assets.corrections import FIXED, require_free
from praxis_core.assets.entries import By
from praxis_core.assets.inventory import hold, load, set_back
from praxis_core.assets.manager import AssetManager
from praxis_core.assets.standing import bring_again
from praxis_core.assets.state import AssetManagerState
from praxis_core.errors import PlaceOccupied, RequestError
from praxis_core.journal.asset_tables import AssetChangeKind, AssetRow, SourceRow
from praxis_core.journal.tables import ClaimRow

_HOLDING_MANY = {"deck", "waste"}


@dataclass(frozen=True, slots=True)
class Refilled:
    """What was brought."""

    names: tuple[str, ...]
    """Of the labware."""
    left: tuple[str, ...]
    """What runs have; it stays as it is."""
    changes: Changes
    """What is otherwise than it was."""


async def refill(
    session: AsyncSession,
    workcell: str,
    wanted: AssetManagerState,
    names: Collection[str] | None,
    by: By,
) -> Refilled:
    """Let labware be what the definition says; see ``Catalogue.refill``."""
    await hold(session, workcell)
    await bring_again(session, workcell, [*wanted.locations] if names is None else names)
    rows = select(AssetRow.name, AssetRow.kind).where(
        AssetRow.workcell == workcell, AssetRow.discarded_at.is_(None)
    )
    kinds = {str(name): kind for name, kind in await session.execute(rows)}
    movable = {name for name, kind in kinds.items() if kind not in FIXED} & {*wanted.locations}
    left: set[str] = set()
    if names is None:
        left = movable & await _held(session, workcell)
        names = movable - left
    here = await load(session, workcell)
    for name in names:
        # A run that waits for it relies on its place: only what is in it is filled up.
        there = here.locations.get(name) == wanted.locations.get(name)
        await require_free(session, workcell, name, contents=there)
        if name not in movable:
            what = f"the definition of workcell {workcell} does not say what {name} holds"
            raise RequestError(what=f"{what}; say it with: praxis assets replace, or volume")
    said = replace(by, kind=AssetChangeKind.REPLACED)
    changes = await set_back(session, workcell, wanted, said, names)
    _require_room(workcell, AssetManager(await load(session, workcell), kinds), names, kinds)
    return Refilled(tuple(sorted(names)), tuple(sorted(left)), changes)


async def filled(session: AsyncSession, workcell: str) -> frozenset[str]:
    """Name what somebody filled for a purpose; see ``Catalogue.filled``."""
    has_source = exists().where(SourceRow.asset_id == AssetRow.id)
    names = select(AssetRow.name).where(
        AssetRow.workcell == workcell, AssetRow.discarded_at.is_(None), has_source
    )
    return frozenset(str(name) for name in await session.scalars(names))


async def _held(session: AsyncSession, workcell: str) -> set[str]:
    open_ = select(ClaimRow.asset).where(
        ClaimRow.workcell == workcell, ClaimRow.released_at.is_(None)
    )
    return {*(await session.scalars(open_))}


def _require_room(
    workcell: str, assets: AssetManager, names: Collection[str], kinds: Mapping[str, str]
) -> None:
    """See that nothing else stands where labware is brought to.

    Raises:
        PlaceOccupied: something does.
    """
    places = assets.state.locations
    for name in names:
        place = places[name].parent
        if place is None or kinds.get(place) in _HOLDING_MANY:
            continue
        others = [one for one in assets.stands_on(place) if one in kinds and one != name]
        if others:
            raise PlaceOccupied(resource=name, place=place, by=others[0], workcell=workcell)
