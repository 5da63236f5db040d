"""Intents and outcomes under lost connections: nothing is lost, doubled or overtaken."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Awaitable, Callable
from dataclasses import replace
from datetime import UTC, datetime
from uuid import UUID

import psycopg
import pytest

from praxis_core.errors import JournalError, ServiceUnreachable
from praxis_core.journal import command_writer
from praxis_core.journal.database import Database
from praxis_core.journal.record import Journal
from praxis_core.journal.records import AttemptRequest, Measurement, StepStart
from praxis_core.protocol.command import Command, Outcome
from praxis_core.protocol.lifecycle import (
    CommandKind,
    OutcomeStatus,
    RunStatus,
    Sent,
    StepStatus,
)
from praxis_core.services.postgres import EmbeddedPostgres

AT = datetime(2025, 3, 14, tzinfo=UTC)
NOWHERE = "postgresql://lab:secret@127.0.0.1:1/praxis"
END_OTHERS = """
    SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity
    WHERE datname = current_database() AND pid <> pg_backend_pid()"""

Requests = Callable[[], Awaitable[AttemptRequest]]


async def _run(journal: Journal, request_attempt: Requests, command: Command) -> Command:
    """The first command of another run."""
    request = await request_attempt()
    await journal.begin_attempt(request)
    return replace(command, run_id=request.run_id)


async def _carry_out(
    journal: Journal, command: Command, outcome: Outcome, count: int, between: Callable[[], None]
) -> list[asyncio.Future[None]]:
    ends = []
    for ordinal in range(count):
        each = replace(command, ordinal=ordinal)
        await journal.command_intent(each, AT)
        between()
        reading = Measurement("plate", "A1", "absorbance", float(ordinal), "", AT)
        ends.append(journal.writer.outcome(each, replace(outcome, value=ordinal), [reading]))
    return ends


async def test_killed_backends_lose_and_double_nothing(
    journal: Journal,
    request_attempt: Requests,
    command: Command,
    outcome: Outcome,
    sql: psycopg.Connection,
) -> None:
    """Connections are ended again and again while four runs are under way."""
    dice = random.Random(7)  # noqa: S311  # repeatable

    def kill_sometimes() -> None:
        if dice.random() < 0.1:
            sql.execute(END_OTHERS)

    firsts = [command, *[await _run(journal, request_attempt, command) for _ in range(3)]]
    done = await asyncio.gather(
        *(_carry_out(journal, first, outcome, 60, kill_sometimes) for first in firsts)
    )
    await journal.settled()

    assert all(end.done() and end.exception() is None for ends in done for end in ends)
    for first in firsts:
        records = await journal.commands(first.run_id)
        assert [one.outcome and one.outcome.value for one in records] == list(range(60))
        assert [one.command.ordinal for one in records] == list(range(60))
        delivered = [one.delivered or 0 for one in records]
        assert delivered == sorted(set(delivered))
        values = [one.value for one in await journal.measurements(first.run_id)]
        assert values == [float(n) for n in range(60)]


async def test_commands_wait_while_postgres_restarts(
    journal: Journal,
    command: Command,
    outcome: Outcome,
    database_url: str,
    postgres: EmbeddedPostgres,
) -> None:
    """What was taken in before is written after, and what comes meanwhile waits for it."""
    await journal.command_intent(command, AT)
    assert database_url
    await asyncio.to_thread(postgres.stop)
    ended = journal.writer.outcome(command, outcome, [])
    step = StepStart(run_id=command.run_id, attempt=1, path="1", name="s", task_run_id=None, at=AT)
    await journal.step_started(step)
    following = asyncio.create_task(
        journal.command_intent(replace(command, ordinal=1, step="1"), AT)
    )
    flushed = asyncio.create_task(journal.flush())
    learned = asyncio.create_task(journal.learn(command.run_id, 1, "0", 0, "now", "", "noon"))
    await asyncio.wait([following, flushed, learned], timeout=0.2)
    assert not any(one.done() for one in (ended, following, flushed, learned))

    postgres.wait(await asyncio.to_thread(postgres.launch))
    await following
    await flushed

    assert await learned == "noon"
    assert ended.done()
    first, second = await journal.commands(command.run_id)
    assert (first.outcome, second.outcome) == (outcome, None)


async def test_without_postgres_an_intent_is_given_up_and_nothing_was_sent(
    command: Command, outcome: Outcome
) -> None:
    """The error names the address; an outcome is kept as long as the process lives."""
    async with Database(NOWHERE) as database:
        journal = Journal(database)
        journal.writer.patience = 0.0

        with pytest.raises(ServiceUnreachable, match="set by PRAXIS_DATABASE_URL"):
            await journal.command_intent(command, AT)
        ended = journal.writer.outcome(command, outcome, [])
        with pytest.raises(ServiceUnreachable):
            await journal.settled()
        assert not ended.done()
    assert ended.cancelled()


async def test_an_intent_that_was_given_up_is_not_left_in_doubt(
    journal: Journal, command: Command, database: Database, sql: psycopg.Connection
) -> None:
    """If Postgres has it all the same, it says that nothing was sent."""
    sql.execute("BEGIN")
    sql.execute("LOCK praxis.command IN SHARE MODE")
    asked = asyncio.create_task(journal.command_intent(command, AT))
    waiting = "SELECT count(*) FROM pg_locks WHERE NOT granted"
    while sql.execute(waiting).fetchone() == (0,):  # noqa: ASYNC110  # Postgres sends no event
        await asyncio.sleep(0)
    asked.cancel()
    with pytest.raises(asyncio.CancelledError):
        await asked
    sql.execute("COMMIT")

    [record] = await journal.commands(command.run_id)

    assert record.outcome is not None
    assert (record.outcome.status, record.outcome.sent) == (OutcomeStatus.FAILED, Sent.NONE)


async def test_an_intent_that_postgres_does_not_answer_is_given_up(
    journal: Journal, command: Command, sql: psycopg.Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The connection stands and nothing comes: nothing was sent, and the row says so later."""
    monkeypatch.setattr(command_writer, "STATEMENT_SECONDS", 0.0)
    await journal.command_intent(command, AT)
    journal.writer.patience = 0.2
    sql.execute("BEGIN")
    sql.execute("LOCK praxis.command IN SHARE MODE")

    with pytest.raises(ServiceUnreachable, match="no answer"):
        await journal.command_intent(replace(command, ordinal=1), AT)
    sql.execute("COMMIT")
    journal.writer.patience = 15.0

    first, second = await journal.commands(command.run_id)
    assert first.outcome is None
    assert second.outcome is not None
    assert second.outcome.sent is Sent.NONE


