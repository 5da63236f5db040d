"""A run's life: it begins, is interrupted, goes on with another attempt, ends."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import replace
from datetime import UTC, datetime
from itertools import product
from uuid import UUID, uuid4

import pytest
from pydantic import JsonValue

from praxis_core.errors import ImpossibleTransition, JournalError, RunNotFound
from praxis_core.journal.database import read_final_state
from praxis_core.journal.record import Journal
from praxis_core.journal.records import AttemptRequest, StepStart
from praxis_core.protocol.command import Command, Outcome
from praxis_core.protocol.lifecycle import RUN_TRANSITIONS, RunStatus, StepStatus

AT = datetime(2025, 3, 14, 15, tzinfo=UTC)

Requests = Callable[[], Awaitable[AttemptRequest]]


async def test_a_new_run_begins_with_attempt_1_preparing(
    journal: Journal, request_attempt: Requests
) -> None:
    """What was asked for is stored with the versions it will be carried out with."""
    request = await request_attempt()

    assert await journal.begin_attempt(request) == 1

    run = await journal.run(request.run_id)
    assert (run.status, run.attempt) == (RunStatus.PREPARING, 1)
    assert (run.protocol, run.protocol_version) == ("dilution", "1.0.0")
    assert (run.workcell, run.workcell_version) == ("star", 1)
    assert (run.parameters, run.assets) == ({"factor": 2.0}, {"plate": "plate_01"})
    assert run.asked_by == "unverified"
    assert (run.started_at, run.ended_at, run.error) == (None, None, None)
    [attempt] = await journal.attempts(request.run_id)
    assert attempt.start_snapshot == {"plate_01": "carrier 3, site 2"}


async def test_what_a_run_goes_on_is_settled_when_it_starts(journal: Journal, run_id: UUID) -> None:
    """Assets and start snapshot are found while it is prepared; from then on they stay."""
    await journal.start(run_id, assets={"plate": "plate_02"}, start_snapshot={"plate_02": 1})

    run = await journal.run(run_id)
    assert (run.status, run.assets) == (RunStatus.RUNNING, {"plate": "plate_02"})
    assert run.started_at is not None
    [attempt] = await journal.attempts(run_id)
    assert attempt.start_snapshot == {"plate_02": 1}
    with pytest.raises(ImpossibleTransition):
        await journal.start(run_id, assets={}, start_snapshot=None)


async def test_a_run_ends_with_its_result(
    journal: Journal, run_id: UUID, database_url: str
) -> None:
    """Summary, archived state and times are there after the end, and not before."""
    await journal.set_status(run_id, RunStatus.RUNNING)
    assert read_final_state(database_url, run_id) is None

    await journal.finish(
        run_id,
        RunStatus.SUCCEEDED,
        summary={"r_squared": 0.998},
        final_state={"count": 1e16, "note": "nul \x00"},
        error=None,
    )

    run = await journal.run(run_id)
    assert (run.status, run.summary, run.error) == (
        RunStatus.SUCCEEDED,
        {"r_squared": 0.998},
        None,
    )
    assert run.started_at is not None
    assert run.ended_at is not None
    assert run.created_at <= run.started_at <= run.ended_at
    state = read_final_state(database_url, run_id)
    assert state == {"count": 1e16, "note": "nul \x00"}
    assert isinstance(state["count"], float)


def test_an_unknown_run_has_no_archive(database_url: str) -> None:
    """Asking for the archived state of a run that never was is answered, not an error."""
    assert read_final_state(database_url, uuid4()) is None


async def test_a_run_that_ended_goes_on_with_the_next_attempt(
    journal: Journal, request_attempt: Requests, database_url: str
) -> None:
    """Prefect's Retry keeps the run; what the last attempt archived stays until the next end."""
    request = await request_attempt()
    await journal.begin_attempt(request)
    await journal.set_status(request.run_id, RunStatus.RUNNING)
    await journal.finish(
        request.run_id, RunStatus.FAILED, summary=1, final_state={"n": 1}, error={"message": "x"}
    )

    assert await journal.begin_attempt(replace(request, parameters={"factor": 2.0, "mix": 3})) == 2

    run = await journal.run(request.run_id)
    assert (run.status, run.attempt, run.error) == (RunStatus.PREPARING, 2, None)
    assert (run.started_at, run.ended_at) == (None, None)
    assert run.parameters == {"factor": 2.0, "mix": 3}
    assert read_final_state(database_url, request.run_id) is None
    first, second = await journal.attempts(request.run_id)
    assert (first.status, first.error) == (RunStatus.FAILED, {"message": "x"})
    assert (second.status, second.ended_at) == (RunStatus.PREPARING, None)
    await journal.set_status(request.run_id, RunStatus.CANCELLED)
    assert read_final_state(database_url, request.run_id) == {"n": 1}


