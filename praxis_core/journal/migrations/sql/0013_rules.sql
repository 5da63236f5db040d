-- What revision 0013 adds: runs, commands and questions as other programs read them, each column with what it
-- means. docs/data.md says the same.

CREATE OR REPLACE VIEW praxis.run_overview AS
  SELECT r.id AS run_id, r.name, r.status, r.attempt, p.name AS protocol, p.version AS protocol_version,
    w.name AS workcell, w.version AS workcell_version, a.parameters, a.assets, r.simulated, r.asked_by,
    r.carried_from, r.created_at, r.started_at, r.ended_at, r.summary, a.error, f.*, r.water, r.kind,
    r.parked_until,
    CAST(extract(epoch FROM coalesce(r.ended_at, now()) - r.started_at) AS float8) AS seconds
  FROM praxis.protocol_run r
    JOIN praxis.run_attempt a ON a.run_id = r.id AND a.number = r.attempt
    JOIN praxis.protocol_definition p ON p.id = a.protocol_id
    JOIN praxis.workcell w ON w.id = a.workcell_id
    LEFT JOIN LATERAL praxis.prefect_flow_run(r.id) f ON true;

CREATE VIEW praxis.command_overview AS
  SELECT c.run_id, r.name AS run, p.name AS protocol, w.name AS workcell, r.simulated, r.water, c.attempt,
    c.number, c.step, c.device, c.method, c.kind, c.issued_at, c.started_at, c.ended_at,
    CAST(extract(epoch FROM c.ended_at - c.started_at) AS float8) AS seconds, c.outcome, c.sent,
    regexp_replace(c.error ->> 'type', '^.*:', '') AS error, c.error ->> 'message' AS error_message, c.tail
  FROM praxis.command c
    JOIN praxis.protocol_run r ON r.id = c.run_id
    JOIN praxis.run_attempt a ON a.run_id = c.run_id AND a.number = c.attempt
    JOIN praxis.protocol_definition p ON p.id = a.protocol_id
    JOIN praxis.workcell w ON w.id = a.workcell_id;

CREATE VIEW praxis.question_overview AS
  SELECT q.id, q.kind, q.run_id, r.name AS run, p.name AS protocol, w.name AS workcell, q.attempt, q.title,
    q.asked_at, q.answered_at IS NULL AND r.ended_at IS NULL AS waits, q.answered_at, q.answered_by,
    q.answer, q.via,
    CAST(extract(epoch FROM coalesce(q.answered_at, r.ended_at, now()) - q.asked_at) AS float8) AS seconds
  FROM (
    SELECT id, 'doubt' AS kind, run_id, attempt, what AS title, raised_at AS asked_at, answered_at,
      answered_by, answer, CAST(NULL AS text) AS via
    FROM praxis.doubt
    UNION ALL
    SELECT id, 'question', run_id, attempt, title, asked_at, answered_at, answered_by,
      CAST(answer AS text), via
    FROM praxis.question) q
    JOIN praxis.protocol_run r ON r.id = q.run_id
    JOIN praxis.run_attempt a ON a.run_id = q.run_id AND a.number = q.attempt
    JOIN praxis.protocol_definition p ON p.id = a.protocol_id
    JOIN praxis.workcell w ON w.id = a.workcell_id;

