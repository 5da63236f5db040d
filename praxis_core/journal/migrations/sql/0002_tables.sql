-- What revision 0002 adds to the tables; journal/tables.py says what it means.

CREATE SEQUENCE praxis.claim_token;
CREATE SEQUENCE praxis.command_delivered;

ALTER TABLE praxis.protocol_run
  DROP CONSTRAINT ck_protocol_run_status,
  DROP CONSTRAINT ck_protocol_run_started_at,
  ADD CONSTRAINT ck_protocol_run_status CHECK (status IN ('cancelled', 'failed', 'in_doubt', 'interrupted', 'preparing', 'refused', 'running', 'succeeded')),
  ADD CONSTRAINT ck_protocol_run_started_at CHECK (CASE WHEN status IN ('preparing', 'refused') THEN started_at IS NULL WHEN status IN ('running', 'interrupted', 'succeeded') THEN started_at IS NOT NULL ELSE true END);

ALTER TABLE praxis.run_attempt
  DROP CONSTRAINT ck_run_attempt_status,
  DROP CONSTRAINT ck_run_attempt_started_at,
  ADD CONSTRAINT ck_run_attempt_status CHECK (status IN ('cancelled', 'failed', 'in_doubt', 'interrupted', 'preparing', 'refused', 'running', 'succeeded')),
  ADD CONSTRAINT ck_run_attempt_started_at CHECK (CASE WHEN status IN ('preparing', 'refused') THEN started_at IS NULL WHEN status IN ('running', 'interrupted', 'succeeded') THEN started_at IS NOT NULL ELSE true END);

ALTER TABLE praxis.run_step
  DROP CONSTRAINT ck_run_step_path,
  ADD CONSTRAINT ck_run_step_path CHECK (path ~ '^[a-z]*[1-9][0-9]*(\.[a-z]*[1-9][0-9]*)*$');

ALTER TABLE praxis.command
  ADD COLUMN token BIGINT,
  ADD COLUMN epoch BIGINT,
  ADD COLUMN sent TEXT,
  ADD COLUMN tail BOOLEAN DEFAULT false NOT NULL,
  ADD COLUMN delivered BIGINT,
  DROP CONSTRAINT ck_command_branch,
  ADD CONSTRAINT ck_command_branch CHECK (branch ~ '^(r[1-9][0-9]*|[0-9]+(\.[0-9]+)*)$'),
  ADD CONSTRAINT ck_command_sent CHECK (sent IN ('none', 'some', 'unknown')),
  ADD CONSTRAINT ck_command_sent_of_failure CHECK (sent IS NULL OR (outcome IS NOT NULL AND outcome = 'failed'));

-- Until now an attempt replayed nothing of the ones before it, and outcomes came in the order of their intents.
ALTER TABLE praxis.command DISABLE TRIGGER outcome_once;
UPDATE praxis.command c
  SET tail = c.attempt < r.attempt, delivered = CASE WHEN c.outcome IS NOT NULL THEN c.number END
  FROM praxis.protocol_run r WHERE r.id = c.run_id;
ALTER TABLE praxis.command ENABLE TRIGGER outcome_once;
SELECT setval('praxis.command_delivered', coalesce(max(delivered), 0) + 1, false) FROM praxis.command;

ALTER TABLE praxis.command
  ADD CONSTRAINT ck_command_delivered CHECK ((delivered IS NOT NULL) = (outcome IS NOT NULL));

CREATE UNIQUE INDEX uq_command_once ON praxis.command (run_id, branch, ordinal) WHERE NOT tail;

CREATE TABLE praxis.claim (
  token BIGINT NOT NULL,
  workcell TEXT NOT NULL,
  device TEXT NOT NULL,
  run_id UUID NOT NULL,
  attempt INTEGER NOT NULL,
  claimed_at TIMESTAMP WITH TIME ZONE DEFAULT clock_timestamp() NOT NULL,
  released_at TIMESTAMP WITH TIME ZONE,
  CONSTRAINT pk_claim PRIMARY KEY (token, device),
  CONSTRAINT fk_claim_attempt FOREIGN KEY(run_id, attempt) REFERENCES praxis.run_attempt (run_id, number) ON DELETE CASCADE,
  CONSTRAINT ck_claim_token CHECK (token >= 1),
  CONSTRAINT ck_claim_workcell CHECK (workcell <> ''),
  CONSTRAINT ck_claim_device CHECK (device <> '')
);

