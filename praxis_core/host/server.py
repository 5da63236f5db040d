"""What a workcell host answers: how it is, what its devices do, and the websocket of the runs."""

from __future__ import annotations

import asyncio
import logging
import os
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from functools import partial
from hmac import compare_digest
from time import monotonic

import orjson
from pydantic import JsonValue
from starlette.applications import Starlette
from starlette.requests import HTTPConnection, Request
from starlette.responses import Response
from starlette.routing import Route, WebSocketRoute
from starlette.types import ASGIApp, Receive, Scope, Send
from starlette.websockets import WebSocket, WebSocketDisconnect

from praxis_core.errors import MessageRefused, PraxisError
from praxis_core.host.control import HostControl, Tell
from praxis_core.host.metrics import CONTENT_TYPE
from praxis_core.host.sessions import Session, Sessions
from praxis_core.host.wire import VERSION, read_hello, read_request, refusal, reply_bytes
from praxis_core.labware.encoding import encode_error
from praxis_core.workcell.live_status import DeviceStatus

_log = logging.getLogger(__name__)

HELLO_SECONDS = 30.0
"""How long a connection may be silent before it says who it is."""

_GOING_AWAY = 1012
_NOT_ALLOWED = 401


@dataclass(frozen=True, slots=True)
class Served:
    """What a host answers about."""

    workcell: str
    version: int | None
    """Of the stored definition."""
    epoch: int | None
    sessions: Sessions
    status: Callable[[], dict[str, DeviceStatus]]
    deck: Callable[[], JsonValue]
    control: HostControl
    """Does what people say."""
    stopped: Callable[[], bool]
    """Whether nothing is sent for any run: it was stopped, or given to another program."""
    given_away: Callable[[], bool]
    """Whether another program has the devices, or nobody has looked since it had them."""
    watched: Callable[[], bool]
    """Whether a watchdog would make the devices safe if this process died."""
    metrics: Callable[[], bytes]
    """What Prometheus is told."""
    since: float = field(default_factory=monotonic)


class SocketConnection:
    """One websocket to the process of a run."""

    def __init__(self, websocket: WebSocket) -> None:
        self._websocket = websocket
        self._closed = False

    async def receive(self) -> bytes | str | None:
        """Wait for the next message; None: the connection has ended."""
        if self._closed:
            return None
        message = await self._websocket.receive()
        if self._closed or message["type"] == "websocket.disconnect":
            self._closed = True
            return None
        frame: bytes | str | None = message.get("bytes")
        return message.get("text") if frame is None else frame

    async def send(self, frame: bytes) -> None:
        """Send a message, or nothing when nobody is there any more."""
        if self._closed:
            return
        try:
            await self._websocket.send({"type": "websocket.send", "bytes": frame})
        except (WebSocketDisconnect, RuntimeError):  # it ended a moment ago
            self._closed = True

    async def close(self, last_word: bytes | None = None) -> None:
        """Take no more messages."""
        if last_word is not None:
            await self.send(last_word)
        if not self._closed:
            self._closed = True
            try:
                await self._websocket.close(_GOING_AWAY)
            except (WebSocketDisconnect, RuntimeError):  # it ended a moment ago
                return


def application(served: Served, *, token: str | None = None) -> ASGIApp:
    """Make what a web server serves.

    Args:
        served: What is told.
        token: Secret that a caller must show; None: anybody who reaches the socket may ask.
    """

    async def health(_request: Request) -> Response:
        return _json(
            {
                "version": VERSION,
                "workcell": served.workcell,
                "workcell_version": served.version,
                "epoch": served.epoch,
                "pid": os.getpid(),
                "runs": served.sessions.overview(),
                "ending": served.sessions.stopping,
                "uptime": monotonic() - served.since,
                "watched": served.watched(),
                "stopped": served.stopped(),
                "given_away": served.given_away(),
            }
        )

    async def status(_request: Request) -> Response:
        return _json({name: asdict(one) for name, one in served.status().items()})

    async def deck(_request: Request) -> Response:
        return _json(served.deck())

    async def metrics(_request: Request) -> Response:
        return Response(served.metrics(), media_type=CONTENT_TYPE)

    async def run(websocket: WebSocket) -> None:
        await websocket.accept()
        await _serve(served.sessions, SocketConnection(websocket))

    routes = [
        Route("/health", health),
        Route("/status", status),
        Route("/deck", deck),
        Route("/metrics", metrics),
        *(
            Route(path, partial(_told, work), methods=["POST"])
            for path, work in served.control.words.items()
        ),
        WebSocketRoute("/run", run),
    ]
    plain = Starlette(routes=routes)
    return plain if token is None else _guarded(plain, token)


async def _told(work: Tell, request: Request) -> Response:
    """Do what a person says."""
    try:
        return _json(await work(orjson.loads(await request.body())))
    except PraxisError as error:
        return _json({"error": asdict(encode_error(error))})


async def _serve(sessions: Sessions, connection: SocketConnection) -> None:
    """Carry one connection from its first word to its end."""
    session: Session | None = None
    try:
        session = await _greet(sessions, connection)
        if session is not None:
            while (frame := await connection.receive()) is not None:
                sessions.take(session, connection, read_request(frame))
    except MessageRefused as error:
        _log.warning("a connection is closed: %s", error)
        await connection.close(refusal(error))
    finally:
        if session is not None:
            sessions.left(session, connection)
        await connection.close()


async def _greet(sessions: Sessions, connection: SocketConnection) -> Session | None:
    try:
        async with asyncio.timeout(HELLO_SECONDS):
            frame = await connection.receive()
    except TimeoutError:
        raise MessageRefused(what="nothing was said") from None
    if frame is None:
        return None
    hello = read_hello(frame)
    try:
        session, welcome = await sessions.enter(hello, connection)
    except MessageRefused:
        raise
    except Exception as error:  # noqa: BLE001  # whoever asked must have an answer
        if not isinstance(error, PraxisError):
            _log.exception("run %s could not be taken in", hello.run_id)
        await connection.close(refusal(error))
        return None
    await connection.send(reply_bytes(welcome))
    return session


def _json(content: object) -> Response:
    return Response(orjson.dumps(content), media_type="application/json")


def _guarded(application: ASGIApp, token: str) -> ASGIApp:
    """Let only those in who show the secret."""
    expected = f"Bearer {token}".encode()

    async def guard(scope: Scope, receive: Receive, send: Send) -> None:
        shown = HTTPConnection(scope).headers.get("authorization", "").encode()
        if compare_digest(shown, expected):
            await application(scope, receive, send)
        else:
            await _turn_away(scope, receive, send)

    return guard


async def _turn_away(scope: Scope, receive: Receive, send: Send) -> None:
    if scope["type"] == "websocket":
        await WebSocket(scope, receive, send).close()
    else:
        await Response(status_code=_NOT_ALLOWED)(scope, receive, send)
