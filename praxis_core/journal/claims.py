"""Who has which device of a workcell: given, taken over and released, each in one transaction."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from datetime import datetime
from uuid import UUID

from sqlalchemy import ColumnElement, Row, Uuid, bindparam, func, insert, select, text, update
from sqlalchemy.dialects.postgresql import insert as postgres_insert
from sqlalchemy.ext.asyncio import AsyncSession

from praxis_core.errors import DeviceClaimed, JournalError
from praxis_core.journal.tables import CLAIM_TOKEN, AttemptRow, ClaimRow, EventRow, RunRow
from praxis_core.protocol.lifecycle import ENDED, RunStatus

STOPPED = frozenset({RunStatus.INTERRUPTED, RunStatus.IN_DOUBT})
"""A run that is one of these does nothing; on a simulated workcell a newcomer takes over."""

RESERVING = frozenset({RunStatus.FAILED, RunStatus.CANCELLED})
"""What a run that is one of these still has is reserved until it is resumed or abandoned."""

_ONE_AT_A_TIME = text("SELECT pg_advisory_xact_lock(hashtextextended('praxis.claim:' || :name, 0))")

STAGE_SET = "stage_set"
"""Kind of the event that says what was put back to its beginning for a run; no names: all."""

OVERTAKEN_BY = text("""
    WITH mine AS (
      SELECT c.workcell, c.asset, c.token, a.started_at, a.assets
      FROM praxis.claim c JOIN praxis.run_attempt a ON a.run_id = c.run_id AND a.number = c.attempt
      WHERE c.run_id = :run_id AND a.started_at IS NOT NULL
    ), names AS (
      SELECT asset AS name FROM mine
      UNION SELECT jsonb_path_query(assets::jsonb, '$.*[*]') #>> '{}' FROM mine
    )
    SELECT run_id FROM (
      SELECT o.run_id, o.claimed_at AS at FROM mine
        JOIN praxis.claim o ON o.workcell = mine.workcell AND o.asset = mine.asset
          AND o.token > mine.token AND o.run_id <> :run_id
        JOIN praxis.run_attempt theirs ON theirs.run_id = o.run_id AND theirs.number = o.attempt
          AND (theirs.started_at IS NOT NULL OR o.released_at IS NULL)
      UNION ALL
      SELECT (e.details ->> 'run')::uuid, e.at FROM praxis.run_event e
        WHERE e.run_id IS NULL AND e.kind = 'stage_set'
          AND e.details ->> 'run' <> CAST(:run_id AS text)
          AND e.details ->> 'workcell' IN (SELECT workcell FROM mine)
          AND e.at > (SELECT min(started_at) FROM mine)
          AND (json_typeof(e.details -> 'names') = 'null' OR EXISTS (
            SELECT FROM names WHERE (e.details -> 'names')::jsonb @> to_jsonb(name)))
    ) AS other ORDER BY at DESC LIMIT 1
""").bindparams(bindparam("run_id", type_=Uuid()))
"""The last run that had a device of this one after it, or for which something of it was put back:
what stands there is no longer its own. One that was refused before it started has had nothing."""

_TAKEN = text("""
    SELECT DISTINCT c.workcell, c.asset, theirs.run_id, theirs.number AS attempt
    FROM praxis.claim c
      JOIN praxis.run_attempt mine ON mine.run_id = c.run_id AND mine.number = c.attempt
        AND mine.started_at IS NULL
      JOIN praxis.run_event e ON e.run_id = c.run_id AND e.kind = 'claim_taken_over'
        AND e.details ->> 'workcell' = c.workcell AND e.details ->> 'device' = c.asset
        AND e.details ->> 'attempt' = CAST(c.attempt AS text)
      JOIN praxis.protocol_run r ON r.id = CAST(e.details ->> 'run' AS uuid)
      JOIN praxis.run_attempt theirs ON theirs.run_id = r.id AND theirs.number = r.attempt
        AND theirs.ended_at IS NULL
    WHERE c.run_id = :run_id AND c.token = ANY(:tokens) AND c.asset = ANY(:assets)
      AND r.status = ANY(:stopped)
    ORDER BY theirs.run_id, c.asset
