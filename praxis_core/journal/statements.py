"""The statements that write history: each is one transaction in one round trip.

What goes with a change (the audit event of a status, the end of open steps) is the triggers' work.
"""

from __future__ import annotations

import re
from typing import Any

from sqlalchemy import (
    BigInteger,
    Boolean,
    Integer,
    Text,
    TextClause,
    Uuid,
    bindparam,
    text,
)
from sqlalchemy.dialects.postgresql import ARRAY, DOUBLE_PRECISION
from sqlalchemy.types import TypeEngine

from praxis_core.journal.columns import JSON_OR_NULL, JSON_VALUE, Instant

TYPES: dict[str, TypeEngine[Any]] = {
    "run_id": Uuid(),
    "attempt": Integer(),
    "status": Text(),
    "ended": Boolean(),
    "parked_until": Instant(),
    "error": JSON_OR_NULL,
    "summary": JSON_OR_NULL,
    "final_state": JSON_OR_NULL,
    "path": Text(),
    "name": Text(),
    "task_run_id": Uuid(),
    "at": Instant(),
    "branch": Text(),
    "ordinal": Integer(),
    "device": Text(),
    "method": Text(),
    "args": JSON_VALUE,
    "kwargs": JSON_VALUE,
    "deck_changes": JSON_VALUE,
    "new_parent": Text(),
    "kind": Text(),
    "fingerprint": Text(),
    "step": Text(),
    "issued_at": Instant(),
    "outcome": Text(),
    "started_at": Instant(),
    "ended_at": Instant(),
    "value": JSON_VALUE,
    "attributes": JSON_VALUE,
    "token": BigInteger(),
    "epoch": BigInteger(),
    "sent": Text(),
    "workcell": Text(),
    "host": Uuid(),
    "pid": Integer(),
    "assets": ARRAY(Text()),
    "wells": ARRAY(Text()),
    "quantities": ARRAY(Text()),
    "values": ARRAY(DOUBLE_PRECISION()),
    "units": ARRAY(Text()),
    "times": ARRAY(Instant()),
    "bound": JSON_VALUE,
    "start_snapshot": JSON_OR_NULL,
    "steps": JSON_VALUE,
    "sha256": Text(),
    "media_type": Text(),
    "message": Text(),
    "details": JSON_OR_NULL,
    "asset_workcell": Text(),
    "asset_changes": Text(),
    "asset_doubts": Text(),
    "asset_at": Instant(),
    "asset_who": Text(),
    "asset_why": Text(),
}
"""The type of every parameter below, by its name."""


def _statement(sql: str) -> TextClause:
    names = sorted(set(re.findall(r":(\w+)", sql)))
    return text(sql).bindparams(*(bindparam(name, type_=TYPES[name]) for name in names))


# The run's status and its last attempt's are one; an attempt that is not the last changes nothing.
_CHANGE_STATUS = """
    WITH run AS (
      UPDATE praxis.protocol_run SET status = :status,
        started_at = CASE WHEN :status IN ('running', 'succeeded') THEN coalesce(started_at, now())
          ELSE started_at END,
        ended_at = CASE WHEN :ended THEN now() END,
        parked_until = {until}
        {results}
      WHERE id = :run_id AND attempt = coalesce(:attempt, attempt)
      RETURNING id, attempt, started_at, ended_at
    )
    UPDATE praxis.run_attempt a
      SET status = :status, started_at = run.started_at, ended_at = run.ended_at, error = :error
        {start}
      FROM run WHERE a.run_id = run.id AND a.number = run.attempt
      RETURNING a.number
"""


def _change_status(*, results: str = "", start: str = "", until: str = "NULL") -> TextClause:
    return _statement(_CHANGE_STATUS.format(results=results, start=start, until=until))


SET_STATUS = _change_status()
PARK = _change_status(until=":parked_until")
START = _change_status(start=", assets = :bound, start_snapshot = :start_snapshot")
FINISH = _change_status(
    results=", summary = :summary, final_state = coalesce(:final_state, final_state)"
)

NEXT_ATTEMPT = _statement("""
    UPDATE praxis.protocol_run
      SET status = 'preparing', attempt = attempt + 1, started_at = NULL, ended_at = NULL,
        parked_until = NULL
      WHERE id = :run_id RETURNING attempt
""")

# The rows of steps tell people how far a run is. Losing the last of them in a crash of the database
# is harmless, for the commands are the truth; each intent makes the steps before it durable, too.
_NOT_WAITING = "(SELECT set_config('synchronous_commit', 'off', true)) IS NOT NULL"

STEPS = _statement(f"""
    INSERT INTO praxis.run_step (run_id, attempt, path, name, task_run_id, status, started_at,
        ended_at, error)
      SELECT s.* FROM json_to_recordset(:steps) AS s (run_id uuid, attempt int, path text,
        name text, task_run_id uuid, status text, started_at timestamptz,
        ended_at timestamptz, error json)
      WHERE {_NOT_WAITING}
      ON CONFLICT (run_id, attempt, path) DO UPDATE
        SET status = excluded.status, ended_at = excluded.ended_at, error = excluded.error
""")  # noqa: S608  # constants

