-- What revision 0007 adds to the tables; journal/tables.py says what it means.

CREATE TABLE praxis.question (
	id BIGINT NOT NULL,
	run_id UUID NOT NULL,
	attempt INTEGER NOT NULL,
	key TEXT NOT NULL,
	title TEXT NOT NULL,
	text TEXT NOT NULL,
	form JSON NOT NULL,
	asked_at TIMESTAMP WITH TIME ZONE DEFAULT clock_timestamp() NOT NULL,
	answer JSON,
	answered_by TEXT,
	answered_at TIMESTAMP WITH TIME ZONE,
	via TEXT,
	CONSTRAINT pk_question PRIMARY KEY (id),
	CONSTRAINT fk_question_attempt FOREIGN KEY(run_id, attempt) REFERENCES praxis.run_attempt (run_id, number) ON DELETE CASCADE,
	CONSTRAINT uq_question_key UNIQUE (run_id, key),
	CONSTRAINT ck_question_key CHECK (key <> ''),
	CONSTRAINT ck_question_title CHECK (title <> ''),
	CONSTRAINT ck_question_form CHECK (json_typeof(form) = 'object'),
	CONSTRAINT ck_question_answered_by CHECK (answered_by <> ''),
	CONSTRAINT ck_question_via CHECK (via ~ '^[a-z][a-z0-9_.-]*$'),
	CONSTRAINT ck_question_answer_complete CHECK (num_nonnulls(answer, answered_by, answered_at, via) IN (0, 4))
);

CREATE INDEX ix_question_open ON praxis.question (run_id) WHERE answered_at IS NULL;
