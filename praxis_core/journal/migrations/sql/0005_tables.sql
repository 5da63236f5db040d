-- What revision 0005 changes in the tables; journal/asset_tables.py says what it means.

ALTER TABLE praxis.asset
  DROP CONSTRAINT ck_asset_workcell,
  ADD CONSTRAINT ck_asset_workcell CHECK (workcell IS NULL OR name IS NOT NULL),
  DROP CONSTRAINT ck_asset_shelf,
  ADD CONSTRAINT ck_asset_shelf CHECK (shelf IS NULL OR parent IS NULL);

CREATE TABLE praxis.asset_picture (
	run_id UUID NOT NULL,
	number BIGINT NOT NULL,
	changes INTEGER NOT NULL,
	parts TEXT[] NOT NULL,
	part_changes BIGINT[] NOT NULL,
	places TEXT[] NOT NULL,
	place_changes BIGINT[] NOT NULL,
	CONSTRAINT pk_asset_picture PRIMARY KEY (run_id, number),
	CONSTRAINT ck_asset_picture_parts CHECK (cardinality(parts) = cardinality(part_changes)),
	CONSTRAINT ck_asset_picture_places CHECK (cardinality(places) = cardinality(place_changes))
);
