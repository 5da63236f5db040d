"""A gate in the database: the journal's row of one command waits there until somebody lets it by.

What a process does around a commit cannot be hit by killing it at a random time. A trigger on
``praxis.command`` stops the backend that writes the row; the process that waits for it can then be
killed exactly there.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from enum import StrEnum
from zlib import crc32

import psycopg

TRIGGER = """
CREATE SCHEMA IF NOT EXISTS gate;
CREATE TABLE IF NOT EXISTS gate.closed
  (workcell text, lock integer, branch text, ordinal integer, event text);
CREATE OR REPLACE FUNCTION gate.wait() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  PERFORM pg_advisory_xact_lock(c.lock) FROM gate.closed c
    JOIN praxis.workcell w ON w.name = c.workcell
    JOIN praxis.run_attempt a ON a.workcell_id = w.id
      AND a.run_id = NEW.run_id AND a.number = NEW.attempt
    WHERE c.branch = NEW.branch AND c.ordinal = NEW.ordinal AND c.event = TG_OP;
  RETURN NEW;
END $$;
CREATE OR REPLACE TRIGGER a_gate BEFORE INSERT OR UPDATE OF outcome ON praxis.command
  FOR EACH ROW EXECUTE FUNCTION gate.wait();
"""

WAITING = "SELECT pid FROM pg_locks WHERE locktype = 'advisory' AND objid = %s AND NOT granted"


class Event(StrEnum):
    """What is stopped at the gate."""

    INTENT = "INSERT"
    OUTCOME = "UPDATE"


class Gate:
    """The gate of one workcell; several of them share a database.

    Args:
        url: Of the database.
        workcell: Its name.
    """

    def __init__(self, url: str, workcell: str) -> None:
        self._workcell = workcell
        self._lock = crc32(workcell.encode()) >> 1
        self._connection = psycopg.connect(url, autocommit=True)
        self._connection.execute(TRIGGER)

    def close(self) -> None:
        """Let go of the database."""
        self._connection.close()

    @contextmanager
    def closed_for(self, branch: str, ordinal: int, event: Event) -> Iterator[None]:
        """Stop the row of one command until the block ends."""
        self._connection.execute("SELECT pg_advisory_lock(%s)", (self._lock,))
        closed = (self._workcell, self._lock, branch, ordinal, event)
        self._connection.execute("INSERT INTO gate.closed VALUES (%s, %s, %s, %s, %s)", closed)
        try:
            yield
        finally:
            self._connection.execute("DELETE FROM gate.closed WHERE lock = %s", (self._lock,))
            self._connection.execute("SELECT pg_advisory_unlock(%s)", (self._lock,))

    def waiting(self) -> list[int]:
        """Name the backends that stand at the gate."""
        return [pid for (pid,) in self._connection.execute(WAITING, (self._lock,))]

    def turn_back(self) -> None:
        """End the backends that stand at the gate: what they wanted to write is not written."""
        for pid in self.waiting():
            self._connection.execute("SELECT pg_terminate_backend(%s, 5000)", (pid,))