async def test_an_outcome_waits_for_what_passes(
    database_url: str, command: Command, outcome: Outcome, sql: psycopg.Connection
) -> None:
    """A lock or a full disk is no fault of the row; what happened is not thrown away for it."""
    async with Database(f"{database_url}&options=-cstatement_timeout%3D50ms") as database:
        journal = Journal(database)
        await journal.command_intent(command, AT)
        journal.writer.patience = 0.0
        sql.execute("BEGIN")
        sql.execute("LOCK praxis.command IN SHARE MODE")
        ended = journal.writer.outcome(command, outcome, [])
        with pytest.raises(ServiceUnreachable, match="statement timeout"):
            await journal.command_intent(replace(command, ordinal=1), AT)
        assert not ended.done()
        sql.execute("COMMIT")
        journal.writer.patience = 15.0

        await ended

        [record] = await journal.commands(command.run_id)
        assert record.outcome == outcome


async def test_a_caller_that_is_cancelled_before_its_turn_writes_nothing(
    journal: Journal, command: Command
) -> None:
    """Nothing that nobody waits for any more is announced."""
    asked = asyncio.create_task(journal.command_intent(command, AT))
    await asyncio.sleep(0)
    asked.cancel()
    with pytest.raises(asyncio.CancelledError):
        await asked

    records = await journal.commands(command.run_id)

    assert all(one.outcome is not None and one.outcome.sent is Sent.NONE for one in records)


async def test_a_refused_row_fails_only_its_own_caller(
    journal: Journal, request_attempt: Requests, command: Command, outcome: Outcome
) -> None:
    """All that goes in one transaction is written one by one when one of it is refused."""
    good = [command, *[await _run(journal, request_attempt, command) for _ in range(3)]]
    bad = [
        replace(command, branch="x"),
        replace(command, ordinal=5, attempt=2),
        replace(command, ordinal=6, device="nul \x00"),
        replace(command, ordinal=7, device="\ud800"),
        replace(command, ordinal=2**31),
    ]
    mixed = [one for pair in zip(good, bad, strict=False) for one in pair] + bad[4:]

    ends = await asyncio.gather(
        *(journal.command_intent(one, AT) for one in mixed), return_exceptions=True
    )

    refused = [one for one, end in zip(mixed, ends, strict=True) if isinstance(end, JournalError)]
    assert refused == bad
    assert [end for end in ends if end is None] == [None] * len(good)
    for one in good:
        [record] = await journal.commands(one.run_id)
        assert record.command == one


