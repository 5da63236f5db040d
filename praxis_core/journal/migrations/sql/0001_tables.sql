-- The tables as revision 0001 made them; journal/tables.py says what they mean.

CREATE TABLE praxis.workcell (
  id BIGINT GENERATED ALWAYS AS IDENTITY,
  name TEXT NOT NULL,
  version INTEGER NOT NULL,
  definition JSON NOT NULL,
  content_hash TEXT NOT NULL,
  current BOOLEAN NOT NULL,
  created_at TIMESTAMP WITH TIME ZONE DEFAULT now() NOT NULL,
  CONSTRAINT pk_workcell PRIMARY KEY (id),
  CONSTRAINT uq_workcell_version UNIQUE (name, version),
  CONSTRAINT uq_workcell_content_hash UNIQUE (name, content_hash),
  CONSTRAINT ck_workcell_name CHECK (name <> ''),
  CONSTRAINT ck_workcell_version CHECK (version >= 1),
  CONSTRAINT ck_workcell_definition CHECK (json_typeof(definition) = 'object'),
  CONSTRAINT ck_workcell_content_hash CHECK (content_hash ~ '^[0-9a-f]{64}$')
);

CREATE UNIQUE INDEX uq_workcell_current ON praxis.workcell (name) WHERE current;

CREATE TABLE praxis.protocol_definition (
  id BIGINT GENERATED ALWAYS AS IDENTITY,
  name TEXT NOT NULL,
  version TEXT NOT NULL,
  entrypoint TEXT NOT NULL,
  source_hash TEXT NOT NULL,
  content_hash TEXT NOT NULL,
  definition JSON NOT NULL,
  current BOOLEAN NOT NULL,
  created_at TIMESTAMP WITH TIME ZONE DEFAULT now() NOT NULL,
  CONSTRAINT pk_protocol_definition PRIMARY KEY (id),
  CONSTRAINT uq_protocol_definition_content_hash UNIQUE (name, content_hash),
  CONSTRAINT ck_protocol_definition_name CHECK (name <> ''),
  CONSTRAINT ck_protocol_definition_version CHECK (version <> ''),
  CONSTRAINT ck_protocol_definition_entrypoint CHECK (entrypoint <> ''),
  CONSTRAINT ck_protocol_definition_definition CHECK (json_typeof(definition) = 'object'),
  CONSTRAINT ck_protocol_definition_content_hash CHECK (content_hash ~ '^[0-9a-f]{64}$'),
  CONSTRAINT ck_protocol_definition_source_hash CHECK (source_hash ~ '^[0-9a-f]{64}$')
);

CREATE UNIQUE INDEX uq_protocol_definition_current ON praxis.protocol_definition (name) WHERE current;

CREATE TABLE praxis.protocol_run (
  id UUID NOT NULL,
  name TEXT NOT NULL,
  status TEXT NOT NULL,
  attempt INTEGER NOT NULL,
  parameters JSON NOT NULL,
  simulated BOOLEAN NOT NULL,
  asked_by TEXT NOT NULL,
  carried_from UUID,
  created_at TIMESTAMP WITH TIME ZONE DEFAULT now() NOT NULL,
  started_at TIMESTAMP WITH TIME ZONE,
  ended_at TIMESTAMP WITH TIME ZONE,
  summary JSON,
  final_state JSON,
  CONSTRAINT pk_protocol_run PRIMARY KEY (id),
  CONSTRAINT ck_protocol_run_status CHECK (status IN ('cancelled', 'failed', 'preparing', 'refused', 'running', 'succeeded')),
  CONSTRAINT ck_protocol_run_ended_at CHECK ((ended_at IS NOT NULL) = (status IN ('cancelled', 'failed', 'refused', 'succeeded'))),
  CONSTRAINT ck_protocol_run_started_at CHECK (CASE WHEN status IN ('preparing', 'refused') THEN started_at IS NULL WHEN status IN ('running', 'succeeded') THEN started_at IS NOT NULL ELSE true END),
  CONSTRAINT ck_protocol_run_name CHECK (name <> ''),
  CONSTRAINT ck_protocol_run_asked_by CHECK (asked_by <> ''),
  CONSTRAINT ck_protocol_run_attempt CHECK (attempt >= 1),
  CONSTRAINT ck_protocol_run_carried_from CHECK (carried_from <> id),
  CONSTRAINT ck_protocol_run_parameters CHECK (json_typeof(parameters) = 'object'),
  CONSTRAINT ck_protocol_run_final_state CHECK (json_typeof(final_state) = 'object'),
  CONSTRAINT fk_protocol_run_carried_from FOREIGN KEY(carried_from) REFERENCES praxis.protocol_run (id) ON DELETE SET NULL
);

CREATE INDEX ix_protocol_run_carried_from ON praxis.protocol_run (carried_from) WHERE carried_from IS NOT NULL;

CREATE INDEX ix_protocol_run_created_at ON praxis.protocol_run (created_at DESC);

