-- What the tables cannot say about themselves: which changes are possible, what is written once, what
-- follows from a change, and the view over our runs and Prefect's.
--
-- Refusals carry an SQLSTATE of their own class, which Praxis turns into its errors:
--   PX001  impossible transition of a run; DETAIL is {"run_id": ..., "old": ..., "new": ...}
--   PX002  what was written cannot be changed or deleted, or the row cannot be written now
--
-- These rules guard against mistakes of programs, not against the owner of the database.

CREATE FUNCTION praxis.refuse() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  RAISE EXCEPTION USING ERRCODE = 'PX002', MESSAGE = TG_TABLE_NAME || ': ' || TG_ARGV[0];
END $$;


-- --- definitions: a version is never changed ------------------------------------------------------

CREATE TRIGGER written_once
  BEFORE UPDATE OF id, name, version, definition, content_hash, created_at ON praxis.workcell
  FOR EACH ROW EXECUTE FUNCTION praxis.refuse('a stored version is never changed');

CREATE TRIGGER written_once
  BEFORE UPDATE OF id, name, version, entrypoint, source_hash, content_hash, definition, created_at
  ON praxis.protocol_definition
  FOR EACH ROW EXECUTE FUNCTION praxis.refuse('a stored version is never changed');


-- --- runs -----------------------------------------------------------------------------------------

CREATE FUNCTION praxis.run_transition_possible(old text, new text) RETURNS boolean
  LANGUAGE sql IMMUTABLE AS $$
  SELECT (old, new) IN (
    ('preparing', 'running'), ('preparing', 'refused'), ('preparing', 'failed'),
    ('preparing', 'cancelled'),
    ('running', 'succeeded'), ('running', 'failed'), ('running', 'cancelled'),
    -- a new attempt
    ('refused', 'preparing'), ('succeeded', 'preparing'), ('failed', 'preparing'),
    ('cancelled', 'preparing'))
$$;

CREATE FUNCTION praxis.guard_run() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  IF NOT praxis.run_transition_possible(OLD.status, NEW.status) THEN
    RAISE EXCEPTION USING ERRCODE = 'PX001',
      MESSAGE = format('run %s cannot go from %s to %s', OLD.id, OLD.status, NEW.status),
      DETAIL = json_build_object('run_id', OLD.id, 'old', OLD.status, 'new', NEW.status);
  END IF;
  IF NEW.attempt <> OLD.attempt + (NEW.status = 'preparing')::integer THEN
    RAISE EXCEPTION USING ERRCODE = 'PX002', MESSAGE = format(
      'protocol_run: run %s goes back to preparing with its next attempt, and only then', OLD.id);
  END IF;
  IF NEW.ended_at IS NULL
     AND (NEW.summary::text, NEW.final_state::text)
         IS DISTINCT FROM (OLD.summary::text, OLD.final_state::text) THEN
    RAISE EXCEPTION USING ERRCODE = 'PX002',
      MESSAGE = format('protocol_run: run %s has not ended, so it has no result', OLD.id);
  END IF;
  RETURN NEW;
END $$;

CREATE TRIGGER begins_preparing BEFORE INSERT ON praxis.protocol_run FOR EACH ROW
  WHEN (NEW.status <> 'preparing' OR NEW.attempt <> 1)
  EXECUTE FUNCTION praxis.refuse('a run begins with attempt 1, preparing');

CREATE TRIGGER written_once
  BEFORE UPDATE OF id, name, parameters, simulated, asked_by, created_at ON praxis.protocol_run
  FOR EACH ROW EXECUTE FUNCTION praxis.refuse('what was asked for is never changed');

-- Forgetting a run that was deleted is the only change.
CREATE TRIGGER carried_from_written_once BEFORE UPDATE OF carried_from ON praxis.protocol_run
  FOR EACH ROW WHEN (NEW.carried_from IS NOT NULL)
  EXECUTE FUNCTION praxis.refuse('what was asked for is never changed');

CREATE TRIGGER transition
  BEFORE UPDATE OF status, attempt, started_at, ended_at, summary, final_state
  ON praxis.protocol_run
  FOR EACH ROW EXECUTE FUNCTION praxis.guard_run();

CREATE TRIGGER ended_before_deleted BEFORE DELETE ON praxis.protocol_run
  FOR EACH ROW WHEN (OLD.ended_at IS NULL)
  EXECUTE FUNCTION praxis.refuse('a run is deleted only after it has ended');


-- --- attempts -------------------------------------------------------------------------------------

