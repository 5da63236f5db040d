-- What revision 0011 adds to the tables; journal/tables.py says what it means.

ALTER TABLE praxis.doubt
  DROP CONSTRAINT ck_doubt_answer,
  ADD CONSTRAINT ck_doubt_answer CHECK (answer IN ('abort', 'did_not_happen', 'failed', 'happened', 'partly', 'skip'));
