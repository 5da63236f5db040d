"""Asks a workcell's host something over HTTP, for the command line."""

from __future__ import annotations

import socket
from collections.abc import Callable
from contextlib import closing
from http import HTTPStatus
from http.client import HTTPConnection, HTTPException, HTTPSConnection
from typing import Any, TypeVar
from urllib.parse import urlsplit

import orjson

from praxis_core.errors import HostNotRunning
from praxis_core.host.address import HostAddress, address_of
from praxis_core.labware.encoded_error import EncodedError
from praxis_core.settings import PraxisSettings

_Content = TypeVar("_Content")

ANSWER_SECONDS = 3.0
"""How long a person waits for a host that does not answer."""


def ask_host(
    settings: PraxisSettings,
    workcell: str,
    path: str,
    *,
    tell: dict[str, Any] | None = None,
    seconds: float = ANSWER_SECONDS,
) -> dict[str, Any]:
    """Ask the host of a workcell: ``/health``, ``/status``, ``/deck``; or tell it something.

    Args:
        settings: Where hosts answer.
        workcell: Its name.
        path: What is asked.
        tell: What is told (``/release``); None: it is only asked.
        seconds: How long its answer is waited for.

    Raises:
        HostNotRunning: it does not answer.
        PraxisError: it refuses.
    """
    content: dict[str, Any] = _asked(settings, workcell, path, tell, seconds, orjson.loads)
    if content.keys() == {"error"}:
        from praxis_core.labware.encoding import decode_error

        raise decode_error(EncodedError(**content["error"]))
    return content


def metrics_of_host(settings: PraxisSettings, workcell: str, *, seconds: float) -> str:
    """Ask the host of a workcell for what it tells Prometheus.

    Raises:
        HostNotRunning: it does not answer.
        SettingsError: it cannot be asked.
    """
    return _asked(settings, workcell, "/metrics", None, seconds, bytes.decode)


def _asked(  # noqa: PLR0913, PLR0917  # the request, and how its answer is read
    settings: PraxisSettings,
    workcell: str,
    path: str,
    tell: dict[str, Any] | None,
    seconds: float,
    read: Callable[[bytes], _Content],
) -> _Content:
    address = address_of(settings, workcell)
    try:
        with closing(_connection(address, seconds)) as connection:
            body = None if tell is None else orjson.dumps(tell)
            method = "GET" if tell is None else "POST"
            connection.request(method, path, body, address.headers)
            answer = connection.getresponse()
            content = answer.read() if answer.status == HTTPStatus.OK else b""
            what = f"it answers {answer.status}"
            if content:
                return read(content)
    except (OSError, HTTPException, ValueError) as error:
        what = str(error) or type(error).__name__
        raise HostNotRunning(workcell=workcell, address=str(address), what=what) from error
    raise HostNotRunning(workcell=workcell, address=str(address), what=what)


class _UnixConnection(HTTPConnection):
    """HTTP over a unix socket."""

    def __init__(self, path: str, seconds: float) -> None:
        super().__init__("host", timeout=seconds)
        self._path = path

    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.sock.settimeout(self.timeout)
        self.sock.connect(self._path)


def _connection(address: HostAddress, seconds: float) -> HTTPConnection:
    if address.url is None:
        return _UnixConnection(str(address.socket), seconds)
    parts = urlsplit(address.url)
    return HTTPSConnection(str(parts.hostname), parts.port, timeout=seconds, context=address.tls)
