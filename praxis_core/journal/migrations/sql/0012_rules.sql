-- What revision 0012 adds: what runs measured, as other programs read it. execution/measured.py says the
-- same of one run.

CREATE VIEW praxis.measured AS
  SELECT m.run_id, p.name AS protocol, p.version AS protocol_version, w.name AS workcell, r.simulated,
    r.water, m.attempt, c.step, c.device, c.method, m.asset AS labware, m.well, m.quantity,
    CAST((regexp_match(m.quantity, ' (?:[0-9.]+/)?([0-9.]+) nm$'))[1] AS float8) AS wavelength_nm,
    CAST((regexp_match(m.quantity, ' ([0-9.]+)/[0-9.]+ nm$'))[1] AS float8) AS excitation_nm,
    m.value, m.unit, m.at AS measured_at
  FROM praxis.measurement m
    JOIN praxis.protocol_run r ON r.id = m.run_id
    JOIN praxis.run_attempt a ON a.run_id = r.id AND a.number = r.attempt
    JOIN praxis.protocol_definition p ON p.id = a.protocol_id
    JOIN praxis.workcell w ON w.id = a.workcell_id
    LEFT JOIN praxis.command c ON c.run_id = m.run_id AND c.attempt = m.attempt
      AND c.branch = m.branch AND c.ordinal = m.ordinal
  -- What was done anew counts the last time only.
  WHERE m.attempt = CASE WHEN m.branch IS NULL THEN r.attempt ELSE (
    SELECT max(o.attempt) FROM praxis.measurement o
    WHERE o.run_id = m.run_id AND o.branch = m.branch AND o.ordinal = m.ordinal) END;

COMMENT ON VIEW praxis.measured IS 'What counts of what runs measured: one row per number.';
COMMENT ON COLUMN praxis.measured.run_id IS 'Id of the run.';
COMMENT ON COLUMN praxis.measured.protocol IS 'Name of the run''s protocol.';
COMMENT ON COLUMN praxis.measured.protocol_version IS 'Version that its author gave the protocol.';
COMMENT ON COLUMN praxis.measured.workcell IS 'Name of the workcell.';
COMMENT ON COLUMN praxis.measured.simulated IS 'true: the numbers come from simulated devices.';
COMMENT ON COLUMN praxis.measured.water IS 'true: the run was done with water in place of everything else.';
COMMENT ON COLUMN praxis.measured.attempt IS 'Attempt of the run that measured it, from 1.';
COMMENT ON COLUMN praxis.measured.step IS 'Path of the step, e.g. 2.1; empty for what no step did.';
COMMENT ON COLUMN praxis.measured.device IS 'Device that read it; empty for what the protocol recorded itself.';
COMMENT ON COLUMN praxis.measured.method IS 'Method of the device that read it; empty as above.';
COMMENT ON COLUMN praxis.measured.labware IS 'Plate or other thing it belongs to; of a temperature or a weight the device.';
COMMENT ON COLUMN praxis.measured.well IS 'Well of the plate, e.g. B3; empty for what belongs to no well.';
COMMENT ON COLUMN praxis.measured.quantity IS 'What was measured, e.g. absorbance 600 nm.';
COMMENT ON COLUMN praxis.measured.wavelength_nm IS 'Wavelength that was read, nm; of fluorescence the emitted. Empty: none.';
COMMENT ON COLUMN praxis.measured.excitation_nm IS 'Wavelength of excitation, nm; of fluorescence only.';
COMMENT ON COLUMN praxis.measured.value IS 'The number, with all its digits.';
COMMENT ON COLUMN praxis.measured.unit IS 'Its unit; empty: none.';
COMMENT ON COLUMN praxis.measured.measured_at IS 'When, UTC, ISO 8601.';