_INTENT_COLUMNS = """run_id, attempt, branch, ordinal, device, method, args, kwargs, deck_changes,
      new_parent, kind, fingerprint, step, task_run_id, issued_at, token, epoch"""
_INTENT_VALUES = """:run_id, :attempt, :branch, :ordinal, :device, :method, :args, :kwargs,
      :deck_changes, :new_parent, :kind, :fingerprint, :step, :task_run_id, :issued_at,
      :token, :epoch"""

INTENT = _statement(f"""
    INSERT INTO praxis.command ({_INTENT_COLUMNS}) VALUES ({_INTENT_VALUES})
      ON CONFLICT DO NOTHING RETURNING ordinal
""")  # noqa: S608  # constants

_KEY = "run_id = :run_id AND attempt = :attempt AND branch = :branch AND ordinal = :ordinal"

_MEASURED = """measured AS (
      INSERT INTO praxis.measurement
          (run_id, attempt, branch, ordinal, asset, well, quantity, value, unit, at)
        SELECT run_id, attempt, branch, ordinal, m.*
        FROM done, unnest(:assets, :wells, :quantities, :values, :units, :times) AS m
    )"""

_ENDS = f"""UPDATE praxis.command SET outcome = :outcome, started_at = :started_at,
          ended_at = :ended_at, value = :value, error = :error, attributes = :attributes,
          sent = :sent, delivered = nextval('praxis.command_delivered')
        WHERE {_KEY} AND fingerprint = :fingerprint AND outcome IS NULL
        RETURNING run_id, attempt, branch, ordinal"""  # noqa: S608  # constants
_ENDED = f"done AS ({_ENDS}, number)"

OUTCOME = _statement(_ENDS)
MEASURED = _statement(f"WITH {_ENDED}, {_MEASURED} SELECT ordinal FROM done")  # noqa: S608  # constants

# With an intent or without one, in one statement: a command that reads is written as a whole.
_OBSERVED = f"""
    {_ENDED.replace("done AS", "ended AS")}, fresh AS (
      INSERT INTO praxis.command ({_INTENT_COLUMNS},
          outcome, started_at, ended_at, value, error, attributes, sent, delivered)
        SELECT {_INTENT_VALUES}, :outcome, :started_at, :ended_at, :value, :error, :attributes,
          :sent, nextval('praxis.command_delivered')
        WHERE NOT EXISTS (SELECT FROM praxis.command WHERE {_KEY})
        ON CONFLICT DO NOTHING RETURNING run_id, attempt, branch, ordinal, number
    ), done AS (SELECT * FROM ended UNION ALL SELECT * FROM fresh), {_MEASURED}
"""  # noqa: S608  # constants
OBSERVED = _statement(f"WITH {_OBSERVED} SELECT ordinal FROM done")  # noqa: S608  # constants

# What a command changed of the assets, in its outcome's transaction, and only where this wrote the
# outcome: to write it again changes nothing. A thing that nobody described is met here.
_CHANGED = """given AS (
      SELECT g.*, done.run_id, done.attempt, done.branch, done.ordinal, done.number, (
          SELECT a.id FROM praxis.asset a WHERE a.workcell = :asset_workcell AND a.name = g.asset
            AND a.discarded_at IS NULL) AS known
      FROM done, jsonb_to_recordset(CAST(:asset_changes AS jsonb)) AS g (asset text, kind text,
        parts jsonb, places jsonb, place jsonb, gone boolean, inside jsonb, rack text[],
        sources bigint[])
    ), met AS (
      INSERT INTO praxis.asset (kind, workcell, name, parent, place_unknown, shelf, inside, rack)
        SELECT CASE WHEN rack IS NULL THEN 'labware' ELSE 'tip_rack' END, :asset_workcell, asset,
          place ->> 'parent', place ->> 'unknown', place ->> 'shelf', coalesce(inside, '{}'), rack
        FROM given WHERE known IS NULL
        RETURNING id, name
    ), whole AS (
      SELECT given.*, coalesce(known, met.id) AS id
      FROM given LEFT JOIN met ON met.name = given.asset
    ), put AS (
      INSERT INTO praxis.asset_part (asset_id, name, contents, volume, tip)
        SELECT p.id, p.key, nullif(p.now, 'null'), CAST(p.now ->> 'volume' AS float8),
          CAST(p.now ->> 'tip' AS boolean)
        FROM (  -- with OFFSET 0 each is read out of its pair once
          SELECT w.id, e.key, e.value -> 1 AS now FROM whole w, jsonb_each(w.parts) AS e OFFSET 0
        ) p
        ON CONFLICT (asset_id, name) DO UPDATE
          SET contents = excluded.contents, volume = excluded.volume, tip = excluded.tip
    ), told AS (
      INSERT INTO praxis.asset_change (asset_id, at, kind, run_id, attempt, branch, ordinal, number,
          who, why, parts, places, sources)
        SELECT id, :asset_at, kind, run_id, attempt, branch, ordinal, number, :asset_who,
          :asset_why, parts, places, sources FROM whole
    )"""