CREATE FUNCTION praxis.guard_attempt() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  IF TG_OP = 'INSERT' THEN
    IF NEW.status <> 'preparing' OR NOT EXISTS (
      SELECT FROM praxis.protocol_run r WHERE r.id = NEW.run_id AND r.attempt = NEW.number
    ) THEN
      RAISE EXCEPTION USING ERRCODE = 'PX002', MESSAGE = format(
        'run_attempt: %s is not the next attempt of run %s, preparing', NEW.number, NEW.run_id);
    END IF;
  ELSIF NOT praxis.run_transition_possible(OLD.status, NEW.status) OR OLD.ended_at IS NOT NULL THEN
    RAISE EXCEPTION USING ERRCODE = 'PX001',
      MESSAGE = format('attempt %s of run %s cannot go from %s to %s',
                       OLD.number, OLD.run_id, OLD.status, NEW.status),
      DETAIL = json_build_object('run_id', OLD.run_id, 'old', OLD.status, 'new', NEW.status);
  END IF;
  RETURN NEW;
END $$;

CREATE TRIGGER transition
  BEFORE INSERT OR UPDATE OF status, started_at, ended_at, error ON praxis.run_attempt
  FOR EACH ROW EXECUTE FUNCTION praxis.guard_attempt();

CREATE TRIGGER written_once
  BEFORE UPDATE OF run_id, number, protocol_id, workcell_id, parameters, begun_at
  ON praxis.run_attempt
  FOR EACH ROW EXECUTE FUNCTION praxis.refuse('what an attempt was begun with is never changed');

CREATE TRIGGER started_once
  BEFORE UPDATE OF assets, start_snapshot ON praxis.run_attempt
  FOR EACH ROW WHEN (OLD.status <> 'preparing')
  EXECUTE FUNCTION praxis.refuse('what an attempt started from is never changed');

-- Whoever changes a status: the change is in the audit trail, and nothing is left under way.
CREATE FUNCTION praxis.record_status() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
  old_status text := CASE TG_OP WHEN 'UPDATE' THEN OLD.status END;
BEGIN
  IF NEW.ended_at IS NOT NULL THEN
    UPDATE praxis.run_step SET status = 'failed', ended_at = greatest(started_at, NEW.ended_at),
      error = '{"message": "the attempt ended while this step was under way"}'
      WHERE run_id = NEW.run_id AND attempt = NEW.number AND status = 'running';
  END IF;
  INSERT INTO praxis.run_event (run_id, kind, message, details) VALUES (
    NEW.run_id, 'status',
    format('attempt %s: %s', NEW.number, concat_ws(' -> ', old_status, NEW.status)),
    json_build_object('attempt', NEW.number, 'from', old_status, 'to', NEW.status, 'error', NEW.error));
  RETURN NULL;
END $$;

CREATE TRIGGER record_status AFTER INSERT OR UPDATE OF status ON praxis.run_attempt
  FOR EACH ROW EXECUTE FUNCTION praxis.record_status();


-- --- steps and commands ---------------------------------------------------------------------------

-- FOR SHARE makes an attempt's end and the last things written in it follow each other: a process that was
-- taken for dead cannot slip a command in behind the end of its attempt.
CREATE FUNCTION praxis.require_open_attempt() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
  attempt_ended timestamptz;
BEGIN
  SELECT a.ended_at INTO attempt_ended FROM praxis.run_attempt a
    WHERE a.run_id = NEW.run_id AND a.number = NEW.attempt FOR SHARE;
  IF attempt_ended IS NOT NULL THEN
    RAISE EXCEPTION USING ERRCODE = 'PX002', MESSAGE = format(
      '%s: attempt %s of run %s has ended', TG_TABLE_NAME, NEW.attempt, NEW.run_id);
  END IF;
  RETURN NEW;
END $$;

CREATE TRIGGER attempt_open BEFORE INSERT ON praxis.run_step
  FOR EACH ROW EXECUTE FUNCTION praxis.require_open_attempt();

CREATE TRIGGER written_once
  BEFORE UPDATE OF run_id, attempt, path, name, task_run_id, started_at ON praxis.run_step
  FOR EACH ROW EXECUTE FUNCTION praxis.refuse('the start of a step is never changed');

-- The same row may be written again, since the answer to a commit can be lost.
CREATE TRIGGER ends_once BEFORE UPDATE ON praxis.run_step FOR EACH ROW
  WHEN (OLD.status <> 'running' AND (OLD.status, OLD.ended_at, OLD.error::text)
        IS DISTINCT FROM (NEW.status, NEW.ended_at, NEW.error::text))
  EXECUTE FUNCTION praxis.refuse('a step ends once');

CREATE TRIGGER attempt_open BEFORE INSERT ON praxis.command
  FOR EACH ROW EXECUTE FUNCTION praxis.require_open_attempt();

CREATE TRIGGER intent_first BEFORE INSERT ON praxis.command FOR EACH ROW
  WHEN (NEW.outcome IS NOT NULL AND NEW.kind <> 'observe')
  EXECUTE FUNCTION praxis.refuse('only a command that observes may have an outcome without an intent');

