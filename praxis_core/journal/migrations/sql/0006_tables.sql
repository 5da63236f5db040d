-- What revision 0006 changes in the tables; journal/asset_tables.py says what it means.

ALTER TABLE praxis.asset_change
  SET (autovacuum_vacuum_insert_scale_factor = 0, autovacuum_vacuum_insert_threshold = 2000);
