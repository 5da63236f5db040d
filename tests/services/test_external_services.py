"""Services that somebody else runs: used when they are good, and one clear error when not."""

from __future__ import annotations

import json
import socketserver
import struct
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
import redis

from praxis_core.errors import ServiceUnreachable, ServiceWrongVersion, SettingsError
from praxis_core.services import external
from praxis_core.services.home import prepare
from praxis_core.services.stack import up
from praxis_core.services.valkey import EmbeddedValkey
from praxis_core.settings import PraxisSettings

NOBODY = "127.0.0.1:1"
"""A port on which nothing listens."""

CHECKS = {
    "PRAXIS_DATABASE_URL": external.check_database,
    "PRAXIS_REDIS_URL": external.check_redis,
    "PREFECT_API_URL": external.check_prefect,
}
FIELDS = {
    "PRAXIS_DATABASE_URL": ("database_url", "postgresql://me:secret@{}/lab"),
    "PRAXIS_REDIS_URL": ("redis_url", "redis://:secret@{}/0"),
    "PREFECT_API_URL": ("PREFECT_API_URL", "http://{}/api"),
}


def _settings(folder: Path, setting: str, server: str) -> PraxisSettings:
    field, form = FIELDS[setting]
    return PraxisSettings(home=folder, **{field: form.format(server)})


@contextmanager
def _answering(handle: Callable[[socketserver.StreamRequestHandler], None]) -> Iterator[str]:
    """A server that answers each connection with ``handle``; gives its address."""

    class Handler(socketserver.StreamRequestHandler):
        def handle(self) -> None:
            handle(self)

    class Server(socketserver.ThreadingTCPServer):
        allow_reuse_address = True
        daemon_threads = True

    with Server(("127.0.0.1", 0), Handler) as server:
        threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
        yield f"127.0.0.1:{server.server_address[1]}"
        server.shutdown()


def _old_postgres(connection: socketserver.StreamRequestHandler) -> None:
    def message(kind: bytes, body: bytes) -> bytes:
        return kind + struct.pack("!i", len(body) + 4) + body

    while True:
        (length,) = struct.unpack("!i", connection.rfile.read(4))
        (code,) = struct.unpack("!i", connection.rfile.read(length - 4)[:4])
        if code == 3 << 16:  # not a request for encryption, but the start-up message
            break
        connection.wfile.write(b"N")
    connection.wfile.write(
        message(b"R", struct.pack("!i", 0))
        + message(b"S", b"server_version\x0014.8\x00")
        + message(b"S", b"client_encoding\x00UTF8\x00")
        + message(b"K", struct.pack("!ii", 1, 1))
        + message(b"Z", b"I")
    )
    connection.rfile.read(1)


def _old_redis(connection: socketserver.StreamRequestHandler) -> None:
    while line := connection.rfile.readline():
        words = []
        for _ in range(int(line[1:])):
            size = int(connection.rfile.readline()[1:])
            words.append(connection.rfile.read(size + 2)[:-2].upper())
        if words[0] == b"INFO":
            text = b"# Server\r\nredis_version:6.2.14\r\n"
            connection.wfile.write(b"$%d\r\n%s\r\n" % (len(text), text))
        elif words[0] == b"HELLO":
            connection.wfile.write(b"-ERR unknown command\r\n")
        else:
            connection.wfile.write(b"+OK\r\n")


