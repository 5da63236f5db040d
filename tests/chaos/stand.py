"""A workcell as ``praxis up`` serves it: a watchdog and its host, a lab, services of its own.

A run has its heater-shaker on; something dies; what the lab's log says about the shaker then is
compared with what was promised.
"""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from itertools import count
from multiprocessing import get_context
from multiprocessing.context import ForkServerProcess
from pathlib import Path
from time import monotonic, time
from typing import Any
from uuid import UUID, uuid4

import psycopg

from praxis_core.host.files import HostFiles, holder
from praxis_core.host.host_process import health
from praxis_core.journal.database import Database
from praxis_core.journal.record import Journal
from praxis_core.services.environment import environment
from praxis_core.simulator.lab_process import LabProcess
from praxis_core.workcell.definition import WorkcellDefinition
from tests.chaos import attempt
from tests.chaos.attempt import Ended, settings_of
from tests.chaos.own_services import OwnServices
from tests.chaos.shaking import story
from tests.chaos.world import wait_for

_forks = get_context("forkserver")

GRACE = 1.0
PROMISED = 2.0
"""Seconds within which what moves is off."""

TOLD = """
SELECT kind, message FROM praxis.run_event
  WHERE id > %s AND kind IN ('made_safe', 'not_made_safe', 'host_died') ORDER BY id
"""


class Victim(StrEnum):
    """What dies."""

    FLOW = "flow process"
    HOST = "host"
    REDIS = "Redis"
    POSTGRES = "Postgres"


class Trouble(StrEnum):
    """What else is the matter."""

    NONE = "nothing else"
    BUSY = "another device does not answer"
    REFUSES = "the shaker refuses once"


@dataclass(frozen=True)
class Kill:
    """What dies at once, and how things are then."""

    victims: frozenset[Victim]
    trouble: Trouble = Trouble.NONE

    def __str__(self) -> str:
        return f"{' and '.join(sorted(self.victims))} ({self.trouble})"

    @property
    def is_lost(self) -> bool:
        """Whether nobody looks after the devices then."""
        return bool(self.victims & {Victim.FLOW, Victim.HOST})


@dataclass(frozen=True)
class Result:
    """What became of it."""

    kill: str
    off_after: float | None
    """Seconds from the death of the host, or the end of the grace period; None: it goes on."""
    heater: str
    told: list[str]
    attempts: int
    seconds: float
    faults: list[str] = field(default_factory=list)


