"""What the history of assets tells: where a thing has been, and what went into what."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from typing import Any
from uuid import UUID

from pydantic import JsonValue
from sqlalchemy import ARRAY, BigInteger, Text, Uuid, bindparam, text
from sqlalchemy.ext.asyncio import AsyncSession

from praxis_core.assets.documents import put_part
from praxis_core.assets.history import positions
from praxis_core.assets.state import AssetManagerState
from praxis_core.assets.water import OF_WATER_RUN
from praxis_core.errors import AssetUnknown


@dataclass(frozen=True, slots=True, kw_only=True)
class Origin:
    """One filling, and how much of it is in something."""

    source: str
    """Id of the filling, or the name of the container if it never met the database."""
    volume: float
    """µL of it that are there."""
    asset: str | None = None
    """Name that the asset had which was filled."""
    asset_id: UUID | None = None
    part: str | None = None
    """The container that was filled."""
    reagent: str | None = None
    lot: str | None = None
    sample: JsonValue = None
    filled_at: datetime | None = None
    by: str | None = None


@dataclass(frozen=True, slots=True)
class Lineage:
    """What went into a container."""

    volume: float
    """µL."""
    origins: tuple[Origin, ...]
    """The most first; together they are the volume where all of it is known."""
    unknown: str
    """Why nobody knows what is in it; empty: it is known."""
    water: float = 0.0
    """µL of it that water runs have brought, of which no origin is kept."""


@dataclass(frozen=True, slots=True)
class Place:
    """Where an asset was from some moment on."""

    at: datetime
    parent: str | None
    """What it stood on; None: in a gripper, or on nothing known."""
    unknown: str
    run_id: UUID | None
    command: int | None
    """The how-manieth of the run moved it."""
    who: str | None
    why: str | None
    shelf: str = ""
    """Outside of the workcell."""
    water: bool = False
    """Whether it was a water run."""


@dataclass(frozen=True, slots=True)
class Touch:
    """A tip that a source was in, or that was dipped into something with it."""

    spot: str | None
    """Where the tip came from; None: nobody knows."""
    run_id: UUID | None
    command: int | None
    """The how-manieth of the run was the first with which it touched the source."""
    at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class Asset:
    """One physical thing, as it stands."""

    id: UUID
    kind: str
    workcell: str | None
    name: str | None
    factory: str | None
    barcode: str | None
    status: str
    held_by: UUID | None
    """The run that has it."""
    place: str | None
    place_unknown: str | None
    shelf: str | None
    reagent: str | None
    lot: str | None
    expires: date | None
    sample: JsonValue


_ASSET = """
    SELECT a.id, a.kind, a.workcell, a.name, a.factory, a.barcode, a.status, c.run_id AS held_by,
      a.parent AS place, a.place_unknown, a.shelf, a.reagent, a.lot, a.expires, a.sample
    FROM praxis.asset a LEFT JOIN praxis.claim c
      ON c.workcell = a.workcell AND c.asset = a.name AND c.released_at IS NULL
"""

_CALLED = text(f"""{_ASSET} WHERE a.barcode = :called
      OR (length(:called) >= 6 AND CAST(a.id AS text) LIKE :called || '%')
    ORDER BY a.discarded_at IS NOT NULL, a.created_at DESC LIMIT 2
""")

_BEFORE = text("""
    SELECT a.id FROM praxis.asset a JOIN praxis.asset b ON b.workcell = a.workcell
      AND b.name = a.name AND b.created_at > a.created_at
    WHERE b.id = :asset AND a.discarded_at IS NOT NULL ORDER BY a.created_at DESC LIMIT 1
""").bindparams(bindparam("asset", type_=Uuid()))

_BY_IDS = text(f"{_ASSET} WHERE a.id = ANY(:ids) ORDER BY a.created_at, a.id").bindparams(
    bindparam("ids", type_=ARRAY(Uuid()))
)

_FREE = """
    SELECT a.id, a.kind, a.workcell, a.name, a.factory, a.barcode, a.status,
      CAST(NULL AS uuid) AS held_by, a.parent AS place, a.place_unknown, a.shelf, a.reagent, a.lot,
      a.expires, a.sample
    FROM praxis.asset a WHERE a.status = 'available' AND a.kind = :kind AND {}
    ORDER BY a.expires, a.id LIMIT :limit
