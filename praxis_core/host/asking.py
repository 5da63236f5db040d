"""Asks a workcell's host something over HTTP, for the command line."""

from __future__ import annotations

import socket
from contextlib import closing
from http.client import HTTPConnection, HTTPException, HTTPSConnection
from typing import Any
from urllib.parse import urlsplit

import orjson

from praxis_core.errors import HostNotRunning
from praxis_core.host.address import HostAddress, address_of
from praxis_core.labware.encoded_error import EncodedError
from praxis_core.settings import PraxisSettings

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
    address = address_of(settings, workcell)
    try:
        with closing(_connection(address, seconds)) as connection:
            body = None if tell is None else orjson.dumps(tell)
            method = "GET" if tell is None else "POST"
            connection.request(method, path, body, address.headers)
            answer = connection.getresponse()
            content: dict[str, Any] = orjson.loads(answer.read())
    except (OSError, HTTPException, ValueError) as error:
        what = str(error) or type(error).__name__
        raise HostNotRunning(workcell=workcell, address=str(address), what=what) from error
    if content.keys() == {"error"}:
        from praxis_core.labware.encoding import decode_error

        raise decode_error(EncodedError(**content["error"]))
    return content


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