CREATE TABLE praxis.run_attempt (
  run_id UUID NOT NULL,
  number INTEGER NOT NULL,
  protocol_id BIGINT NOT NULL,
  workcell_id BIGINT NOT NULL,
  status TEXT NOT NULL,
  parameters JSON NOT NULL,
  assets JSON NOT NULL,
  start_snapshot JSON,
  begun_at TIMESTAMP WITH TIME ZONE DEFAULT now() NOT NULL,
  started_at TIMESTAMP WITH TIME ZONE,
  ended_at TIMESTAMP WITH TIME ZONE,
  error JSON,
  CONSTRAINT pk_run_attempt PRIMARY KEY (run_id, number),
  CONSTRAINT uq_run_attempt_status UNIQUE (run_id, number, status),
  CONSTRAINT ck_run_attempt_status CHECK (status IN ('cancelled', 'failed', 'preparing', 'refused', 'running', 'succeeded')),
  CONSTRAINT ck_run_attempt_ended_at CHECK ((ended_at IS NOT NULL) = (status IN ('cancelled', 'failed', 'refused', 'succeeded'))),
  CONSTRAINT ck_run_attempt_started_at CHECK (CASE WHEN status IN ('preparing', 'refused') THEN started_at IS NULL WHEN status IN ('running', 'succeeded') THEN started_at IS NOT NULL ELSE true END),
  CONSTRAINT ck_run_attempt_number CHECK (number >= 1),
  CONSTRAINT ck_run_attempt_parameters CHECK (json_typeof(parameters) = 'object'),
  CONSTRAINT ck_run_attempt_assets CHECK (json_typeof(assets) = 'object'),
  CONSTRAINT ck_run_attempt_error CHECK (error IS NULL OR status IN ('cancelled', 'failed', 'refused')),
  CONSTRAINT fk_run_attempt_run FOREIGN KEY(run_id) REFERENCES praxis.protocol_run (id) ON DELETE CASCADE,
  CONSTRAINT fk_run_attempt_protocol FOREIGN KEY(protocol_id) REFERENCES praxis.protocol_definition (id),
  CONSTRAINT fk_run_attempt_workcell FOREIGN KEY(workcell_id) REFERENCES praxis.workcell (id)
);

CREATE UNIQUE INDEX uq_run_attempt_open ON praxis.run_attempt (run_id) WHERE ended_at IS NULL;

CREATE TABLE praxis.data_file (
  id BIGINT GENERATED ALWAYS AS IDENTITY,
  run_id UUID NOT NULL,
  path TEXT NOT NULL,
  sha256 TEXT NOT NULL,
  media_type TEXT NOT NULL,
  created_at TIMESTAMP WITH TIME ZONE DEFAULT now() NOT NULL,
  CONSTRAINT pk_data_file PRIMARY KEY (id),
  CONSTRAINT uq_data_file_content UNIQUE (run_id, path, sha256),
  CONSTRAINT ck_data_file_path CHECK (path <> ''),
  CONSTRAINT ck_data_file_sha256 CHECK (sha256 ~ '^[0-9a-f]{64}$'),
  CONSTRAINT ck_data_file_media_type CHECK (media_type ~ '^[^/ ]+/[^/ ]+'),
  CONSTRAINT fk_data_file_run FOREIGN KEY(run_id) REFERENCES praxis.protocol_run (id) ON DELETE CASCADE
);

CREATE TABLE praxis.run_event (
  id BIGINT GENERATED ALWAYS AS IDENTITY,
  run_id UUID,
  at TIMESTAMP WITH TIME ZONE DEFAULT clock_timestamp() NOT NULL,
  kind TEXT NOT NULL,
  message TEXT NOT NULL,
  details JSON,
  CONSTRAINT pk_run_event PRIMARY KEY (id),
  CONSTRAINT ck_run_event_kind CHECK (kind ~ '^[a-z][a-z0-9_.-]*$'),
  CONSTRAINT fk_run_event_run FOREIGN KEY(run_id) REFERENCES praxis.protocol_run (id) ON DELETE CASCADE
);

CREATE INDEX ix_run_event_run ON praxis.run_event (run_id, id);

CREATE TABLE praxis.run_step (
  run_id UUID NOT NULL,
  attempt INTEGER NOT NULL,
  path TEXT NOT NULL,
  name TEXT NOT NULL,
  task_run_id UUID,
  status TEXT NOT NULL,
  started_at TIMESTAMP WITH TIME ZONE NOT NULL,
  ended_at TIMESTAMP WITH TIME ZONE,
  error JSON,
  CONSTRAINT pk_run_step PRIMARY KEY (run_id, attempt, path),
  CONSTRAINT fk_run_step_attempt FOREIGN KEY(run_id, attempt) REFERENCES praxis.run_attempt (run_id, number) ON DELETE CASCADE,
  CONSTRAINT ck_run_step_status CHECK (status IN ('failed', 'running', 'succeeded')),
  CONSTRAINT ck_run_step_path CHECK (path ~ '^[1-9][0-9]*(\.[1-9][0-9]*)*$'),
  CONSTRAINT ck_run_step_name CHECK (name <> ''),
  CONSTRAINT ck_run_step_ended_at CHECK ((ended_at IS NULL) = (status = 'running')),
  CONSTRAINT ck_run_step_error CHECK (error IS NULL OR status = 'failed')
);

