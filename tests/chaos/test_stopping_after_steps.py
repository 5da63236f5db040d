"""A run that stops after a step because somebody wanted it to, and goes on, whatever is killed."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager
from uuid import UUID, uuid4

import psycopg
import pytest

from praxis_core.cli.deciding import stop_after
from praxis_core.errors import DecisionRefused
from praxis_core.execution.decisions import EACH, END
from praxis_core.journal.database import Database
from praxis_core.journal.questions import Questions
from praxis_core.protocol.lifecycle import RunStatus
from tests.chaos.attempt import Ended
from tests.chaos.conftest import OpenWorld
from tests.chaos.gate import Event
from tests.chaos.stories import FAILING
from tests.chaos.world import World, wait_for

AT_THE_STOP = """
CREATE SCHEMA IF NOT EXISTS gate;
CREATE OR REPLACE FUNCTION gate.at_the_stop() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN PERFORM pg_advisory_xact_lock(4711); RETURN NEW; END $$;
CREATE OR REPLACE TRIGGER a_stop BEFORE INSERT ON praxis.run_event FOR EACH ROW
  WHEN (NEW.kind = 'stopped_as_asked') EXECUTE FUNCTION gate.at_the_stop();
"""
WAITING = "SELECT pid FROM pg_locks WHERE locktype = 'advisory' AND objid = 4711 AND NOT granted"
STEPS = ["Fill column 1", "Fill column 2", "Warm and shake", "Read", "Fill column 3"]


@pytest.fixture
def world(open_world: OpenWorld) -> World:
    """A bench with every device."""
    return open_world(FAILING)


def ends(world: World, run_id: UUID, until: str | None = None) -> int | None:
    """Let a run go on until its attempt ends."""
    return world.end_of(world.start(FAILING, run_id, until=until))


def done(world: World, run_id: UUID) -> list[str]:
    """Name the steps that a run has completed."""
    query = """SELECT DISTINCT path, name FROM praxis.run_step
        WHERE run_id = %s AND status = 'succeeded' ORDER BY path"""
    with psycopg.connect(world.settings.addresses().database_url) as connection:
        return [name for _, name in connection.execute(query, (run_id,)).fetchall()]


def decide(world: World, run_id: UUID, step: str) -> None:
    """Say where it is to stop when it goes on, as ``praxis run resume`` does."""
    asyncio.run(stop_after(world.settings, run_id, step))


def test_it_stops_after_the_step_and_then_goes_on_to_its_end(world: World) -> None:
    """By name and by number; a step that is complete, or that there is not, is refused."""
    whole = world.truth(world.uninterrupted(FAILING))
    world.mark()
    run_id = uuid4()
    assert ends(world, run_id, until="Fill column 2") == Ended.REFUSED
    assert "has stopped after step 2 (Fill column 2), as was asked" in world.said(run_id)
    assert (world.status(run_id), done(world, run_id)) == (RunStatus.INTERRUPTED, STEPS[:2])

    for step, words in (("2", "is complete"), ("Wash", "Fill column {column}; Warm and shake")):
        with pytest.raises(DecisionRefused, match=words):
            decide(world, run_id, step)
    decide(world, run_id, "4")
    assert ends(world, run_id) == Ended.REFUSED
    assert done(world, run_id) == STEPS[:4]

    assert ends(world, run_id) == Ended.SUCCEEDED, world.said(run_id)
    assert world.truth(run_id).effects == whole.effects
    assert world.truth(run_id).liquids == whole.liquids


def test_what_was_asked_at_the_start_counts_until_it_has_stopped(world: World) -> None:
    """Killed before, or just when it was to say so; and it can be taken back."""
    run_id = uuid4()
    with world.gate.closed_for("0", 2, Event.INTENT):
        first = world.start(FAILING, run_id, until="1")
        wait_for(world.gate.waiting)
        first.kill()
        first.join()
    with at_the_stop(world) as connection:
        killed_there(world, connection, run_id)

    assert ends(world, run_id) == Ended.REFUSED
    assert (world.status(run_id), done(world, run_id)) == (RunStatus.INTERRUPTED, STEPS[:1])
    decide(world, run_id, "3")
    decide(world, run_id, END)
    assert ends(world, run_id) == Ended.SUCCEEDED, world.said(run_id)


def test_step_by_step_it_asks_after_each(world: World) -> None:
    """Killed while it asks, it asks the same again; nothing of the next step is done before."""
    run_id = uuid4()
    first = world.start(FAILING, run_id, until=EACH)
    number = wait_for(lambda: open_question(world, run_id))
    first.kill()
    first.join()
    second = world.start(FAILING, run_id)
    for complete in range(1, len(STEPS) + 1):
        asked = wait_for(lambda: open_question(world, run_id))
        assert complete > 1 or asked == number
        assert done(world, run_id) == STEPS[:complete]
        answer(world, asked, "go on")
    wait_for(lambda: not second.is_alive(), seconds=120)
    assert second.exitcode == Ended.SUCCEEDED, world.said(run_id)


def open_question(world: World, run_id: UUID) -> int | None:
    """Give the number of the question that waits for an answer."""

    async def read() -> int | None:
        async with Database(world.settings.addresses().database_url) as database:
            found = await Questions(database).open(run_id)
            return found[0].id if found else None

    return asyncio.run(read())


def answer(world: World, number: int, word: str) -> None:
    """Answer a question with a choice."""

    async def say() -> None:
        async with Database(world.settings.addresses().database_url) as database:
            await Questions(database).answer(number, {"choice": word}, "Ada", "test")

    asyncio.run(say())


def killed_there(world: World, connection: psycopg.Connection, run_id: UUID) -> None:
    """Kill an attempt when it is to write that it has stopped, so that it is never written."""
    process = world.start(FAILING, run_id)
    wait_for(lambda: connection.execute(WAITING).fetchall() or not process.is_alive())
    assert process.is_alive(), world.said(run_id)
    process.kill()
    process.join()
    for (pid,) in connection.execute(WAITING).fetchall():
        connection.execute("SELECT pg_terminate_backend(%s)", (pid,))


@contextmanager
def at_the_stop(world: World) -> Iterator[psycopg.Connection]:
    """Hold processes where they are to write down that they have stopped."""
    url = world.settings.addresses().database_url
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute(AT_THE_STOP)
        connection.execute("SELECT pg_advisory_lock(4711)")
        try:
            yield connection
        finally:
            connection.execute("SELECT pg_advisory_unlock(4711)")
            connection.execute("DROP TRIGGER a_stop ON praxis.run_event")
