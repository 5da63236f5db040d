"""Rows that cannot be: Postgres refuses each of them, whoever writes.

For each table there is one good row below, and for each constraint a way to spoil it. Triggers are
off here, so that each constraint stands for itself; they have their own tests.
"""

from __future__ import annotations

from collections.abc import Iterator
from uuid import UUID

import psycopg
import pytest

HASH = "repeat('d', 64)"
OTHER_RUN = "'00000000-0000-4000-8000-000000000001'"
NEW_RUN = "'00000000-0000-4000-8000-000000000002'"
NO_RUN = "'00000000-0000-4000-8000-000000000003'"
PLATE = "'00000000-0000-4000-8000-000000000004'"

Row = dict[str, str]

GOOD: dict[str, Row] = {
    "workcell": {
        "name": "'w'",
        "version": "1",
        "definition": "'{}'",
        "content_hash": HASH,
        "current": "true",
    },
    "protocol_definition": {
        "name": "'p'",
        "version": "'1'",
        "entrypoint": "'m:f'",
        "source_hash": HASH,
        "content_hash": HASH,
        "definition": "'{}'",
        "current": "true",
    },
    "protocol_run": {
        "id": NEW_RUN,
        "name": "'r'",
        "status": "'preparing'",
        "attempt": "1",
        "parameters": "'{}'",
        "simulated": "true",
        "asked_by": "'unverified'",
    },
    "run_attempt": {
        "run_id": OTHER_RUN,
        "number": "2",
        "status": "'preparing'",
        "protocol_id": "(SELECT id FROM praxis.protocol_definition)",
        "workcell_id": "(SELECT id FROM praxis.workcell)",
        "parameters": "'{}'",
        "assets": "'{}'",
    },
    "run_step": {
        "run_id": OTHER_RUN,
        "attempt": "1",
        "path": "'2.1'",
        "name": "'fill'",
        "status": "'running'",
        "started_at": "now()",
    },
    "command": {
        "run_id": OTHER_RUN,
        "attempt": "1",
        "branch": "'0.2'",
        "ordinal": "0",
        "device": "'lh'",
        "method": "'aspirate'",
        "args": "'[]'",
        "kwargs": "'{}'",
        "deck_changes": "'[]'",
        "kind": "'once'",
        "fingerprint": HASH,
        "step": "'1'",
        "issued_at": "now()",
        "outcome": "'succeeded'",
        "started_at": "now()",
        "ended_at": "now()",
        "value": "'null'",
        "attributes": "'{}'",
        "delivered": "1",
    },
    "measurement": {
        "run_id": OTHER_RUN,
        "attempt": "1",
        "branch": "'0'",
        "ordinal": "0",
        "asset": "'plate'",
        "well": "'A1'",
        "quantity": "'absorbance'",
        "value": "0.5",
        "unit": "''",
        "at": "now()",
    },
    "data_file": {
        "run_id": OTHER_RUN,
        "path": "'a.csv'",
        "sha256": HASH,
        "media_type": "'text/csv'",
    },
    "run_event": {"run_id": OTHER_RUN, "kind": "'note'", "message": "'m'"},
    "claim": {
        "token": "7",
        "workcell": "'star'",
        "asset": "'lh'",
        "run_id": OTHER_RUN,
        "attempt": "1",
    },
    "workcell_host": {"workcell": "'star'", "epoch": "1", "host": NEW_RUN, "pid": "1"},
    "doubt": {
        "run_id": OTHER_RUN,
        "attempt": "1",
        "subject": "'command'",
        "branch": "'0'",
        "ordinal": "0",
        "what": "'w'",
        "choices": "'[]'",
        "answer": "'abort'",
        "answered_by": "'me'",
        "answered_at": "now()",
        "answer_details": "'1'",
    },
    "question": {
        "id": "98",
        "run_id": OTHER_RUN,
        "attempt": "1",
        "key": "'0/0'",
        "title": "'t'",
        "text": "''",
        "form": "'{}'",
        "answer": "'{}'",
        "answered_by": "'me'",
        "answered_at": "now()",
        "via": "'prefect'",
    },
    "learned": {
        "run_id": OTHER_RUN,
        "branch": "'0'",
        "ordinal": "0",
        "kind": "'now'",
        "name": "''",
        "value": "'1'",
        "attempt": "1",
    },
    "asset": {"kind": "'plate'", "workcell": "'star'", "name": "'plate_02'"},
    "asset_part": {"asset_id": PLATE, "name": "'plate_well_A1'"},
    "asset_change": {"asset_id": PLATE, "at": "now()", "kind": "'corrected'", "who": "'ada'"},
    "asset_picture": {
        "run_id": NO_RUN,
        "number": "1",
        "changes": "1",
        "parts": "'{}'",
        "part_changes": "'{}'",
        "places": "'{}'",
        "place_changes": "'{}'",
    },
    "source": {"asset_id": PLATE, "part": "'plate_well_A1'", "volume": "1", "by": "'ada'"},
    "asset_doubt": {"workcell": "'star'", "command": "'c'", "before": "'{}'"},
    "calibration": {
        "workcell": "'star'",
        "device": "'lh'",
        "key": "'offset'",
        "value": "'1'",
        "version": "1",
        "who": "'ada'",
    },
}

