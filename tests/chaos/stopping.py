"""A workcell that is stopped while its runs send as fast as they can; and in the midst of a run."""

from __future__ import annotations

import asyncio
import json
import os
import subprocess
import sys
import time
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from uuid import UUID, uuid4

import psycopg
from pydantic import JsonValue
from pylabrobot.shaking import ShakerBackend

from praxis_core.errors import WorkcellStopped
from praxis_core.host.asking import ask_host
from praxis_core.host.link import HostLink
from praxis_core.journal.control import Control, Said, Standing
from praxis_core.journal.database import Database
from praxis_core.journal.record import Journal
from praxis_core.journal.records import AttemptRequest
from praxis_core.labware.encoding import fingerprint
from praxis_core.protocol.command import Command
from praxis_core.protocol.lifecycle import CommandKind, RunStatus
from praxis_core.services.environment import environment
from praxis_core.settings import PraxisSettings
from praxis_core.workcell.link import Attaching
from tests.chaos.attempt import Ended
from tests.chaos.killing import Plan
from tests.chaos.world import World, missing, wait_for

PROMISED = 0.1
"""Seconds from the request until nothing more is sent."""

BUSY = "busy"
DEVICES = ("one", "two", "three", "four")


class StampingShaker(ShakerBackend):
    """Appends the time of each call to a file, as the computer's monotonic clock shows it.

    Args:
        file: Where to.
    """

    def __init__(self, file: str) -> None:
        super().__init__()
        self._file = os.open(file, os.O_WRONLY | os.O_CREAT | os.O_APPEND)

    @property
    def supports_locking(self) -> bool:
        """No lock."""
        return False

    async def setup(self) -> None:
        """Connect."""

    async def stop(self) -> None:
        """Let go."""

    async def start_shaking(self, speed: float) -> None:
        """Nobody shakes it."""

    async def stop_shaking(self) -> None:
        """Nobody shakes it."""

    async def lock_plate(self) -> None:
        """Nothing to lock."""

    async def unlock_plate(self) -> None:
        """Nothing to unlock."""

    async def spill(self) -> None:
        """Do what nobody may do twice, in no time."""
        os.write(self._file, f"{time.monotonic()}\n".encode())


@dataclass
class Stopped:
    """When the last command was sent, in seconds."""

    how: str
    last_after: float
    """From the request, as it left whoever asked, until the last call began; at least 0."""
    sent: int
    faults: list[str] = field(default_factory=list)