class Stand:
    """One workcell with everything that serves it.

    Args:
        folder: Of its own; the home of its services.
        services: Its Postgres and its Valkey.
        workcell: Its definition.
    """

    def __init__(self, folder: Path, services: OwnServices, workcell: WorkcellDefinition) -> None:
        self._folder = folder
        self._services = services
        self._workcell = workcell
        self._places = {
            "home": str(folder),
            "database_url": services.database_url,
            "redis_url": services.redis_url,
            "grace_seconds": GRACE,
            "host_wait_seconds": 90.0,
        }
        self._settings = settings_of(self._places)
        self._settings.socket_folder.mkdir(parents=True, exist_ok=True)
        self._numbers = count(2)
        self._open()

    def _open(self) -> None:
        name = self._workcell.name
        asyncio.run(self._store())
        self._files = HostFiles.of(self._settings, name)
        socket = self._settings.lab_socket(name)
        self._lab = LabProcess(self._workcell, self._folder / f"lab-{name}", socket)
        self._lab.start()
        self._control = self._lab.control()
        self._watchdog: subprocess.Popen[bytes] | None = None
        self._flows: list[ForkServerProcess] = []
        self._seen = 0
        self._watch()

    def renew(self) -> None:
        """Begin anew as another workcell: what a trial left that went wrong is not for the next."""
        self._services.bring_back()
        self.close()
        name = f"{self._workcell.name.partition('.')[0]}.{next(self._numbers)}"
        self._workcell = self._workcell.model_copy(update={"name": name})
        self._open()

    def close(self) -> None:
        """End all of it."""
        for flow in self._flows:
            flow.kill()
            flow.join()
        self._unwatch()
        self._control.close()
        self._lab.stop()

    @property
    def holds(self) -> bool:
        """Whether the definition lets the heater hold its temperature."""
        on_lost = self._workcell.devices["shaker"].on_lost
        return on_lost is None or bool(on_lost.hold_minutes)

    @property
    def on_lost(self) -> str:
        """What becomes of the heater when nobody looks after it."""
        return "held" if self.holds else "off"

    # --- one kill ---------------------------------------------------------------------------------

    def carry_out(self, kill: Kill) -> Result:
        """Kill, look at the devices, bring everything back, and let the run come to its end."""
        began = monotonic()
        run_id, door = uuid4(), self._folder / f"door-{uuid4().hex}"
        event, faults = self._last_event(), []
        with self._troubled(kill):
            flow = self._start(run_id, door)
            self._until_it_shakes(kill)
            seen = self._last()
            died = self._kill(kill, flow)
            off = self._off(seen, "stop_shaking") if kill.is_lost else None
            if kill.is_lost and not self.holds:
                self._off(seen, "deactivate")
            heater = self._heater()
        self._services.bring_back()
        if Victim.HOST in kill.victims:
            wait_for(self._answers, 120)
        told = self._told(event, kill)
        if not kill.is_lost and self._since(seen, "stop_shaking"):
            faults.append("the shaker was stopped although the run was there")
        door.touch()
        attempts = self._finish(run_id, door, flow)
        seconds = None if off is None else round(off - died, 3)
        faults += self._faults(kill, seconds, heater, told)
        if Victim.HOST in kill.victims:
            self._unwatch()
            self._watch()
        return Result(str(kill), seconds, heater, told, attempts, monotonic() - began, faults)

    def _faults(self, kill: Kill, seconds: float | None, heater: str, told: list[str]) -> list[str]:
        found = []
        late = PROMISED + (1.5 if kill.trouble is Trouble.REFUSES else 0.0)
        if seconds is not None and not -0.2 < seconds < late:
            found.append(f"the shaker was off after {seconds} s")
        if heater != (self.on_lost if kill.is_lost else "held"):
            found.append(f"the heater was {heater}")
        if kill.is_lost and "made_safe" not in told:
            found.append("nobody said that the shaker was stopped")
        if kill.trouble is Trouble.REFUSES and "not_made_safe" not in told:
            found.append("nobody said that the shaker could not be stopped at first")
        if any(self._device()["settings"].get(name) for name in ("shaking", "locked")):
            found.append(f"in the end the shaker is {self._device()}")
        return found

    @contextmanager
    def _troubled(self, kill: Kill) -> Iterator[None]:
        """Let something else be the matter until the block ends."""
        if kill.trouble is Trouble.BUSY:
            self._control.fail("reader", how="hang", method="open")
        yield
        if kill.trouble is Trouble.BUSY:
            self._control.release("reader")
        self._control.clear()

    def _until_it_shakes(self, kill: Kill) -> None:
        last = "start_shaking" if kill.trouble is Trouble.BUSY else "open"
        seen = self._seen
        wait_for(lambda: self._since(seen, last), 120)
        if kill.trouble is Trouble.BUSY:
            wait_for(lambda: self._written("open"))
        if kill.trouble is Trouble.REFUSES:
            self._control.fail("shaker", how="before", method="stop_shaking")

    def _written(self, method: str) -> bool:
        query = "SELECT count(*) FROM praxis.command WHERE method = %s AND outcome IS NULL"
        with psycopg.connect(self._services.database_url) as connection:
            [(count,)] = connection.execute(query, [method]).fetchall()
        return bool(count)

    def _kill(self, kill: Kill, flow: ForkServerProcess) -> float:
        """Kill all at once; give the time from which on the devices are to be made safe."""
        host = holder(self._files.lock)
        assert host is not None
        self._services.kill(
            postgres=Victim.POSTGRES in kill.victims, valkey=Victim.REDIS in kill.victims
        )
        if Victim.FLOW in kill.victims:
            flow.kill()
        if Victim.HOST in kill.victims:
            os.kill(host, signal.SIGKILL)
            return time()
        return time() + GRACE

    def _off(self, seen: int, method: str) -> float:
        """Wait until something is off; give the time when it was."""
        [first, *_] = wait_for(lambda: self._since(seen, method))
        return datetime.fromisoformat(first["at"]).timestamp() - self._ahead()

    def _ahead(self) -> float:
        return round(self._control.now() - time(), 1)

    def _since(self, seen: int, method: str) -> list[dict[str, Any]]:
        return [one for one in self._control.effects(after=seen) if one.get("method") == method]

    def _device(self) -> dict[str, Any]:
        found: dict[str, Any] = self._control.truth()["devices"]["shaker"]
        return found

    def _heater(self) -> str:
        targets = [heat["target"] for heat in self._device()["heats"].values()]
        return "held" if targets == [37.0] else "off" if targets == [None] else str(targets)

    def _told(self, event: int, kill: Kill) -> list[str]:
        """Read what the audit log says, which the next host may have brought there."""

        def kinds() -> list[str]:
            with psycopg.connect(self._services.database_url) as connection:
                return [kind for kind, _ in connection.execute(TOLD, [event]).fetchall()]

        with suppress(AssertionError):  # the result says that it is missing
            wait_for(lambda: not kill.is_lost or "made_safe" in kinds(), 30)
        return kinds()

    def _last_event(self) -> int:
        self._seen = self._last()
        with psycopg.connect(self._services.database_url) as connection:
            query = "SELECT coalesce(max(id), 0) FROM praxis.run_event"
            [(last,)] = connection.execute(query).fetchall()
        return int(last)

    def _last(self) -> int:
        """Give the number of the last record of the lab's log."""
        return max((one["n"] for one in self._control.log(self._seen)), default=self._seen)

    # --- processes --------------------------------------------------------------------------------

    def _start(self, run_id: UUID, door: Path) -> ForkServerProcess:
        told = story(door)
        words = {"assets": told.assets, "parameters": told.parameters}
        log = self._folder / f"{run_id}.log"
        args = (self._places, self._workcell.name, log, run_id, told.spec, words)
        flow = _forks.Process(target=attempt.attempt, args=args)
        flow.start()
        self._flows.append(flow)
        return flow

    def _finish(self, run_id: UUID, door: Path, flow: ForkServerProcess) -> int:
        for number in range(1, 5):
            wait_for(lambda one=flow: not one.is_alive(), 180)
            if flow.exitcode == Ended.SUCCEEDED:
                return number
            flow = self._start(run_id, door)
        raise AssertionError((self._folder / f"{run_id}.log").read_text()[-8000:])

    def _watch(self) -> None:
        words = {"PRAXIS_GRACE_SECONDS": str(GRACE)}
        with (self._folder / "watchdog.log").open("ab") as log:
            self._watchdog = subprocess.Popen(
                [sys.executable, "-m", "praxis_core.host.watchdog", self._workcell.name],
                env=environment(self._settings) | words,
                stdout=log,
                stderr=log,
            )
        wait_for(self._answers, 120)

    def _unwatch(self) -> None:
        """Let the watchdog end its host in order, and leave the devices as they are."""
        if self._watchdog is not None:
            self._watchdog.send_signal(signal.SIGHUP)
            self._watchdog.wait(60)

    def _answers(self) -> bool:
        found = asyncio.run(health(self._settings.workcell_socket(self._workcell.name)))
        return found is not None and found["pid"] == holder(self._files.lock)

    async def _store(self) -> None:
        async with Database(self._services.database_url) as database:
            definition = self._workcell.model_dump(mode="json")
            await Journal(database).store_workcell(self._workcell.name, definition)
