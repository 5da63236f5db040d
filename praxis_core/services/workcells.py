"""What serves the workcells: for each its watchdog with the host, and its pretend lab."""

from __future__ import annotations

import asyncio
import json
import signal
import socket
import sys
from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import ClassVar

import psutil
import psycopg

from praxis_core.host.files import HostFiles, holder, read_safe_calls
from praxis_core.host.host_process import health
from praxis_core.services import process
from praxis_core.services.environment import configuration, environment
from praxis_core.services.home import Home
from praxis_core.services.process import MARK, ProcessRecord
from praxis_core.settings import PraxisSettings

START_SECONDS = 120.0

# The host ends what is under way, and the watchdog switches off what was left on.
_END = ((signal.SIGTERM, 40.0),)
# Makes room for a successor: the devices stay as they are.
_REPLACE = ((signal.SIGHUP, 40.0),)
_END_LAB = ((signal.SIGTERM, 10.0),)

_STORED = "SELECT name, version, definition FROM praxis.workcell WHERE current ORDER BY name"
_PARKED = """
    SELECT r.id, r.parked_until FROM praxis.protocol_run r
      JOIN praxis.run_attempt a ON a.run_id = r.id AND a.number = r.attempt
      JOIN praxis.workcell w ON w.id = a.workcell_id
      WHERE r.status = 'parked' AND w.name = ANY (%s) ORDER BY r.created_at
"""
_IN_USE = "SELECT count(*) FROM praxis.claim WHERE workcell = %s AND released_at IS NULL"


@dataclass(frozen=True)
class Stored:
    """The current version of a workcell, as far as its services need it."""

    name: str
    version: int
    definition: str
    """As JSON."""

    @property
    def notice(self) -> str | None:
        """What a laboratory has to be told whose definition is older than a default of ours."""
        said = json.loads(self.definition)
        if "refill" in said or said.get("mode") == "real":
            return None
        return (
            f"The definition of workcell {self.name} says nothing of refill, so a new run begins "
            "with what the runs before it have left; earlier versions set the deck back. Write "
            "refill: by_hand or refill: every_run into its file (praxis workcell show "
            f"{self.name}), and store it: praxis workcell add FILE"
        )


def stored_workcells(settings: PraxisSettings) -> list[Stored]:
    """Read the workcells that are served from here; none when the database does not answer."""
    try:
        with _connect(settings) as connection:
            rows = connection.execute(_STORED).fetchall()
    except psycopg.Error:
        return []
    return [
        Stored(name, version, json.dumps(definition))
        for name, version, definition in rows
        if name not in settings.workcell_hosts
    ]


def parked_told(settings: PraxisSettings, workcells: Sequence[str]) -> list[str]:
    """Say which runs are parked, a sentence for each; none when the database does not answer."""
    try:
        with _connect(settings) as connection:
            rows = connection.execute(_PARKED, [[*workcells]]).fetchall()
    except psycopg.Error:
        return []
    return [
        f"Run {run_id} is parked until {f'{until:%Y-%m-%d %H:%M} UTC' if until else 'an answer'}. "
        "It goes on after praxis up. To give it up, and have its devices switched off, before "
        f"praxis down: praxis run abandon {run_id}"
        for run_id, until in rows
    ]


def left_told(settings: PraxisSettings, workcell: str) -> list[str]:
    """Say which devices of a workcell stay on for parked runs while no process is there."""
    calls = read_safe_calls(HostFiles.of(settings, workcell).safe)
    return [
        f"{one.device} of {workcell} stays as it is set, and nobody looks after it: {one.reason}."
        for one in calls
        if one.parked
    ]


def in_use(settings: PraxisSettings, workcell: str) -> bool:
    """Say whether a run has devices of the workcell for itself."""
    with _connect(settings) as connection:
        row = connection.execute(_IN_USE, [workcell]).fetchone()
    return row is not None and row[0] > 0


def known_here(home: Home) -> list[str]:
    """Name the workcells that have services here, without asking the database."""
    names = {
        path.stem.removeprefix(kind.PREFIX)
        for kind in (EmbeddedWatchdog, EmbeddedLab)
        for path in home.records.glob(f"{kind.PREFIX}*.json")
    }
    return sorted(names | _marked_here(home))


def _marked_here(home: Home) -> set[str]:
    """Find those whose record was never written."""
    names = set()
    for candidate in psutil.process_iter():
        try:
            service, _, folder = candidate.environ().get(MARK, "").partition(":")
        except psutil.Error:
            continue
        for kind in (EmbeddedWatchdog, EmbeddedLab):
            if folder == str(home.folder) and service.startswith(kind.PREFIX):
                names.add(service.removeprefix(kind.PREFIX))
    return names


def _connect(settings: PraxisSettings) -> psycopg.Connection:
    return psycopg.connect(settings.addresses().database_url, connect_timeout=3)