class BusyWorkcell:
    """Four devices, each with a run that sends one command after the other.

    Args:
        settings: Where everything is.
    """

    def __init__(self, settings: PraxisSettings) -> None:
        self._settings = settings
        self._stamps = {name: settings.home_path / f"{name}.stamps" for name in DEVICES}
        self._host: subprocess.Popen[bytes] | None = None

    async def open(self) -> None:
        """Store its definition, and start its host."""
        devices: dict[str, JsonValue] = {
            name: {
                "frontend": "pylabrobot.shaking:Shaker",
                "config": {"size_x": 1, "size_y": 1, "size_z": 1, "child_location": [0, 0, 0]},
                "backend": "tests.chaos.stopping:StampingShaker",
                "simulated_backend": "tests.chaos.stopping:StampingShaker",
                "simulated_config": {"file": str(file)},
            }
            for name, file in self._stamps.items()
        }
        async with Database(self._settings.addresses().database_url) as database:
            journal = Journal(database)
            await journal.store_workcell(BUSY, {"name": BUSY, "devices": devices})
            await journal.store_protocol(
                name="busy",
                version="1.0.0",
                entrypoint="tests.chaos.stopping:busy",
                source_hash="0" * 64,
                content_hash="0" * 64,
                definition={"name": "busy"},
            )
        self._start()

    def _start(self) -> None:
        words = [sys.executable, "-m", "praxis_core.host.serve", BUSY, "--devices", "inside"]
        with (self._settings.home_path / "host.log").open("ab") as log:
            self._host = subprocess.Popen(
                words, env=environment(self._settings), stdout=log, stderr=log
            )

    def close(self) -> None:
        """End its host."""
        if self._host is not None:
            self._host.kill()
            self._host.wait()

    async def trial(self, sent: int, *, typed: bool) -> Stopped:
        """Stop it when each run has sent so many, and see when the last command was sent."""
        async with Database(self._settings.addresses().database_url) as database:
            journal = Journal(database)
            runs = [asyncio.create_task(self._run(journal, device)) for device in DEVICES]
            before = [len(_lines(file)) for file in self._stamps.values()]
            async with asyncio.timeout(60):
                while not self._all_sent(before, sent):  # noqa: ASYNC110  # another process
                    await asyncio.sleep(0.001)
            asked = time.monotonic()
            await asyncio.to_thread(self._type if typed else self._ask)
            answered = time.monotonic()
            until_then = self._sent()
            ended = await asyncio.gather(*runs)
            last = max(float(_lines(file)[-1]) for file in self._stamps.values())
            await Control(database).say(BUSY, Standing.STARTED, Said("the test"))
            await asyncio.to_thread(ask_host, self._settings, BUSY, "/start", tell={"by": "test"})
        faults = [] if all(ended) else ["a run was not told that its workcell was stopped"]
        if self._sent() != until_then:
            faults.append(f"{self._sent() - until_then} sent after it was answered, at {answered}")
        after = max(0.0, last - asked)
        if not typed and after > PROMISED:
            faults.append(f"the last command was sent {after:.3f} s after the request")
        return Stopped("typed" if typed else "asked", round(after, 4), until_then, faults)

    def _ask(self) -> None:
        ask_host(self._settings, BUSY, "/stop", tell={"by": "the test"})

    def _type(self) -> None:
        words = [sys.executable, "-m", "praxis_core", "workcell", "stop", BUSY, "--json"]
        said = subprocess.run(
            words, env=environment(self._settings), check=True, capture_output=True
        )
        assert json.loads(said.stdout)["runs"]

    def _all_sent(self, before: Sequence[int], sent: int) -> bool:
        now = [len(_lines(file)) for file in self._stamps.values()]
        return all(one >= other + sent for one, other in zip(now, before, strict=True))

    def _sent(self) -> int:
        return sum(len(_lines(file)) for file in self._stamps.values())

    async def _run(self, journal: Journal, device: str) -> bool:
        """Send until the workcell is stopped; say whether that was told."""
        workcell = await journal.workcell(BUSY)
        request = AttemptRequest(
            run_id=uuid4(),
            run_name="busy",
            protocol_id=(await journal.protocols())[0].id,
            workcell_id=workcell.id,
            parameters={},
            assets={},
            simulated=True,
        )
        attempt = await journal.begin_attempt(request)
        words = {"run_id": request.run_id, "attempt": attempt}
        token = await journal.claim_devices(
            BUSY, [device], run_id=request.run_id, attempt=attempt, take_over=True
        )
        await journal.start(request.run_id, assets={}, start_snapshot={}, attempt=attempt)
        link = HostLink.to(self._settings, BUSY)
        await link.attach(Attaching(request.run_id, attempt, [device], token=token))
        with suppress(WorkcellStopped):
            for number in range(1_000_000):
                await link.execute(_spill(request.run_id, attempt, token, device, number))
            return False
        await link.detach(RunStatus.INTERRUPTED)
        await journal.set_status(words["run_id"], RunStatus.INTERRUPTED)  # type: ignore[arg-type]
        return True


def _spill(run_id: UUID, attempt: int, token: int, device: str, number: int) -> Command:
    return Command(
        run_id=run_id,
        attempt=attempt,
        branch="0",
        ordinal=number,
        device=device,
        method="spill",
        args=(),
        kwargs={},
        kind=CommandKind.ONCE,
        fingerprint=fingerprint(device, "spill", (), {}),
        token=token,
    )


def _lines(file: Path) -> Sequence[str]:
    return file.read_text().splitlines() if file.exists() else []


# --- a run of the library -------------------------------------------------------------------------


@dataclass
class Resumed:
    """What became of a run whose workcell was stopped, and which was resumed."""

    how: str
    twice: list[str]
    missing: list[str]
    asked: int
    seconds: float
    faults: list[str] = field(default_factory=list)


