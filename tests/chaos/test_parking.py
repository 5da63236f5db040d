"""A run that waits for hours needs no process, and finds all as it left it."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing, contextmanager
from pathlib import Path
from time import monotonic
from typing import Any
from uuid import UUID, uuid4

import psycopg
import pytest

from praxis_core.errors import AlreadyAnswered
from praxis_core.execution.abandoning import abandon
from praxis_core.host.files import SafeCall
from praxis_core.host.host_process import health
from praxis_core.host.safe_keeper import send_to_lab
from praxis_core.journal.database import Database
from praxis_core.journal.questions import Questions
from praxis_core.journal.record import Journal
from praxis_core.locks import AssetLockManager
from praxis_core.protocol.lifecycle import RunStatus
from praxis_core.redis_connection import connect_async
from praxis_core.services.environment import environment
from praxis_core.state import PraxisState
from praxis_core.workcell.definition import OnLost, Refill, WorkcellDefinition
from tests.chaos.attempt import Ended
from tests.chaos.own_services import OwnServices
from tests.chaos.parked import story
from tests.chaos.stories import Story
from tests.chaos.world import World, wait_for

NIGHT = story("incubating")
GRACE = 1.0

CLEANED = "SELECT count(*) FROM praxis.measurement WHERE quantity = 'cleaned'"

Open = Callable[..., World]


@pytest.fixture
def services(
    home: Path, tmp_path: Path, ended_with_the_tests: Callable[[Path], None]
) -> Iterator[OwnServices]:
    """Services of this test's own."""
    folder = tmp_path / "services"
    ended_with_the_tests(folder)
    with closing(OwnServices(folder)) as services:
        yield services


@pytest.fixture
def open_world(database_url: str, redis_url: str, tmp_path: Path) -> Iterator[Open]:
    """Opens a workcell on which nobody holds anything for a run that was lost."""
    with ExitStack() as opened:

        def make(services: OwnServices | None = None) -> World:
            places = {
                "home": str(tmp_path),
                "database_url": services.database_url if services else database_url,
                "redis_url": services.redis_url if services else redis_url,
                "lease_seconds": 5,
                "grace_seconds": GRACE,
                "monitor_seconds": 0.2,
                "host_wait_seconds": 90.0,
            }
            return opened.enter_context(closing(World(tmp_path, _workcell(), places)))

        yield make


def _workcell() -> WorkcellDefinition:
    workcell = NIGHT.workcell()
    shaker = workcell.devices["shaker"].model_copy(update={"on_lost": OnLost(hold_minutes=0)})
    devices = {**workcell.devices, "shaker": shaker}
    return workcell.model_copy(update={"devices": devices, "refill": Refill.BY_HAND})


def test_all_of_it_dies_and_the_devices_stay_as_they_are(
    open_world: Open, services: OwnServices
) -> None:
    """Flow process, host, watchdog, Postgres and Redis; then the run goes on to its end."""
    world = open_world(services)
    run_id, seen = _parked(world, NIGHT)

    assert _sent(world, seen) == []  # nothing of its ``finally``
    assert _rows(world, CLEANED) == [(0,)]
    assert _rows(world, "SELECT status FROM praxis.run_step") == [("running",)]
    [(until, parked_at)] = _rows(
        world,
        "SELECT parked_until, at FROM praxis.protocol_run r "
        "JOIN praxis.run_event e ON e.run_id = r.id AND e.kind = 'parked'",
    )
    assert until > parked_at
    state = PraxisState.open(run_id, world.settings)
    assert "cleaned" not in state
    assert "error" not in state

    world.host.kill()
    world.host.join()
    services.kill(postgres=True, valkey=True)
    services.bring_back()
    for end in (signal.SIGTERM, signal.SIGKILL, signal.SIGHUP):
        with _watchdog(world) as watchdog:
            _look_again(world)
            assert _is_on(world), end
            watchdog.send_signal(end)
            watchdog.wait(60)
            if end is signal.SIGKILL:
                os.kill(_host(world), signal.SIGKILL)
    assert _is_on(world)
    assert _sent(world, seen) == []

    world.start_host()
    assert world.end_of(world.start(NIGHT, run_id)) == Ended.SUCCEEDED, world.said(run_id)
    assert not _is_on(world)
    state = PraxisState.open(run_id, world.settings)
    assert state["cleaned"]
    assert state["nights"] == 1
    assert "caught" not in state
    truth = world.truth(run_id)
    assert set(truth.effects.values()) == {1}, truth.effects
    assert _rows(world, "SELECT status FROM praxis.run_attempt ORDER BY number") == [
        ("failed",),
        ("succeeded",),
    ]
    assert _rows(world, CLEANED) == [(1,)]