async def test_an_attempt_whose_process_was_killed_is_closed_by_the_next(
    journal: Journal, request_attempt: Requests
) -> None:
    """It ends as failed, interrupted, with the steps that were under way."""
    request = await request_attempt()
    await journal.begin_attempt(request)
    await journal.set_status(request.run_id, RunStatus.RUNNING)
    await journal.step_started(
        StepStart(run_id=request.run_id, attempt=1, path="1", name="fill", task_run_id=None, at=AT)
    )

    assert await journal.begin_attempt(request) == 2

    first, second = await journal.attempts(request.run_id)
    assert first.status is RunStatus.FAILED
    assert isinstance(first.error, dict)
    assert (first.error["type"], first.how) == ("interrupted", "interrupted")
    assert second.status is RunStatus.PREPARING
    assert second.how == "preparing"
    [step] = await journal.steps(request.run_id)
    assert step.status is StepStatus.FAILED
    assert step.ended_at is not None


async def test_a_process_taken_for_dead_can_write_nothing_more(
    journal: Journal, request_attempt: Requests, command: Command, outcome: Outcome
) -> None:
    """But what a device did before the end of its attempt is still written down."""
    request = replace(await request_attempt(), run_id=command.run_id)
    under_way = replace(command, ordinal=1)
    await journal.command_intent(under_way, AT)

    await journal.begin_attempt(request)

    with pytest.raises(JournalError, match=r"attempt 1 of run .* has ended"):
        await journal.command_intent(command, AT)
    await journal.step_started(
        StepStart(run_id=request.run_id, attempt=1, path="1", name="s", task_run_id=None, at=AT)
    )
    with pytest.raises(JournalError, match="has ended"):
        await journal.flush()
    with pytest.raises(JournalError, match=r"attempt 1 of run .* is over; it is at 2"):
        await journal.finish(
            request.run_id, RunStatus.FAILED, summary=None, final_state={}, error=None, attempt=1
        )
    await journal.command_outcome(under_way, outcome, [])
    assert (await journal.run(request.run_id)).status is RunStatus.PREPARING


async def test_two_processes_that_begin_the_same_run_follow_each_other(
    journal: Journal, request_attempt: Requests
) -> None:
    """Each gets an attempt of its own, and only the last is open."""
    request = await request_attempt()

    numbers = await asyncio.gather(*(journal.begin_attempt(request) for _ in range(4)))

    assert sorted(numbers) == [1, 2, 3, 4]
    ended = [attempt.ended_at is not None for attempt in await journal.attempts(request.run_id)]
    assert ended == [True, True, True, False]


async def test_a_simulated_run_never_becomes_a_real_one(
    journal: Journal, request_attempt: Requests
) -> None:
    """A next attempt on real devices is refused, and the run stays as it was."""
    request = await request_attempt()
    await journal.begin_attempt(request)

    with pytest.raises(JournalError, match="is simulated and cannot go on as a real one"):
        await journal.begin_attempt(replace(request, simulated=False))

    run = await journal.run(request.run_id)
    assert (run.status, run.attempt) == (RunStatus.PREPARING, 1)


async def test_the_end_of_a_run_ends_its_steps(journal: Journal, run_id: UUID) -> None:
    """Steps that ended keep their end; those under way have failed."""
    for path in ("1", "2", "2.1"):
        await journal.step_started(
            StepStart(run_id=run_id, attempt=1, path=path, name="s", task_run_id=None, at=AT)
        )
    await journal.step_ended(run_id, 1, "1", StepStatus.SUCCEEDED, None, AT)

    await journal.finish(run_id, RunStatus.FAILED, summary=None, final_state={}, error=None)

    ends = {step.path: step.status for step in await journal.steps(run_id)}
    assert ends == {
        "1": StepStatus.SUCCEEDED,
        "2": StepStatus.FAILED,
        "2.1": StepStatus.FAILED,
    }


async def test_a_step_ends_once(journal: Journal, run_id: UUID) -> None:
    """Neither a second end nor the end of a step that never began is written."""
    task_run = uuid4()
    await journal.step_started(
        StepStart(run_id=run_id, attempt=1, path="1", name="fill", task_run_id=task_run, at=AT)
    )
    error: JsonValue = {"type": "builtins:ValueError", "message": "dry"}
    await journal.step_ended(run_id, 1, "1", StepStatus.FAILED, error, AT)

    with pytest.raises(JournalError, match="is not open"):
        await journal.step_ended(run_id, 1, "1", StepStatus.SUCCEEDED, None, AT)
    with pytest.raises(JournalError, match="is not open"):
        await journal.step_ended(run_id, 1, "7", StepStatus.SUCCEEDED, None, AT)
    await journal.flush()
    await journal.step_started(
        StepStart(run_id=run_id, attempt=1, path="1", name="fill", task_run_id=task_run, at=AT)
    )
    with pytest.raises(JournalError, match="a step ends once"):
        await journal.flush()

    [step] = await journal.steps(run_id)
    assert (step.status, step.error, step.task_run_id) == (StepStatus.FAILED, error, task_run)


