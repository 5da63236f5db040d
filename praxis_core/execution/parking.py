"""Waiting without a process: a run that does nothing but wait for hours is *parked*.

A parked run is one that was stopped on purpose at a moment at which nothing of it was under way:
its process ends without sending anything more, its claims stay, the host keeps its devices as they
are set, and a later attempt goes on from there as after any other end of a process.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from datetime import UTC, datetime, timedelta
from uuid import UUID

from pydantic import JsonValue

from praxis_core.errors import (
    ImpossibleTransition,
    PraxisError,
    RunParked,
    ServiceUnreachable,
)
from praxis_core.journal.record import Journal
from praxis_core.to_the_end import to_the_end
from praxis_core.workcell.clock import Clock

_log = logging.getLogger(__name__)

PARKED = "parked"
"""Kind of the line in the audit trail."""

LOOK_EVERY = 0.05
"""Seconds between two looks whether anything else of the run is under way."""


class Activity:
    """What a protocol has under way: its commands, its other waits, its effects outside."""

    def __init__(self) -> None:
        self._count = 0

    @property
    def is_none(self) -> bool:
        """Whether nothing is under way."""
        return not self._count

    @contextmanager
    def going_on(self) -> Iterator[None]:
        """Count what is inside as under way."""
        self._count += 1
        try:
            yield
        finally:
            self._count -= 1


class Parking:
    """Ends the process of a run when all that it does is wait.

    Args:
        run_id: The run.
        attempt: Its attempt.
        journal: Where it is written down.
        clock: The workcell's time.
        activity: What else of the run is under way.
        under_way: Names the branches of the protocol whose tasks have not ended.
        over_seconds: Shorter waits are waited for in the process; None: all of them, since nobody
            would start the run again, or its devices would go with its process.
        waits_for_free: Whether the workcell's clock jumps to what somebody waits for.
        until_live: Waits until everything known was replayed.
        stop: Told when the run is parked: from then on nothing of it may happen.
    """

    def __init__(  # noqa: PLR0913  # what it needs, by name
        self,
        run_id: UUID,
        attempt: int,
        *,
        journal: Journal,
        clock: Clock,
        activity: Activity,
        under_way: Callable[[], Iterable[str]],
        over_seconds: float | None,
        waits_for_free: bool,
        until_live: Callable[[], Awaitable[None]],
        stop: Callable[[RunParked], None],
    ) -> None:
        self._run_id = run_id
        self._attempt = attempt
        self._journal = journal
        self._clock = clock
        self._activity = activity
        self._under_way = under_way
        self._over_seconds = over_seconds
        self._waits_for_free = waits_for_free
        self._until_live = until_live
        self._stop = stop
        self._waits: dict[str, datetime | None] = {}
        """Until when branches wait that may be parked."""
        self._asleep: set[str] = set()
        """Those of them that wait for nothing but the time."""
        self._parking = False
        self._refused = over_seconds is None
        """It cannot be parked, or something else became of it."""
        self.parked: RunParked | None = None
        """What ends the process, once it is written that the run is parked."""

    def refuse_when_parked(self) -> None:
        """Let nothing be done for a run that is parked.

        Raises:
            RunParked: it is.
        """
        if self.parked is not None:
            raise self.parked

    def take_up(self) -> None:
        """Go on at once when what was waited for came while it was being parked.

        Raises:
            RunParked: it is.
        """
        if self.parked is not None:
            self.parked.seconds = 0.0
            raise self.parked

    async def wait_for_people(
        self,
        left: float | None,
        path: str,
        write: Callable[[], Awaitable[None]],
        *,
        after_seconds: float,
    ) -> None:
        """Wait for an answer; cancel this when it is there.

        Args:
            left: Seconds until nobody may answer any more; None: that takes as long as it takes.
            path: Of the branch that waits.
            write: Makes durable what is not yet.
            after_seconds: For which it is waited in the process, whatever else goes on.

        Raises:
            RunParked: the run is parked; the process is to end.
        """
        begun = self._clock.now()
        with self._activity.going_on():
            await asyncio.sleep(after_seconds)
        until = None if left is None else begun + timedelta(seconds=left)
        if not self._refused:
            await self.wait(until, path, write, asleep=False)
        await asyncio.Event().wait()

    def is_due(self, until: datetime, *, known: bool) -> bool:
        """Tell whether the run may be parked until a time, for which alone it waits.

        Args:
            until: The time.
            known: Whether an earlier attempt waited for it already.
        """
        # A clock that jumps makes the rest of the wait cost nothing.
        return self._is_worth_it(until) and not (known and self._waits_for_free)

    def _is_worth_it(self, until: datetime | None) -> bool:
        if self._refused or self._over_seconds is None:
            return False
        return until is None or self._left(until) > self._over_seconds

    async def wait(
        self,
        until: datetime | None,
        path: str,
        write: Callable[[], Awaitable[None]],
        *,
        asleep: bool,
    ) -> None:
        """Wait until a time has come, or the run is parked; cancel it when it need not wait.

        Args:
            until: The time; None: it waits until it is cancelled.
            path: Of the branch that waits.
            write: Makes durable what is not yet.
            asleep: Whether it waits for nothing but the time, which may jump there.

        Raises:
            RunParked: it is parked; the process is to end.
        """
        await self._until_live()
        idle = 0
        self._waits[path] = until
        if asleep:
            self._asleep.add(path)
        try:
            while until is None or self._left(until) > 0:
                self.refuse_when_parked()
                if asleep and until is not None and self._refused:
                    await self._clock.sleep(self._left(until))
                    return
                # Twice: between two commands of another branch nothing is under way, either.
                idle = idle + 1 if self._is_all_there_is() else 0
                if idle > 1 and not self._parking and self._is_worth_it(self._first()):
                    await self._park(write)
                await asyncio.sleep(LOOK_EVERY)
        finally:
            del self._waits[path]
            self._asleep.discard(path)

    def _first(self) -> datetime | None:
        """Give the first of the times that are waited for; None: there is none."""
        return min((one for one in self._waits.values() if one is not None), default=None)

    def _is_all_there_is(self) -> bool:
        """Whether nothing of the run does anything but wait like this, or for one that does."""
        paths = {"0", *self._under_way()}
        return self._activity.is_none and all(
            path in self._waits or any(one.startswith(f"{path}.") for one in paths)
            for path in paths
        )

    async def _park(self, write: Callable[[], Awaitable[None]]) -> None:
        self._parking = True
        try:
            await write()
            if not self._is_all_there_is():
                return
            await to_the_end(self._write_down(self._first()))
        except asyncio.CancelledError:
            # What was waited for came at the same moment: there is nothing left to wait for.
            if self.parked is not None:
                self.parked.seconds = 0.0
            raise
        except ImpossibleTransition as refused:
            # The host may have found it lost, or have asked about it: its process goes on.
            _log.warning("run %s waits in its process: %s", self._run_id, refused)
            self._refused = True
        except ServiceUnreachable as away:
            _log.warning("run %s is not parked yet: %s", self._run_id, away)
        finally:
            self._parking = False
        self.refuse_when_parked()

    async def _write_down(self, until: datetime | None) -> None:
        await self._journal.park(self._run_id, until, attempt=self._attempt)
        seconds = None if until is None else self._left(until)
        if self._waits_for_free and any(self._waits.get(path) == until for path in self._asleep):
            seconds = 0.0
        asleep = bool(self._asleep)
        parked = self.parked = RunParked(self._run_id, until, seconds, on_time=asleep)
        self._stop(parked)
        with suppress(PraxisError):  # its status says so, too
            details: JsonValue = {
                "attempt": self._attempt,
                "until": until.isoformat() if until else None,
                "due": _here(seconds),
            }
            await self._journal.event(self._run_id, PARKED, str(parked), details)

    def _left(self, until: datetime) -> float:
        return (until - self._clock.now()).total_seconds()


def _here(seconds: float | None) -> str | None:
    """Say when that is by the clock of this computer."""
    return None if seconds is None else (datetime.now(UTC) + timedelta(seconds=seconds)).isoformat()
