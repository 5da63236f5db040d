-- What revision 0004 changes in the tables; journal/tables.py says what it means.

ALTER TABLE praxis.protocol_run
  DROP CONSTRAINT ck_protocol_run_started_at,
  ADD CONSTRAINT ck_protocol_run_started_at CHECK (CASE WHEN status IN ('preparing', 'refused') THEN started_at IS NULL WHEN status IN ('running', 'succeeded') THEN started_at IS NOT NULL ELSE true END);

ALTER TABLE praxis.run_attempt
  DROP CONSTRAINT ck_run_attempt_started_at,
  ADD CONSTRAINT ck_run_attempt_started_at CHECK (CASE WHEN status IN ('preparing', 'refused') THEN started_at IS NULL WHEN status IN ('running', 'succeeded') THEN started_at IS NOT NULL ELSE true END);