THERE = f"""
    INSERT INTO praxis.protocol_run (id, name, status, attempt, parameters, simulated, asked_by,
        started_at, ended_at)
      VALUES ({OTHER_RUN}, 'r', 'failed', 1, '{{}}', true, 'unverified', now(), now());
    INSERT INTO praxis.run_attempt (run_id, number, protocol_id, workcell_id, status, parameters,
        assets, started_at, ended_at)
      SELECT {OTHER_RUN}, n, p.id, w.id, 'failed', '{{}}', '{{}}', now(), now()
      FROM praxis.protocol_definition p, praxis.workcell w, unnest(ARRAY[1, 3]) n;
    INSERT INTO praxis.run_step (run_id, attempt, path, name, status, started_at)
      VALUES ({OTHER_RUN}, 1, '1', 's', 'running', now());
    INSERT INTO praxis.command (run_id, attempt, branch, ordinal, device, method, args, kwargs,
        deck_changes, kind, fingerprint, issued_at)
      VALUES ({OTHER_RUN}, 1, '0', 0, 'd', 'm', '[]', '{{}}', '[]', 'once', {HASH}, now());
    INSERT INTO praxis.data_file (run_id, path, sha256, media_type)
      VALUES ({OTHER_RUN}, 'there.csv', {HASH}, 'text/csv');
    INSERT INTO praxis.claim (token, workcell, asset, run_id, attempt)
      VALUES (8, 'star', 'reader', {OTHER_RUN}, 1);
    INSERT INTO praxis.workcell_host (workcell, epoch, host, pid)
      VALUES ('there', 1, {NEW_RUN}, 1);
    INSERT INTO praxis.doubt (run_id, attempt, subject, branch, ordinal, what, choices)
      VALUES ({OTHER_RUN}, 1, 'tail', '0', 0, 'w', '[]');
    INSERT INTO praxis.question (id, run_id, attempt, key, title, text, form)
      VALUES (99, {OTHER_RUN}, 1, 'there', 't', '', '{{}}');
    INSERT INTO praxis.learned (run_id, branch, ordinal, kind, name, value, attempt)
      VALUES ({OTHER_RUN}, '0', 0, 'once', 'mail', '1', 1);
    INSERT INTO praxis.asset (id, kind, workcell, name, barcode)
      VALUES ({PLATE}, 'plate', 'star', 'plate', '4711');
    INSERT INTO praxis.asset_part (asset_id, name) VALUES ({PLATE}, 'plate_well_B1');
    INSERT INTO praxis.asset_picture VALUES ({NO_RUN}, 7, 0, '{{}}', '{{}}', '{{}}', '{{}}');
    INSERT INTO praxis.asset_doubt (workcell, command, before) VALUES ('star', 'there', '{{}}');
    INSERT INTO praxis.calibration (workcell, device, key, value, version, who)
      VALUES ('star', 'lh', 'there', '1', 1, 'ada');
"""  # noqa: S608  # constants
"""A run that ended, beside the fixture's run, workcell ("star", 1) and protocol ("dilution")."""

ENDED = {"status": "'failed'", "ended_at": "now()"}
FAILED = {"outcome": "'failed'", "error": "'{}'"}
OPEN = dict.fromkeys(
    ("outcome", "started_at", "ended_at", "value", "attributes", "delivered"), "NULL"
)
UNANSWERED = dict.fromkeys(("answer", "answered_by", "answered_at", "answer_details"), "NULL")

