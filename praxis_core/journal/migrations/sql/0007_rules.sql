-- What revision 0007 adds to the rules: what is asked stays, and is answered once.

CREATE TRIGGER written_once
  BEFORE UPDATE OF id, run_id, attempt, key, title, text, form, asked_at ON praxis.question
  FOR EACH ROW EXECUTE FUNCTION praxis.refuse('a question is never changed');

CREATE TRIGGER answered_once BEFORE UPDATE ON praxis.question FOR EACH ROW
  WHEN (OLD.answered_at IS NOT NULL)
  EXECUTE FUNCTION praxis.refuse('a question is answered once');

CREATE TRIGGER keep_history BEFORE DELETE ON praxis.question
  FOR EACH ROW EXECUTE FUNCTION praxis.keep_history();