""").bindparams(bindparam("run_id", type_=Uuid()))
"""What a run took over from others and released without ever starting, and whose it was."""


async def claim(  # noqa: PLR0913  # what is claimed, by whom
    session: AsyncSession,
    workcell: str,
    devices: Collection[str],
    *,
    run_id: UUID,
    attempt: int,
    take_over: bool,
    keep_reserved: bool = False,
) -> int:
    """Give all devices to an attempt of a run under one token, or none of them.

    ``keep_reserved``: what a failed or cancelled run still has is reserved for it, not forgotten.

    Raises:
        DeviceClaimed: another run has one of them and keeps it.
        JournalError: the attempt has ended, or was never begun.
    """
    await session.execute(_ONE_AT_A_TIME, {"name": workcell})
    await _hold_attempt(session, run_id, attempt)
    kept = RESERVING if keep_reserved else frozenset()
    for held in await _held(session, workcell, devices):
        if held.run_id != run_id and RunStatus(held.status) not in ENDED - kept:
            _refuse_unless_stopped(held, workcell, take_over=take_over, kept=kept)
            await _write_down(session, held, workcell, run_id, attempt)
    await session.execute(
        update(ClaimRow)
        .where(_open_on(workcell, devices))
        .values(released_at=func.clock_timestamp())
    )
    token: int = (await session.execute(select(CLAIM_TOKEN.next_value()))).scalar_one()
    row = {"token": token, "workcell": workcell, "run_id": run_id, "attempt": attempt}
    if devices:
        await session.execute(
            insert(ClaimRow), [row | {"asset": name} for name in sorted(set(devices))]
        )
    return token


async def kept_from(
    session: AsyncSession,
    workcell: str,
    assets: Collection[str],
    *,
    run_id: UUID,
    take_over: bool,
) -> dict[str, tuple[UUID, datetime]]:
    """Tell which of the assets belong to this run, or to others that do not give way to it.

    Returns:
        For each of them whose it is, and since when. ``claim`` with ``keep_reserved`` decides.
    """
    gives_way = ENDED - RESERVING
    if take_over:
        gives_way |= STOPPED | RESERVING
    found = await session.execute(
        select(ClaimRow.asset, ClaimRow.run_id, ClaimRow.claimed_at)
        .join(RunRow, RunRow.id == ClaimRow.run_id)
        .where(
            _open_on(workcell, assets),
            (ClaimRow.run_id == run_id) | RunRow.status.not_in(sorted(gives_way)),
        )
    )
    return {asset: (holder, since) for asset, holder, since in found}


async def release(
    session: AsyncSession,
    run_id: UUID,
    attempt: int | None = None,
    devices: Collection[str] | None = None,
    *,
    token: int | None = None,
) -> frozenset[str]:
    """Release what a run has: all of it, an attempt's, some devices, what has one token.

    What an attempt took over and never started on goes back to whom it was taken from.

    Returns:
        What was released now.
    """
    mine = (ClaimRow.run_id == run_id) & ClaimRow.released_at.is_(None)
    if attempt is not None:
        mine &= ClaimRow.attempt == attempt
    if devices is not None:
        mine &= ClaimRow.asset.in_(sorted(devices))
    if token is not None:
        mine &= ClaimRow.token == token
    released = await session.execute(
        update(ClaimRow)
        .where(mine)
        .values(released_at=func.clock_timestamp())
        .returning(ClaimRow.asset, ClaimRow.token)
        .execution_options(synchronize_session=False)
    )
    found = {one.asset: one.token for one in released}
    if found:
        await _give_back(session, run_id, found)
    return frozenset(found)


async def _give_back(session: AsyncSession, run_id: UUID, released: Mapping[str, int]) -> None:
    """Let runs that stopped have again what this one had taken from them."""
    values = {
        "run_id": run_id,
        "tokens": sorted(set(released.values())),
        "assets": sorted(released),
        "stopped": sorted(status.value for status in STOPPED),
    }
    taken = (await session.execute(_TAKEN, values)).all()
    for former in sorted({(one.run_id, one.attempt) for one in taken}):
        token = (await session.execute(select(CLAIM_TOKEN.next_value()))).scalar_one()
        rows = [
            {"token": token, "workcell": one.workcell, "asset": one.asset}
            | {"run_id": one.run_id, "attempt": one.attempt}
            for one in taken
            if (one.run_id, one.attempt) == former
        ]
        # Somebody else may be quicker; then it is theirs.
        await session.execute(postgres_insert(ClaimRow).on_conflict_do_nothing(), rows)
        names = ", ".join(row["asset"] for row in rows)
        said = f"Run {run_id} was refused before it started: {names} belongs to this run again."
        event = {"run_id": former[0], "kind": "claim_given_back", "message": said}
        await session.execute(insert(EventRow), [event | {"details": {"run": str(run_id)}}])


def _open_on(workcell: str, devices: Collection[str]) -> ColumnElement[bool]:
    return (
        (ClaimRow.workcell == workcell)
        & ClaimRow.asset.in_(sorted(devices))
        & ClaimRow.released_at.is_(None)
    )


async def _hold_attempt(session: AsyncSession, run_id: UUID, attempt: int) -> None:
    """Lock the attempt before the claims, as an intent does, so that nobody waits in a circle."""
    found = await session.execute(
        select(AttemptRow.ended_at)
        .where(AttemptRow.run_id == run_id, AttemptRow.number == attempt)
        .with_for_update(read=True)
    )
    row = found.one_or_none()
    if row is None or row.ended_at is not None:
        state = "was never begun" if row is None else "has ended"
        raise JournalError(what=f"attempt {attempt} of run {run_id} {state}; it claims nothing")


async def _held(
    session: AsyncSession, workcell: str, devices: Collection[str]
) -> Sequence[Row[str, UUID, str]]:
    """Open claims on the devices, locked: no intent passes them until this transaction ends."""
    found = await session.execute(
        select(ClaimRow.asset, ClaimRow.run_id, RunRow.status)
        .join(RunRow, RunRow.id == ClaimRow.run_id)
        .where(_open_on(workcell, devices))
        .order_by(ClaimRow.asset)
        .with_for_update(of=ClaimRow)
    )
    return found.all()


def _refuse_unless_stopped(
    held: Row[str, UUID, str], workcell: str, *, take_over: bool, kept: frozenset[RunStatus]
) -> None:
    if not (take_over and RunStatus(held.status) in STOPPED | kept):
        raise DeviceClaimed(
            device=held.asset, workcell=workcell, holder=held.run_id, status=held.status
        )


async def _write_down(
    session: AsyncSession, held: Row[str, UUID, str], workcell: str, newcomer: UUID, attempt: int
) -> None:
    """Say in both runs' audit trails that a device went from one to the other."""
    what = f"{held.asset} of workcell {workcell}"
    details = {"device": held.asset, "workcell": workcell, "run": str(newcomer)}
    lost = f"Run {newcomer} took over {what}; this run cannot be resumed."
    won = f"Took over {what} from run {held.run_id}, which is {held.status}."
    await session.execute(
        insert(EventRow),
        [
            {"run_id": held.run_id, "kind": "claim_lost", "message": lost, "details": details},
            {
                "run_id": newcomer,
                "kind": "claim_taken_over",
                "message": won,
                "details": details | {"run": str(held.run_id), "attempt": attempt},
            },
        ],
    )