COMMENT ON VIEW praxis.run_overview IS 'Runs, each with its last attempt, and with Prefect''s flow run where that is in the same database.';
COMMENT ON COLUMN praxis.run_overview.run_id IS 'Id of the run; of its flow run in Prefect, too.';
COMMENT ON COLUMN praxis.run_overview.name IS 'Its name.';
COMMENT ON COLUMN praxis.run_overview.status IS 'preparing, refused, running, interrupted, in_doubt, parked, succeeded, failed, cancelled.';
COMMENT ON COLUMN praxis.run_overview.attempt IS 'Number of its last attempt, from 1.';
COMMENT ON COLUMN praxis.run_overview.protocol IS 'Name of its protocol.';
COMMENT ON COLUMN praxis.run_overview.protocol_version IS 'Version that its author gave the protocol.';
COMMENT ON COLUMN praxis.run_overview.workcell IS 'Name of the workcell.';
COMMENT ON COLUMN praxis.run_overview.workcell_version IS 'Version of the workcell''s definition.';
COMMENT ON COLUMN praxis.run_overview.parameters IS 'Its parameters, with defaults; JSON.';
COMMENT ON COLUMN praxis.run_overview.assets IS 'Its assets, by the parameter that asked for each; JSON.';
COMMENT ON COLUMN praxis.run_overview.simulated IS 'true: on simulated devices.';
COMMENT ON COLUMN praxis.run_overview.asked_by IS 'Who asked for it.';
COMMENT ON COLUMN praxis.run_overview.carried_from IS 'Id of the run whose PraxisState it began with; empty: none.';
COMMENT ON COLUMN praxis.run_overview.created_at IS 'When it was asked for.';
COMMENT ON COLUMN praxis.run_overview.started_at IS 'When its first command could be sent; empty: it has not come so far.';
COMMENT ON COLUMN praxis.run_overview.ended_at IS 'When it ended; empty: it has not.';
COMMENT ON COLUMN praxis.run_overview.summary IS 'What it tells of itself at its end; JSON.';
COMMENT ON COLUMN praxis.run_overview.error IS 'What it ended with, if not well: type, message; JSON.';
COMMENT ON COLUMN praxis.run_overview.prefect_name IS 'Of Prefect: name of the flow run.';
COMMENT ON COLUMN praxis.run_overview.prefect_state_type IS 'Of Prefect: type of its state, e.g. RUNNING.';
COMMENT ON COLUMN praxis.run_overview.prefect_state_name IS 'Of Prefect: name of its state, e.g. Paused.';
COMMENT ON COLUMN praxis.run_overview.prefect_deployment IS 'Of Prefect: name of its deployment; empty: none.';
COMMENT ON COLUMN praxis.run_overview.prefect_auto_scheduled IS 'Of Prefect: true: a schedule made it.';
COMMENT ON COLUMN praxis.run_overview.prefect_schedule IS 'Of Prefect: name of that schedule.';
COMMENT ON COLUMN praxis.run_overview.prefect_expected_start_time IS 'Of Prefect: when it was to start.';
COMMENT ON COLUMN praxis.run_overview.water IS 'true: done with water in place of everything else.';
COMMENT ON COLUMN praxis.run_overview.kind IS 'protocol, or manual: what somebody does by hand.';
COMMENT ON COLUMN praxis.run_overview.parked_until IS 'While it is parked: until when; empty also when it waits for somebody.';
COMMENT ON COLUMN praxis.run_overview.seconds IS 'From started_at to its end, or until now.';

COMMENT ON VIEW praxis.command_overview IS 'Commands: every call of a device that a run has asked for, and how it ended.';
COMMENT ON COLUMN praxis.command_overview.run_id IS 'Id of the run.';
COMMENT ON COLUMN praxis.command_overview.run IS 'Its name.';
COMMENT ON COLUMN praxis.command_overview.protocol IS 'Name of the run''s protocol.';
COMMENT ON COLUMN praxis.command_overview.workcell IS 'Name of the workcell.';
COMMENT ON COLUMN praxis.command_overview.simulated IS 'true: on simulated devices.';
COMMENT ON COLUMN praxis.command_overview.water IS 'true: the run is done with water in place of everything else.';
COMMENT ON COLUMN praxis.command_overview.attempt IS 'Attempt of the run that sent it, from 1.';
COMMENT ON COLUMN praxis.command_overview.number IS 'The order in which commands were written down, over all runs.';
COMMENT ON COLUMN praxis.command_overview.step IS 'Path of the step, e.g. 2.1; empty for what no step did.';
COMMENT ON COLUMN praxis.command_overview.device IS 'Name of the device.';
COMMENT ON COLUMN praxis.command_overview.method IS 'What it was told: a method of its backend in PyLabRobot.';
COMMENT ON COLUMN praxis.command_overview.kind IS 'observe: it reads; repeatable: twice is as once; once: everything else.';
COMMENT ON COLUMN praxis.command_overview.issued_at IS 'When it was written down, before it was sent; of what observes when it was answered.';
COMMENT ON COLUMN praxis.command_overview.started_at IS 'When the device was called, by the workcell''s clock; empty: there is no outcome.';
COMMENT ON COLUMN praxis.command_overview.ended_at IS 'When it answered; empty as above.';
COMMENT ON COLUMN praxis.command_overview.seconds IS 'How long that took; empty as above.';
COMMENT ON COLUMN praxis.command_overview.outcome IS 'succeeded, failed; empty: it is under way, or nobody knows.';
COMMENT ON COLUMN praxis.command_overview.sent IS 'Of a failed one: how much of it reached the device: none, some, unknown.';
COMMENT ON COLUMN praxis.command_overview.error IS 'Of a failed one: class of the error.';
COMMENT ON COLUMN praxis.command_overview.error_message IS 'Of a failed one: what the error says.';
COMMENT ON COLUMN praxis.command_overview.tail IS 'true: it does not count for a resumed run, which did it anew or without.';

