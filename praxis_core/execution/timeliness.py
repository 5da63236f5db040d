"""What came later than its protocol promised: written down while the run goes on, told after it."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Iterator, Mapping
from datetime import datetime
from typing import Any
from uuid import UUID

from praxis_core.errors import PraxisError
from praxis_core.journal.record import Journal
from praxis_core.journal.records import EventRecord, Measurement
from praxis_core.planning.promises import Promises
from praxis_core.protocol.promise import time_told
from praxis_core.workcell.branches import outside_protocol

PROMISE_BROKEN = "promise_broken"
"""Kind of the events that say what came too late."""

FlagOf = Callable[[Measurement], str]
"""Says what is to be known of a measurement; empty: nothing."""

_log = logging.getLogger(__name__)


class Timeliness:
    """Writes down what came too late in one attempt; what is known from earlier ones is not told.

    Args:
        run_id: The run.
        promises: Finds it.
        journal: Where it is written down.
        known: The run's events so far.
    """

    def __init__(
        self, run_id: UUID, promises: Promises, journal: Journal, known: Iterable[EventRecord]
    ) -> None:
        self.promises = promises
        self._run_id = run_id
        self._journal = journal
        self._told = {_what(event.details) for event in known if event.kind == PROMISE_BROKEN}
        self._written = 0

    async def write(self) -> None:
        """Write down what was found since the last time; without the database, the next time."""
        with outside_protocol():
            while self._written < len(self.promises.late):
                late = self.promises.late[self._written]
                if _what(late.details) not in self._told:
                    try:
                        await self._journal.event(
                            self._run_id, PROMISE_BROKEN, str(late), late.details
                        )
                    except PraxisError as error:
                        _log.warning("not written yet: %s (%s)", late, error)
                        return
                    _log.warning("%s", late)
                self._written += 1


def flags(events: Iterable[EventRecord]) -> FlagOf:
    """Flag what was measured of samples from the moment on at which they came too late.

    Args:
        events: Of the run.
    """
    late: dict[tuple[str, str | None], list[tuple[datetime, str]]] = {}
    for event in events:
        match event.details if event.kind == PROMISE_BROKEN else None:
            case {
                "since": str(since),
                "step": str(step),
                "seconds": int() | float() as gap,
                "at": str(at),
                "samples": dict(samples),
            }:
                said = f"{step} {time_told(gap)} after {since}"
                for sample in _samples(samples):
                    late.setdefault(sample, []).append((datetime.fromisoformat(at), said))

    def flag(measured: Measurement) -> str:
        own = late.get((measured.asset or "", measured.well), [])
        return "; ".join(f"late: {said}" for at, said in own if at <= measured.at)

    return flag


def _samples(told: Mapping[str, Any]) -> Iterator[tuple[str, str | None]]:
    """Give labware and well of each sample in an event."""
    for labware, wells in told.items():
        for well in wells or [None]:
            yield labware, well


def _what(details: object) -> tuple[object, ...] | None:
    match details:
        case {"since": since, "branch": branch, "ordinal": ordinal, "at": at}:
            return since, branch, ordinal, at
        case _:
            return None
