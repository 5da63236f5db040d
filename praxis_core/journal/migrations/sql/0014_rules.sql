-- What revision 0014 adds to the rules: under which versions an attempt began stays as it is.

CREATE TRIGGER versions_written_once BEFORE UPDATE OF versions ON praxis.run_attempt
  FOR EACH ROW EXECUTE FUNCTION praxis.refuse('what an attempt was begun with is never changed');
