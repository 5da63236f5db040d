"""What became of an asset: each change of its place, contents and status, and who did it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from pydantic import JsonValue
from sqlalchemy import ARRAY, BigInteger, DateTime, Uuid, bindparam, text
from sqlalchemy.ext.asyncio import AsyncSession

from praxis_core.assets.description import blocks
from praxis_core.errors import RequestError

_FEW = 4
"""Wells that are told one by one."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Event:
    """One change of one asset."""

    id: int
    at: datetime
    kind: str
    told: str
    """What changed, for people."""
    run_id: UUID | None
    run_name: str | None
    command: int | None
    """The how-manieth of the run did it; None: none, or one that does not count."""
    did: str | None
    """Device and method of the command."""
    who: str | None
    why: str | None
    parts: JsonValue
    """``{part: [before in short, after]}``."""
    places: JsonValue
    """``{resource: [before, after]}``."""
    water: bool
    """Whether its run was done with water."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Correction:
    """What somebody said of an asset, or did with it by hand."""

    at: datetime
    asset: str
    told: str
    """What changed, for people."""
    who: str
    why: str


_EVENTS = text("""
    SELECT c.id, c.at, c.kind, c.run_id, r.name AS run_name, c.number, c.who, c.why, c.parts,
      c.places, k.device || '.' || k.method AS did, a.name, coalesce(r.water, false) AS water
    FROM (SELECT * FROM praxis.asset_change WHERE asset_id = :asset ORDER BY id DESC LIMIT :limit) c
      JOIN praxis.asset a ON a.id = c.asset_id
      LEFT JOIN praxis.protocol_run r ON r.id = c.run_id
      LEFT JOIN praxis.command k ON k.run_id = c.run_id AND k.attempt = c.attempt
        AND k.branch = c.branch AND k.ordinal = c.ordinal
    WHERE k.method IS DISTINCT FROM 'take_stock'  -- what it takes up, somebody has said before
    ORDER BY c.id
""").bindparams(bindparam("asset", type_=Uuid()))

_POSITIONS = text("""
    SELECT k.run_id, k.number, k.position
    FROM (
      SELECT run_id, number, row_number() OVER (PARTITION BY run_id ORDER BY number) AS position
      FROM praxis.command WHERE NOT tail AND run_id = ANY(:runs)
    ) k WHERE k.number = ANY(:numbers)
""").bindparams(
    bindparam("runs", type_=ARRAY(Uuid())), bindparam("numbers", type_=ARRAY(BigInteger()))
)


async def events(session: AsyncSession, asset: UUID, limit: int) -> list[Event]:
    """List what became of an asset, the oldest first; see ``Catalogue.history``."""
    found = (await session.execute(_EVENTS, {"asset": asset, "limit": limit})).mappings().all()
    places = await positions(session, [(one["run_id"], one["number"]) for one in found])
    return [
        Event(
            **{name: one[name] for name in one if name not in {"name", "number"}},
            told=told(one["name"] or "", one["kind"], one["parts"] or {}, one["places"] or {}),
            command=places.get((one["run_id"], one["number"])),
        )
        for one in found
    ]


async def positions(
    session: AsyncSession, commands: Iterable[tuple[UUID | None, int | None]]
) -> dict[tuple[UUID, int], int]:
    """Say the how-manieth of its run each command is, as people count them; from 1.

    Args:
        session: Of the database.
        commands: Run and number of each. One that was set aside is not in the answer.
    """
    pairs = {(run, number) for run, number in commands if run is not None and number is not None}
    if not pairs:
        return {}
    values = {"runs": [*{run for run, _ in pairs}], "numbers": [number for _, number in pairs]}
    found = await session.execute(_POSITIONS, values)
    return {(run, number): position for run, number, position in found}


_NUMBERS = text("""
    SELECT number FROM praxis.command WHERE run_id = :run AND NOT tail AND branch !~ '^r'
    ORDER BY number OFFSET :before LIMIT 1
""").bindparams(bindparam("run", type_=Uuid()))

_COUNT = text("""
    SELECT count(*) FROM praxis.command WHERE run_id = :run AND NOT tail AND branch !~ '^r'
""").bindparams(bindparam("run", type_=Uuid()))


async def number_of(session: AsyncSession, run: UUID, command: int) -> int:
    """Give the number of the how-manieth command of a run, from 1.

    Raises:
        RequestError: it has fewer.
    """
    number: int | None = await session.scalar(_NUMBERS, {"run": run, "before": command - 1})
    if number is None:
        count = await session.scalar(_COUNT, {"run": run})
        raise RequestError(what=f"run {run} has {count} commands, not {command}")
    return number


_CORRECTIONS = text("""
    SELECT c.at, a.name, c.kind, c.who, coalesce(c.why, '') AS why, c.parts, c.places
    FROM praxis.asset_change c JOIN praxis.asset a ON a.id = c.asset_id
    WHERE c.run_id IS NULL AND c.who <> ALL (ARRAY['host', 'definition'])
      AND c.kind <> 'confirmed' AND c.at >= :since AND (:until IS NULL OR c.at <= :until)
      AND EXISTS (
        SELECT FROM praxis.claim k
        WHERE k.run_id = :run AND k.workcell = a.workcell AND k.asset = a.name)
    ORDER BY c.id
