"""Real services for the tests: a Postgres and a Valkey per session, a database per test."""

from __future__ import annotations

import asyncio
import itertools
import os
import select
import socket
import subprocess
import sys
import threading
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from contextlib import suppress
from importlib.resources import as_file
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any
from urllib.parse import quote, unquote, urlsplit

import pytest
import redis
from psycopg import sql
from pydantic import SecretStr
from xdist.scheduler import LoadScopeScheduling

from praxis_core.services.home import prepare
from praxis_core.services.postgres import EmbeddedPostgres
from praxis_core.services.prefect_server import EmbeddedPrefect
from praxis_core.services.registration import COMMAND
from praxis_core.services.stack import up
from praxis_core.services.valkey import EmbeddedValkey
from praxis_core.services.workcells import EmbeddedLab, EmbeddedWatchdog, known_here
from praxis_core.services.worker import EmbeddedWorker
from praxis_core.settings import PraxisSettings

if TYPE_CHECKING:
    from praxis_core.journal.record import Journal
    from praxis_core.orchestrator import Orchestrator

TEMPLATE = "template_migrated"

STACKS = (
    "tests/services/",
    "tests/flows/",
    "tests/browser/",
    "tests/chaos/test_through_prefect.py",
)
"""Tests that start whole stacks."""

_numbers = itertools.count(1)


class _ByFile(LoadScopeScheduling):
    """Keeps each file in one process, and in the same one all that start whole stacks.

    Their Prefect servers would fight for a port, and so would what they find running.
    """

    def _split_scope(self, nodeid: str) -> str:
        file = nodeid.partition("::")[0]
        return "stack" if file.startswith(STACKS) else file


def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> LoadScopeScheduling:
    """Say which tests go to which process."""
    return _ByFile(config, log)


@pytest.fixture(scope="session")
def ended_with_the_tests() -> Iterator[Callable[[Path], None]]:
    """Sees to it that the services of a home end with the tests, also when these are killed."""
    code = (
        "import sys; homes = sys.stdin.read().splitlines()\n"
        "from praxis_core.services.stack import down\n"
        "from praxis_core.settings import PraxisSettings\n"
        "for home in homes: down(PraxisSettings(home=home))\n"
    )
    # The kernel closes the pipe, however this process ends.
    with subprocess.Popen(
        [sys.executable, "-c", code], stdin=subprocess.PIPE, text=True, start_new_session=True
    ) as janitor:

        def watch(folder: Path) -> None:
            print(folder, file=janitor.stdin, flush=True)

        yield watch
        janitor.communicate()
    assert janitor.returncode == 0


@pytest.fixture(scope="session")
def home(
    tmp_path_factory: pytest.TempPathFactory, ended_with_the_tests: Callable[[Path], None]
) -> Iterator[Path]:
    """A temporary PRAXIS_HOME whose embedded Postgres and Valkey run for the session."""
    folder = tmp_path_factory.mktemp("praxis")
    with pytest.MonkeyPatch.context() as environment:
        for name in list(os.environ):
            if name.startswith(("PRAXIS_", "PREFECT_")):
                environment.delenv(name)
        environment.setenv("PRAXIS_HOME", str(folder))
        environment.setenv("PRAXIS_PREFECT_PORT", "14200")
        environment.setenv("PRAXIS_RUN_REPORTS", "false")  # each would be a process more
        environment.setenv("PRAXIS_RUN_PICTURES", "false")  # half a second each
        environment.setenv("PRAXIS_PAGE_PORT", "0")  # a test that looks at it starts one of its own
        place = prepare(PraxisSettings())
        services = (EmbeddedPostgres(place), EmbeddedValkey(place))
        ended_with_the_tests(folder)
        for service, record in [(service, service.launch()) for service in services]:
            service.wait(record)
        yield folder


@pytest.fixture(scope="session")
def stack(home: Path) -> Iterator[PraxisSettings]:
    """The settings of a whole stack that runs for the session, with everything deployed."""
    yield from _running(COMMAND)


@pytest.fixture(scope="session")
def bare_stack(home: Path) -> Iterator[PraxisSettings]:
    """The settings of the same stack; its library is deployed or not."""
    yield from _running(None)


@pytest.fixture(scope="session")
def postgres(home: Path) -> EmbeddedPostgres:
    """The session's Postgres."""
    return EmbeddedPostgres(prepare(PraxisSettings()))


@pytest.fixture(scope="session")
def migrated_template(postgres: EmbeddedPostgres) -> str:
    """The name of a database with the schema of Praxis, to be cloned and never written to."""
    from praxis_core.journal.schema import upgrade

    postgres.create_database(TEMPLATE)
    upgrade(_url(postgres, TEMPLATE))
    return TEMPLATE


@pytest.fixture
def empty_database_url(postgres: EmbeddedPostgres) -> Iterator[str]:
    """The URL of a fresh database without any table."""
    yield from _database(postgres, "template0")


@pytest.fixture
def database_url(postgres: EmbeddedPostgres, migrated_template: str) -> Iterator[str]:
    """The URL of a fresh database with the schema of Praxis."""
    yield from _database(postgres, migrated_template)


