"""What happened, in Postgres: definitions, runs, commands, measurements and events.

``tables`` and ``rules`` say what can be stored; ``schema`` makes and upgrades it; ``Journal`` in
``record`` is how the rest of Praxis writes and reads it; ``records`` is what comes back.
"""