"""
_FREE_OUTSIDE = text(_FREE.format("a.workcell IS NULL"))
_FREE_ON = text(
    _FREE.format("""a.workcell = :workcell AND a.shelf IS NULL AND NOT EXISTS (
      SELECT FROM praxis.claim c
      WHERE c.workcell = a.workcell AND c.asset = a.name AND c.released_at IS NULL)""")
)

_CONTENTS = text("""
    SELECT p.name, p.contents FROM praxis.asset_part p
    WHERE p.asset_id = :asset AND p.contents IS NOT NULL
""").bindparams(bindparam("asset", type_=Uuid()))

_PLACES = text("""
    SELECT c.at, c.places -> CAST(:name AS text) -> 1 AS place, c.run_id, c.number, c.who, c.why,
      r.water
    FROM praxis.asset_change c LEFT JOIN praxis.protocol_run r ON r.id = c.run_id
    WHERE c.asset_id = :asset AND c.places ? :name ORDER BY c.id
""").bindparams(bindparam("asset", type_=Uuid()), bindparam("name", type_=Text()))

_PART = text("""
    SELECT p.contents FROM praxis.asset a JOIN praxis.asset_part p ON p.asset_id = a.id
    WHERE a.workcell = :workcell AND a.discarded_at IS NULL AND p.name = :part
      AND p.contents IS NOT NULL
""")

_ORIGINS = text("""
    SELECT s.id, a.name AS asset, s.asset_id, s.part, s.reagent, s.lot, s.sample, s.filled_at, s.by
    FROM praxis.source s JOIN praxis.asset a ON a.id = s.asset_id WHERE s.id = ANY(:ids)
""").bindparams(bindparam("ids", type_=ARRAY(BigInteger())))

_TOUCHED = text("""
    SELECT c.at, c.run_id, c.number, p.value -> 1 AS tip
    FROM praxis.asset_change c, jsonb_each(c.parts) AS p
    WHERE c.sources <> '{}' AND c.sources && :ids
      AND p.value -> 1 -> 'touched' ?| CAST(:names AS text[])
    ORDER BY c.id
""").bindparams(
    bindparam("ids", type_=ARRAY(BigInteger())), bindparam("names", type_=ARRAY(Text()))
)

_SAMPLE = text("SELECT id FROM praxis.source WHERE sample = CAST(:sample AS jsonb)")


async def find(session: AsyncSession, wanted: Mapping[str, object], limit: int) -> list[Asset]:
    """List assets that were not discarded, by the columns that are given."""
    columns = "".join(f" AND a.{column} = :{column}" for column in wanted)
    query = f"{_ASSET} WHERE a.discarded_at IS NULL{columns} ORDER BY a.name, a.id LIMIT :limit"
    return _assets(await session.execute(text(query), {**wanted, "limit": limit}))


_CHANGED_SINCE = text("""
    SELECT DISTINCT ON (a.name) a.name, c.kind, c.who, c.why, c.at, c.run_id
    FROM praxis.asset_change c JOIN praxis.asset a ON a.id = c.asset_id
    WHERE a.workcell = :workcell AND a.name = ANY(:names)
      AND c.run_id IS DISTINCT FROM :run_id AND c.who IS DISTINCT FROM 'host'
      -- A command has the time of its workcell, and a pretend lab's clock may be hours ahead. Who
      -- changed it later, had it later.
      AND CASE WHEN c.number IS NULL THEN c.at > :since ELSE EXISTS (
        SELECT FROM praxis.claim k
        WHERE k.run_id = c.run_id AND k.workcell = a.workcell AND k.asset = a.name
          AND (k.released_at IS NULL OR k.released_at > :since)) END
      AND c.kind <> 'confirmed'
      -- What people put right while the run had it, the run had asked for.
      AND NOT EXISTS (
        SELECT FROM praxis.claim k
        WHERE c.who IS NOT NULL AND k.run_id = :run_id AND k.workcell = a.workcell
          AND k.asset = a.name AND k.claimed_at <= c.at
          AND (k.released_at IS NULL OR k.released_at >= c.at))
    ORDER BY a.name, c.id DESC