""").bindparams(
    bindparam("run", type_=Uuid()),
    bindparam("since", type_=DateTime(timezone=True)),
    bindparam("until", type_=DateTime(timezone=True)),
)


async def corrections(
    session: AsyncSession, run: UUID, since: datetime, until: datetime | None
) -> list[Correction]:
    """List what people put right of what a run had; see ``Catalogue.corrections``."""
    found = await session.execute(_CORRECTIONS, {"run": run, "since": since, "until": until})
    return [
        Correction(
            at=row.at,
            asset=row.name,
            told=told(row.name, row.kind, row.parts or {}, row.places or {}) or row.kind,
            who=row.who,
            why=row.why,
        )
        for row in found
    ]


# --- in words -------------------------------------------------------------------------------------

_Pair = Sequence[Any]
"""Before and after."""


def told(name: str, kind: str, parts: Mapping[str, _Pair], places: Mapping[str, _Pair]) -> str:
    """Say what changed of an asset."""
    said = [*_places(name, places), *_liquids(parts), *_tips(parts), *_heads(parts)]
    if kind in {"confirmed", "created", "discarded", "replaced"}:
        said = [kind, *said]
    return "; ".join(said)


def _places(asset: str, places: Mapping[str, _Pair]) -> Iterator[str]:
    for name, (before, after) in places.items():
        if before is None and name != asset:
            continue  # a part of it, where it always is
        if after is None:
            yield f"{name} is gone"
        elif after.get("unknown"):
            yield f"{name} is nobody knows where: {after['unknown']}"
        elif after.get("shelf"):
            yield f"{name} to shelf {after['shelf']}"
        else:
            yield f"{name} to {after['parent'] or 'a gripper'}"


def _liquids(parts: Mapping[str, _Pair]) -> Iterator[str]:
    wells = {
        name: (before or {}, after)
        for name, (before, after) in parts.items()
        if after is not None and "volume" in after and "spot" not in after
    }
    changed = {name: pair for name, pair in wells.items() if _is_otherwise(*pair)}
    for why in dict.fromkeys(after["unknown"] for _, after in changed.values() if _unknown(after)):
        names = [name for name, (_, after) in changed.items() if after.get("unknown") == why]
        yield f"unknown what is in {blocks(names)}: {why}"
    known = {name: pair for name, pair in changed.items() if not _unknown(pair[1])}
    if len(known) <= _FEW:
        for name, (before, after) in known.items():
            yield f"{blocks([name])}: {_from(before)}{after['volume']:g} µL"
    elif known:
        befores = [before["volume"] for before, _ in known.values() if "volume" in before]
        in_all = sum(after["volume"] for _, after in known.values())
        since = f"{sum(befores):g} → " if befores else ""
        yield f"{len(known)} wells: {since}{in_all:g} µL in all"


def _from(before: Mapping[str, Any]) -> str:
    return f"{before['volume']:g} → " if "volume" in before else ""


def _is_otherwise(before: Mapping[str, Any], after: Mapping[str, Any]) -> bool:
    """Whether there is more to say of a well than that it is there, and empty."""
    return bool(before.get("volume") or after["volume"] or _unknown(after))


def _unknown(after: Mapping[str, Any]) -> bool:
    return bool(after.get("unknown"))


def _tips(parts: Mapping[str, _Pair]) -> Iterator[str]:
    spots = {name: pair for name, pair in parts.items() if pair[1] and "tip" in pair[1]}
    words = {True: "tips in", False: "no tips in", None: "unknown whether there are tips in"}
    for there, word in words.items():
        names = [
            name
            for name, (before, after) in spots.items()
            if after["tip"] is there and (before or {}).get("tip", "new") is not there
        ]
        if names:
            yield f"{word} {blocks(names)}"


def _heads(parts: Mapping[str, _Pair]) -> Iterator[str]:
    for name, (_, after) in parts.items():
        if after is not None and "holds" in after:
            yield f"{name} holds {after['holds'] or 'nothing'}"
    gone = [name for name, (before, after) in parts.items() if before and after is None]
    if gone:
        yield f"no tip on {', '.join(gone[:_FEW])}{' and more' if len(gone) > _FEW else ''}"
    mounted = {name: after for name, (_, after) in parts.items() if after and "spot" in after}
    if len(mounted) <= _FEW:
        for name, tip in mounted.items():
            yield f"{name} with the tip of {tip['spot'] or 'nobody knows where'}: {_amount(tip)}"
    else:
        in_all = sum(tip["volume"] for tip in mounted.values())
        yield f"tips with {in_all:g} µL on {len(mounted)} channels"


def _amount(tip: Mapping[str, Any]) -> str:
    return "unknown how much" if _unknown(tip) else f"{tip['volume']:g} µL"