@dataclass(frozen=True)
class _WorkcellProcess(ABC):
    """A process that belongs to one workcell."""

    home: Home
    settings: PraxisSettings
    workcell: str
    stored: Stored | None = None
    """None: it is only looked at, or ended."""

    PREFIX: ClassVar[str]
    """What its name among the services begins with."""
    MODULE: ClassVar[str]
    """What runs in it."""

    @property
    def name(self) -> str:
        """What it is called among the services."""
        return f"{self.PREFIX}{self.workcell}"

    def record(self) -> ProcessRecord | None:
        """The running process, or nothing."""
        return process.running(self.home.record(self.name), self.home.mark(self.name), self.MODULE)

    @abstractmethod
    def ready(self) -> bool:
        """Whether it does its work."""

    def wait(self, record: ProcessRecord) -> None:
        """Wait until it does its work.

        Raises:
            ServiceDidNotStart: it ended, or is not ready in time.
        """
        log = self.home.log(self.name)
        process.wait_ready(self.name, record, self.ready, log=log, seconds=START_SECONDS)

    def _start(self, arguments: Sequence[str | Path], folder: Path) -> ProcessRecord:
        record = process.start(
            [sys.executable, "-m", self.MODULE, *arguments],
            log=self.home.log(self.name),
            folder=folder,
            environment=environment(self.settings),
            mark=self.home.mark(self.name),
        )
        record = replace(record, configuration=self._configuration())
        process.write_record(self.home.record(self.name), record)
        return record

    def _outdated(self, running: ProcessRecord) -> bool:
        changed = running.configuration != self._configuration()
        return changed and not in_use(self.settings, self.workcell)

    @abstractmethod
    def _configuration(self) -> str:
        """What it has to be started anew for, when that changes and no run is in the way."""


@dataclass(frozen=True)
class EmbeddedLab(_WorkcellProcess):
    """The pretend lab of one workcell: its simulated devices, as processes go."""

    PREFIX = "lab-"
    MODULE = "praxis_core.simulator.lab"

    @property
    def address(self) -> str:
        """Where it answers."""
        return str(self.settings.lab_socket(self.workcell))

    def ready(self) -> bool:
        """It answers."""
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as connection:
            connection.settimeout(2)
            try:
                connection.connect(self.address)
            except OSError:
                return False
        return True

    def launch(self) -> ProcessRecord:
        """Start it, unless it runs; a changed definition is built anew, unless a run is on it."""
        running = self.record()
        if running is not None and not self._outdated(running):
            return running
        self.stop()
        folder = self.home.folder / "labs"
        folder.mkdir(mode=0o700, exist_ok=True)
        definition = folder / f"{self.workcell}.json"
        definition.write_text(self.stored.definition if self.stored else "")
        log = folder / f"{self.workcell}.log.jsonl"
        return self._start(
            ["--workcell-json", definition, "--socket", self.address, "--log", log], folder
        )

    def stop(self) -> None:
        """End it; what is on its decks is kept in its folder."""
        record = self.record()
        if record is not None:
            process.stop(_END_LAB, record)
        self.home.record(self.name).unlink(missing_ok=True)

    def _configuration(self) -> str:
        return configuration(self.stored.definition if self.stored else "")


@dataclass(frozen=True)
class EmbeddedWatchdog(_WorkcellProcess):
    """The watchdog of one workcell, which starts the workcell's host."""

    PREFIX = "workcell-"
    MODULE = "praxis_core.host.watchdog"

    @property
    def address(self) -> str:
        """Where its host answers."""
        return str(self.settings.workcell_socket(self.workcell))

    def ready(self) -> bool:
        """It watches, and its host answers."""
        record = self.record()
        if record is None or holder(self._files.watch) != record.pid:
            return False
        return asyncio.run(health(Path(self.address))) is not None

    def unwatched_host(self) -> int | None:
        """The process of a host that works without its watchdog."""
        return holder(self._files.lock) if self.record() is None else None

    def launch(self) -> ProcessRecord:
        """Start it, unless it runs; one of another version or address makes room for its successor.

        A host whose watchdog was killed is taken over as it is.
        """
        running = self.record()
        if running is not None and not self._outdated(running):
            return running
        if running is not None:
            process.stop(_REPLACE, running)
        return self._start([self.workcell], self.home.folder)

    def stop(self) -> None:
        """End host and watchdog; what a run left on is switched off."""
        if self.unwatched_host() is not None:
            # Only a watchdog ends a host in order, and makes safe what that leaves.
            new = self.launch()
            process.wait_until(lambda: holder(self._files.watch) == new.pid or not new.alive, 20)
        record = self.record()
        if record is not None:
            process.stop(_END, record)
        process.stop(_END, *process.marked(self.home.mark(self.name)))
        self.home.record(self.name).unlink(missing_ok=True)

    def _configuration(self) -> str:
        addresses, version = self.settings.addresses(), self.stored.version if self.stored else 0
        return configuration(addresses.database_url, addresses.redis_url, str(version))

    @property
    def _files(self) -> HostFiles:
        return HostFiles.of(self.settings, self.workcell)
