-- What revision 0013 adds to the tables; journal/tables.py says what it means.

-- Rows come in the order of their times: this index costs next to nothing when they are written.
CREATE INDEX ix_command_issued_at ON praxis.command USING brin (issued_at);
