"""The history as a file: dumped, restored, and never lost by restoring."""

from __future__ import annotations

from pathlib import Path

import psycopg
import pytest

from praxis_core.errors import RestoreRefused, ServiceCommandFailed, ServiceNotRunning
from praxis_core.services.database import dump, restore, upgrade
from praxis_core.settings import PraxisSettings


@pytest.fixture
def settings(database_url: str, tmp_path: Path) -> PraxisSettings:
    """Settings whose database has one workcell in it."""
    made = PraxisSettings(home=tmp_path, database_url=database_url)
    _add(made, "one")
    return made


def _add(settings: PraxisSettings, name: str) -> None:
    with psycopg.connect(settings.addresses().database_url) as connection:
        connection.execute("CREATE TABLE IF NOT EXISTS praxis.noted (name text)")
        connection.execute("INSERT INTO praxis.noted VALUES (%s)", [name])


def _names(settings: PraxisSettings) -> list[str]:
    with psycopg.connect(settings.addresses().database_url) as connection:
        rows = connection.execute("SELECT name FROM praxis.noted ORDER BY name").fetchall()
    return [row[0] for row in rows]


def test_what_was_dumped_is_there_after_a_restore(
    settings: PraxisSettings, empty_database_url: str, tmp_path: Path
) -> None:
    """On another machine, in an empty database; the schema is current afterwards."""
    other = PraxisSettings(home=tmp_path, database_url=empty_database_url)
    file = tmp_path / "a file.dump"

    dump(settings, file)
    restore(other, file)

    assert _names(other) == ["one"]
    assert upgrade(other) == upgrade(settings)


def test_a_restore_over_something_is_refused(settings: PraxisSettings, tmp_path: Path) -> None:
    """Only who says so replaces what is there, and then all of it."""
    file = tmp_path / "history.dump"
    dump(settings, file)
    _add(settings, "two")

    with pytest.raises(RestoreRefused, match="--replace"):
        restore(settings, file)
    assert _names(settings) == ["one", "two"]

    restore(settings, file, replace=True)
    assert _names(settings) == ["one"]


def test_a_damaged_file_changes_nothing(settings: PraxisSettings, tmp_path: Path) -> None:
    """A restore is one transaction."""
    file = tmp_path / "history.dump"
    dump(settings, file)
    file.write_bytes(file.read_bytes()[:-200])

    with pytest.raises(ServiceCommandFailed):
        restore(settings, file, replace=True)

    assert _names(settings) == ["one"]


def test_a_restore_that_fails_halfway_changes_nothing(
    settings: PraxisSettings, tmp_path: Path
) -> None:
    """What the dump relies on outside the schema may be missing."""
    file = tmp_path / "history.dump"
    with psycopg.connect(settings.addresses().database_url) as connection:
        connection.execute("CREATE TABLE public.elsewhere (name text)")
        connection.execute("CREATE VIEW praxis.relying AS SELECT name FROM public.elsewhere")
    dump(settings, file)
    with psycopg.connect(settings.addresses().database_url) as connection:
        connection.execute("DROP TABLE public.elsewhere CASCADE")

    with pytest.raises(ServiceCommandFailed, match="elsewhere"):
        restore(settings, file, replace=True)

    assert _names(settings) == ["one"]


def test_a_failed_dump_leaves_the_older_file(empty_database_url: str, tmp_path: Path) -> None:
    """A dump has its name only when it is complete."""
    file = tmp_path / "history.dump"
    file.write_text("older")

    with pytest.raises(ServiceCommandFailed, match="no matching schemas"):
        dump(PraxisSettings(home=tmp_path, database_url=empty_database_url), file)

    assert file.read_text() == "older"
    assert [found.name for found in tmp_path.glob("history*")] == ["history.dump"]


def test_without_a_database_the_error_says_what_to_do(own: PraxisSettings, tmp_path: Path) -> None:
    """The embedded Postgres is started by one command."""
    (tmp_path / "history.dump").write_text("")

    for act in (
        lambda: dump(own, tmp_path / "new.dump"),
        lambda: restore(own, tmp_path / "history.dump"),
        lambda: upgrade(own),
    ):
        with pytest.raises(ServiceNotRunning, match="praxis up"):
            act()


def test_a_file_that_is_not_there_is_named(settings: PraxisSettings, tmp_path: Path) -> None:
    """Before the database is looked at."""
    with pytest.raises(RestoreRefused, match="nowhere"):
        restore(settings, tmp_path / "nowhere")
