-- What revision 0014 adds to the tables; journal/tables.py says what it means.

ALTER TABLE praxis.run_attempt
  ADD COLUMN versions JSON,
  ADD CONSTRAINT ck_run_attempt_versions CHECK (json_typeof(versions) = 'object');
