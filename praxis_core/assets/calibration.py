"""What was taught: values by device, site and kind of labware, in versions with an end."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from pydantic import JsonValue
from sqlalchemy import func, or_, select, update
from sqlalchemy.ext.asyncio import AsyncSession

from praxis_core.assets.entries import By
from praxis_core.errors import RequestError
from praxis_core.journal.asset_tables import CalibrationRow
from praxis_core.journal.database import Database

_LOCK = "praxis.calibration:"


@dataclass(frozen=True, slots=True)
class Taught:
    """What a value is of."""

    device: str
    key: str
    site: str = ""
    """A place on the workcell; empty: any."""
    labware_kind: str = ""
    """Factory of PyLabRobot; empty: any."""


@dataclass(frozen=True, slots=True)
class Calibration:
    """One version of a value."""

    of: Taught
    version: int
    value: JsonValue
    valid_from: datetime
    valid_until: datetime | None
    """None: until there is a newer one."""
    who: str
    why: str


@dataclass(frozen=True, slots=True)
class Difference:
    """A value that was another one before."""

    of: Taught
    before: Calibration | None
    """None: there was none."""
    after: Calibration | None
    """None: there is none any more."""


class Calibrations:
    """The values that were taught on workcells; each method is one transaction.

    Any method raises ``ServiceUnreachable`` when Postgres does not answer.
    """

    def __init__(self, database: Database) -> None:
        self._database = database

    async def teach(  # what is taught, where, until when, by whom
        self,
        workcell: str,
        of: Taught,
        value: JsonValue,
        by: By,
        valid_until: datetime | None = None,
    ) -> Calibration:
        """Add a version of a value; it counts from now on, in place of the one before.

        Raises:
            RequestError: it would have ended already, or there is no value.
        """
        if value is None:
            raise RequestError(what=f"{of.key} of {of.device} needs a value; null is none")
        if valid_until is not None and valid_until <= datetime.now(UTC):
            raise RequestError(what=f"a value that ends {valid_until} is over already")
        async with self._database.session() as session, session.begin():
            # Two people teach one after the other, so that versions are without gaps.
            await session.execute(
                select(func.pg_advisory_xact_lock(func.hashtextextended(_LOCK + workcell, 0)))
            )
            now = datetime.now(UTC)
            mine = _of(workcell, of)
            last = await session.scalar(select(func.max(CalibrationRow.version)).where(*mine))
            await session.execute(
                update(CalibrationRow)
                .where(*mine, _valid_at(now))
                .values(valid_until=now)
                .execution_options(synchronize_session=False)
            )
            row = CalibrationRow(
                workcell=workcell,
                device=of.device,
                site=of.site,
                labware_kind=of.labware_kind,
                key=of.key,
                value=value,
                version=(last or 0) + 1,
                valid_from=now,
                valid_until=valid_until,
                who=by.who,
                why=by.why,
            )
            session.add(row)
            await session.flush()
            return _calibration(row)

    async def in_force(self, workcell: str, at: datetime | None = None) -> list[Calibration]:
        """List the values that count at a moment (None: now), the one of each thing."""
        async with self._database.session() as session:
            return await _read(session, workcell, _valid_at(at or datetime.now(UTC)))

    async def versions(self, workcell: str) -> list[Calibration]:
        """List all versions, by what they are of."""
        async with self._database.session() as session:
            return await _read(session, workcell)

    async def expired(
        self, workcell: str, devices: Collection[str] | None = None
    ) -> list[Calibration]:
        """List the values that ended by their own time, and that nothing took the place of.

        Args:
            workcell: Its name.
            devices: Of which; None: of all.
        """
        now = datetime.now(UTC)
        last = {one.of: one for one in await self.versions(workcell)}  # the newest comes last
        return [
            one
            for one in last.values()
            if one.valid_until is not None
            and one.valid_until <= now
            and (devices is None or one.of.device in devices)
        ]

    async def stamp(
        self, workcell: str, devices: Collection[str] | None = None
    ) -> dict[str, JsonValue]:
        """Say which versions are in force, for a plan or the start of a run to keep.

        Args:
            workcell: Its name.
            devices: Of which; None: of all.

        Returns:
            Version and value by what it is of: ``"star/carrier 1, site 2/cor_96/grip_width"``.
        """
        return {
            name_of(one.of): {"version": one.version, "value": one.value}
            for one in await self.in_force(workcell)
            if devices is None or one.of.device in devices
        }

    async def differences(
        self, workcell: str, since: datetime, until: datetime | None = None
    ) -> list[Difference]:
        """List what counts otherwise than at an earlier moment."""
        before = _by_name(await self.in_force(workcell, since))
        after = _by_name(await self.in_force(workcell, until))
        pairs = ((before.get(of), after.get(of)) for of in {**before, **after})
        return [
            Difference((new or old).of, old, new)  # type: ignore[union-attr]  # one of them is there
            for old, new in pairs
            if old is None or new is None or old.version != new.version
        ]


def not_used(expired: Calibration) -> str:
    """Say that a value is over, for a plan."""
    until = f"{expired.valid_until:%Y-%m-%d %H:%M}" if expired.valid_until else "now"
    what = f"{name_of(expired.of)} (version {expired.version}) was valid until {until}"
    return f"{what} and is not used; praxis calibration set teaches it anew"


def name_of(taught: Taught) -> str:
    """Name what a value is of in one word; ``*``: any."""
    parts = (taught.device, taught.site or "*", taught.labware_kind or "*", taught.key)
    return "/".join(parts)


def _by_name(found: Iterable[Calibration]) -> dict[Taught, Calibration]:
    return {one.of: one for one in found}


def _of(workcell: str, of: Taught) -> tuple[Any, ...]:
    return (
        CalibrationRow.workcell == workcell,
        CalibrationRow.device == of.device,
        CalibrationRow.site == of.site,
        CalibrationRow.labware_kind == of.labware_kind,
        CalibrationRow.key == of.key,
    )


def _valid_at(moment: datetime) -> Any:
    begun = CalibrationRow.valid_from <= moment
    return begun & or_(CalibrationRow.valid_until.is_(None), CalibrationRow.valid_until > moment)


async def _read(session: AsyncSession, workcell: str, *which: Any) -> list[Calibration]:
    row = CalibrationRow
    query = (
        select(row)
        .where(row.workcell == workcell, *which)
        .order_by(row.device, row.site, row.labware_kind, row.key, row.version)
    )
    return [_calibration(one) for one in await session.scalars(query)]


def _calibration(row: CalibrationRow) -> Calibration:
    of = Taught(row.device, row.key, row.site, row.labware_kind)
    return Calibration(
        of, row.version, row.value, row.valid_from, row.valid_until, row.who, row.why
    )