@pytest.fixture
def redis_url(home: Path) -> str:
    """The URL of an empty Redis database of its own (2 to 15; the stack has 0 and 1)."""
    number = 2 + next(_numbers) % 14
    url = f"unix://{quote(str(prepare(PraxisSettings()).sockets))}/valkey.sock?db={number}"
    with redis.Redis.from_url(url) as client:
        client.flushdb()
    return url


def _running(register: Sequence[str] | None) -> Iterator[PraxisSettings]:
    settings = PraxisSettings()
    try:
        up(settings, register=None)
        if register is not None:
            asyncio.run(_refill_for_every_run(settings))
            up(settings, register=register)
        yield settings
    finally:
        # Postgres and Valkey belong to the fixture home.
        place = prepare(settings)
        EmbeddedWorker(place, settings).stop()
        for workcell in known_here(place):
            EmbeddedWatchdog(place, settings, workcell).stop()
            EmbeddedLab(place, settings, workcell).stop()
        EmbeddedPrefect(place, settings).stop()


async def _refill_for_every_run(settings: PraxisSettings) -> None:
    """Let each run of a session's tests find the library's deck as its definition says."""
    from flows.library import workcell_files
    from praxis_core.journal.database import Database
    from praxis_core.journal.record import Journal
    from praxis_core.workcell.definition import Refill, load_definition

    async with Database(settings.addresses().database_url) as database:
        for file in workcell_files():
            with as_file(file) as path:
                definition = load_definition(path).model_copy(update={"refill": Refill.EVERY_RUN})
            document = definition.model_dump(mode="json")
            await Journal(database).store_workcell(definition.name, document)


def _database(postgres: EmbeddedPostgres, template: str) -> Iterator[str]:
    name = f"test_{next(_numbers)}"
    words = {"name": sql.Identifier(name), "template": sql.Identifier(template)}
    with postgres.connect("postgres") as connection:
        connection.execute(sql.SQL("CREATE DATABASE {name} TEMPLATE {template}").format(**words))
    yield _url(postgres, name)
    with postgres.connect("postgres") as connection:
        connection.execute(sql.SQL("DROP DATABASE {name} WITH (FORCE)").format(**words))


def _url(postgres: EmbeddedPostgres, database: str) -> str:
    return f"postgresql://praxis@/{database}?host={quote(str(postgres.home.sockets))}"


@pytest.fixture
async def journal(database_url: str) -> AsyncIterator[Journal]:
    """The run history of a database that knows the library."""
    from flows.register import store_library
    from praxis_core.journal.database import Database
    from praxis_core.journal.record import Journal

    async with Database(database_url) as database:
        journal = Journal(database)
        await store_library(journal)
        yield journal


@pytest.fixture
async def orchestrator(
    journal: Journal, database_url: str, redis_url: str, tmp_path: Path
) -> AsyncIterator[Orchestrator]:
    """An orchestrator that runs protocols in this process, without Prefect."""
    from praxis_core.orchestrator import Orchestrator

    settings = PraxisSettings(
        home=tmp_path, database_url=SecretStr(database_url), redis_url=SecretStr(redis_url)
    )
    orchestrator = Orchestrator(journal=journal, settings=settings)
    yield orchestrator
    await orchestrator.close()


class LossyRedis:
    """Stands before a Redis; on demand, the answer to a script is lost with its connection."""

    def __init__(self, folder: Path, url: str) -> None:
        target = urlsplit(url)
        self.url = f"unix://{quote(str(folder / 'lossy.sock'))}?{target.query}"
        self.lost = 0
        self._target = unquote(target.path)
        self._lose = 0
        self._server = socket.socket(socket.AF_UNIX)
        self._server.bind(str(folder / "lossy.sock"))
        self._server.listen()
        threading.Thread(target=self._accept, daemon=True).start()

    def lose_answers(self, count: int) -> None:
        """Let the next scripts be carried out and their answers be lost."""
        self._lose = count

    def close(self) -> None:
        """Accept nobody any more."""
        self._server.shutdown(socket.SHUT_RDWR)
        self._server.close()

    def _accept(self) -> None:
        with suppress(OSError):
            while True:
                client, _ = self._server.accept()
                threading.Thread(target=self._serve, args=(client,), daemon=True).start()

    def _serve(self, client: socket.socket) -> None:
        with client, socket.socket(socket.AF_UNIX) as redis_server, suppress(OSError):
            redis_server.connect(self._target)
            while True:
                ready, _, _ = select.select([client, redis_server], [], [])
                source, sink = (client, redis_server) if client in ready else (redis_server, client)
                data = source.recv(65536)
                sink.sendall(data)
                if not data:
                    return
                if source is client and b"EVAL" in data and self._lose:
                    redis_server.recv(65536)
                    self._lose -= 1
                    self.lost += 1
                    return


@pytest.fixture
def lossy_redis(redis_url: str) -> Iterator[LossyRedis]:
    """The Redis of ``redis_url`` behind a connection that loses answers on demand."""
    with TemporaryDirectory(prefix="lossy") as folder:
        lossy = LossyRedis(Path(folder), redis_url)
        yield lossy
        lossy.close()
