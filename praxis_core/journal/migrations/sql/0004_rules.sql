-- What revision 0004 changes in the rules: a resume that is refused leaves its run interrupted.

CREATE OR REPLACE FUNCTION praxis.run_transition_possible(old text, new text) RETURNS boolean
  LANGUAGE sql IMMUTABLE AS $$
  SELECT (old, new) IN (
    ('preparing', 'running'), ('preparing', 'refused'), ('preparing', 'failed'),
    ('preparing', 'cancelled'), ('preparing', 'interrupted'), ('preparing', 'in_doubt'),
    ('running', 'succeeded'), ('running', 'failed'), ('running', 'cancelled'),
    ('running', 'interrupted'), ('running', 'in_doubt'),
    ('interrupted', 'running'), ('interrupted', 'succeeded'), ('interrupted', 'failed'),
    ('interrupted', 'cancelled'), ('interrupted', 'in_doubt'),
    ('in_doubt', 'failed'), ('in_doubt', 'cancelled'),
    -- a new attempt
    ('refused', 'preparing'), ('succeeded', 'preparing'), ('failed', 'preparing'),
    ('cancelled', 'preparing'))
$$;
