-- What revision 0010 changes in the rules: a run that is under way may be parked.

CREATE OR REPLACE FUNCTION praxis.run_transition_possible(old text, new text) RETURNS boolean
  LANGUAGE sql IMMUTABLE AS $$
  SELECT (old, new) IN (
    ('preparing', 'running'), ('preparing', 'refused'), ('preparing', 'failed'),
    ('preparing', 'cancelled'), ('preparing', 'interrupted'), ('preparing', 'in_doubt'),
    ('running', 'succeeded'), ('running', 'failed'), ('running', 'cancelled'),
    ('running', 'interrupted'), ('running', 'in_doubt'), ('running', 'parked'),
    ('interrupted', 'running'), ('interrupted', 'succeeded'), ('interrupted', 'failed'),
    ('interrupted', 'cancelled'), ('interrupted', 'in_doubt'),
    ('in_doubt', 'failed'), ('in_doubt', 'cancelled'),
    ('parked', 'failed'), ('parked', 'cancelled'), ('parked', 'in_doubt'),
    -- a new attempt
    ('refused', 'preparing'), ('succeeded', 'preparing'), ('failed', 'preparing'),
    ('cancelled', 'preparing'))
$$;