def test_it_dies_between_the_word_and_the_good_bye(open_world: Open) -> None:
    """It is written that it is parked, and its process is killed before the host was told."""
    world = open_world()
    run_id = uuid4()
    with _stuck(world):
        process = world.start(NIGHT, run_id)
        wait_for(lambda: _status(world, run_id) == "parked")
        seen = _last(world)
        process.kill()
        process.join()
    _look_again(world, GRACE)
    assert _is_on(world)
    assert _sent(world, seen) == []
    assert world.status(run_id) is RunStatus.PARKED
    assert world.end_of(world.start(NIGHT, run_id)) == Ended.SUCCEEDED, world.said(run_id)


def test_it_is_answered_and_killed_as_it_is_parked(open_world: Open) -> None:
    """Two people answer; its host dies, too; the first answer is what it goes on with."""
    world = open_world()
    asking, run_id = story("asking"), uuid4()
    with _stuck(world):
        process = world.start(asking, run_id)
        wait_for(lambda: _status(world, run_id) == "parked")
        said = [asyncio.run(_answered(world, run_id, one)) for one in ("PBS", "TBS")]
        process.kill()
        process.join()
    world.host.kill()
    world.host.join()
    assert said == [True, False]
    assert _is_on(world)
    seen = _last(world)
    _look_again(world, GRACE)
    assert _sent(world, seen) == []
    assert world.end_of(world.start(asking, run_id)) == Ended.SUCCEEDED, world.said(run_id)
    assert not _is_on(world)
    assert set(world.truth(run_id).effects.values()) == {1}
    assert _rows(world, "SELECT value FROM praxis.learned") == [({"value": {"choice": "PBS"}},)]


def test_what_a_device_lost_meanwhile_is_set_again_and_said(open_world: Open) -> None:
    """Somebody switched the heater off in the night, while there was no host either."""
    world = open_world()
    run_id, _ = _parked(world, NIGHT)
    world.host.kill()
    world.host.join()
    asyncio.run(_by_hand(world))
    assert _targets(world) == [None]
    assert world.end_of(world.start(NIGHT, run_id)) == Ended.SUCCEEDED, world.said(run_id)
    [(details,)] = _rows(world, "SELECT details FROM praxis.run_event WHERE kind = 'restored'")
    assert "37" in str(details)


def test_two_that_share_nothing_are_parked_side_by_side(open_world: Open) -> None:
    """Each keeps its own, and goes on by itself."""
    world = open_world()
    warm, read = story("warming"), story("reading")
    first, _ = _parked(world, warm)
    second, _ = _parked(world, read)
    assert world.end_of(world.start(read, second)) == Ended.SUCCEEDED, world.said(second)
    assert _targets(world) == [38.0]
    assert world.status(first) is RunStatus.PARKED
    assert set(world.truth(second).effects.values()) == {1}
    assert world.end_of(world.start(warm, first)) == Ended.SUCCEEDED, world.said(first)
    assert _targets(world) == [None]


@pytest.mark.parametrize("ends", ["succeeds", "is given up"])
def test_another_one_waits_for_what_a_parked_one_has(open_world: Open, ends: str) -> None:
    """It says for whom; when that one is given up its devices are made safe first."""
    world = open_world()
    warm = story("warming")
    first, _ = _parked(world, warm)
    second = uuid4()
    waiting = world.start(warm, second)
    wait_for(lambda: _waits_for(world, second, first) or not waiting.is_alive())
    assert waiting.is_alive(), world.said(second)
    if ends == "succeeds":
        assert world.end_of(world.start(warm, first)) == Ended.SUCCEEDED, world.said(first)
    else:
        assert asyncio.run(_abandon(world, first)) is RunStatus.CANCELLED
    assert world.end_of(waiting) == Ended.PARKED, world.said(second)


def test_devices_of_one_that_is_given_up_are_made_safe(open_world: Open) -> None:
    """At once, although nobody wants them."""
    world = open_world()
    run_id, _ = _parked(world, NIGHT)
    asyncio.run(_abandon(world, run_id))
    wait_for(lambda: not _is_on(world))


def test_other_branches_come_to_their_end_first(open_world: Open) -> None:
    """It is parked when all that is left is the wait; none of what was done is done again."""
    world = open_world()
    both = story("side_by_side")
    run_id, _ = _parked(world, both)
    assert _targets(world) == [37.0]
    done = Counter(_sent(world, 0))
    assert done["close"] == 5, done
    assert world.end_of(world.start(both, run_id)) == Ended.SUCCEEDED, world.said(run_id)
    assert set(world.truth(run_id).effects.values()) == {1}


# --------------------------------------------------------------------------------------------------