""").bindparams(bindparam("run_id", type_=Uuid()))


async def changed_since(
    session: AsyncSession, workcell: str, names: Sequence[str], since: datetime, run_id: UUID
) -> list[str]:
    """Say what others changed of some assets; see ``Catalogue.changed_since``."""
    values = {"workcell": workcell, "names": [*names], "since": since, "run_id": run_id}
    found = await session.execute(_CHANGED_SINCE, values)
    return [
        f"{row.name} was {row.kind} by {row.who or f'run {row.run_id}'} at {row.at:%Y-%m-%d %H:%M}"
        + (f" ({row.why})" if row.why else "")
        for row in found
    ]


async def free(session: AsyncSession, kind: str, workcell: str | None, limit: int) -> list[Asset]:
    """List what may be used, the soonest expiry first; see ``Catalogue.free``."""
    query = _FREE_OUTSIDE if workcell is None else _FREE_ON
    values = {"kind": kind, "limit": limit}
    if workcell is not None:
        values["workcell"] = workcell
    return _assets(await session.execute(query, values))


def _assets(found: Any) -> list[Asset]:
    return [Asset(**row) for row in found.mappings()]


async def by_ids(session: AsyncSession, ids: Sequence[UUID]) -> list[Asset]:
    """Give assets by their accession ids, the oldest first."""
    return _assets(await session.execute(_BY_IDS, {"ids": [*ids]}))


async def called(session: AsyncSession, word: str) -> Asset | None:
    """Find a thing by its barcode or the beginning of its accession id, also if it is discarded."""
    found = _assets(await session.execute(_CALLED, {"called": word}))
    return found[0] if found else None


async def before(session: AsyncSession, asset: UUID) -> UUID | None:
    """Name what went by the name of an asset before it, and was discarded."""
    found: UUID | None = await session.scalar(_BEFORE, {"asset": asset})
    return found


async def contents(session: AsyncSession, asset: UUID) -> AssetManagerState:
    """Read what is in the parts of one asset."""
    state = AssetManagerState()
    for name, document in await session.execute(_CONTENTS, {"asset": asset}):
        put_part(state, name, document)
    return state


async def places(session: AsyncSession, asset: Asset) -> list[Place]:
    """List where an asset has been, the oldest first."""
    if asset.name is None:
        return []
    found = (await session.execute(_PLACES, {"asset": asset.id, "name": asset.name})).all()
    commands = await positions(session, [(row.run_id, row.number) for row in found])
    return [
        Place(
            row.at,
            (row.place or {}).get("parent"),
            (row.place or {}).get("unknown", ""),
            row.run_id,
            commands.get((row.run_id, row.number)),
            row.who,
            row.why,
            shelf=(row.place or {}).get("shelf", ""),
            water=bool(row.water),
        )
        for row in found
    ]


async def lineage(session: AsyncSession, workcell: str, part: str) -> Lineage:
    """Tell what went into a container; see ``Catalogue.lineage``."""
    document = await session.scalar(_PART, {"workcell": workcell, "part": part})
    if document is None or "volume" not in document:
        raise AssetUnknown(asset=part, closest="none")
    sources: dict[str, float] = document.get("sources", {})
    water = sources.pop(OF_WATER_RUN, 0.0)
    keys = [int(key) for key in sources if key.isdecimal()]
    rows = {
        str(row["id"]): {name: row[name] for name in row if name != "id"}
        for row in (await session.execute(_ORIGINS, {"ids": keys})).mappings()
    }
    origins = [
        Origin(source=key, volume=volume, **rows.get(key, {})) for key, volume in sources.items()
    ]
    origins.sort(key=lambda origin: -origin.volume)
    return Lineage(document["volume"], tuple(origins), document.get("unknown", ""), water)


async def touched(session: AsyncSession, sources: list[int]) -> list[Touch]:
    """List the tips that touched some sources, each once, in the order in which they did."""
    names = [str(source) for source in sources]
    first: dict[tuple[UUID | None, str | None], tuple[int | None, datetime]] = {}
    for at, run, number, tip in await session.execute(_TOUCHED, {"ids": sources, "names": names}):
        first.setdefault((run, tip["spot"]), (number, at))
    commands = await positions(session, [(run, number) for (run, _), (number, _) in first.items()])
    return [
        Touch(spot, run, None if run is None else commands.get((run, number or 0)), at)
        for (run, spot), (number, at) in first.items()
    ]


async def sources_of_sample(session: AsyncSession, sample: str) -> list[int]:
    """List the fillings with a sample, by its identity as JSON."""
    return [*await session.scalars(_SAMPLE, {"sample": sample})]