CREATE TRIGGER written_once
  BEFORE UPDATE OF run_id, attempt, branch, ordinal, number, device, method, args, kwargs, deck_changes,
    new_parent, kind, fingerprint, step, task_run_id, issued_at
  ON praxis.command
  FOR EACH ROW EXECUTE FUNCTION praxis.refuse('an intent is never changed');

CREATE TRIGGER outcome_once BEFORE UPDATE ON praxis.command FOR EACH ROW
  WHEN (OLD.outcome IS NOT NULL OR NEW.outcome IS NULL)
  EXECUTE FUNCTION praxis.refuse('an outcome is written once');


-- --- what is only ever added ----------------------------------------------------------------------

CREATE TRIGGER written_once BEFORE UPDATE ON praxis.measurement
  FOR EACH ROW EXECUTE FUNCTION praxis.refuse('a measurement is never changed');
CREATE TRIGGER written_once BEFORE UPDATE ON praxis.data_file
  FOR EACH ROW EXECUTE FUNCTION praxis.refuse('the record of a file is never changed');
CREATE TRIGGER written_once BEFORE UPDATE ON praxis.run_event
  FOR EACH ROW EXECUTE FUNCTION praxis.refuse('an event is never changed');

-- A cascade reaches these rows after their run is gone; whoever else deletes them finds it still there.
CREATE FUNCTION praxis.keep_history() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  IF OLD.run_id IS NULL OR EXISTS (SELECT FROM praxis.protocol_run r WHERE r.id = OLD.run_id) THEN
    RAISE EXCEPTION USING ERRCODE = 'PX002', MESSAGE = format(
      '%s: history is deleted only with its whole run', TG_TABLE_NAME);
  END IF;
  RETURN OLD;
END $$;

CREATE TRIGGER keep_history BEFORE DELETE ON praxis.run_attempt
  FOR EACH ROW EXECUTE FUNCTION praxis.keep_history();
CREATE TRIGGER keep_history BEFORE DELETE ON praxis.run_step
  FOR EACH ROW EXECUTE FUNCTION praxis.keep_history();
CREATE TRIGGER keep_history BEFORE DELETE ON praxis.command
  FOR EACH ROW EXECUTE FUNCTION praxis.keep_history();
CREATE TRIGGER keep_history BEFORE DELETE ON praxis.measurement
  FOR EACH ROW EXECUTE FUNCTION praxis.keep_history();
CREATE TRIGGER keep_history BEFORE DELETE ON praxis.data_file
  FOR EACH ROW EXECUTE FUNCTION praxis.keep_history();
CREATE TRIGGER keep_history BEFORE DELETE ON praxis.run_event
  FOR EACH ROW EXECUTE FUNCTION praxis.keep_history();


-- --- our runs beside Prefect's --------------------------------------------------------------------

-- PL/pgSQL binds names when it runs: the view depends on nothing of Prefect's, whose migrations alter their
-- tables and whose server may keep them elsewhere. What Prefect does not have (any more) is NULL.
CREATE FUNCTION praxis.prefect_flow_run(run_id uuid) RETURNS TABLE (
  prefect_name text, prefect_state_type text, prefect_state_name text, prefect_deployment text,
  prefect_auto_scheduled boolean, prefect_schedule text, prefect_expected_start_time timestamptz
) LANGUAGE plpgsql STABLE ROWS 1 AS $$
BEGIN
  RETURN QUERY
    SELECT f.name::text, f.state_type::text, f.state_name::text, d.name::text, f.auto_scheduled,
      CASE f.created_by ->> 'type' WHEN 'SCHEDULE' THEN f.created_by ->> 'display_value' END,
      f.expected_start_time
    FROM prefect.flow_run f LEFT JOIN prefect.deployment d ON d.id = f.deployment_id
    WHERE f.id = prefect_flow_run.run_id;
EXCEPTION
  WHEN undefined_table OR invalid_schema_name OR undefined_column OR insufficient_privilege THEN
    RETURN;
END $$;

CREATE VIEW praxis.run_overview AS
  SELECT r.id AS run_id, r.name, r.status, r.attempt, p.name AS protocol, p.version AS protocol_version,
    w.name AS workcell, w.version AS workcell_version, a.parameters, a.assets, r.simulated, r.asked_by,
    r.carried_from, r.created_at, r.started_at, r.ended_at, r.summary, a.error, f.*
  FROM praxis.protocol_run r
    JOIN praxis.run_attempt a ON a.run_id = r.id AND a.number = r.attempt
    JOIN praxis.protocol_definition p ON p.id = a.protocol_id
    JOIN praxis.workcell w ON w.id = a.workcell_id
    LEFT JOIN LATERAL praxis.prefect_flow_run(r.id) f ON true;
