"""What was written stays as it was: triggers refuse what no journal of ours would do, too."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import replace
from datetime import UTC, datetime
from itertools import product
from uuid import UUID, uuid4

import psycopg
import pytest
from psycopg import errors

from praxis_core.journal.questions import Questions
from praxis_core.journal.record import Journal
from praxis_core.journal.records import AttemptRequest, Measurement, StepStart
from praxis_core.protocol.asking import Asked
from praxis_core.protocol.command import Command, Outcome
from praxis_core.protocol.lifecycle import (
    RUN_TRANSITIONS,
    Answer,
    DoubtSubject,
    RunStatus,
    StepStatus,
)

AT = datetime(2025, 3, 14, tzinfo=UTC)

WRITTEN_ONCE = [
    "UPDATE praxis.workcell SET definition = '{}'",
    "UPDATE praxis.workcell SET name = 'other'",
    "UPDATE praxis.protocol_definition SET source_hash = content_hash",
    "UPDATE praxis.protocol_run SET parameters = '{}'",
    "UPDATE praxis.protocol_run SET simulated = false",
    "UPDATE praxis.protocol_run SET asked_by = 'somebody else'",
    "UPDATE praxis.protocol_run SET carried_from = gen_random_uuid()",
    "UPDATE praxis.protocol_run SET id = gen_random_uuid()",
    "UPDATE praxis.run_attempt SET assets = '{}'",
    "UPDATE praxis.run_attempt SET start_snapshot = NULL",
    "UPDATE praxis.run_attempt SET number = 2",
    "UPDATE praxis.run_step SET started_at = now()",
    "UPDATE praxis.run_step SET status = 'failed'",
    "UPDATE praxis.command SET args = '[]'",
    "UPDATE praxis.command SET fingerprint = repeat('e', 64)",
    "UPDATE praxis.command SET value = '2'",
    """UPDATE praxis.command SET outcome = NULL, started_at = NULL, ended_at = NULL, value =
    NULL, attributes = NULL""",
    "UPDATE praxis.command SET token = 99",
    "UPDATE praxis.command SET epoch = 99",
    "UPDATE praxis.command SET delivered = 99",
    "UPDATE praxis.command SET tail = false WHERE tail",
    "UPDATE praxis.claim SET asset = 'reader'",
    "UPDATE praxis.claim SET token = 99",
    "UPDATE praxis.claim SET released_at = NULL WHERE released_at IS NOT NULL",
    "UPDATE praxis.workcell_host SET epoch = epoch",
    "UPDATE praxis.doubt SET what = 'another question'",
    "UPDATE praxis.doubt SET answer = 'abort'",
    "UPDATE praxis.question SET title = 'another question'",
    "UPDATE praxis.question SET answered_by = 'bob'",
    "DELETE FROM praxis.question",
    "UPDATE praxis.learned SET name = 'another'",
    "UPDATE praxis.learned SET value = '2'",
    "UPDATE praxis.asset SET kind = 'lid'",
    "UPDATE praxis.asset SET status = 'available', discarded_at = NULL WHERE name = 'old'",
    "UPDATE praxis.asset_change SET who = 'another'",
    "UPDATE praxis.source SET volume = 2",
    "UPDATE praxis.calibration SET value = '2'",
    "DELETE FROM praxis.asset",
    "DELETE FROM praxis.asset_change",
    "DELETE FROM praxis.source",
    "DELETE FROM praxis.workcell_host",
    "DELETE FROM praxis.claim",
    "DELETE FROM praxis.doubt",
    "UPDATE praxis.measurement SET value = 2",
    "UPDATE praxis.data_file SET sha256 = repeat('e', 64)",
    "UPDATE praxis.run_event SET message = 'nothing happened'",
    "DELETE FROM praxis.run_attempt",
    "DELETE FROM praxis.run_step",
    "DELETE FROM praxis.command",
    "DELETE FROM praxis.measurement",
    "DELETE FROM praxis.data_file",
    "DELETE FROM praxis.run_event",
    "DELETE FROM praxis.protocol_run",
    """INSERT INTO praxis.command (run_id, attempt, branch, ordinal, device, method, args,
    kwargs, deck_changes, kind, fingerprint, issued_at, outcome, started_at, ended_at, value,
    attributes) SELECT run_id, 1, '1', 0, device, method, args, kwargs, deck_changes, 'once',
    fingerprint, issued_at, outcome, started_at, ended_at, value, attributes FROM
    praxis.command""",
    """INSERT INTO praxis.protocol_run (id, name, status, attempt, parameters, simulated,
    asked_by, started_at) VALUES (gen_random_uuid(), 'r', 'running', 1, '{}', true, 'x',
    now())""",
    """INSERT INTO praxis.run_attempt (run_id, number, protocol_id, workcell_id, status,
    parameters, assets, started_at, ended_at) SELECT run_id, 2, protocol_id, workcell_id,
    'failed', parameters, assets, now(), now() FROM praxis.run_attempt""",
]


ASSETS = """
    INSERT INTO praxis.asset (kind, workcell, name, status, discarded_at)
      VALUES ('plate', 'star', 'plate_01', 'available', NULL),
        ('plate', 'star', 'old', 'discarded', now());
    INSERT INTO praxis.asset_change (asset_id, at, kind, who)
      SELECT id, now(), 'created', 'ada' FROM praxis.asset;
    INSERT INTO praxis.source (asset_id, part, volume, by)
      SELECT id, 'plate_01_well_A1', 1, 'ada' FROM praxis.asset WHERE discarded_at IS NULL;
    INSERT INTO praxis.calibration (workcell, device, key, value, version, who)
      VALUES ('star', 'lh', 'offset', '1', 1, 'ada');