_MOVED = """moved AS (
      UPDATE praxis.asset a SET inside = a.inside || coalesce(w.inside, '{}'),
          rack = coalesce(w.rack, a.rack),
          parent = CASE WHEN w.place IS NULL THEN a.parent ELSE w.place ->> 'parent' END,
          place_unknown = coalesce(w.place ->> 'unknown', a.place_unknown),
          shelf = CASE WHEN w.place IS NULL THEN a.shelf ELSE w.place ->> 'shelf' END,
          status = CASE WHEN w.gone THEN 'discarded' ELSE a.status END,
          discarded_at = CASE WHEN w.gone THEN CAST(:asset_at AS timestamptz) END
        FROM whole w
        WHERE a.id = w.id AND (w.gone OR num_nonnulls(w.inside, w.rack, w.place) > 0)
    ), doubted AS (
      INSERT INTO praxis.asset_doubt (workcell, command, before)
        SELECT :asset_workcell, d.key, d.value
        FROM done, jsonb_each(CAST(:asset_doubts AS jsonb)) AS d WHERE d.value <> 'null'
        ON CONFLICT (workcell, command) DO UPDATE SET before = excluded.before
    ), settled AS (
      DELETE FROM praxis.asset_doubt o USING done, jsonb_each(CAST(:asset_doubts AS jsonb)) AS d
        WHERE d.value = 'null' AND o.workcell = :asset_workcell AND o.command = d.key
    )"""
_ASSETS = f"{_CHANGED}, {_MOVED}"

# Most commands move nothing and settle no doubt: to look for that took a third of the time.
OUTCOME_OF_CONTENTS = _statement(f"WITH {_ENDED}, {_CHANGED} SELECT ordinal FROM done")  # noqa: S608  # constants
OUTCOME_OF_ASSETS = _statement(f"WITH {_ENDED}, {_ASSETS} SELECT ordinal FROM done")  # noqa: S608  # constants
MEASURED_OF_ASSETS = _statement(
    f"WITH {_ENDED}, {_MEASURED}, {_ASSETS} SELECT ordinal FROM done"  # noqa: S608  # constants
)
OBSERVED_OF_ASSETS = _statement(f"WITH {_OBSERVED}, {_ASSETS} SELECT ordinal FROM done")  # noqa: S608  # constants

# Of a command whose outcome was written before, or is not known.
CHANGE_BY_COMMAND = _statement(f"""
    WITH done AS (
      SELECT run_id, attempt, branch, ordinal, number FROM praxis.command WHERE {_KEY}
    ), {_ASSETS} SELECT ordinal FROM done
""")  # noqa: S608  # constants

# By a person, or by the definition of a workcell.
CHANGE = _statement(f"""
    WITH done AS (
      SELECT CAST(NULL AS uuid) AS run_id, CAST(NULL AS integer) AS attempt,
        CAST(NULL AS text) AS branch, CAST(NULL AS integer) AS ordinal,
        CAST(NULL AS bigint) AS number
    ), {_ASSETS} SELECT count(*) FROM done
""")  # noqa: S608  # constants

MEASUREMENT = _statement("""
    INSERT INTO praxis.measurement (run_id, attempt, asset, well, quantity, value, unit, at)
      SELECT :run_id, :attempt, m.*
      FROM unnest(:assets, :wells, :quantities, :values, :units, :times) AS m
""")

DATA_FILE = _statement("""
    INSERT INTO praxis.data_file (run_id, path, sha256, media_type)
      VALUES (:run_id, :path, :sha256, :media_type) ON CONFLICT DO NOTHING
""")

EVENT = _statement("""
    INSERT INTO praxis.run_event (run_id, kind, message, details)
      VALUES (:run_id, :kind, :message, :details)
""")

HOST = _statement("""
    INSERT INTO praxis.workcell_host (workcell, epoch, host, pid) VALUES (:workcell, 1, :host, :pid)
      ON CONFLICT (workcell) DO UPDATE SET epoch = workcell_host.epoch + 1, host = excluded.host,
        pid = excluded.pid, since = clock_timestamp()
      RETURNING epoch
""")

# The update changes nothing, and lets the row be read that another transaction has just written.
LEARN = _statement("""
    INSERT INTO praxis.learned (run_id, branch, ordinal, kind, name, value, attempt)
      VALUES (:run_id, :branch, :ordinal, :kind, :name, :value, :attempt)
      ON CONFLICT (run_id, branch, ordinal, kind) DO UPDATE SET value = learned.value
      RETURNING value
""")

LEARN_DONE = _statement("""
    UPDATE praxis.learned SET value = :value, done_at = clock_timestamp()
      WHERE run_id = :run_id AND branch = :branch AND ordinal = :ordinal AND kind = :kind
      RETURNING ordinal
""")
