"""History as a reader sees it: what is stored, as frozen records."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypeVar
from uuid import UUID

from sqlalchemy import Select, extract, func, select

from praxis_core.errors import ProtocolNotFound, RunNotFound, WorkcellNotFound
from praxis_core.journal import claims, rows
from praxis_core.journal.database import Database
from praxis_core.journal.records import (
    AttemptRecord,
    Claim,
    CommandRecord,
    DataFileRecord,
    Doubt,
    EventRecord,
    Learned,
    RecordedMeasurement,
    RunRecord,
    StepRecord,
    StoredProtocol,
    StoredWorkcell,
)
from praxis_core.journal.tables import (
    AttemptRow,
    ClaimRow,
    CommandRow,
    DataFileRow,
    DoubtRow,
    EventRow,
    HostRow,
    LearnedRow,
    MeasurementRow,
    ProtocolRow,
    RunRow,
    StepRow,
    WorkcellRow,
)
from praxis_core.protocol.lifecycle import OutcomeStatus, RunStatus

Row = TypeVar("Row")

_RUNS_LEARNED_FROM = 50
"""From how many runs it is learned how long commands take."""


class History:
    """Reads the history of one database.

    Any of its methods raises ``ServiceUnreachable`` when Postgres does not answer.
    """

    def __init__(self, database: Database) -> None:
        self._database = database

    @property
    def database(self) -> Database:
        """The database that it is in."""
        return self._database

    async def workcell(self, name: str, version: int | None = None) -> StoredWorkcell:
        """Look up a workcell: the current version, or a given one.

        Raises:
            WorkcellNotFound: there is no such workcell, or not in this version.
        """
        which = WorkcellRow.current if version is None else WorkcellRow.version == version
        found = await self._all(select(WorkcellRow).where(WorkcellRow.name == name, which))
        if not found:
            known = [f"{one.name} (version {one.version})" for one in await self.workcells()]
            raise WorkcellNotFound(
                name=name if version is None else f"{name} version {version}",
                known=", ".join(known) or "none",
            )
        return rows.workcell(found[0])

    async def workcells(self) -> list[StoredWorkcell]:
        """List the workcells, the current version of each, by name."""
        query = select(WorkcellRow).where(WorkcellRow.current).order_by(WorkcellRow.name)
        return [rows.workcell(row) for row in await self._all(query)]

    async def protocol(self, name: str) -> StoredProtocol:
        """Look up a protocol's current definition.

        Raises:
            ProtocolNotFound: there is no such protocol.
        """
        query = select(ProtocolRow).where(ProtocolRow.name == name, ProtocolRow.current)
        found = await self._all(query)
        if not found:
            known = ", ".join(one.name for one in await self.protocols()) or "none"
            raise ProtocolNotFound(name=name, hint=f"Known: {known}.")
        return rows.protocol(found[0])

    async def protocol_version(self, protocol_id: int) -> StoredProtocol:
        """Look up one version of a protocol's definition, as an attempt names it.

        Raises:
            ProtocolNotFound: there is none.
        """
        found = await self._all(select(ProtocolRow).where(ProtocolRow.id == protocol_id))
        if not found:
            raise ProtocolNotFound(name=str(protocol_id), hint="No such version is stored.")
        return rows.protocol(found[0])

    async def protocols(self) -> list[StoredProtocol]:
        """List the protocols, the current definition of each, by name."""
        query = select(ProtocolRow).where(ProtocolRow.current).order_by(ProtocolRow.name)
        return [rows.protocol(row) for row in await self._all(query)]

    async def run(self, run_id: UUID) -> RunRecord:
        """Look up a run.

        Raises:
            RunNotFound: there is none.
        """
        found = await self._runs(rows.RUNS.where(RunRow.id == run_id))
        if not found:
            raise RunNotFound(run_id=run_id)
        return found[0]

    async def runs(self, limit: int = 50) -> list[RunRecord]:
        """List runs, newest first."""
        return await self._runs(rows.RUNS.order_by(RunRow.created_at.desc()).limit(limit))

    async def attempts(self, run_id: UUID) -> list[AttemptRecord]:
        """List a run's attempts in their order."""
        query = select(AttemptRow).where(AttemptRow.run_id == run_id).order_by(AttemptRow.number)
        return [rows.attempt(row) for row in await self._all(query)]

    async def steps(self, run_id: UUID) -> list[StepRecord]:
        """List a run's steps, by attempt and in the order in which they started."""
        query = (
            select(StepRow)
            .where(StepRow.run_id == run_id)
            .order_by(StepRow.attempt, StepRow.started_at, StepRow.path)
        )
        return [rows.step(row) for row in await self._all(query)]

    async def commands(self, run_id: UUID) -> list[CommandRecord]:
        """List a run's commands in the order of their intents."""
        query = select(CommandRow).where(CommandRow.run_id == run_id).order_by(CommandRow.number)
        return [rows.command(row) for row in await self._all(query)]

    async def command(
        self, run_id: UUID, attempt: int, branch: str, ordinal: int
    ) -> CommandRecord | None:
        """Look up one command; None when it was never written."""
        found = await self._all(
            select(CommandRow).where(
                CommandRow.run_id == run_id,
                CommandRow.attempt == attempt,
                CommandRow.branch == branch,
                CommandRow.ordinal == ordinal,
            )
        )
        return rows.command(found[0]) if found else None

    async def recorded(self, run_id: UUID) -> list[CommandRecord]:
        """List what counts of a run's commands, over all attempts, in the order of their intents.

        Without those that were set aside; with those that have no outcome (yet).
        """
        query = (
            select(CommandRow)
            .where(CommandRow.run_id == run_id, ~CommandRow.tail)
            .order_by(CommandRow.number)
        )
        return [rows.command(row) for row in await self._all(query)]

    async def find_command(self, run_id: UUID, branch: str, ordinal: int) -> CommandRecord | None:
        """Look up the one command that counts at this place of a run, whatever its attempt."""
        found = await self._all(
            select(CommandRow).where(
                CommandRow.run_id == run_id,
                CommandRow.branch == branch,
                CommandRow.ordinal == ordinal,
                ~CommandRow.tail,
            )
        )
        return rows.command(found[0]) if found else None

    async def runs_unfinished(self, workcell: str) -> list[RunRecord]:
        """List the runs that have devices of a workcell, oldest first."""
        return await self._runs(
            rows.RUNS.where(RunRow.id.in_(_claimants(workcell))).order_by(RunRow.created_at)
        )

    async def runs_parked(self) -> list[RunRecord]:
        """List the runs that wait without a process, oldest first."""
        parked = (AttemptRow.status == RunStatus.PARKED, AttemptRow.ended_at.is_(None))
        return await self._runs(rows.RUNS.where(*parked).order_by(RunRow.created_at))

    async def runs_cancelled_with_claims(self) -> list[RunRecord]:
        """List the cancelled runs that keep what they had: to be resumed, or to be given up."""
        has = select(ClaimRow.run_id).where(ClaimRow.released_at.is_(None))
        cancelled = RunRow.status == RunStatus.CANCELLED
        return await self._runs(rows.RUNS.where(cancelled, RunRow.id.in_(has)))

    async def commands_of_unfinished(self, workcell: str) -> list[CommandRecord]:
        """List all commands of the runs that have devices of a workcell, by their numbers.

        With those that were set aside: most of them happened, too.
        """
        query = (
            select(CommandRow)
            .where(CommandRow.run_id.in_(_claimants(workcell)))
            .order_by(CommandRow.number)
        )
        return [rows.command(row) for row in await self._all(query)]

    async def claims(self, workcell: str) -> list[Claim]:
        """List who has which device of a workcell, by device."""
        query = (
            select(ClaimRow)
            .where(ClaimRow.workcell == workcell, ClaimRow.released_at.is_(None))
            .order_by(ClaimRow.asset)
        )
        return [rows.claim(row) for row in await self._all(query)]

    async def claim_history(self, run_id: UUID) -> list[Claim]:
        """List the devices that a run has and had, oldest first."""
        query = (
            select(ClaimRow)
            .where(ClaimRow.run_id == run_id)
            .order_by(ClaimRow.token, ClaimRow.asset)
        )
        return [rows.claim(row) for row in await self._all(query)]

    async def overtaken_by(self, run_id: UUID) -> UUID | None:
        """Look for another run that had a device of this one after this one had started on it.

        Returns:
            The last such run; None when everything still stands as the run left it.
        """
        found = await self._database.execute(claims.OVERTAKEN_BY, {"run_id": run_id})
        return found[0].run_id if found else None

    async def host_epoch(self, workcell: str) -> int | None:
        """Look up the epoch of a workcell's newest host; None when there never was one."""
        found = await self._all(select(HostRow).where(HostRow.workcell == workcell))
        return found[0].epoch if found else None

    async def doubts(self, run_id: UUID) -> list[Doubt]:
        """List all questions about a run, oldest first, also those that were answered."""
        query = select(DoubtRow).where(DoubtRow.run_id == run_id).order_by(DoubtRow.id)
        return [rows.doubt(row) for row in await self._all(query)]

    async def open_doubts(self, run_id: UUID) -> list[Doubt]:
        """List the questions about a run that wait for an answer, oldest first."""
        return [doubt for doubt in await self.doubts(run_id) if doubt.answer is None]

    async def durations(self, workcell: str, *, simulated: bool) -> dict[tuple[str, str], float]:
        """Give what commands took in the newest runs of a workcell.

        Args:
            workcell: Its name.
            simulated: Of simulated devices, or of real ones.

        Returns:
            Median seconds of those that succeeded, by device and method.
        """
        newest = (
            select(RunRow.id)
            .join(
                AttemptRow, (AttemptRow.run_id == RunRow.id) & (AttemptRow.number == RunRow.attempt)
            )
            .join(WorkcellRow, WorkcellRow.id == AttemptRow.workcell_id)
            .where(WorkcellRow.name == workcell, RunRow.simulated == simulated)
            .order_by(RunRow.created_at.desc())
            .limit(_RUNS_LEARNED_FROM)
        )
        taken = extract("epoch", CommandRow.ended_at - CommandRow.started_at)
        query = (
            select(
                CommandRow.device,
                CommandRow.method,
                func.percentile_cont(0.5).within_group(taken).label("seconds"),
            )
            .where(CommandRow.run_id.in_(newest), CommandRow.outcome == OutcomeStatus.SUCCEEDED)
            .group_by(CommandRow.device, CommandRow.method)
        )
        async with self._database.session() as session:
            found = await session.execute(query)
            return {(device, method): float(seconds) for device, method, seconds in found}

    async def learned(self, run_id: UUID) -> list[Learned]:
        """List what a run's protocol learned other than from devices, in that order."""
        query = (
            select(LearnedRow)
            .where(LearnedRow.run_id == run_id)
            .order_by(LearnedRow.at, LearnedRow.branch, LearnedRow.ordinal)
        )
        return [rows.learned(row) for row in await self._all(query)]

    async def measurements(self, run_id: UUID) -> list[RecordedMeasurement]:
        """List a run's measurements in the order in which they were written."""
        query = (
            select(MeasurementRow)
            .where(MeasurementRow.run_id == run_id)
            .order_by(MeasurementRow.id)
        )
        return [rows.measurement(row) for row in await self._all(query)]

    async def events(self, run_id: UUID | None) -> list[EventRecord]:
        """List a run's events (None: those of the installation) in their order."""
        mine = EventRow.run_id.is_(None) if run_id is None else EventRow.run_id == run_id
        query = select(EventRow).where(mine).order_by(EventRow.id)
        return [rows.event(row) for row in await self._all(query)]

    async def data_files(self, run_id: UUID) -> list[DataFileRecord]:
        """List the files that a run left, in the order in which they were written down."""
        query = select(DataFileRow).where(DataFileRow.run_id == run_id).order_by(DataFileRow.id)
        return [rows.data_file(row) for row in await self._all(query)]

    async def _runs(
        self, query: Select[RunRow, AttemptRow, ProtocolRow, WorkcellRow]
    ) -> list[RunRecord]:
        async with self._database.session() as session:
            return [rows.run(*found) for found in await session.execute(query)]

    async def _all(self, query: Select[Row]) -> Sequence[Row]:
        async with self._database.session() as session:
            return (await session.scalars(query)).all()


def _claimants(workcell: str) -> Select[UUID]:
    return select(ClaimRow.run_id).where(
        ClaimRow.workcell == workcell, ClaimRow.released_at.is_(None)
    )