def stop_in_the_midst(world: World, plan: Plan, effects: int | None) -> Resumed:
    """Stop a workcell, see that nothing more is sent, and bring the run to its end.

    Args:
        world: Where it runs.
        plan: The run, as it is when nobody disturbs it.
        effects: After how many effects; None: as soon as the run exists, while it is set up.
    """
    began, run_id = time.monotonic(), uuid4()
    world.answers.clear()
    world.mark()
    process = world.start(plan.story, run_id)
    if effects is None:
        wait_for(lambda: _exists(world, run_id))
    else:
        wait_for(lambda: _effects(world, run_id) >= effects or not process.is_alive())
    answer = ask_host(world.settings, world.name, "/stop", tell={"by": "the test"})
    before = _effects(world, run_id)
    world.end_of(process) if effects is not None else _end_or_wait(world, run_id, process)
    faults = []
    more = _effects(world, run_id) - before
    if more > sum(_parts(name) for name in answer["under_way"]):
        faults.append(f"{more} effects after the stop, {answer['under_way']} were under way")
    ask_host(world.settings, world.name, "/start", tell={"by": "the test"})
    world.finish(plan.story, run_id, process if process.is_alive() else None, _STOPPED)
    truth = world.truth(run_id)
    once = {deed.key for deed in plan.deeds if deed.kind == CommandKind.ONCE}
    extra = truth.effects - plan.truth.effects
    twice = sorted(key for key in extra.elements() if key in once)
    lost = missing(plan.truth.effects, truth.effects)
    faults += [f"{key} twice" for key in twice] + [f"{key} missing" for key in lost]
    if (truth.liquids, truth.places, truth.tips) != (
        plan.truth.liquids,
        plan.truth.places,
        plan.truth.tips,
    ):
        faults.append("the deck is not as after the undisturbed run")
    how = "set-up" if effects is None else "at work"
    asked = len(world.answers)
    return Resumed(how, twice, lost, asked, round(time.monotonic() - began, 3), faults)


_STOPPED = frozenset({Ended.REFUSED})


def _parts(_name: str) -> int:
    """At most how many effects one command has: one that contains time starts and ends."""
    return 2


def _end_or_wait(world: World, run_id: UUID, process: object) -> None:
    """Let a run that was being set up end, or wait for its workcell."""
    wait_for(lambda: not process.is_alive() or _waits(world, run_id))  # type: ignore[attr-defined]


def _exists(world: World, run_id: UUID) -> bool:
    return _count(world, "SELECT count(*) FROM praxis.protocol_run WHERE id = %s", run_id) > 0


def _waits(world: World, run_id: UUID) -> bool:
    query = "SELECT count(*) FROM praxis.run_event WHERE run_id = %s AND kind = 'waiting'"
    return _count(world, query, run_id) > 0


def _count(world: World, query: str, run_id: UUID) -> int:
    with psycopg.connect(world.settings.addresses().database_url) as connection:
        [(count,)] = connection.execute(query, [run_id]).fetchall()
    return int(count)


def _effects(world: World, run_id: UUID) -> int:
    return sum(world.truth(run_id).effects.values())


def pause_and_kill(world: World, plan: Plan, effects: int) -> Resumed:
    """Pause a run, kill its process and its host, resume it, and let it go on."""
    began, run_id = time.monotonic(), uuid4()
    world.answers.clear()
    world.mark()
    process = world.start(plan.story, run_id)
    wait_for(lambda: _effects(world, run_id) >= effects)
    told = {"by": "the test", "run_id": str(run_id)}
    ask_host(world.settings, world.name, "/pause", tell=told)
    for one in (process, world.host):
        one.kill()
        one.join()
    before = _effects(world, run_id)
    world.tend()
    again = world.start(plan.story, run_id)
    query = "SELECT count(*) FROM praxis.run_event WHERE run_id = %s AND kind = 'resumed'"
    wait_for(lambda: _count(world, query, run_id), 120)
    faults = [] if _effects(world, run_id) == before else ["a paused run did something"]
    ask_host(world.settings, world.name, "/go-on", tell=told)
    world.finish(plan.story, run_id, again)
    truth = world.truth(run_id)
    lost = missing(plan.truth.effects, truth.effects)
    if truth.liquids != plan.truth.liquids:
        faults.append("the deck is not as after the undisturbed run")
    seconds = round(time.monotonic() - began, 3)
    return Resumed("paused", [], lost, len(world.answers), seconds, [*faults, *lost])