def _parked(world: World, told: Story) -> tuple[UUID, int]:
    """Start a run and let it be parked; give the last record of the lab's log, too."""
    run_id = uuid4()
    assert world.end_of(world.start(told, run_id)) == Ended.PARKED, world.said(run_id)
    assert world.status(run_id) is RunStatus.PARKED
    return run_id, _last(world)


def _shaker(world: World) -> dict[str, Any]:
    found: dict[str, Any] = world.control.truth()["devices"]["shaker"]
    return found


def _targets(world: World) -> list[float | None]:
    return [heat["target"] for heat in _shaker(world)["heats"].values()]


def _is_on(world: World) -> bool:
    """Whether the device is as the protocol set it: warm and shaking."""
    return _targets(world) == [37.0] and bool(_shaker(world)["settings"].get("shaking"))


def _last(world: World) -> int:
    return max((one["n"] for one in world.control.log()), default=0)


def _sent(world: World, seen: int) -> list[str]:
    return [str(one.get("method")) for one in world.control.effects(after=seen)]


def _rows(world: World, query: str, *words: Any) -> list[tuple[Any, ...]]:
    with psycopg.connect(world.settings.addresses().database_url) as connection:
        return connection.execute(query.encode(), words).fetchall()


def _status(world: World, run_id: UUID) -> str | None:
    found = _rows(world, "SELECT status FROM praxis.protocol_run WHERE id = %s", run_id)
    return found[0][0] if found else None


def _waits_for(world: World, run_id: UUID, other: UUID) -> bool:
    query = "SELECT message FROM praxis.run_event WHERE run_id = %s AND kind = 'waiting'"
    return any(str(other) in message for (message,) in _rows(world, query, run_id))


def _host(world: World) -> int:
    found = asyncio.run(health(world.settings.workcell_socket(world.name)))
    assert found is not None
    return int(str(found["pid"]))


def _look_again(world: World, seconds: float = 0.0) -> None:
    """Wait until the host has looked after its devices for a while."""
    end = monotonic() + seconds + 1.0
    wait_for(lambda: monotonic() > end)


@contextmanager
def _watchdog(world: World) -> Iterator[subprocess.Popen[bytes]]:
    """Let a watchdog serve the workcell, as ``praxis up`` does."""
    words = {"PRAXIS_GRACE_SECONDS": str(GRACE), "PRAXIS_MONITOR_SECONDS": "0.2"}
    with (world.folder / "watchdog.log").open("ab") as log:
        process = subprocess.Popen(
            [sys.executable, "-m", "praxis_core.host.watchdog", world.name],
            env=environment(world.settings) | words,
            stdout=log,
            stderr=log,
        )
    socket = world.settings.workcell_socket(world.name)
    try:
        wait_for(lambda: asyncio.run(health(socket)) is not None, 60)
        yield process
    finally:
        if process.poll() is None:
            process.kill()
            process.wait()


@contextmanager
def _stuck(world: World) -> Iterator[None]:
    """Keep whoever writes that a run is parked from writing the line in its audit trail."""
    with psycopg.connect(world.settings.addresses().database_url, autocommit=True) as connection:
        connection.execute(STUCK)
        with connection.transaction():
            connection.execute("SELECT pg_advisory_xact_lock(5714)")
            yield
        connection.execute("DROP TRIGGER stuck ON praxis.run_event")


STUCK = """
CREATE OR REPLACE FUNCTION praxis.be_stuck() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  PERFORM pg_advisory_xact_lock(5714);
  RETURN NEW;
END $$;
CREATE TRIGGER stuck BEFORE INSERT ON praxis.run_event FOR EACH ROW
  WHEN (NEW.kind = 'parked') EXECUTE FUNCTION praxis.be_stuck();
"""


async def _by_hand(world: World) -> None:
    """Switch the heater off at the device."""
    await send_to_lab(
        world.settings.lab_socket(world.name), SafeCall("shaker", "deactivate", "by hand")
    )


async def _answered(world: World, run_id: UUID, choice: str) -> bool:
    """Answer what a run asks; whether that counts."""
    async with Database(world.settings.addresses().database_url) as database:
        questions = Questions(database)
        [question] = await questions.of_run(run_id)
        try:
            await questions.answer(question.id, {"choice": choice}, "ada", "page")
        except AlreadyAnswered:
            return False
        return True


async def _abandon(world: World, run_id: UUID) -> RunStatus:
    addresses = world.settings.addresses()
    redis = connect_async(addresses.redis_url)
    try:
        async with Database(addresses.database_url) as database:
            journal = Journal(database)
            locks = AssetLockManager(redis, lease_seconds=2, journal=journal)
            return await abandon(journal, locks, run_id, "somebody")
    finally:
        await redis.aclose()
