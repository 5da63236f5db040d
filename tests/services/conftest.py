"""Homes of their own for the tests of the services, and a stack without the library."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from praxis_core.services.postgres import EmbeddedPostgres
from praxis_core.services.stack import down
from praxis_core.services.valkey import EmbeddedValkey
from praxis_core.settings import PraxisSettings


@pytest.fixture
def settings_for(
    home: Path, open_folder: Path, ended_with_the_tests: Callable[[Path], None]
) -> Iterator[Callable[[Path], PraxisSettings]]:
    """Makes settings for a home of the test's own, whose services are ended after it."""
    made = []

    def make(folder: Path) -> PraxisSettings:
        ended_with_the_tests(folder)
        made.append(PraxisSettings(home=folder, prefect_port=14300))
        return made[-1]

    yield make
    for settings in made:
        down(settings)


@pytest.fixture
def own(settings_for: Callable[[Path], PraxisSettings], tmp_path: Path) -> PraxisSettings:
    """Settings of an empty home."""
    return settings_for(tmp_path / "home")


@pytest.fixture
def open_folder() -> Iterator[Path]:
    """A folder that every user may enter; those of pytest are closed."""
    with tempfile.TemporaryDirectory(dir="/tmp") as name:
        folder = Path(name)
        folder.chmod(0o755)
        yield folder


@pytest.fixture
def run_postgres() -> Callable[[EmbeddedPostgres], EmbeddedPostgres]:
    """Starts a Postgres and waits for it."""

    def run(postgres: EmbeddedPostgres) -> EmbeddedPostgres:
        postgres.wait(postgres.launch())
        return postgres

    return run


@pytest.fixture
def run_valkey() -> Callable[[EmbeddedValkey], EmbeddedValkey]:
    """Starts a Valkey and waits for it."""

    def run(valkey: EmbeddedValkey) -> EmbeddedValkey:
        valkey.wait(valkey.launch())
        return valkey

    return run
