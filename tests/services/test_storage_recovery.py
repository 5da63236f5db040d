"""Postgres and Valkey after kill -9, and what dead servers leave behind."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import psycopg
import pytest
import redis

from praxis_core.errors import ServiceDidNotStart
from praxis_core.services import process
from praxis_core.services.home import Home, prepare
from praxis_core.services.postgres import EmbeddedPostgres
from praxis_core.services.process import ProcessRecord
from praxis_core.services.valkey import EmbeddedValkey
from praxis_core.settings import PraxisSettings

RunPostgres = Callable[[EmbeddedPostgres], EmbeddedPostgres]
RunValkey = Callable[[EmbeddedValkey], EmbeddedValkey]


@pytest.fixture
def place(own: PraxisSettings) -> Home:
    """An empty home."""
    return prepare(own)


@pytest.fixture
def postgres(place: Home, run_postgres: RunPostgres) -> EmbeddedPostgres:
    """A running Postgres with one row in it."""
    server = run_postgres(EmbeddedPostgres(place))
    with server.connect("postgres") as connection:
        connection.execute("CREATE TABLE kept (word text)")
        connection.execute("INSERT INTO kept VALUES ('here')")
    return server


def _kill(record: ProcessRecord | None) -> ProcessRecord:
    assert record is not None
    process.send(signal.SIGKILL, record)
    assert process.wait_until(lambda: not record.alive, 10)
    return record


def _words(postgres: EmbeddedPostgres) -> list[str]:
    with postgres.connect("postgres") as connection:
        return [row[0] for row in connection.execute("SELECT word FROM kept").fetchall()]


def test_postgres_comes_back_after_a_kill_with_all_it_confirmed(
    postgres: EmbeddedPostgres, run_postgres: RunPostgres
) -> None:
    """Its children may still run when the next start finds its lock file."""
    killed = _kill(postgres.record())

    run_postgres(postgres)

    assert _words(postgres) == ["here"]
    assert postgres.record() != killed


@pytest.fixture
def zombie() -> Iterator[int]:
    """The pid of a process that has ended and that nobody has waited for."""
    child = subprocess.Popen([sys.executable, "-c", ""])
    ended = process.wait_until(lambda: process.birth_of(child.pid) is None, 10)
    assert ended
    yield child.pid
    child.wait()


@pytest.fixture
def stranger() -> Iterator[int]:
    """The pid of a program that has nothing to do with Postgres."""
    child = subprocess.Popen(["/bin/sleep", "1000"])
    yield child.pid
    child.kill()
    child.wait()


@pytest.mark.parametrize("kind", ["zombie", "stranger"])
def test_postgres_starts_over_lock_files_whose_pid_is_not_its_own(
    kind: str,
    request: pytest.FixtureRequest,
    postgres: EmbeddedPostgres,
    run_postgres: RunPostgres,
) -> None:
    """Postgres itself refuses, because a process of that number is there."""
    pid = request.getfixturevalue(kind)
    _kill(postgres.record())
    lock = postgres.data / "postmaster.pid"
    socket_lock = postgres.home.sockets / ".s.PGSQL.5432.lock"
    for file in (lock, socket_lock):
        file.write_text("\n".join([str(pid), *file.read_text().splitlines()[1:]]) + "\n")

    run_postgres(postgres)

    assert _words(postgres) == ["here"]
    assert process.birth_of(pid) is not None or kind == "zombie"


def test_a_process_record_of_a_reused_pid_is_not_believed(
    postgres: EmbeddedPostgres, stranger: int, run_postgres: RunPostgres
) -> None:
    """Whoever has the number now is neither taken for Postgres nor killed when it is stopped."""
    killed = _kill(postgres.record())
    process.write_record(postgres.home.record("postgres"), ProcessRecord(stranger, killed.birth))

    assert postgres.record() is None
    postgres.stop()
    run_postgres(postgres)

    assert process.birth_of(stranger) is not None
    assert _words(postgres) == ["here"]


def test_running_servers_whose_records_are_lost_are_found_again(
    postgres: EmbeddedPostgres, place: Home, run_valkey: RunValkey
) -> None:
    """A start may be killed before it writes them; a second server would be the end of the data."""
    valkey = run_valkey(EmbeddedValkey(place))
    before = (postgres.record(), valkey.record())
    for name in ("postgres", "valkey"):
        place.record(name).unlink()

    assert (postgres.launch(), valkey.launch()) == before


def test_an_initialisation_that_was_cut_short_is_done_anew(
    place: Home, run_postgres: RunPostgres
) -> None:
    """The data folder has its name only when it is complete."""
    half = place.folder / f"{EmbeddedPostgres(place).data.name}.new"
    (half / "base").mkdir(parents=True)

    postgres = run_postgres(EmbeddedPostgres(place))

    assert postgres.ready()
    assert not half.exists()


def test_data_of_another_major_version_is_refused_and_left_alone(place: Home) -> None:
    """An empty database in its place would look like the loss of everything."""
    old = place.folder / "postgres-9"
    old.mkdir()
    (old / "PG_VERSION").write_text("9\n")

    with pytest.raises(ServiceDidNotStart, match="praxis db restore"):
        EmbeddedPostgres(place).launch()

    assert [folder.name for folder in place.folder.glob("postgres-*")] == ["postgres-9"]


def test_valkey_comes_back_after_a_kill_with_every_write_it_confirmed(
    place: Home, run_valkey: RunValkey
) -> None:
    """Each write is on disk before its answer; a torn last one is cut off."""
    valkey = run_valkey(EmbeddedValkey(place))
    with redis.Redis(unix_socket_path=str(valkey.socket)) as client:
        for number in range(500):
            client.hset("kept", str(number), "x" * number)
    _kill(valkey.record())

    run_valkey(valkey)

    with redis.Redis(unix_socket_path=str(valkey.socket)) as client:
        assert client.hlen("kept") == 500
        assert client.hget("kept", "499") == b"x" * 499


def test_valkey_never_throws_a_key_away(place: Home, run_valkey: RunValkey) -> None:
    """Run state has no expiry while its run is under way, and memory pressure is no reason."""
    valkey = run_valkey(EmbeddedValkey(place))

    with redis.Redis(unix_socket_path=str(valkey.socket)) as client:
        settings = client.config_get("*")

    assert settings["maxmemory-policy"] == "noeviction"
    assert settings["appendonly"] == "yes"
    assert settings["appendfsync"] == "always"
    assert settings["port"] == "0"


def test_postgres_listens_on_no_port_and_folds_case_the_same_everywhere(
    postgres: EmbeddedPostgres,
) -> None:
    """The locale is Postgres' own: an index made on one machine is right on every other."""
    with postgres.connect("postgres") as connection:
        row = connection.execute(
            "SELECT current_setting('listen_addresses'), datlocprovider, datlocale, "
            "pg_encoding_to_char(encoding) FROM pg_database WHERE datname = current_database()"
        ).fetchone()

    assert row == ("", "b", "C.UTF-8", "UTF8")


