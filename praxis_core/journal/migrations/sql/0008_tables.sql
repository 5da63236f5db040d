-- What revision 0008 changes in the tables; journal/tables.py says what it means.

ALTER TABLE praxis.protocol_run ADD COLUMN water BOOLEAN NOT NULL DEFAULT false;