async def test_each_change_of_status_is_in_the_audit_trail(journal: Journal, run_id: UUID) -> None:
    """With the error that caused it; whoever made the change."""
    error: JsonValue = {"type": "praxis_core.errors:RunRefused", "message": "no plate"}
    await journal.finish(run_id, RunStatus.REFUSED, summary=None, final_state={}, error=error)
    await journal.event(run_id, "mail.sent", "The operator was told", {"to": "lab"})

    events = await journal.events(run_id)

    assert [(event.kind, event.message) for event in events] == [
        ("status", "attempt 1: preparing"),
        ("status", "attempt 1: preparing -> refused"),
        ("mail.sent", "The operator was told"),
    ]
    assert events[1].details == {
        "attempt": 1,
        "from": "preparing",
        "to": "refused",
        "error": error,
    }


async def test_the_installation_has_events_of_its_own(journal: Journal, run_id: UUID) -> None:
    """What concerns no run is logged beside the runs."""
    await journal.event(None, "started", "The services were started")

    assert [event.message for event in await journal.events(None)] == ["The services were started"]


async def test_set_status_allows_what_the_table_of_transitions_allows(
    journal: Journal, request_attempt: Requests
) -> None:
    """Over all pairs; back to preparing only with a new attempt."""
    way = {
        RunStatus.PREPARING: [],
        RunStatus.REFUSED: [RunStatus.REFUSED],
        RunStatus.RUNNING: [RunStatus.RUNNING],
        RunStatus.SUCCEEDED: [RunStatus.RUNNING, RunStatus.SUCCEEDED],
        RunStatus.FAILED: [RunStatus.FAILED],
        RunStatus.CANCELLED: [RunStatus.RUNNING, RunStatus.CANCELLED],
        RunStatus.INTERRUPTED: [RunStatus.RUNNING, RunStatus.INTERRUPTED],
        RunStatus.IN_DOUBT: [RunStatus.IN_DOUBT],
        RunStatus.PARKED: [RunStatus.RUNNING, RunStatus.PARKED],
    }
    request = await request_attempt()
    for old, new in product(RunStatus, RunStatus):
        run_id = uuid4()
        await journal.begin_attempt(replace(request, run_id=run_id))
        for status in way[old]:
            await journal.set_status(run_id, status)
        if new not in RUN_TRANSITIONS[old]:
            with pytest.raises(ImpossibleTransition) as caught:
                await journal.set_status(run_id, new)
            assert caught.value.details == {
                "run_id": str(run_id),
                "old": old.value,
                "new": new.value,
            }
        elif new is RunStatus.PREPARING:
            with pytest.raises(JournalError, match="with its next attempt"):
                await journal.set_status(run_id, new)
        else:
            await journal.set_status(run_id, new)
            assert (await journal.run(run_id)).status is new


async def test_an_unknown_run_is_said_to_be_unknown(journal: Journal) -> None:
    """By whatever asks for it or changes it."""
    for attempt in (
        journal.run(uuid4()),
        journal.set_status(uuid4(), RunStatus.RUNNING),
        journal.finish(uuid4(), RunStatus.FAILED, summary=None, final_state={}, error=None),
    ):
        with pytest.raises(RunNotFound):
            await attempt


async def test_runs_are_listed_newest_first(journal: Journal, request_attempt: Requests) -> None:
    """As many as one wants to see."""
    request = await request_attempt()
    made = [uuid4() for _ in range(3)]
    for run_id in made:
        await journal.begin_attempt(replace(request, run_id=run_id))

    assert [run.run_id for run in await journal.runs(limit=2)] == [made[2], made[1]]


async def test_a_run_remembers_which_run_it_was_carried_on_from(
    journal: Journal, request_attempt: Requests, run_id: UUID
) -> None:
    """And cannot claim one that never was."""
    request = await request_attempt()
    await journal.begin_attempt(replace(request, carried_from=run_id))

    assert (await journal.run(request.run_id)).carried_from == run_id
    with pytest.raises(JournalError, match="carried_from"):
        await journal.begin_attempt(replace(request, run_id=uuid4(), carried_from=uuid4()))
