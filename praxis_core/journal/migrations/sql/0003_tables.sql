-- What revision 0003 adds to the tables; journal/asset_tables.py says what it means.

-- Any asset of a workcell can be claimed, not only a device.
ALTER TABLE praxis.claim RENAME COLUMN device TO asset;
ALTER TABLE praxis.claim RENAME CONSTRAINT ck_claim_device TO ck_claim_asset;
ALTER INDEX praxis.ix_claim_device RENAME TO ix_claim_asset;

CREATE TABLE praxis.asset (
  id UUID DEFAULT gen_random_uuid() NOT NULL,
  kind TEXT NOT NULL,
  name TEXT,
  workcell TEXT,
  factory TEXT,
  config JSONB DEFAULT '{}' NOT NULL,
  barcode TEXT,
  status TEXT DEFAULT 'available' NOT NULL,
  parent TEXT,
  place_unknown TEXT,
  shelf TEXT,
  inside JSONB DEFAULT '{}' NOT NULL,
  rack TEXT[],
  reagent TEXT,
  lot TEXT,
  expires DATE,
  sample JSONB,
  parent_asset UUID,
  created_at TIMESTAMP WITH TIME ZONE DEFAULT clock_timestamp() NOT NULL,
  discarded_at TIMESTAMP WITH TIME ZONE,
  CONSTRAINT pk_asset PRIMARY KEY (id),
  CONSTRAINT ck_asset_kind CHECK (kind ~ '^[a-z][a-z0-9_.-]*$'),
  CONSTRAINT ck_asset_status CHECK (status IN ('available', 'discarded', 'empty', 'in_use', 'quarantined', 'reserved')),
  CONSTRAINT ck_asset_workcell CHECK ((name IS NULL) = (workcell IS NULL)),
  CONSTRAINT ck_asset_shelf CHECK (shelf IS NULL OR workcell IS NULL),
  CONSTRAINT ck_asset_discarded_at CHECK ((status = 'discarded') = (discarded_at IS NOT NULL)),
  CONSTRAINT ck_asset_name CHECK (name <> ''),
  CONSTRAINT ck_asset_barcode CHECK (barcode <> ''),
  CONSTRAINT fk_asset_parent FOREIGN KEY(parent_asset) REFERENCES praxis.asset (id)
);

CREATE INDEX ix_asset_free ON praxis.asset (kind, workcell, expires, id) WHERE status = 'available';

CREATE INDEX ix_asset_free_outside ON praxis.asset (kind, expires, id) WHERE status = 'available' AND workcell IS NULL;

CREATE INDEX ix_asset_named ON praxis.asset (workcell, name, created_at);

CREATE UNIQUE INDEX uq_asset_barcode ON praxis.asset (barcode) WHERE discarded_at IS NULL;

CREATE UNIQUE INDEX uq_asset_name ON praxis.asset (workcell, name) WHERE discarded_at IS NULL;

CREATE TABLE praxis.asset_part (
  asset_id UUID NOT NULL,
  name TEXT NOT NULL,
  contents JSONB,
  volume DOUBLE PRECISION,
  tip BOOLEAN,
  CONSTRAINT pk_asset_part PRIMARY KEY (asset_id, name),
  CONSTRAINT fk_asset_part_asset FOREIGN KEY(asset_id) REFERENCES praxis.asset (id)
) WITH (fillfactor = 70);

CREATE TABLE praxis.asset_change (
  id BIGINT GENERATED ALWAYS AS IDENTITY,
  asset_id UUID NOT NULL,
  at TIMESTAMP WITH TIME ZONE NOT NULL,
  kind TEXT NOT NULL,
  run_id UUID,
  attempt INTEGER,
  branch TEXT,
  ordinal INTEGER,
  number BIGINT,
  who TEXT,
  why TEXT,
  parts JSONB,
  places JSONB,
  sources BIGINT[] DEFAULT '{}' NOT NULL,
  CONSTRAINT pk_asset_change PRIMARY KEY (id),
  CONSTRAINT ck_asset_change_kind CHECK (kind IN ('confirmed', 'contents', 'corrected', 'created', 'discarded', 'place', 'replaced', 'status')),
  CONSTRAINT ck_asset_change_command_complete CHECK (num_nonnulls(run_id, attempt, branch, ordinal, number) IN (0, 5)),
  CONSTRAINT ck_asset_change_who CHECK (num_nonnulls(run_id, who) >= 1),
  CONSTRAINT fk_asset_change_asset FOREIGN KEY(asset_id) REFERENCES praxis.asset (id)
);

CREATE INDEX ix_asset_change_asset ON praxis.asset_change (asset_id, id);

CREATE INDEX ix_asset_change_command ON praxis.asset_change (run_id, number);

CREATE INDEX ix_asset_change_sources ON praxis.asset_change USING gin (sources) WHERE sources <> '{}';

CREATE TABLE praxis.source (
  id BIGINT GENERATED ALWAYS AS IDENTITY,
  asset_id UUID NOT NULL,
  part TEXT NOT NULL,
  reagent TEXT,
  lot TEXT,
  sample JSONB,
  volume DOUBLE PRECISION NOT NULL,
  amounts JSONB DEFAULT '{}' NOT NULL,
  filled_at TIMESTAMP WITH TIME ZONE DEFAULT clock_timestamp() NOT NULL,
  by TEXT NOT NULL,
  CONSTRAINT pk_source PRIMARY KEY (id),
  CONSTRAINT ck_source_volume CHECK (volume >= 0),
  CONSTRAINT ck_source_by CHECK (by <> ''),
  CONSTRAINT fk_source_asset FOREIGN KEY(asset_id) REFERENCES praxis.asset (id)
);

CREATE INDEX ix_source_asset ON praxis.source (asset_id, part);

CREATE TABLE praxis.asset_doubt (
  workcell TEXT NOT NULL,
  command TEXT NOT NULL,
  before JSONB NOT NULL,
  CONSTRAINT pk_asset_doubt PRIMARY KEY (workcell, command)
);

CREATE TABLE praxis.calibration (
  id BIGINT GENERATED ALWAYS AS IDENTITY,
  workcell TEXT NOT NULL,
  device TEXT NOT NULL,
  site TEXT DEFAULT '' NOT NULL,
  labware_kind TEXT DEFAULT '' NOT NULL,
  key TEXT NOT NULL,
  value JSONB NOT NULL,
  version INTEGER NOT NULL,
  valid_from TIMESTAMP WITH TIME ZONE DEFAULT clock_timestamp() NOT NULL,
  valid_until TIMESTAMP WITH TIME ZONE,
  who TEXT NOT NULL,
  why TEXT DEFAULT '' NOT NULL,
  CONSTRAINT pk_calibration PRIMARY KEY (id),
  CONSTRAINT uq_calibration_version UNIQUE (workcell, device, site, labware_kind, key, version),
  CONSTRAINT ck_calibration_version CHECK (version >= 1),
  CONSTRAINT ck_calibration_valid_until CHECK (valid_until IS NULL OR valid_until > valid_from),
  CONSTRAINT ck_calibration_key CHECK (key <> ''),
  CONSTRAINT ck_calibration_who CHECK (who <> '')
);
