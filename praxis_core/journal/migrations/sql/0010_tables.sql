-- What revision 0010 adds to the tables; journal/tables.py says what it means.

ALTER TABLE praxis.protocol_run
  ADD COLUMN parked_until TIMESTAMP WITH TIME ZONE,
  DROP CONSTRAINT ck_protocol_run_status,
  ADD CONSTRAINT ck_protocol_run_status CHECK (status IN ('cancelled', 'failed', 'in_doubt', 'interrupted', 'parked', 'preparing', 'refused', 'running', 'succeeded'));

ALTER TABLE praxis.run_attempt
  DROP CONSTRAINT ck_run_attempt_status,
  ADD CONSTRAINT ck_run_attempt_status CHECK (status IN ('cancelled', 'failed', 'in_doubt', 'interrupted', 'parked', 'preparing', 'refused', 'running', 'succeeded'));
