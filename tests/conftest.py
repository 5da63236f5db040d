"""Real services for the tests: a Postgres and a Valkey per session, a database per test."""

from __future__ import annotations

import itertools
import os
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import quote

import pytest
import redis
from psycopg import sql

from praxis_core.services.home import prepare
from praxis_core.services.postgres import EmbeddedPostgres
from praxis_core.services.stack import down, up
from praxis_core.services.valkey import EmbeddedValkey
from praxis_core.settings import PraxisSettings

TEMPLATE = "template_migrated"

_numbers = itertools.count(1)


@pytest.fixture(scope="session")
def home(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A temporary PRAXIS_HOME whose embedded Postgres and Valkey run for the session."""
    folder = tmp_path_factory.mktemp("praxis")
    with pytest.MonkeyPatch.context() as environment:
        for name in list(os.environ):
            if name.startswith(("PRAXIS_", "PREFECT_")):
                environment.delenv(name)
        environment.setenv("PRAXIS_HOME", str(folder))
        environment.setenv("PRAXIS_PREFECT_PORT", "14200")
        place = prepare(PraxisSettings())
        services = (EmbeddedPostgres(place), EmbeddedValkey(place))
        try:
            for service, record in [(service, service.launch()) for service in services]:
                service.wait(record)
            yield folder
        finally:
            for service in services:
                service.stop()


@pytest.fixture(scope="session")
def stack(home: Path) -> Iterator[PraxisSettings]:
    """The settings of a whole stack that runs for the session, with everything deployed."""
    settings = PraxisSettings()
    try:
        up(settings)
        yield settings
    finally:
        down(settings)


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