async def test_a_refused_outcome_is_told_to_the_next_intent_of_its_run(
    journal: Journal, request_attempt: Requests, command: Command, outcome: Outcome
) -> None:
    """Nobody waited for it; other runs hear nothing."""
    other = await _run(journal, request_attempt, command)
    await journal.command_intent(command, AT)
    journal.writer.outcome(command, outcome, [Measurement("p", "A1", "x", float("inf"), "", AT)])
    await journal.settled()

    await journal.command_intent(other, AT)
    with pytest.raises(JournalError, match="value_finite"):
        await journal.command_intent(replace(command, ordinal=1), AT)
    await journal.command_intent(replace(command, ordinal=1), AT)


async def test_an_outcome_goes_with_the_next_intent_in_one_transaction(
    journal: Journal, command: Command, outcome: Outcome, sql: psycopg.Connection
) -> None:
    """A command costs one commit, not two."""
    await journal.command_intent(command, AT)
    rows = "SELECT xmin::text, xmax::text FROM praxis.command ORDER BY ordinal"

    journal.writer.outcome(command, outcome, [])
    await journal.command_intent(replace(command, ordinal=1), AT)

    (first_written, _), (second_written, _) = sql.execute(rows).fetchall()
    assert first_written == second_written


async def test_an_outcome_that_no_intent_follows_is_written_all_the_same(
    journal: Journal, command: Command, outcome: Outcome
) -> None:
    """After a moment."""
    await journal.command_intent(command, AT)

    await asyncio.wait_for(journal.writer.outcome(command, outcome, []), 10)

    [record] = await journal.commands(command.run_id)
    assert record.outcome == outcome


async def test_what_waits_is_written_before_the_database_is_closed(
    database_url: str, command: Command, outcome: Outcome
) -> None:
    """The end of a process loses nothing."""
    async with Database(database_url) as database:
        journal = Journal(database)
        await journal.command_intent(command, AT)
        journal.writer.outcome(command, outcome, [])

    async with Database(database_url) as database:
        [record] = await Journal(database).commands(command.run_id)
    assert record.outcome == outcome


async def test_an_observation_is_one_row_with_or_without_an_intent(
    journal: Journal, observation: Command, outcome: Outcome
) -> None:
    """And of two outcomes only the first counts."""
    await journal.command_intent(observation, AT)
    await journal.command_outcome(observation, outcome, [])
    await journal.command_outcome(replace(observation, ordinal=1), outcome, [])
    with pytest.raises(JournalError, match="another outcome"):
        await journal.command_outcome(
            replace(observation, ordinal=1), replace(outcome, value=0), []
        )

    records = await journal.commands(observation.run_id)
    assert [one.outcome for one in records] == [outcome, outcome]
    assert {one.command.kind for one in records} == {CommandKind.OBSERVE}


async def test_what_waits_is_written_before_its_attempt_ends(
    journal: Journal, observation: Command, outcome: Outcome
) -> None:
    """An observation has no intent, and none is taken in after the end."""
    journal.writer.outcome(observation, outcome, [])
    await journal.set_status(observation.run_id, RunStatus.FAILED)

    [record] = await journal.commands(observation.run_id)
    assert record.outcome == outcome


async def test_a_new_attempt_hears_nothing_of_what_was_refused_to_the_old_one(
    journal: Journal, request_attempt: Requests, observation: Command, outcome: Outcome
) -> None:
    """What the old one still observed is not taken in; that is no fault of the new one."""
    request = replace(await request_attempt(), run_id=observation.run_id)
    await journal.begin_attempt(request)
    journal.writer.outcome(observation, outcome, [])
    await journal.settled()

    await journal.command_intent(replace(observation, attempt=2), AT)


async def test_refused_steps_of_one_run_do_not_drop_those_of_another(
    journal: Journal, request_attempt: Requests, run_id: UUID
) -> None:
    """Each run hears of its own."""
    request = await request_attempt()
    await journal.begin_attempt(request)
    for run, attempt in ((run_id, 9), (request.run_id, 1)):
        await journal.step_started(
            StepStart(run_id=run, attempt=attempt, path="1", name="s", task_run_id=None, at=AT)
        )
    good = Command(
        run_id=request.run_id,
        attempt=1,
        branch="0",
        ordinal=0,
        device="lh",
        method="m",
        args=(),
        kwargs={},
        kind=CommandKind.ONCE,
        fingerprint="c" * 64,
        step="1",
    )

    await journal.command_intent(good, AT)

    with pytest.raises(JournalError, match="run_step"):
        await journal.flush()
    [step] = await journal.steps(request.run_id)
    assert step.status is StepStatus.RUNNING
