"""Why a run without a process is to go on: somebody has answered, or its time has come."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from pydantic import JsonValue

from praxis_core.execution.asking import AFTER_STEP
from praxis_core.execution.learned import ANSWER
from praxis_core.execution.parking import PARKED
from praxis_core.journal.questions import Questions
from praxis_core.journal.record import Journal
from praxis_core.journal.records import EventRecord, RunRecord

STARTED_AGAIN = "started_again"
"""Kind of the line in the audit trail."""


MOST = 10
"""After how many new starts that led nowhere a run is not started by itself any more."""

AGAIN = timedelta(minutes=5)
"""After what time one that led nowhere is tried once more."""


@dataclass(frozen=True, slots=True)
class Reason:
    """Why a parked run is to be started again."""

    answered: tuple[int, ...] = ()
    """Numbers of the questions whose answers it has not taken up."""
    is_due: bool = False
    """Whether its time has come."""
    is_lost: bool = False
    """Whether its process ended before it could say in the engine that it is parked."""
    was_told: bool = False
    """Whether it has just been started for that, since it was parked."""

    def __bool__(self) -> bool:
        """Whether there is one."""
        return bool(self.answered) or self.is_due or self.is_lost

    def __str__(self) -> str:
        """Say it on one line."""
        if self.answered:
            return "Somebody has answered."
        return "Its time has come." if self.is_due else "Its process ended as it was parked."


async def reason_to_go_on(
    journal: Journal, run: RunRecord, now: datetime, *, lost: bool = False
) -> Reason:
    """Say why a parked run is to go on; false: there is no reason.

    An answer that is not taken up in the attempt after it is none: what it was given to is not
    asked any more.

    Args:
        journal: The run history.
        run: The run.
        now: The time on this computer.
        lost: Whether the engine does not know that it is parked, and its process is gone.
    """
    events = await journal.events(run.run_id)
    told = [one for one in events if one.kind == STARTED_AGAIN]
    mine = [one for one in told if _of(one, "attempt") == run.attempt]
    before = {number for one in told if one not in mine for number in _numbers(one)}
    learned = {
        f"{one.branch}/{one.ordinal}"
        for one in await journal.learned(run.run_id)
        if one.kind == ANSWER
    }
    answered = [
        one.id
        for one in await Questions(journal.database).of_run(run.run_id)
        if one.answered_at is not None
        and one.key not in learned
        and not one.key.startswith(AFTER_STEP)
        and one.id not in before
    ]
    due = _due(events, run)
    return Reason(
        tuple(answered),
        due is not None and due <= now,
        # Each time is a new process; one that ends like this again and again is left to people.
        lost and len(told) < MOST,
        _was_told(mine, answered, now),
    )


def _was_told(told: Sequence[EventRecord], answered: Iterable[int], now: datetime) -> bool:
    known = {number for one in told for number in _numbers(one)}
    if not told or not known.issuperset(answered):
        return False
    return len(told) >= MOST or now - told[-1].at < AGAIN


async def note(journal: Journal, run: RunRecord, reason: Reason) -> None:
    """Write down that a run is started again, before it is: that it will be asked for once more."""
    numbers: list[JsonValue] = [*reason.answered]
    details: JsonValue = {"attempt": run.attempt, "questions": numbers}
    await journal.event(run.run_id, STARTED_AGAIN, f"It is started again. {reason}", details)


def _due(events: Iterable[EventRecord], run: RunRecord) -> datetime | None:
    """When it goes on by itself, by the clock of the computer that parked it."""
    mine = [one for one in events if one.kind == PARKED and _of(one, "attempt") == run.attempt]
    if not mine:
        return run.parked_until
    due = _of(mine[-1], "due")
    return datetime.fromisoformat(due) if isinstance(due, str) else None


def _of(event: EventRecord, name: str) -> JsonValue:
    return event.details.get(name) if isinstance(event.details, Mapping) else None


def _numbers(event: EventRecord) -> list[int]:
    numbers = _of(event, "questions")
    return [one for one in numbers if isinstance(one, int)] if isinstance(numbers, list) else []