"""


@pytest.fixture
async def full_run(journal: Journal, run_id: UUID, command: Command, outcome: Outcome) -> UUID:
    """A run that goes on, with one row in each table."""
    await journal.start(run_id, assets={"plate": "plate_01"}, start_snapshot={})
    await journal.step_started(
        StepStart(run_id=run_id, attempt=1, path="1", name="fill", task_run_id=uuid4(), at=AT)
    )
    await journal.step_ended(run_id, 1, "1", StepStatus.SUCCEEDED, None, AT)
    reading = Measurement("plate_01", "A1", "absorbance", 0.5, "", AT)
    await journal.command_intent(command, AT)
    await journal.command_outcome(command, outcome, [reading])
    aside = replace(command, ordinal=1)
    await journal.command_intent(aside, AT)
    await journal.set_aside(run_id, "0", 1)
    for _ in range(2):
        await journal.claim_devices("star", ["lh"], run_id=run_id, attempt=1, take_over=False)
    await journal.begin_host("star", uuid4(), 1)
    await journal.learn(run_id, 1, "0", 0, "once", "mail", 1)
    await journal.learn_done(run_id, "0", 0, "once", 1)
    await journal.data_file(run_id, "plate.csv", "d" * 64, "text/csv")
    await journal.event(run_id, "note", "a line")
    asked = await journal.raise_doubt(
        run_id, 1, DoubtSubject.COMMAND, "0", 0, "Did it?", [Answer.HAPPENED]
    )
    await journal.answer_doubt(asked.id, Answer.HAPPENED, "ada")
    questions = Questions(journal.database)
    question = await questions.ask(run_id, 1, "0/0", Asked("Is it there?"))
    await questions.answer(question.id, {}, "ada", "prefect")
    return run_id


async def test_history_is_written_once(full_run: UUID, sql: psycopg.Connection) -> None:
    """No column of a written fact can be changed, and no part of a run can be deleted."""
    sql.execute(ASSETS)
    for statement in WRITTEN_ONCE:
        with pytest.raises(psycopg.Error) as caught:
            sql.execute(statement)
        assert caught.value.sqlstate == "PX002", statement


async def test_a_whole_run_can_be_deleted_after_it_has_ended(
    journal: Journal,
    full_run: UUID,
    sql: psycopg.Connection,
    request_attempt: Callable[[], Awaitable[AttemptRequest]],
) -> None:
    """Deleting is for whole runs: nothing of it stays, and a run carried on from it forgets it."""
    heir = replace(await request_attempt(), carried_from=full_run)
    await journal.begin_attempt(heir)
    await journal.finish(
        full_run, RunStatus.CANCELLED, summary=None, final_state={"count": 1}, error=None
    )

    sql.execute("DELETE FROM praxis.protocol_run WHERE id = %s", (full_run,))

    for table in (
        "run_attempt",
        "run_step",
        "command",
        "measurement",
        "data_file",
        "run_event",
        "claim",
        "doubt",
        "question",
        "learned",
    ):
        count = sql.execute(
            f"SELECT count(*) FROM praxis.{table} WHERE run_id = %s",  # noqa: S608  # constants
            (full_run,),
        ).fetchone()
        assert count == (0,), table
    assert (await journal.run(heir.run_id)).carried_from is None


def test_postgres_refuses_every_transition_that_the_table_does_not_know(
    sql: psycopg.Connection, run_id: UUID
) -> None:
    """Over all pairs of statuses: an update of a run's row succeeds exactly where it may."""
    change = """
        UPDATE praxis.protocol_run SET status = %(new)s,
          attempt = attempt + (%(new)s = 'preparing')::integer,
          started_at = CASE WHEN %(new)s IN ('preparing', 'refused') THEN NULL ELSE now() END,
          ended_at = CASE WHEN %(ended)s THEN now() END"""

    for old, new in product(RunStatus, RunStatus):
        with sql.transaction(force_rollback=True):
            # Puts the run into its first status past all rules.
            sql.execute("SET LOCAL session_replication_role = replica")
            sql.execute(change, {"new": old.value, "ended": old.ended})
            sql.execute("SET LOCAL session_replication_role = origin")
            try:
                with sql.transaction():
                    sql.execute(change, {"new": new.value, "ended": new.ended})
            except psycopg.DatabaseError as error:
                assert error.sqlstate == "PX001"  # noqa: PT017  # half of the pairs are possible
                assert new not in RUN_TRANSITIONS[old]
            else:
                assert new in RUN_TRANSITIONS[old]


