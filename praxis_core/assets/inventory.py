"""What a workcell has: taken into the catalogue, set back, and read as a state."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, date, datetime
from typing import Any
from uuid import UUID

from pydantic import JsonValue
from sqlalchemy import ARRAY, BigInteger, Text, Uuid, bindparam, insert, select, text
from sqlalchemy.ext.asyncio import AsyncSession

from praxis_core.assets.changes import AssetChange, Changes, Document, PartChange, owner
from praxis_core.assets.documents import (
    is_of_container,
    part,
    parts,
    place,
    places,
    put_part,
    put_place,
)
from praxis_core.assets.entries import By, entries
from praxis_core.assets.ledger import Ledger
from praxis_core.assets.manager import AssetManager
from praxis_core.assets.standing import bring_again, gone
from praxis_core.assets.state import AssetManagerState, Before
from praxis_core.journal import statements
from praxis_core.journal.asset_tables import AssetChangeKind, AssetDoubtRow, AssetRow
from praxis_core.journal.database import dumps


@dataclass(frozen=True, slots=True)
class Description:
    """What a thing is, whatever became of it."""

    kind: str
    """A word: device, plate, tip_rack, tube, tube_rack, trough, lid, carrier, sample, ..."""
    factory: str | None = None
    """Of PyLabRobot."""
    config: Mapping[str, JsonValue] = field(default_factory=dict)
    barcode: str | None = None
    reagent: str | None = None
    lot: str | None = None
    expires: date | None = None
    sample: JsonValue = None
    """Identity of the sample in it."""


_LOCK = text("SELECT pg_advisory_xact_lock(hashtextextended('praxis.claim:' || :workcell, 0))")
"""The one under which claims are given: nobody gets an asset while it is changed here."""

_PARTS = text("""
    SELECT name, contents FROM praxis.asset_part
    WHERE asset_id = ANY (:assets) AND contents IS NOT NULL
""").bindparams(bindparam("assets", type_=ARRAY(Uuid())))

_WHERE = text("""
    SELECT id, name, parent, place_unknown, shelf, inside, rack FROM praxis.asset
    WHERE workcell = :workcell AND discarded_at IS NULL
""")

_WHERE_OF_SOME = text("""
    WITH RECURSIVE wanted AS (
      SELECT id FROM praxis.asset
        WHERE workcell = :workcell AND discarded_at IS NULL AND name = ANY (:names)
      UNION
      SELECT a.id FROM wanted JOIN praxis.asset w USING (id) JOIN praxis.asset a
        ON a.workcell = :workcell AND a.discarded_at IS NULL
          AND w.kind <> 'device' AND (a.parent = w.name OR jsonb_exists(w.inside, a.parent))
    )
    SELECT id, name, parent, place_unknown, shelf, inside, rack FROM praxis.asset
    WHERE id IN (SELECT id FROM wanted)
""").bindparams(bindparam("names", type_=ARRAY(Text())))

_FILL = text("""
    INSERT INTO praxis.source (asset_id, part, reagent, lot, sample, volume, amounts, by)
      SELECT a.id, f.part, a.reagent, a.lot, a.sample, f.volume, f.amounts, :who
      FROM jsonb_to_recordset(CAST(:fillings AS jsonb)) AS f (asset text, part text,
          volume float8, amounts jsonb)
        JOIN praxis.asset a ON a.workcell = :workcell AND a.name = f.asset
          AND a.discarded_at IS NULL
    RETURNING id, part
""")

_SAID = text("""
    SELECT EXISTS (SELECT FROM praxis.asset a JOIN praxis.asset_change c ON c.asset_id = a.id
      WHERE a.workcell = :workcell AND c.who = :who AND c.why = :why)
