-- What revision 0008 changes in the rules: whether a run is done with water is never changed.

CREATE TRIGGER water_written_once BEFORE UPDATE OF water ON praxis.protocol_run
  FOR EACH ROW EXECUTE FUNCTION praxis.refuse('what was asked for is never changed');

CREATE OR REPLACE VIEW praxis.run_overview AS
  SELECT r.id AS run_id, r.name, r.status, r.attempt, p.name AS protocol, p.version AS protocol_version,
    w.name AS workcell, w.version AS workcell_version, a.parameters, a.assets, r.simulated, r.asked_by,
    r.carried_from, r.created_at, r.started_at, r.ended_at, r.summary, a.error, f.*, r.water
  FROM praxis.protocol_run r
    JOIN praxis.run_attempt a ON a.run_id = r.id AND a.number = r.attempt
    JOIN praxis.protocol_definition p ON p.id = a.protocol_id
    JOIN praxis.workcell w ON w.id = a.workcell_id
    LEFT JOIN LATERAL praxis.prefect_flow_run(r.id) f ON true;
