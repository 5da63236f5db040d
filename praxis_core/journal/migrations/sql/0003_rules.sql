-- What revision 0003 adds to the rules: the history of assets, and claims on any of them.

-- --- claims ---------------------------------------------------------------------------------------

CREATE OR REPLACE FUNCTION praxis.require_claim() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
  newest bigint;
  workcell_name text;
  why text;
BEGIN
  IF NEW.token IS NOT NULL THEN
    PERFORM FROM praxis.claim c
      WHERE c.token = NEW.token AND c.asset = NEW.device AND c.run_id = NEW.run_id
        AND c.attempt = NEW.attempt AND c.released_at IS NULL
      FOR SHARE;
    IF NOT FOUND THEN
      SELECT format('attempt %s of run %s has it now', o.attempt, o.run_id) INTO why
        FROM praxis.claim mine JOIN praxis.claim o USING (workcell, asset)
        WHERE mine.token = NEW.token AND mine.asset = NEW.device AND o.released_at IS NULL;
      RAISE EXCEPTION USING ERRCODE = 'PX003',
        MESSAGE = format('the claim %s on %s is not open', NEW.token, NEW.device),
        DETAIL = json_build_object('run_id', NEW.run_id, 'attempt', NEW.attempt,
          'device', NEW.device, 'what', coalesce(why, 'its claim was released'));
    END IF;
  END IF;
  IF NEW.epoch IS NOT NULL THEN
    SELECT h.epoch, h.workcell INTO newest, workcell_name
      FROM praxis.run_attempt a JOIN praxis.workcell w ON w.id = a.workcell_id
        JOIN praxis.workcell_host h ON h.workcell = w.name
      WHERE a.run_id = NEW.run_id AND a.number = NEW.attempt
      FOR SHARE OF h;
    IF newest IS DISTINCT FROM NEW.epoch THEN
      RAISE EXCEPTION USING ERRCODE = 'PX004',
        MESSAGE = format('the host of epoch %s was replaced', NEW.epoch),
        DETAIL = json_build_object('epoch', NEW.epoch, 'workcell', workcell_name, 'newest', newest);
    END IF;
  END IF;
  RETURN NEW;
END $$;

CREATE OR REPLACE TRIGGER written_once
  BEFORE UPDATE OF token, workcell, asset, run_id, attempt, claimed_at ON praxis.claim
  FOR EACH ROW EXECUTE FUNCTION praxis.refuse('a claim is never changed, only released');


-- --- assets ---------------------------------------------------------------------------------------

CREATE TRIGGER written_once BEFORE UPDATE OF id, kind, created_at ON praxis.asset
  FOR EACH ROW EXECUTE FUNCTION praxis.refuse('what a thing is does not change; discard it and add another');

CREATE TRIGGER discarded_once BEFORE UPDATE ON praxis.asset FOR EACH ROW
  WHEN (OLD.discarded_at IS NOT NULL)
  EXECUTE FUNCTION praxis.refuse('what was discarded does not come back');

CREATE TRIGGER keep_history BEFORE DELETE ON praxis.asset
  FOR EACH ROW EXECUTE FUNCTION praxis.refuse('an asset is discarded, never deleted');

CREATE TRIGGER written_once BEFORE UPDATE ON praxis.asset_change
  FOR EACH ROW EXECUTE FUNCTION praxis.refuse('a change is never changed itself');

CREATE TRIGGER keep_history BEFORE DELETE ON praxis.asset_change
  FOR EACH ROW EXECUTE FUNCTION praxis.refuse('the history of an asset is kept');

CREATE TRIGGER written_once BEFORE UPDATE ON praxis.source
  FOR EACH ROW EXECUTE FUNCTION praxis.refuse('a filling is never changed');

CREATE TRIGGER keep_history BEFORE DELETE ON praxis.source
  FOR EACH ROW EXECUTE FUNCTION praxis.refuse('a filling is kept: contents point to it');

CREATE TRIGGER written_once
  BEFORE UPDATE OF id, workcell, device, site, labware_kind, key, value, version, valid_from, who, why
  ON praxis.calibration
  FOR EACH ROW EXECUTE FUNCTION praxis.refuse('a version is never changed, only ended');


-- --- what is where now ----------------------------------------------------------------------------

CREATE VIEW praxis.asset_now AS
  SELECT a.id, a.kind, a.workcell, a.name, a.barcode, a.factory, a.status, c.run_id AS held_by,
    a.parent AS place, a.place_unknown, a.shelf, a.reagent, a.lot, a.expires, a.sample, a.parent_asset,
    p.volume, p.tips, a.created_at
  FROM praxis.asset a
    LEFT JOIN praxis.claim c ON c.workcell = a.workcell AND c.asset = a.name AND c.released_at IS NULL
    LEFT JOIN LATERAL (
      SELECT sum(volume) AS volume, count(*) FILTER (WHERE tip) AS tips
      FROM praxis.asset_part WHERE asset_id = a.id
    ) p ON true
  WHERE a.discarded_at IS NULL;

CREATE VIEW praxis.contents_now AS
  SELECT a.workcell, a.name AS asset, a.id AS asset_id, p.name AS part, p.volume, p.tip,
    nullif(p.contents ->> 'unknown', '') AS unknown, p.contents -> 'amounts' AS amounts,
    p.contents -> 'sources' AS sources, p.contents
  FROM praxis.asset_part p JOIN praxis.asset a ON a.id = p.asset_id
  WHERE a.discarded_at IS NULL AND p.contents IS NOT NULL;

COMMENT ON VIEW praxis.asset_now IS 'Each thing that was not discarded: what it is, where, and who has it.';
COMMENT ON COLUMN praxis.asset_now.id IS 'Accession id.';
COMMENT ON COLUMN praxis.asset_now.kind IS 'device, plate, tip_rack, tube, tube_rack, trough, lid, carrier, sample, ...';
COMMENT ON COLUMN praxis.asset_now.workcell IS 'Where it is; NULL: on no workcell, see shelf.';
COMMENT ON COLUMN praxis.asset_now.held_by IS 'The run that has it; NULL: none.';
COMMENT ON COLUMN praxis.asset_now.place IS 'What it stands on; NULL: in a gripper, or on nothing known.';
COMMENT ON COLUMN praxis.asset_now.place_unknown IS 'Why nobody knows whether it stands there; empty: it is known; NULL: it has no place.';
COMMENT ON COLUMN praxis.asset_now.volume IS 'µL in all of it, as last known.';
COMMENT ON COLUMN praxis.asset_now.tips IS 'Tips that are there for certain, used ones that were put back included.';

COMMENT ON VIEW praxis.contents_now IS 'What is in each well, tube, trough, tip spot, channel and gripper.';
COMMENT ON COLUMN praxis.contents_now.volume IS 'µL, as last known; counts only where unknown is NULL.';
COMMENT ON COLUMN praxis.contents_now.tip IS 'Of a tip spot: whether a tip is there; NULL: nobody knows.';
COMMENT ON COLUMN praxis.contents_now.unknown IS 'Why nobody knows what it is; NULL: it is known.';
COMMENT ON COLUMN praxis.contents_now.amounts IS 'pmol of each solute.';
COMMENT ON COLUMN praxis.contents_now.sources IS 'µL of each praxis.source in it, by its id.';