CREATE UNIQUE INDEX uq_claim_open ON praxis.claim (workcell, device) WHERE released_at IS NULL;

CREATE INDEX ix_claim_run ON praxis.claim (run_id, token);

CREATE INDEX ix_claim_device ON praxis.claim (workcell, device, token);

CREATE TABLE praxis.workcell_host (
  workcell TEXT NOT NULL,
  epoch BIGINT NOT NULL,
  host UUID NOT NULL,
  pid INTEGER NOT NULL,
  since TIMESTAMP WITH TIME ZONE DEFAULT clock_timestamp() NOT NULL,
  CONSTRAINT pk_workcell_host PRIMARY KEY (workcell),
  CONSTRAINT ck_workcell_host_workcell CHECK (workcell <> ''),
  CONSTRAINT ck_workcell_host_epoch CHECK (epoch >= 1),
  CONSTRAINT ck_workcell_host_pid CHECK (pid >= 1)
);

CREATE TABLE praxis.doubt (
  id BIGINT GENERATED ALWAYS AS IDENTITY,
  run_id UUID NOT NULL,
  attempt INTEGER NOT NULL,
  subject TEXT NOT NULL,
  branch TEXT NOT NULL,
  ordinal INTEGER NOT NULL,
  raised_at TIMESTAMP WITH TIME ZONE DEFAULT clock_timestamp() NOT NULL,
  what TEXT NOT NULL,
  choices JSON NOT NULL,
  details JSON,
  answer TEXT,
  answered_by TEXT,
  answered_at TIMESTAMP WITH TIME ZONE,
  answer_details JSON,
  CONSTRAINT pk_doubt PRIMARY KEY (id),
  CONSTRAINT fk_doubt_attempt FOREIGN KEY(run_id, attempt) REFERENCES praxis.run_attempt (run_id, number) ON DELETE CASCADE,
  CONSTRAINT ck_doubt_subject CHECK (subject IN ('command', 'once', 'tail')),
  CONSTRAINT ck_doubt_branch CHECK (branch ~ '^(r[1-9][0-9]*|[0-9]+(\.[0-9]+)*)$'),
  CONSTRAINT ck_doubt_ordinal CHECK (ordinal >= 0),
  CONSTRAINT ck_doubt_what CHECK (what <> ''),
  CONSTRAINT ck_doubt_choices CHECK (json_typeof(choices) = 'array'),
  CONSTRAINT ck_doubt_answer CHECK (answer IN ('abort', 'did_not_happen', 'happened')),
  CONSTRAINT ck_doubt_answered_by CHECK (answered_by <> ''),
  CONSTRAINT ck_doubt_answer_complete CHECK (num_nonnulls(answer, answered_by, answered_at) IN (0, 3)),
  CONSTRAINT ck_doubt_answer_details CHECK (answer_details IS NULL OR answer IS NOT NULL)
);

CREATE UNIQUE INDEX uq_doubt_open ON praxis.doubt (run_id, subject, branch, ordinal) WHERE answered_at IS NULL;

CREATE TABLE praxis.learned (
  run_id UUID NOT NULL,
  branch TEXT NOT NULL,
  ordinal INTEGER NOT NULL,
  kind TEXT NOT NULL,
  name TEXT NOT NULL,
  value JSON NOT NULL,
  attempt INTEGER NOT NULL,
  at TIMESTAMP WITH TIME ZONE DEFAULT clock_timestamp() NOT NULL,
  done_at TIMESTAMP WITH TIME ZONE,
  CONSTRAINT pk_learned PRIMARY KEY (run_id, branch, ordinal, kind),
  CONSTRAINT fk_learned_attempt FOREIGN KEY(run_id, attempt) REFERENCES praxis.run_attempt (run_id, number) ON DELETE CASCADE,
  CONSTRAINT ck_learned_branch CHECK (branch ~ '^(r[1-9][0-9]*|[0-9]+(\.[0-9]+)*)$'),
  CONSTRAINT ck_learned_ordinal CHECK (ordinal >= 0),
  CONSTRAINT ck_learned_kind CHECK (kind ~ '^[a-z][a-z0-9_.-]*$')
);
