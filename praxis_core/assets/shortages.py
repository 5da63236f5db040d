"""Runs that wait for material: what each lacks, and what people may put right for it meanwhile.

So they may for a run that waits for what they say a command did: what it touched.

A run says in its audit trail that it is short, and that it is so no longer. Both are written under
the lock of the workcell under which people put things right: either the run takes up what somebody
said, or it is refused.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from sqlalchemy import ARRAY, Text, Uuid, bindparam, text
from sqlalchemy.ext.asyncio import AsyncSession

from praxis_core.assets.inventory import hold
from praxis_core.journal.database import Database
from praxis_core.journal.tables import EventRow

SHORT = "short"
"""Kind of the event that says what a run waits for."""
SHORT_NO_MORE = "short_no_more"
"""Kind of the event that says that it waits no longer."""
OFF_PLAN = "off_plan"
"""Kind of the event that says that a run was short after something that no plan foresees."""

_LATEST = """
    SELECT DISTINCT ON (e.run_id) e.run_id, e.at, e.kind, e.message, e.details
    FROM praxis.run_event e JOIN praxis.protocol_run r ON r.id = e.run_id
    WHERE e.kind IN ('short', 'short_no_more') AND r.status IN ('running', 'interrupted')
"""

_SHORT = text(f"""
    SELECT run_id, at, message, details FROM ({_LATEST} ORDER BY e.run_id, e.id DESC) e
    WHERE kind = 'short' ORDER BY at
""")  # noqa: S608  # a constant

_SHORT_OF_RUN = text(f"""
    SELECT run_id, at, message, details
    FROM ({_LATEST} AND e.run_id = :run ORDER BY e.run_id, e.id DESC) e WHERE kind = 'short'
""").bindparams(bindparam("run", type_=Uuid()))  # noqa: S608  # a constant

_DOUBTED = text("""
    SELECT EXISTS (
      SELECT FROM praxis.protocol_run r
        JOIN praxis.asset_doubt d ON d.command LIKE r.id || '/%'
        JOIN praxis.asset a ON a.workcell = d.workcell AND a.name = :name
          AND a.discarded_at IS NULL
        JOIN praxis.asset_part p ON p.asset_id = a.id
      WHERE r.id = :run AND r.status = 'in_doubt'
        AND (jsonb_exists(d.before -> 'containers', p.name)
          OR jsonb_exists(d.before -> 'tip_spots', p.name)))
""").bindparams(bindparam("run", type_=Uuid()))

_IS_CONDITIONAL = text("""
    SELECT EXISTS (
      SELECT FROM praxis.run_event WHERE run_id = :run AND (kind IN ('plan_not_made', 'off_plan')
        OR (kind = 'planned' AND json_typeof(details -> 'conditional_from') = 'object')))
""").bindparams(bindparam("run", type_=Uuid()))

_LAST_CHANGE = text("SELECT coalesce(max(id), 0) FROM praxis.asset_change")

_PUT_RIGHT = text("""
    SELECT DISTINCT a.name, c.who
    FROM praxis.asset_change c JOIN praxis.asset a ON a.id = c.asset_id
    WHERE c.id > :since AND c.who IS NOT NULL AND c.who <> 'host'
      AND a.workcell = :workcell AND a.name = ANY (:names)
    ORDER BY a.name
""").bindparams(bindparam("names", type_=ARRAY(Text())))


@dataclass(frozen=True, slots=True)
class Shortage:
    """What a run waits for."""

    run_id: UUID
    at: datetime
    """Since when."""
    message: str
    """What is missing, and how to mend it, for people."""
    assets: tuple[str, ...]
    """Names of what may be put right meanwhile."""


async def of_run(session: AsyncSession, run_id: UUID) -> Shortage | None:
    """Tell what a run waits for; None: for no material. One that has ended waits for nothing."""
    found = (await session.execute(_SHORT_OF_RUN, {"run": run_id})).mappings().first()
    return None if found is None else _shortage(found)


async def lets_put_right(session: AsyncSession, run_id: UUID, name: str) -> bool:
    """Whether a run that has an asset waits for somebody to put right what is in it.

    Or it waits until somebody says what a command did to it.
    """
    shortage = await of_run(session, run_id)
    if shortage is not None:
        return name in shortage.assets
    return bool(await session.scalar(_DOUBTED, {"run": run_id, "name": name}))


def _shortage(row: object) -> Shortage:
    fields = dict(row)  # type: ignore[call-overload]
    assets = tuple(fields.pop("details")["assets"])
    return Shortage(**fields, assets=assets)


class Shortages:
    """What runs wait for, in Postgres; each method is one transaction.

    Any method raises ``ServiceUnreachable`` when Postgres does not answer.
    """

    def __init__(self, database: Database) -> None:
        self._database = database

    async def may_come(self, run_id: UUID) -> bool:
        """Whether no plan could say what a run takes: it decides, is off its plan, or has none."""
        async with self._database.session() as session:
            return bool(await session.scalar(_IS_CONDITIONAL, {"run": run_id}))

    async def all(self) -> list[Shortage]:
        """List what runs wait for, the one that has waited longest first."""
        async with self._database.session() as session:
            found = (await session.execute(_SHORT)).mappings()
            return [_shortage(row) for row in found]

    async def of(self, run_id: UUID) -> Shortage | None:
        """Tell what a run waits for; None: for no material."""
        async with self._database.session() as session:
            return await of_run(session, run_id)

    async def begin(self, workcell: str, run_id: UUID, assets: Iterable[str], message: str) -> int:
        """Let people put some assets right although a run has them.

        Args:
            workcell: Its name.
            run_id: The run.
            assets: Their names.
            message: What is missing, and how to mend it.

        Returns:
            What ``put_right`` needs to know.
        """
        async with self._database.session() as session, session.begin():
            await hold(session, workcell)
            details = {"assets": sorted(assets)}
            session.add(EventRow(run_id=run_id, kind=SHORT, message=message, details=details))
            last: int = await session.scalar(_LAST_CHANGE)
            return last

    async def end(self, workcell: str, run_id: UUID, message: str) -> None:
        """Let nobody put right any more what a run has; nothing if it waits for nothing."""
        async with self._database.session() as session, session.begin():
            await hold(session, workcell)
            if await of_run(session, run_id) is not None:
                session.add(EventRow(run_id=run_id, kind=SHORT_NO_MORE, message=message))

    async def put_right(
        self, workcell: str, names: Collection[str], since: int
    ) -> Sequence[tuple[str, str]]:
        """Tell which assets somebody has put right, and who.

        Args:
            workcell: Its name.
            names: Of these assets.
            since: What ``begin`` gave.
        """
        values = {"workcell": workcell, "names": [*names], "since": since}
        async with self._database.session() as session:
            return [(name, who) for name, who in await session.execute(_PUT_RIGHT, values)]