def test_a_server_that_cannot_start_shows_the_end_of_its_log(
    postgres: EmbeddedPostgres, run_postgres: RunPostgres
) -> None:
    """The reason is in the message, not in a file to be looked for."""
    postgres.stop()
    (postgres.data / "postgresql.conf").write_text("no_such_setting = 1\n")

    with pytest.raises(ServiceDidNotStart, match="no_such_setting"):
        run_postgres(postgres)


def test_a_connection_is_refused_to_a_stopped_server(postgres: EmbeddedPostgres) -> None:
    """Stop means stopped: no process, no record, nobody answers."""
    record = postgres.record()
    postgres.stop()

    assert record is not None
    assert not record.alive
    assert postgres.record() is None
    with pytest.raises(psycopg.OperationalError):
        postgres.connect("postgres")


def test_a_service_survives_the_process_that_started_it(
    place: Home, own: PraxisSettings, tmp_path: Path
) -> None:
    """It is in a session of its own: neither the end nor the Ctrl-C of its starter reaches it."""
    code = (
        "from praxis_core.services.home import prepare\n"
        "from praxis_core.services.valkey import EmbeddedValkey\n"
        "from praxis_core.settings import PraxisSettings\n"
        f"valkey = EmbeddedValkey(prepare(PraxisSettings(home={str(own.home)!r})))\n"
        "valkey.wait(valkey.launch())\n"
    )

    subprocess.run([sys.executable, "-c", code], check=True, cwd=tmp_path)

    valkey = EmbeddedValkey(place)
    record = valkey.record()
    assert valkey.ready()
    assert record is not None
    assert os.getsid(record.pid) == record.pid
