"""What people have said of workcells and runs at work: stop, drain, release, pause, and go on.

Each word is a line of the audit trail, with who said it and why; the last one counts. Whether a
workcell is in use, and who has its hardware, are said apart: a stop outlives that it was released.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any, Self
from uuid import UUID

from pydantic import JsonValue
from sqlalchemy import ARRAY, Text, Uuid, bindparam, text

from praxis_core.journal.database import Database
from praxis_core.journal.tables import EventRow


class Standing(StrEnum):
    """How a workcell stands, as the kind of the event that says so."""

    STARTED = "workcell_started"
    """Runs may begin, and go on."""
    DRAINING = "workcell_draining"
    """Runs that are at work come to their end, and none begins."""
    STOPPED = "workcell_stopped"
    """Nothing more is sent to any device."""
    RELEASED = "workcell_released"
    """Another program has its hardware, and nothing is connected to it from here."""
    RECLAIMED = "workcell_reclaimed"
    """It was taken back, and nobody has said yet that its deck is as it is known."""
    CONFIRMED = "workcell_confirmed"
    """Somebody has looked, and it is."""

    @property
    def words(self) -> str:
        """Say it for people, after "workcell NAME was"."""
        return {
            Standing.STARTED: "taken into use",
            Standing.DRAINING: "told to drain",
            Standing.STOPPED: "stopped",
            Standing.RELEASED: "released to another program",
            Standing.RECLAIMED: "taken back from another program",
            Standing.CONFIRMED: "confirmed to be as it is known",
        }[self]

    @property
    def given_away(self) -> bool:
        """Whether another program has, or had, the hardware, and nobody has looked since."""
        return self in {Standing.RELEASED, Standing.RECLAIMED}


PAUSED = "paused"
"""Kind of the event that says that a run sends no further command for the time being."""
WENT_ON = "went_on"
"""Kind of the event that says that it does again."""
ATTEMPT_STOPPED = "stopped"
"""Kind of the event that says that an attempt of a run has ended with a stop of its workcell."""


@dataclass(frozen=True, slots=True)
class Said:
    """What somebody said."""

    by: str
    why: str = ""
    at: str = ""
    """When, for people; empty: just now."""

    def __str__(self) -> str:
        """Say who, when and why, after what was done."""
        since = f" at {self.at}" if self.at else ""
        return f"by {self.by}{since}" + (f" ({self.why})" if self.why else "")

    @property
    def details(self) -> dict[str, JsonValue]:
        """Give it for the audit trail."""
        return {"by": self.by, "why": self.why}

    @classmethod
    def of(cls, details: Any, at: datetime) -> Self:
        """Read it from the audit trail."""
        known = details if isinstance(details, dict) else {}
        # A line that was written down before it could be brought here tells when that was.
        when = datetime.fromisoformat(known["at"]) if "at" in known else at
        told = f"{when.astimezone():%Y-%m-%d %H:%M:%S}"
        return cls(str(known.get("by", "somebody")), str(known.get("why") or ""), told)


@dataclass(frozen=True, slots=True)
class WorkcellStanding:
    """How a workcell stands, and who said so."""

    workcell: str
    standing: Standing
    said: Said

    @property
    def is_open(self) -> bool:
        """Whether runs may begin."""
        return self.standing is Standing.STARTED

    @property
    def mend(self) -> str:
        """What a person types who wants it to be in use again."""
        word = {Standing.RELEASED: "reclaim", Standing.RECLAIMED: "confirm"}
        return f"praxis workcell {word.get(self.standing, 'start')} {self.workcell}"

    def __str__(self) -> str:
        """Say it in a sentence without its end."""
        told = f"workcell {self.workcell} was {self.standing.words} {self.said}"
        if self.standing is Standing.RECLAIMED:
            told += ", and nobody has said since that its deck is as it is known"
        return told


_STANDING = text("""
    SELECT kind, at, details FROM praxis.run_event
    WHERE run_id IS NULL
      AND kind = ANY (:kinds)
      AND details ->> 'workcell' = :workcell
    ORDER BY id DESC LIMIT 1
""").bindparams(bindparam("kinds", type_=ARRAY(Text())))

_USE = (Standing.STARTED, Standing.DRAINING, Standing.STOPPED)
_HARDWARE = (Standing.RELEASED, Standing.RECLAIMED, Standing.CONFIRMED)

_PAUSES = """
    SELECT DISTINCT ON (e.run_id) e.run_id, e.kind, e.at, e.details
    FROM praxis.run_event e JOIN praxis.protocol_run r ON r.id = e.run_id
    WHERE e.kind IN ('paused', 'went_on')
"""

_PAUSE_OF = text(
    f"SELECT * FROM ({_PAUSES} AND e.run_id = :run ORDER BY e.run_id, e.id DESC) e "  # noqa: S608  # a constant
    "WHERE kind = 'paused'"
).bindparams(bindparam("run", type_=Uuid()))

_PAUSED_NOW = text(
    f"SELECT * FROM ({_PAUSES} AND r.status NOT IN ('succeeded', 'failed', 'cancelled', 'refused')"  # noqa: S608  # a constant
    " ORDER BY e.run_id, e.id DESC) e WHERE kind = 'paused' ORDER BY at"
)

_ATTEMPT_STOPPED = text("""
    SELECT EXISTS (
      SELECT FROM praxis.run_event
      WHERE run_id = :run AND kind = 'stopped' AND (details ->> 'attempt')::int = :attempt)