def test_an_attempt_that_has_ended_stays_as_it_is(sql: psycopg.Connection, run_id: UUID) -> None:
    """A run goes on with a new attempt; the old one keeps its end."""
    with sql.transaction(force_rollback=True):
        sql.execute("UPDATE praxis.run_attempt SET status = 'failed', ended_at = now()")
        for change in ("status = 'preparing', ended_at = NULL", "error = '{}'", "ended_at = now()"):
            with pytest.raises(psycopg.Error) as caught, sql.transaction():
                sql.execute(f"UPDATE praxis.run_attempt SET {change}")  # noqa: S608  # constants
            assert caught.value.sqlstate == "PX001", change


def test_run_and_attempt_cannot_disagree(sql: psycopg.Connection, run_id: UUID) -> None:
    """Whoever moves only one of the two is refused at the commit."""
    for table in ("protocol_run", "run_attempt"):
        with pytest.raises(errors.ForeignKeyViolation):
            sql.execute(f"UPDATE praxis.{table} SET status = 'failed', ended_at = now()")  # noqa: S608


def test_a_result_belongs_to_an_end(sql: psycopg.Connection, run_id: UUID) -> None:
    """A run that has not ended has neither summary nor archived state."""
    with pytest.raises(psycopg.Error, match="has not ended"):
        sql.execute(
            "UPDATE praxis.protocol_run SET status = 'running', started_at = now(), summary = '1'"
        )
