-- What revision 0002 adds to the rules: claims, hosts, doubts, and a command that is written once per run.
--
-- Refusals of their own:
--   PX003  the claim of a command is not open (any more); DETAIL is what ClaimLost needs
--   PX004  the host of a command was replaced; DETAIL is what HostReplaced needs

CREATE OR REPLACE FUNCTION praxis.run_transition_possible(old text, new text) RETURNS boolean
  LANGUAGE sql IMMUTABLE AS $$
  SELECT (old, new) IN (
    ('preparing', 'running'), ('preparing', 'refused'), ('preparing', 'failed'),
    ('preparing', 'cancelled'), ('preparing', 'in_doubt'),
    ('running', 'succeeded'), ('running', 'failed'), ('running', 'cancelled'),
    ('running', 'interrupted'), ('running', 'in_doubt'),
    ('interrupted', 'running'), ('interrupted', 'succeeded'), ('interrupted', 'failed'),
    ('interrupted', 'cancelled'), ('interrupted', 'in_doubt'),
    ('in_doubt', 'failed'), ('in_doubt', 'cancelled'),
    -- a new attempt
    ('refused', 'preparing'), ('succeeded', 'preparing'), ('failed', 'preparing'),
    ('cancelled', 'preparing'))
$$;


-- --- commands -------------------------------------------------------------------------------------

-- The rows are locked so that a command and the loss of its claim, or of its host, follow each other: what
-- was let through here is on its way before anybody else is told that the device is theirs.
CREATE FUNCTION praxis.require_claim() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
  newest bigint;
  workcell_name text;
  why text;
BEGIN
  IF NEW.token IS NOT NULL THEN
    PERFORM FROM praxis.claim c
      WHERE c.token = NEW.token AND c.device = NEW.device AND c.run_id = NEW.run_id
        AND c.attempt = NEW.attempt AND c.released_at IS NULL
      FOR SHARE;
    IF NOT FOUND THEN
      SELECT format('attempt %s of run %s has it now', o.attempt, o.run_id) INTO why
        FROM praxis.claim mine JOIN praxis.claim o USING (workcell, device)
        WHERE mine.token = NEW.token AND mine.device = NEW.device AND o.released_at IS NULL;
      RAISE EXCEPTION USING ERRCODE = 'PX003',
        MESSAGE = format('the claim %s on %s is not open', NEW.token, NEW.device),
        DETAIL = json_build_object('run_id', NEW.run_id, 'attempt', NEW.attempt,
          'device', NEW.device, 'what', coalesce(why, 'its claim was released'));
    END IF;
  END IF;
  IF NEW.epoch IS NOT NULL THEN
    SELECT h.epoch, h.workcell INTO newest, workcell_name
      FROM praxis.run_attempt a JOIN praxis.workcell w ON w.id = a.workcell_id
        JOIN praxis.workcell_host h ON h.workcell = w.name
      WHERE a.run_id = NEW.run_id AND a.number = NEW.attempt
      FOR SHARE OF h;
    IF newest IS DISTINCT FROM NEW.epoch THEN
      RAISE EXCEPTION USING ERRCODE = 'PX004',
        MESSAGE = format('the host of epoch %s was replaced', NEW.epoch),
        DETAIL = json_build_object('epoch', NEW.epoch, 'workcell', workcell_name, 'newest', newest);
    END IF;
  END IF;
  RETURN NEW;
END $$;

CREATE TRIGGER claim_open BEFORE INSERT ON praxis.command FOR EACH ROW
  WHEN (NEW.token IS NOT NULL OR NEW.epoch IS NOT NULL)
  EXECUTE FUNCTION praxis.require_claim();

DROP TRIGGER written_once ON praxis.command;
CREATE TRIGGER written_once
  BEFORE UPDATE OF run_id, attempt, branch, ordinal, number, device, method, args, kwargs, deck_changes,
    new_parent, kind, fingerprint, step, task_run_id, issued_at, token, epoch
  ON praxis.command
  FOR EACH ROW EXECUTE FUNCTION praxis.refuse('an intent is never changed');

-- What may have been sent is no outcome yet: a person or the device says how it ended.
DROP TRIGGER outcome_once ON praxis.command;
CREATE TRIGGER outcome_once
  BEFORE UPDATE OF outcome, started_at, ended_at, value, error, attributes, sent, delivered
  ON praxis.command FOR EACH ROW
  WHEN ((OLD.outcome IS NOT NULL AND OLD.sent IS DISTINCT FROM 'unknown') OR NEW.outcome IS NULL)
  EXECUTE FUNCTION praxis.refuse('an outcome is written once');

CREATE TRIGGER tail_once BEFORE UPDATE OF tail ON praxis.command FOR EACH ROW
  WHEN (OLD.tail AND NOT NEW.tail)
  EXECUTE FUNCTION praxis.refuse('what was set aside is not replayed any more');


-- --- claims and hosts -----------------------------------------------------------------------------

CREATE TRIGGER attempt_open BEFORE INSERT ON praxis.claim
  FOR EACH ROW EXECUTE FUNCTION praxis.require_open_attempt();

CREATE TRIGGER released_once BEFORE UPDATE ON praxis.claim FOR EACH ROW
  WHEN (OLD.released_at IS NOT NULL)
  EXECUTE FUNCTION praxis.refuse('a claim is released once');

CREATE TRIGGER epochs_grow BEFORE UPDATE ON praxis.workcell_host FOR EACH ROW
  WHEN (NEW.epoch <= OLD.epoch OR NEW.workcell <> OLD.workcell)
  EXECUTE FUNCTION praxis.refuse('a host is only replaced by one of a higher epoch');

CREATE TRIGGER epochs_grow_on BEFORE DELETE ON praxis.workcell_host
  FOR EACH ROW EXECUTE FUNCTION praxis.refuse('epochs go on from the last one');


-- --- doubts, and what a protocol learned ----------------------------------------------------------

CREATE TRIGGER written_once
  BEFORE UPDATE OF id, run_id, attempt, subject, branch, ordinal, raised_at, what, choices, details
  ON praxis.doubt
  FOR EACH ROW EXECUTE FUNCTION praxis.refuse('a question is never changed');

CREATE TRIGGER answered_once BEFORE UPDATE ON praxis.doubt FOR EACH ROW
  WHEN (OLD.answer IS NOT NULL)
  EXECUTE FUNCTION praxis.refuse('a question is answered once');

CREATE TRIGGER attempt_open BEFORE INSERT ON praxis.learned
  FOR EACH ROW EXECUTE FUNCTION praxis.require_open_attempt();

CREATE TRIGGER written_once
  BEFORE UPDATE OF run_id, branch, ordinal, kind, name, attempt, at ON praxis.learned
  FOR EACH ROW EXECUTE FUNCTION praxis.refuse('what was learned is never changed');

CREATE TRIGGER done_once BEFORE UPDATE ON praxis.learned FOR EACH ROW
  WHEN ((NEW.value::text, NEW.done_at) IS DISTINCT FROM (OLD.value::text, OLD.done_at)
        AND (OLD.done_at IS NOT NULL OR NEW.done_at IS NULL))
  EXECUTE FUNCTION praxis.refuse('what was learned is never changed');

CREATE TRIGGER keep_history BEFORE DELETE ON praxis.claim
  FOR EACH ROW EXECUTE FUNCTION praxis.keep_history();
CREATE TRIGGER keep_history BEFORE DELETE ON praxis.doubt
  FOR EACH ROW EXECUTE FUNCTION praxis.keep_history();