""")

_CHANGED = text("""
    SELECT DISTINCT p.name, 'part' FROM praxis.asset_change, jsonb_object_keys(parts) AS p (name)
      WHERE run_id = :run AND number >= :number
    UNION SELECT DISTINCT p.name, 'place'
      FROM praxis.asset_change, jsonb_object_keys(places) AS p (name)
      WHERE run_id = :run AND number >= :number
""").bindparams(bindparam("run", type_=Uuid()))

_DOUBTED = text("""
    SELECT run_id || '/' || branch || '/' || ordinal FROM praxis.command
    WHERE run_id = :run AND number >= :number
""").bindparams(bindparam("run", type_=Uuid()))

_FILLED = text("""
    SELECT DISTINCT ON (s.part) s.part, s.id FROM praxis.asset a
      JOIN praxis.source s ON s.asset_id = a.id
    WHERE a.workcell = :workcell AND a.discarded_at IS NULL ORDER BY s.part, s.id DESC
""").columns(part=Text(), id=BigInteger())

_CHANGE = statements.CHANGE.bindparams(bindparam("asset_who", type_=Text()))


async def hold(session: AsyncSession, workcell: str) -> None:
    """Let nobody else change, or claim, anything of a workcell until this transaction ends."""
    await session.execute(_LOCK, {"workcell": workcell})


async def ids(session: AsyncSession, workcell: str) -> dict[str, UUID]:
    """Give the accession id of each asset of a workcell, by name."""
    query = select(AssetRow.name, AssetRow.id).where(
        AssetRow.workcell == workcell, AssetRow.discarded_at.is_(None)
    )
    return {str(name): asset_id for name, asset_id in await session.execute(query)}


async def load(session: AsyncSession, workcell: str) -> AssetManagerState:
    """Read what is where on a workcell, and how much of it; see ``Catalogue.state``."""
    state, _ = await load_named(session, workcell)
    return state


async def load_named(
    session: AsyncSession, workcell: str, names: Collection[str] | None = None
) -> tuple[AssetManagerState, frozenset[str]]:
    """Read what is where, as ``load``, of some things only; see ``Catalogue.known``."""
    state = AssetManagerState()
    known = await _load_places(session, workcell, state, names)
    for name, contents in await session.execute(_PARTS, {"assets": [*known.values()]}):
        put_part(state, name, contents)
    doubts = select(AssetDoubtRow).where(AssetDoubtRow.workcell == workcell)
    for doubt in await session.scalars(doubts):
        state.doubts[doubt.command] = Before.model_validate(doubt.before)
    return state, frozenset(known)


async def _load_places(
    session: AsyncSession,
    workcell: str,
    state: AssetManagerState,
    names: Collection[str] | None,
) -> dict[str, UUID]:
    """Enter where things are, and give their accession ids by name."""
    if names is None:
        found = await session.execute(_WHERE, {"workcell": workcell})
    else:
        found = await session.execute(_WHERE_OF_SOME, {"workcell": workcell, "names": [*names]})
    known = {}
    for asset_id, name, parent, unknown, shelf, inside, rack in found:
        known[name] = asset_id
        if unknown is not None:
            place = {"parent": parent, "unknown": unknown, "shelf": shelf or ""}
            put_place(state, name, place)
        for name_inside, where in inside.items():
            put_place(state, name_inside, where)
        if rack is not None:
            state.racks[name] = rack
    return known


async def register(
    session: AsyncSession,
    workcell: str,
    state: AssetManagerState,
    things: Mapping[str, Description],
    by: By,
) -> frozenset[str]:
    """Take up what the catalogue does not know yet; see ``Catalogue.register``."""
    known = {*await ids(session, workcell), *await gone(session, workcell)}
    racks = dict.fromkeys(state.racks, Description("tip_rack"))
    new = {name: thing for name, thing in {**racks, **things}.items() if name not in known}
    if new:
        await add_rows(session, workcell, new)
        found = as_new(state, {*known, *new}, new)
        created = replace(by, kind=AssetChangeKind.CREATED)
        await enter(session, workcell, await filled(session, workcell, found, by), created)
    return frozenset(new)


async def add_rows(session: AsyncSession, workcell: str, things: Mapping[str, Description]) -> None:
    """Add bare assets to a workcell; what is in them and where they are comes after."""
    rows = [
        {
            "workcell": workcell,
            "name": name,
            "kind": thing.kind,
            "factory": thing.factory,
            "config": dict(thing.config),
            "barcode": thing.barcode,
            "reagent": thing.reagent,
            "lot": thing.lot,
            "expires": thing.expires,
            "sample": thing.sample,
        }
        for name, thing in things.items()
    ]
    await session.execute(insert(AssetRow), rows)


def as_new(state: AssetManagerState, assets: Collection[str], wanted: Collection[str]) -> Changes:
    """Say that some assets of a state have come as they are there."""
    found = {name: AssetChange(name, {}, {}, tuple(state.racks.get(name, ()))) for name in wanted}
    documents: tuple[tuple[str, dict[str, Document]], ...] = (
        ("parts", parts(state)),
        ("places", places(state)),
    )
    for field_name, known in documents:
        for name, document in known.items():
            change = found.get(owner(name, state.locations, assets))
            if change is not None:
                getattr(change, field_name)[name] = PartChange(None, document)
    return Changes(found)


async def filled(session: AsyncSession, workcell: str, changes: Changes, by: By) -> Changes:
    """Give each liquid that came into a container a source of its own.

    Args:
        session: In a transaction.
        workcell: Its name.
        changes: Of which the containers were filled anew.
        by: Who filled them.
    """
    fillings = [
        {"asset": name, "part": part, "volume": volume, "amounts": after.get("amounts", {})}
        for name, one in changes.assets.items()
        for part, change in one.parts.items()
        for after in [change.after]
        if after is not None and is_of_container(after)
        for volume in [after["volume"]]
        if volume and "unknown" not in after
    ]
    if not fillings:
        return changes
    values = {"workcell": workcell, "fillings": dumps(fillings), "who": by.who}
    sources = {part: str(key) for key, part in await session.execute(_FILL, values)}
    return _with_sources(changes, sources)


def _with_sources(changes: Changes, sources: Mapping[str, str]) -> Changes:
    def named(part: str, change: PartChange) -> PartChange:
        if part not in sources or change.after is None:
            return change
        only: dict[str, JsonValue] = {sources[part]: change.after["volume"]}
        return PartChange(change.before, change.after | {"sources": only})

    assets = {
        name: replace(one, parts={part: named(part, change) for part, change in one.parts.items()})
        for name, one in changes.assets.items()
    }
    return replace(changes, assets=assets)


async def set_back(
    session: AsyncSession,
    workcell: str,
    wanted: AssetManagerState,
    by: By,
    only: Collection[str] | None,
) -> Changes:
    """Let a workcell hold what ``wanted`` says; see ``Catalogue.set_back``."""
    changes, _, _ = await staged(session, workcell, wanted, by, only)
    return changes


async def staged(
    session: AsyncSession,
    workcell: str,
    wanted: AssetManagerState,
    by: By,
    only: Collection[str] | None,
) -> tuple[Changes, AssetManagerState, frozenset[str]]:
    """Let a workcell hold what ``wanted`` says, and give what is known then, as ``load_named``.

    In the place of what was discarded something new has come.
    """
    back = wanted.locations if only is None else only
    await bring_again(session, workcell, [name for name in back if name in wanted.locations])
    known, names = await load_named(session, workcell)
    if only is not None:
        wanted = _with(known, wanted, only)
    last = {part: str(key) for part, key in await session.execute(_FILLED, {"workcell": workcell})}
    target = _refilled(known, wanted, last)
    changes = difference(known, target, names)
    if changes:
        changes = await filled(session, workcell, changes, by)
        await enter(session, workcell, changes, by)
        for change in changes.assets.values():
            for name, one in change.parts.items():
                put_part(target, name, one.after)  # now with its source
    return changes, target, names - _gone(changes)


def _gone(changes: Changes) -> set[str]:
    own = {name: one.places.get(name) for name, one in changes.assets.items()}
    return {name for name, place in own.items() if place is not None and place.after is None}


async def was_said(session: AsyncSession, workcell: str, by: By) -> bool:
    """Whether somebody changed something of a workcell for just this reason."""
    values = {"workcell": workcell, "who": by.who, "why": by.why}
    return bool(await session.scalar(_SAID, values))


HOST = "host"
"""Who says what no person and no command said."""


def back_before(run_id: object, number: int) -> By:
    """Say who puts things back to what they were before a command of a run, and why."""
    return By(HOST, f"somebody put them back to what they were before command {number} of {run_id}")


async def as_before(
    session: AsyncSession,
    known: AssetManagerState,
    before: AssetManagerState,
    since: Mapping[str, object],
) -> AssetManagerState:
    """Tell how all would be if what a run has changed since a command were as it was before.

    Args:
        session: In a transaction.
        known: How all is.
        before: How it was.
        since: ``run`` and ``number`` of the command.
    """
    target = known.model_copy(deep=True)
    for name, what in await session.execute(_CHANGED, since):
        if what == "part":
            put_part(target, name, part(before, name))
        else:
            put_place(target, name, place(before, name))
    for key in await session.scalars(_DOUBTED, since):
        target.doubts.pop(key, None)
    return target


async def put_back(
    session: AsyncSession,
    workcell: str,
    before: AssetManagerState,
    by: By,
    since: Mapping[str, object],
) -> None:
    """Let be as it was all that a run has changed since a command; nothing of it is a new source.

    Args:
        session: In a transaction.
        workcell: Its name.
        before: How it was.
        by: Who did it.
        since: ``run`` and ``number`` of the command.
    """
    known = await load(session, workcell)
    target = await as_before(session, known, before, since)
    changes = difference(known, target, {*(await ids(session, workcell))})
    if changes:
        await enter(session, workcell, changes, by)


def _with(
    known: AssetManagerState, wanted: AssetManagerState, only: Collection[str]
) -> AssetManagerState:
    """Take over some things of another state."""
    assets = AssetManager(known)
    assets.set_back(wanted.restricted(only))
    return assets.state


def _refilled(
    known: AssetManagerState, wanted: AssetManagerState, last: Mapping[str, str]
) -> AssetManagerState:
    """Leave containers alone that still hold what they were last filled with."""
    target = wanted.model_copy(deep=True)
    for name, container in target.containers.items():
        there = known.containers.get(name)
        full = {last[name]: container.volume} if name in last and container.volume else {}
        if there is None or there.unknown or there.sources != full:
            continue
        if (there.volume, there.amounts) == (container.volume, container.amounts):
            target.containers[name] = there
    return target


def difference(
    before: AssetManagerState, after: AssetManagerState, assets: Iterable[str]
) -> Changes:
    """Say what has to change for one state to become another."""
    ledger = Ledger(before, assets)
    ledger.touch_all(after)
    return ledger.take(after)


async def enter(session: AsyncSession, workcell: str, changes: Changes, by: By) -> None:
    """Write down changes that no command made."""
    await session.execute(_CHANGE, entries(workcell, changes, datetime.now(UTC), by))


async def enter_of(
    session: AsyncSession, workcell: str, changes: Changes, key: Mapping[str, Any]
) -> None:
    """Write down changes that a command made whose outcome is written already, or is not known.

    Args:
        session: In a transaction.
        workcell: Its name.
        changes: What was changed.
        key: ``run_id``, ``attempt``, ``branch`` and ``ordinal`` of the command.
    """
    values = entries(workcell, changes, datetime.now(UTC)) | dict(key)
    await session.execute(statements.CHANGE_BY_COMMAND, values)
