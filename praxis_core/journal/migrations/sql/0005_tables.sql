-- What revision 0005 changes in the tables; journal/asset_tables.py says what it means.

ALTER TABLE praxis.asset
  DROP CONSTRAINT ck_asset_workcell,
  ADD CONSTRAINT ck_asset_workcell CHECK (workcell IS NULL OR name IS NOT NULL),
  DROP CONSTRAINT ck_asset_shelf,
  ADD CONSTRAINT ck_asset_shelf CHECK (shelf IS NULL OR parent IS NULL);