CREATE TABLE praxis.command (
  run_id UUID NOT NULL,
  attempt INTEGER NOT NULL,
  branch TEXT NOT NULL,
  ordinal INTEGER NOT NULL,
  number BIGINT GENERATED ALWAYS AS IDENTITY,
  device TEXT NOT NULL,
  method TEXT NOT NULL,
  args JSON NOT NULL,
  kwargs JSON NOT NULL,
  deck_changes JSON NOT NULL,
  new_parent TEXT,
  kind TEXT NOT NULL,
  fingerprint TEXT NOT NULL,
  step TEXT,
  task_run_id UUID,
  issued_at TIMESTAMP WITH TIME ZONE NOT NULL,
  outcome TEXT,
  started_at TIMESTAMP WITH TIME ZONE,
  ended_at TIMESTAMP WITH TIME ZONE,
  value JSON,
  error JSON,
  attributes JSON,
  CONSTRAINT pk_command PRIMARY KEY (run_id, attempt, branch, ordinal),
  CONSTRAINT fk_command_attempt FOREIGN KEY(run_id, attempt) REFERENCES praxis.run_attempt (run_id, number) ON DELETE CASCADE,
  CONSTRAINT fk_command_step FOREIGN KEY(run_id, attempt, step) REFERENCES praxis.run_step (run_id, attempt, path),
  CONSTRAINT ck_command_branch CHECK (branch ~ '^[0-9]+(\.[0-9]+)*$'),
  CONSTRAINT ck_command_ordinal CHECK (ordinal >= 0),
  CONSTRAINT ck_command_device CHECK (device <> ''),
  CONSTRAINT ck_command_method CHECK (method <> ''),
  CONSTRAINT ck_command_args CHECK (json_typeof(args) = 'array'),
  CONSTRAINT ck_command_kwargs CHECK (json_typeof(kwargs) = 'object'),
  CONSTRAINT ck_command_deck_changes CHECK (json_typeof(deck_changes) = 'array'),
  CONSTRAINT ck_command_kind CHECK (kind IN ('observe', 'once', 'repeatable')),
  CONSTRAINT ck_command_fingerprint CHECK (fingerprint ~ '^[0-9a-f]{64}$'),
  CONSTRAINT ck_command_outcome CHECK (outcome IN ('failed', 'succeeded')),
  CONSTRAINT ck_command_outcome_complete CHECK (num_nonnulls(outcome, started_at, ended_at, value, attributes) IN (0, 5)),
  CONSTRAINT ck_command_error CHECK ((error IS NOT NULL) = (outcome IS NOT NULL AND outcome = 'failed')),
  CONSTRAINT ck_command_attributes CHECK (json_typeof(attributes) = 'object')
);

CREATE TABLE praxis.measurement (
  id BIGINT GENERATED ALWAYS AS IDENTITY,
  run_id UUID NOT NULL,
  attempt INTEGER NOT NULL,
  branch TEXT,
  ordinal INTEGER,
  asset TEXT,
  well TEXT,
  quantity TEXT NOT NULL,
  value DOUBLE PRECISION NOT NULL,
  unit TEXT NOT NULL,
  at TIMESTAMP WITH TIME ZONE NOT NULL,
  CONSTRAINT pk_measurement PRIMARY KEY (id),
  CONSTRAINT fk_measurement_attempt FOREIGN KEY(run_id, attempt) REFERENCES praxis.run_attempt (run_id, number) ON DELETE CASCADE,
  CONSTRAINT fk_measurement_command FOREIGN KEY(run_id, attempt, branch, ordinal) REFERENCES praxis.command (run_id, attempt, branch, ordinal),
  CONSTRAINT ck_measurement_command_complete CHECK (num_nonnulls(branch, ordinal) IN (0, 2)),
  CONSTRAINT ck_measurement_well CHECK (well IS NULL OR asset IS NOT NULL),
  CONSTRAINT ck_measurement_quantity CHECK (quantity <> ''),
  CONSTRAINT ck_measurement_value_finite CHECK (value > '-Infinity' AND value < 'Infinity')
);

CREATE INDEX ix_measurement_command ON praxis.measurement (run_id, attempt, branch, ordinal);

ALTER TABLE praxis.protocol_run ADD CONSTRAINT fk_protocol_run_last_attempt FOREIGN KEY(id, attempt, status) REFERENCES praxis.run_attempt (run_id, number, status) DEFERRABLE INITIALLY DEFERRED;