def _stranger(connection: socketserver.StreamRequestHandler) -> None:
    connection.wfile.write(b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n")


@contextmanager
def _old_prefect() -> Iterator[str]:
    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            body = json.dumps("3.4.0" if self.path == "/api/admin/version" else True).encode()
            self.send_response(200)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            """Say nothing."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
        yield f"127.0.0.1:{server.server_address[1]}"
        server.shutdown()


@pytest.mark.parametrize("setting", CHECKS)
def test_a_service_that_does_not_answer_is_named(
    home: Path, setting: str, own: PraxisSettings
) -> None:
    """Nothing else is started then."""
    settings = _settings(own.home, setting, NOBODY)

    with pytest.raises(ServiceUnreachable, match=f"set by {setting}") as caught:
        up(settings, register=None)

    assert "secret" not in str(caught.value)
    assert not list(prepare(settings).records.iterdir())


@pytest.mark.parametrize("setting", CHECKS)
def test_another_service_at_the_address_is_no_service(
    home: Path, setting: str, tmp_path: Path
) -> None:
    """An address with a wrong port is found out."""
    with (
        _answering(_stranger) as server,
        pytest.raises(ServiceUnreachable, match=f"set by {setting}"),
    ):
        CHECKS[setting](_settings(tmp_path, setting, server))


def _silent(connection: socketserver.StreamRequestHandler) -> None:
    connection.rfile.read(1)


def test_a_server_that_takes_the_connection_and_is_silent_is_given_up_on(
    home: Path, tmp_path: Path
) -> None:
    """After a few seconds, not minutes."""
    with (
        _answering(_silent) as server,
        pytest.raises(ServiceUnreachable, match="set by PRAXIS_REDIS_URL"),
    ):
        CHECKS["PRAXIS_REDIS_URL"](_settings(tmp_path, "PRAXIS_REDIS_URL", server))


def test_an_old_postgres_is_refused(home: Path, tmp_path: Path) -> None:
    """Prefect's migrations need 14.9."""
    setting = "PRAXIS_DATABASE_URL"
    with (
        _answering(_old_postgres) as server,
        pytest.raises(ServiceWrongVersion, match=r"PRAXIS_DATABASE_URL\) has version 14\.8"),
    ):
        CHECKS[setting](_settings(tmp_path, setting, f"{server}"))


def test_an_old_redis_is_refused(home: Path, tmp_path: Path) -> None:
    """Our scripts need functions of 7."""
    setting = "PRAXIS_REDIS_URL"
    with (
        _answering(_old_redis) as server,
        pytest.raises(ServiceWrongVersion, match=r"PRAXIS_REDIS_URL\) has version 6\.2\.14"),
    ):
        CHECKS[setting](_settings(tmp_path, setting, server))


def test_an_old_prefect_is_refused(home: Path, tmp_path: Path) -> None:
    """Its API has not all that is asked for."""
    setting = "PREFECT_API_URL"
    with (
        _old_prefect() as server,
        pytest.raises(ServiceWrongVersion, match=r"PREFECT_API_URL\) has version 3\.4\.0"),
    ):
        CHECKS[setting](_settings(tmp_path, setting, server))


def test_a_redis_that_throws_keys_away_is_refused(
    own: PraxisSettings, run_valkey: Callable[[EmbeddedValkey], EmbeddedValkey]
) -> None:
    """The state of a run would be gone in the middle of it."""
    valkey = run_valkey(EmbeddedValkey(prepare(own)))
    settings = PraxisSettings(home=own.home, redis_url=f"unix://{valkey.socket}?db=4")
    external.check_redis(settings)
    with redis.Redis(unix_socket_path=str(valkey.socket)) as client:
        client.config_set("maxmemory", "100mb")
        client.config_set("maxmemory-policy", "allkeys-lru")

    with pytest.raises(SettingsError, match=r"PRAXIS_REDIS_URL.*noeviction"):
        external.check_redis(settings)


def test_a_redis_without_the_second_database_is_refused(redis_url: str, tmp_path: Path) -> None:
    """Prefect's messages take the database after the one that is named."""
    last = redis_url.partition("?")[0] + "?db=15"

    with pytest.raises(ServiceUnreachable, match="PRAXIS_REDIS_URL"):
        external.check_redis(PraxisSettings(home=tmp_path, redis_url=last))


def test_a_database_of_somebody_else_is_used(database_url: str, tmp_path: Path) -> None:
    """A Postgres that answers and is new enough is good."""
    external.check_database(PraxisSettings(home=tmp_path, database_url=database_url))