SPOILED: dict[str, list[Row]] = {
    "ck_workcell_name": [{"name": "''"}],
    "ck_workcell_version": [{"version": "0"}],
    "ck_workcell_definition": [{"definition": "'[]'"}, {"definition": "'null'"}],
    "ck_workcell_content_hash": [{"content_hash": "repeat('D', 64)"}, {"content_hash": "'d'"}],
    "uq_workcell_version": [{"name": "'star'", "current": "false"}],
    "uq_workcell_content_hash": [
        {
            "name": "'star'",
            "version": "2",
            "current": "false",
            "content_hash": "(SELECT content_hash FROM praxis.workcell)",
        }
    ],
    "uq_workcell_current": [{"name": "'star'", "version": "2"}],
    "ck_protocol_definition_name": [{"name": "''"}],
    "ck_protocol_definition_version": [{"version": "''"}],
    "ck_protocol_definition_entrypoint": [{"entrypoint": "''"}],
    "ck_protocol_definition_source_hash": [{"source_hash": "repeat('g', 64)"}],
    "ck_protocol_definition_content_hash": [{"content_hash": "repeat('d', 65)"}],
    "ck_protocol_definition_definition": [{"definition": "'1'"}],
    "uq_protocol_definition_content_hash": [
        {"name": "'dilution'", "content_hash": "repeat('b', 64)", "current": "false"}
    ],
    "uq_protocol_definition_current": [{"name": "'dilution'"}],
    "pk_protocol_run": [{"id": OTHER_RUN}],
    "ck_protocol_run_name": [{"name": "''"}],
    "ck_protocol_run_kind": [{"kind": "'by_hand'"}],
    "ck_protocol_run_status": [{"status": "'paused'"}],
    "ck_protocol_run_attempt": [{"attempt": "0"}],
    "ck_protocol_run_parameters": [{"parameters": "'[]'"}],
    "ck_protocol_run_final_state": [{"final_state": "'[]'"}],
    "ck_protocol_run_asked_by": [{"asked_by": "''"}],
    "ck_protocol_run_carried_from": [{"carried_from": NEW_RUN}],
    "fk_protocol_run_carried_from": [{"carried_from": NO_RUN}],
    "fk_protocol_run_last_attempt": [{}, {"id": NEW_RUN, **ENDED}],
    "ck_protocol_run_ended_at": [{"ended_at": "now()"}, {"status": "'failed'"}],
    "ck_protocol_run_started_at": [
        {"started_at": "now()"},
        {"status": "'running'"},
        {"status": "'succeeded'", "ended_at": "now()"},
        {"status": "'refused'", "started_at": "now()", "ended_at": "now()"},
    ],
    "pk_run_attempt": [{"number": "1"}],
    "uq_run_attempt_open": [
        {"run_id": "(SELECT run_id FROM praxis.run_attempt WHERE ended_at IS NULL)"}
    ],
    "ck_run_attempt_number": [{"number": "0"}],
    "ck_run_attempt_status": [{"status": "'paused'"}],
    "ck_run_attempt_parameters": [{"parameters": "'[]'"}],
    "ck_run_attempt_versions": [{"versions": "'[]'"}],
    "ck_run_attempt_assets": [{"assets": "'null'"}],
    "ck_run_attempt_ended_at": [{"ended_at": "now()"}, {"status": "'cancelled'"}],
    "ck_run_attempt_started_at": [{"started_at": "now()"}, {"status": "'running'"}],
    "ck_run_attempt_error": [
        {"error": "'{}'"},
        {"status": "'succeeded'", "started_at": "now()", "ended_at": "now()", "error": "'{}'"},
    ],
    "fk_run_attempt_run": [{"run_id": NO_RUN, "number": "1"}],
    "fk_run_attempt_protocol": [{"protocol_id": "0"}],
    "fk_run_attempt_workcell": [{"workcell_id": "0"}],
    "pk_run_step": [{"path": "'1'"}],
    "ck_run_step_path": [{"path": "''"}, {"path": "'0'"}, {"path": "'1.'"}, {"path": "'1.02'"}],
    "ck_run_step_name": [{"name": "''"}],
    "ck_run_step_status": [{"status": "'skipped'", "ended_at": "now()"}],
    "ck_run_step_ended_at": [{"ended_at": "now()"}, {"status": "'succeeded'"}],
    "ck_run_step_error": [{"error": "'{}'"}],
    "fk_run_step_attempt": [{"attempt": "2"}, {"run_id": NO_RUN}],
    "pk_command": [{"branch": "'0'", "tail": "true"}],
    "uq_command_once": [{"attempt": "3", "branch": "'0'", "step": "NULL"}],
    "ck_command_branch": [
        {"branch": "''"},
        {"branch": "'0.'"},
        {"branch": "'a'"},
        {"branch": "'r0'"},
        {"branch": "'r1.1'"},
    ],
    "ck_command_sent": [{**FAILED, "sent": "'much'"}],
    "ck_command_sent_of_failure": [{"sent": "'none'"}, {**OPEN, "sent": "'none'"}],
    "ck_command_delivered": [{"delivered": "NULL"}, {**OPEN, "delivered": "1"}],
    "ck_command_ordinal": [{"ordinal": "-1"}],
    "ck_command_device": [{"device": "''"}],
    "ck_command_method": [{"method": "''"}],
    "ck_command_args": [{"args": "'{}'"}],
    "ck_command_kwargs": [{"kwargs": "'[]'"}],
    "ck_command_deck_changes": [{"deck_changes": "'{}'"}],
    "ck_command_kind": [{"kind": "'twice'"}],
    "ck_command_fingerprint": [{"fingerprint": "'d'"}],
    "ck_command_outcome": [{"outcome": "'unknown'"}],
    "ck_command_outcome_complete": [
        {column: "NULL"} for column in ("started_at", "ended_at", "value", "attributes")
    ],
    "ck_command_error": [{"error": "'{}'"}, {"outcome": "'failed'"}],
    "ck_command_attributes": [{"attributes": "'[]'"}],
    "fk_command_attempt": [{"attempt": "2", "step": "NULL"}],
    "fk_command_step": [{"step": "'9'"}],
    "ck_measurement_value_finite": [
        {"value": "'NaN'"},
        {"value": "'Infinity'"},
        {"value": "'-Infinity'"},
    ],
    "ck_measurement_quantity": [{"quantity": "''"}],
    "ck_measurement_well": [{"asset": "NULL"}],
    "ck_measurement_command_complete": [{"branch": "NULL"}, {"ordinal": "NULL"}],
    "fk_measurement_command": [{"ordinal": "1"}],
    "fk_measurement_attempt": [{"attempt": "2", "branch": "NULL", "ordinal": "NULL"}],
    "ck_data_file_path": [{"path": "''"}],
    "ck_data_file_sha256": [{"sha256": "'d'"}],
    "ck_data_file_media_type": [{"media_type": "'csv'"}],
    "uq_data_file_content": [{"path": "'there.csv'"}],
    "fk_data_file_run": [{"run_id": NO_RUN}],
    "ck_run_event_kind": [{"kind": "''"}, {"kind": "'Two words'"}],
    "fk_run_event_run": [{"run_id": NO_RUN}],
    "pk_claim": [{"token": "8", "asset": "'reader'", "workcell": "'other'"}],
    "uq_claim_open": [{"asset": "'reader'"}],
    "ck_claim_token": [{"token": "0"}],
    "ck_claim_workcell": [{"workcell": "''"}],
    "ck_claim_asset": [{"asset": "''"}],
    "fk_claim_attempt": [{"attempt": "2"}],
    "pk_workcell_host": [{"workcell": "'there'"}],
    "ck_workcell_host_workcell": [{"workcell": "''"}],
    "ck_workcell_host_epoch": [{"epoch": "0"}],
    "ck_workcell_host_pid": [{"pid": "0"}],
    "uq_doubt_open": [{"subject": "'tail'", **UNANSWERED}],
    "ck_doubt_subject": [{"subject": "'weather'"}],
    "ck_doubt_branch": [{"branch": "'a'"}],
    "ck_doubt_ordinal": [{"ordinal": "-1"}],
    "ck_doubt_what": [{"what": "''"}],
    "ck_doubt_choices": [{"choices": "'{}'"}],
    "ck_doubt_answer": [{"answer": "'perhaps'"}],
    "ck_doubt_answered_by": [{"answered_by": "''"}],
    "ck_doubt_answer_complete": [{"answered_by": "NULL"}, {"answered_at": "NULL"}],
    "pk_question": [{"id": "99"}],
    "uq_question_key": [{"key": "'there'"}],
    "ck_question_key": [{"key": "''"}],
    "ck_question_title": [{"title": "''"}],
    "ck_question_form": [{"form": "'[]'"}],
    "ck_question_answered_by": [{"answered_by": "''"}],
    "ck_question_via": [{"via": "'By hand'"}],
    "ck_question_answer_complete": [
        {column: "NULL"} for column in ("answer", "answered_by", "answered_at", "via")
    ],
    "fk_question_attempt": [{"attempt": "2"}],
    "ck_doubt_answer_details": [{**UNANSWERED, "answer_details": "'1'"}],
    "fk_doubt_attempt": [{"attempt": "2"}],
    "pk_learned": [{"kind": "'once'"}],
    "ck_learned_branch": [{"branch": "'a'"}],
    "ck_learned_ordinal": [{"ordinal": "-1"}],
    "ck_learned_kind": [{"kind": "'Once'"}],
    "fk_learned_attempt": [{"attempt": "2"}],
    "pk_asset": [{"id": PLATE}],
    "uq_asset_name": [{"name": "'plate'"}],
    "uq_asset_barcode": [{"barcode": "'4711'"}],
    "ck_asset_kind": [{"kind": "'Tip rack'"}],
    "ck_asset_status": [{"status": "'lost'"}],
    "ck_asset_workcell": [{"name": "NULL"}],
    "ck_asset_shelf": [{"shelf": "'freezer 2'", "parent": "'carrier'"}],
    "ck_asset_discarded_at": [{"status": "'discarded'"}, {"discarded_at": "now()"}],
    "ck_asset_name": [{"name": "''"}],
    "ck_asset_barcode": [{"barcode": "''"}],
    "fk_asset_parent": [{"parent_asset": NO_RUN}],
    "pk_asset_part": [{"name": "'plate_well_B1'"}],
    "fk_asset_part_asset": [{"asset_id": NO_RUN}],
    "ck_asset_change_kind": [{"kind": "'lost'"}],
    "ck_asset_change_command_complete": [{"run_id": NEW_RUN}, {"number": "1"}],
    "ck_asset_change_who": [{"who": "NULL"}],
    "fk_asset_change_asset": [{"asset_id": NO_RUN}],
    "ck_source_volume": [{"volume": "-1"}],
    "ck_source_by": [{"by": "''"}],
    "fk_source_asset": [{"asset_id": NO_RUN}],
    "pk_asset_picture": [{"number": "7"}],
    "ck_asset_picture_parts": [{"parts": "'{a}'"}],
    "ck_asset_picture_places": [{"places": "'{a}'"}],
    "pk_asset_doubt": [{"command": "'there'"}],
    "uq_calibration_version": [{"key": "'there'"}],
    "ck_calibration_version": [{"version": "0"}],
    "ck_calibration_valid_until": [{"valid_until": "now() - interval '1 day'"}],
    "ck_calibration_key": [{"key": "''"}],
    "ck_calibration_who": [{"who": "''"}],
}