COMMENT ON VIEW praxis.question_overview IS 'What people were asked, about what nobody knows (doubt) or by a protocol (question), and what they said.';
COMMENT ON COLUMN praxis.question_overview.id IS 'Number by which it is answered.';
COMMENT ON COLUMN praxis.question_overview.kind IS 'doubt, question.';
COMMENT ON COLUMN praxis.question_overview.run_id IS 'Id of the run.';
COMMENT ON COLUMN praxis.question_overview.run IS 'Its name.';
COMMENT ON COLUMN praxis.question_overview.protocol IS 'Name of the run''s protocol.';
COMMENT ON COLUMN praxis.question_overview.workcell IS 'Name of the workcell.';
COMMENT ON COLUMN praxis.question_overview.attempt IS 'Attempt of the run that asked first, from 1.';
COMMENT ON COLUMN praxis.question_overview.title IS 'What was asked.';
COMMENT ON COLUMN praxis.question_overview.asked_at IS 'When.';
COMMENT ON COLUMN praxis.question_overview.waits IS 'true: nobody has answered, and the run has not ended.';
COMMENT ON COLUMN praxis.question_overview.answered_at IS 'When it was answered; empty: it was not.';
COMMENT ON COLUMN praxis.question_overview.answered_by IS 'Who said to be the one who answered.';
COMMENT ON COLUMN praxis.question_overview.answer IS 'What was said; of a question JSON.';
COMMENT ON COLUMN praxis.question_overview.via IS 'How a question''s answer came: prefect, command-line, page.';
COMMENT ON COLUMN praxis.question_overview.seconds IS 'From when it was asked to the answer, or the end of the run, or until now.';

COMMENT ON COLUMN praxis.asset_now.name IS 'Name on its workcell.';
COMMENT ON COLUMN praxis.asset_now.barcode IS 'Its barcode; empty: none.';
COMMENT ON COLUMN praxis.asset_now.factory IS 'Its kind in PyLabRobot''s catalogue.';
COMMENT ON COLUMN praxis.asset_now.status IS 'available, reserved, in_use, quarantined, empty.';
COMMENT ON COLUMN praxis.asset_now.shelf IS 'Its place outside of any workcell.';
COMMENT ON COLUMN praxis.asset_now.reagent IS 'What is in it.';
COMMENT ON COLUMN praxis.asset_now.lot IS 'Lot of that.';
COMMENT ON COLUMN praxis.asset_now.expires IS 'Day after which that is not to be used.';
COMMENT ON COLUMN praxis.asset_now.sample IS 'The sample in it; JSON.';
COMMENT ON COLUMN praxis.asset_now.parent_asset IS 'The sample it was taken from, or the rack that a tube is in.';
COMMENT ON COLUMN praxis.asset_now.created_at IS 'Since when it is known.';

COMMENT ON COLUMN praxis.contents_now.workcell IS 'Name of the workcell.';
COMMENT ON COLUMN praxis.contents_now.asset IS 'Name of the asset there.';
COMMENT ON COLUMN praxis.contents_now.asset_id IS 'Its accession id.';
COMMENT ON COLUMN praxis.contents_now.part IS 'Name of the well, tip spot, channel or gripper; of a trough or a tube its own.';
COMMENT ON COLUMN praxis.contents_now.contents IS 'All that is known of it; JSON.';