""").bindparams(bindparam("run", type_=Uuid()))

_AT_WORK = text("""
    SELECT DISTINCT r.id FROM praxis.claim c JOIN praxis.protocol_run r ON r.id = c.run_id
    WHERE c.workcell = :workcell AND c.released_at IS NULL AND r.status IN ('preparing', 'running')
""")

_WAITING = text("""
    SELECT r.id FROM praxis.protocol_run r
      JOIN praxis.run_attempt a ON a.run_id = r.id AND a.number = r.attempt
      JOIN praxis.workcell w ON w.id = a.workcell_id
    WHERE w.name = :workcell AND r.status = 'preparing' AND NOT EXISTS (
      SELECT FROM praxis.claim c
      WHERE c.run_id = r.id AND c.attempt = r.attempt AND c.released_at IS NULL)
    ORDER BY r.created_at
""")


class Control:
    """What people have said, in Postgres; each method is one transaction.

    Any method raises ``ServiceUnreachable`` when Postgres does not answer.
    """

    def __init__(self, database: Database) -> None:
        self._database = database

    # --- workcells --------------------------------------------------------------------------------

    async def say(self, workcell: str, standing: Standing, said: Said) -> None:
        """Write down how a workcell stands from now on."""
        message, details = about_workcell(workcell, standing, said)
        async with self._database.session() as session, session.begin():
            session.add(EventRow(kind=standing.value, message=message, details=details))

    async def standing(self, workcell: str) -> WorkcellStanding:
        """Tell how a workcell stands; one of which nobody said anything is in use."""
        hardware = await self._last_of(workcell, _HARDWARE)
        if hardware is not None and hardware.standing.given_away:
            return hardware
        return await self.use(workcell)

    async def use(self, workcell: str) -> WorkcellStanding:
        """Tell whether a workcell is in use, whoever has its hardware."""
        last = await self._last_of(workcell, _USE)
        return last or WorkcellStanding(workcell, Standing.STARTED, Said("nobody"))

    async def _last_of(self, workcell: str, kinds: Sequence[Standing]) -> WorkcellStanding | None:
        values = {"workcell": workcell, "kinds": [kind.value for kind in kinds]}
        async with self._database.session() as session:
            row = (await session.execute(_STANDING, values)).first()
        if row is None:
            return None
        return WorkcellStanding(workcell, Standing(row.kind), Said.of(row.details, row.at))

    async def at_work(self, workcell: str) -> Sequence[UUID]:
        """List the runs that have something of a workcell, and are to come to their end."""
        async with self._database.session() as session:
            return list(await session.scalars(_AT_WORK, {"workcell": workcell}))

    async def waiting(self, workcell: str) -> Sequence[UUID]:
        """List the runs that want to begin on a workcell, and have nothing of it yet."""
        async with self._database.session() as session:
            return list(await session.scalars(_WAITING, {"workcell": workcell}))

    # --- runs -------------------------------------------------------------------------------------

    async def pause(self, run_id: UUID, said: Said) -> None:
        """Write down that a run sends no further command."""
        await self._add(run_id, PAUSED, f"Paused {said}.", said)

    async def go_on(self, run_id: UUID, said: Said) -> None:
        """Write down that a paused run goes on."""
        await self._add(run_id, WENT_ON, f"Let go on {said}.", said)

    async def pause_of(self, run_id: UUID) -> Said | None:
        """Tell who has paused a run; None: nobody has, or somebody let it go on."""
        async with self._database.session() as session:
            row = (await session.execute(_PAUSE_OF, {"run": run_id})).first()
        return None if row is None else Said.of(row.details, row.at)

    async def paused(self) -> dict[UUID, Said]:
        """Tell who has paused which of the runs that have not ended."""
        async with self._database.session() as session:
            found = await session.execute(_PAUSED_NOW)
            return {row.run_id: Said.of(row.details, row.at) for row in found}

    async def was_stopped(self, run_id: UUID, attempt: int) -> bool:
        """Whether an attempt has ended with a stop of its workcell."""
        values = {"run": run_id, "attempt": attempt}
        async with self._database.session() as session:
            return bool(await session.scalar(_ATTEMPT_STOPPED, values))

    async def _add(self, run_id: UUID, kind: str, message: str, said: Said) -> None:
        async with self._database.session() as session, session.begin():
            session.add(EventRow(run_id=run_id, kind=kind, message=message, details=said.details))


def about_workcell(
    workcell: str, standing: Standing, said: Said
) -> tuple[str, dict[str, JsonValue]]:
    """Give the sentence and the data of the event that says how a workcell stands."""
    message = f"Workcell {workcell} was {standing.words} {said}."
    return message, {"workcell": workcell, **said.details}
