"""The embedded Postgres: a data folder in the home, a socket nobody else can open, no port."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import psutil
import psycopg

from praxis_core.errors import ServiceDidNotStart
from praxis_core.services import process
from praxis_core.services.binaries import postgres_major, postgres_program
from praxis_core.services.home import Home
from praxis_core.services.process import ProcessRecord
from praxis_core.services.unprivileged import Route, choose, give, routes

NAME = "postgres"
SUPERUSER = "praxis"
START_SECONDS = 60.0

# Fast shutdown ends open transactions; an immediate one is recovered from at the next start.
_STOP = ((signal.SIGINT, 20.0), (signal.SIGQUIT, 5.0))


@dataclass(frozen=True)
class EmbeddedPostgres:
    """The Postgres of one home."""

    home: Home
    routes: Sequence[Route] = field(default_factory=lambda: tuple(routes()))

    @property
    def data(self) -> Path:
        """The data folder; it belongs to one major version."""
        return self.home.folder / f"postgres-{postgres_major()}"

    @property
    def log(self) -> Path:
        """What the server says."""
        return self.home.log(NAME)

    def record(self) -> ProcessRecord | None:
        """The running server, or nothing."""
        return process.running(self.home.record(NAME), self.home.mark(NAME), "-D")

    def ready(self) -> bool:
        """It answers a query."""
        try:
            with self.connect("postgres") as connection:
                connection.execute("SELECT 1")
        except psycopg.Error:
            return False
        return True

    def connect(self, database: str) -> psycopg.Connection:
        """Open a connection as superuser; each statement is its own transaction."""
        return psycopg.connect(
            host=str(self.home.sockets),
            user=SUPERUSER,
            dbname=database,
            autocommit=True,
            connect_timeout=5,
        )

    def launch(self) -> ProcessRecord:
        """Start the server, unless it runs, without waiting until it answers.

        Raises:
            ServiceDidNotStart: the data folder cannot be made, or belongs to another major version.
            NoUnprivilegedUser: this process is root and there is no way to run Postgres as another.
        """
        running = self.record()
        if running is not None:
            return running
        route = self._route()
        if not (self.data / "PG_VERSION").exists():
            self._initialise(route)
        self._clear_stale_locks()
        give(self.home.sockets, route.owner)
        record = process.start(
            [
                *route.prefix,
                postgres_program("postgres"),
                *("-D", self.data),
                *("-c", f"unix_socket_directories={self.home.sockets}"),
                *("-c", "unix_socket_permissions=0700"),
                *("-c", "listen_addresses="),
                # Prefect's server keeps 15, a run 5, and short-lived commands come and go.
                *("-c", "max_connections=200"),
                # Compiling a query costs more than any query of ours.
                *("-c", "jit=off"),
            ],
            log=self.log,
            folder=Path("/"),
            environment=_environment(),
            mark=self.home.mark(NAME),
            user=route.user,
            group=route.group,
        )
        process.write_record(self.home.record(NAME), record)
        return record

    def wait(self, record: ProcessRecord) -> None:
        """Wait until the server answers.

        Raises:
            ServiceDidNotStart: it ended, or does not answer in time.
        """
        process.wait_ready(NAME, record, self.ready, log=self.log, seconds=START_SECONDS)

    def create_database(self, name: str) -> None:
        """Make a database unless it is there, with the extension that Prefect's migrations need."""
        with self.connect("postgres") as connection:
            found = connection.execute("SELECT 1 FROM pg_database WHERE datname = %s", [name])
            if found.fetchone() is None:
                connection.execute(
                    psycopg.sql.SQL("CREATE DATABASE {}").format(psycopg.sql.Identifier(name))
                )

    def stop(self) -> None:
        """End the server; what it had confirmed is on disk."""
        record = self.record()
        if record is not None:
            process.stop(_STOP, record)
        self.home.record(NAME).unlink(missing_ok=True)

    def _route(self) -> Route:
        # The folder that is tried is the one that Postgres will write into.
        folder = self.data if self.data.exists() else self._new_folder()
        return choose(self.routes, postgres_program("postgres"), folder)

    def _new_folder(self) -> Path:
        others = [
            folder.name
            for folder in self.home.folder.glob("postgres-*")
            if (folder / "PG_VERSION").exists() and folder.suffix != ".new"
        ]
        if others:
            what = (
                f"the data in {self.home.folder} is of {', '.join(others)} and this is Postgres "
                f"{postgres_major()}. Dump it with the version that wrote it (praxis db dump), "
                "move the old folder away, start again, and restore (praxis db restore FILE)"
            )
            raise ServiceDidNotStart(service=NAME, what=what, log=str(self.log))
        folder = self.data.with_name(f"{self.data.name}.new")
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(mode=0o700)
        return folder

    def _initialise(self, route: Route) -> None:
        """Make the data folder under another name: a start that is killed leaves no half of one."""
        folder = self.data.with_name(f"{self.data.name}.new")
        answer = subprocess.run(  # noqa: S603 (a program of this installation)
            [
                *route.prefix,
                postgres_program("initdb"),
                *("-D", folder, "-U", SUPERUSER, "-A", "trust", "-E", "UTF8"),
                *("--locale-provider=builtin", "--builtin-locale=C.UTF-8", "--locale=C"),
            ],
            capture_output=True,
            text=True,
            check=False,
            cwd="/",
            env=_environment(),
            user=route.user,
            group=route.group,
            extra_groups=None if route.user is None else [],
        )
        if answer.returncode != 0:
            what = f"initdb failed: {answer.stderr.strip()}"
            raise ServiceDidNotStart(service=NAME, what=what, log=str(self.log))
        folder.rename(self.data)

    def _clear_stale_locks(self) -> None:
        """Remove lock files of a server that has ended.

        Postgres refuses to start while the number in them belongs to any process, be it a zombie or
        another program. Its children may outlive it for a moment and still hold its memory.
        """
        if not process.wait_until(lambda: not _working_in(self.data), 10.0):
            process.stop((), *_working_in(self.data))
        (self.data / "postmaster.pid").unlink(missing_ok=True)
        for lock in self.home.sockets.glob(".s.PGSQL.*.lock"):
            lock.unlink(missing_ok=True)


def _working_in(folder: Path) -> list[ProcessRecord]:
    found = []
    for candidate in psutil.process_iter():
        try:
            if candidate.name() == "postgres" and Path(candidate.cwd()) == folder:
                found.append(process.record_of(candidate.pid))
        except psutil.Error:
            continue
    return [record for record in found if record is not None]


def _environment() -> dict[str, str]:
    """What the server inherits: nothing of PG*, LC_* or a locale that this machine may not have."""
    return {"PATH": os.environ.get("PATH", os.defpath), "LC_ALL": "C", "TZ": "UTC"}
