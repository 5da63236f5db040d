-- What revision 0009 changes in the tables; journal/tables.py says what it means.

ALTER TABLE praxis.protocol_run
  ADD COLUMN kind TEXT NOT NULL DEFAULT 'protocol',
  ADD CONSTRAINT ck_protocol_run_kind CHECK (kind IN ('manual', 'protocol'));