IMPLIED = {
    # A generated identity cannot be given, and (run, number) is unique already.
    "pk_workcell",
    "pk_protocol_definition",
    "pk_measurement",
    "pk_data_file",
    "pk_run_event",
    "pk_doubt",
    "pk_asset_change",
    "pk_source",
    "pk_calibration",
    "uq_run_attempt_status",
}


def _table(constraint: str) -> str:
    return max((table for table in GOOD if constraint[3:].startswith(table)), key=len)


def _insert(table: str, row: Row) -> str:
    return f"INSERT INTO praxis.{table} ({', '.join(row)}) VALUES ({', '.join(row.values())})"  # noqa: S608


@pytest.fixture
def there(sql: psycopg.Connection, run_id: UUID) -> Iterator[psycopg.Connection]:
    """A database with some rows, in a transaction, with no trigger of ours at work."""
    with sql.transaction(force_rollback=True):
        for table in GOOD:
            sql.execute(f"ALTER TABLE praxis.{table} DISABLE TRIGGER USER")
        sql.execute(THERE)
        sql.execute("SET CONSTRAINTS ALL IMMEDIATE")
        yield sql


def test_each_good_row_is_accepted(there: psycopg.Connection) -> None:
    """The rows that the other tests spoil are good to begin with."""
    there.execute("SET CONSTRAINTS ALL DEFERRED")

    for table, row in GOOD.items():
        with there.transaction(force_rollback=True):
            assert there.execute(_insert(table, row)).rowcount == 1


def test_each_constraint_refuses_what_it_is_there_for(there: psycopg.Connection) -> None:
    """A row that is good but for one thing is refused by the constraint against that thing."""
    for constraint, ways in SPOILED.items():
        table = _table(constraint)
        for spoiled in ways:
            with pytest.raises(psycopg.IntegrityError) as caught, there.transaction():
                there.execute(_insert(table, GOOD[table] | spoiled))
            assert caught.value.diag.constraint_name == constraint, spoiled


def test_no_constraint_is_left_untried(there: psycopg.Connection) -> None:
    """A new constraint needs a row that it refuses, here."""
    names = there.execute("""
        SELECT conname FROM pg_constraint
          WHERE connamespace = 'praxis'::regnamespace AND contype IN ('c', 'f', 'p', 'u')
        UNION SELECT indexrelid::regclass::text FROM pg_index JOIN pg_class c ON c.oid = indrelid
          WHERE indisunique AND c.relnamespace = 'praxis'::regnamespace
    """).fetchall()
    found = {name.removeprefix("praxis.") for (name,) in names}

    assert found - {"alembic_version_pkc"} == set(SPOILED) | IMPLIED
