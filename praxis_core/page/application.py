"""What the page's process answers: the page, what changes on it, and what somebody says there."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from hmac import compare_digest
from importlib.resources import files
from typing import Any
from urllib.parse import urlsplit
from uuid import UUID

import orjson
from redis.asyncio import Redis
from starlette.applications import Starlette
from starlette.datastructures import Headers, MutableHeaders
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from praxis_core.errors import (
    AlreadyAnswered,
    NothingToAnswer,
    PraxisError,
    RequestError,
    RunNotFound,
    WorkcellNotFound,
)
from praxis_core.host.metrics import CONTENT_TYPE
from praxis_core.host.stopping import stop_workcell
from praxis_core.journal.control import Said
from praxis_core.journal.record import Journal
from praxis_core.page.answering import answer
from praxis_core.page.metrics import Metrics
from praxis_core.page.reading import Reader
from praxis_core.page.reports import Reports
from praxis_core.page.watching import Looking, Watched
from praxis_core.settings import PraxisSettings

_log = logging.getLogger(__name__)

MOST_LOOKING = 40
"""Browsers at a time, on all workcells."""
SEND_SECONDS = 20.0
"""How long a browser may take to accept what it is told."""
LARGEST_BODY = 64 * 1024
LONGEST_NAME = 100

_HERE = frozenset({"127.0.0.1", "localhost", "::1"})
_FILES = {"page.css": "text/css", "page.js": "text/javascript"}
_HEADERS = {
    "Content-Security-Policy": "default-src 'none'; script-src 'self'; style-src 'self'; "
    "img-src 'self' data:; frame-src 'self'; connect-src 'self'; base-uri 'none'; "
    "form-action 'none'; frame-ancestors 'none'; require-trusted-types-for 'script'",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cache-Control": "no-store",
}
_PICTURE_HEADERS = {
    # Shown within the page; it can neither run nor load anything.
    "Content-Security-Policy": "default-src 'none'; style-src 'unsafe-inline'; img-src data:; "
    "frame-ancestors 'self'"
}

_REPORT_HEADERS = {
    # It shows texts of anybody: it is of no origin, so that it cannot have the page's token. Within
    # it only the script runs that it names itself.
    "Content-Security-Policy": "sandbox allow-scripts; default-src 'none'; "
    "style-src 'unsafe-inline'; script-src 'unsafe-inline'; frame-ancestors 'none'"
}
_NOT_YET = 202
_NOT_YET_TEXT = (
    '<!DOCTYPE html><html lang="en"><meta charset="utf-8"><meta http-equiv="refresh" content="2">'
    "<title>The report is being made</title><p>The report is being made: 10 to 40 ms per command. "
    "It is shown here when it is ready."
)

_BAD, _UNKNOWN, _REFUSED, _BUSY = 400, 404, 409, 503
_NOT_ALLOWED, _MISDIRECTED = 401, 421

Act = Callable[[str, Mapping[str, Any]], Awaitable[object]]


class Pages:
    """The pages of all workcells of one home.

    Args:
        settings: Where everything is.
        journal: What happened.
        redis: Who waits.
    """

    def __init__(self, settings: PraxisSettings, journal: Journal, redis: Redis) -> None:
        self._settings = settings
        self._journal = journal
        self._redis = redis
        self._readers: dict[str, Reader] = {}
        self._watched: dict[str, Watched] = {}
        self._reports = Reports(settings, journal)
        # Of their own: somebody who stops a workcell does not stand behind those who look at it.
        self._acting = ThreadPoolExecutor(4, "acting")
        self._metrics = Metrics(settings, journal, redis)

    def application(self, token: str) -> ASGIApp:
        """Make what a web server serves.

        Args:
            token: Who shows it may act.
        """
        routes = [
            Route("/", self._start),
            *(Route(f"/{name}", _file(name, kind)) for name, kind in _FILES.items()),
            Route("/workcells", self._names),
            Route("/metrics", self._all_metrics),
            Route("/w/{name}", self._page),
            Route("/w/{name}/events", self._events),
            Route("/w/{name}/deck.svg", self._deck),
            Route("/runs/{run}/report", self._report),
            Route("/w/{name}/stop", _acting(token, self._stop), methods=["POST"]),
            Route("/w/{name}/answer", _acting(token, self._answer), methods=["POST"]),
        ]
        return _guarded(Starlette(routes=routes))

    async def _start(self, _request: Request) -> Response:
        return Response(_content("start.html"), media_type="text/html")

    async def _page(self, _request: Request) -> Response:
        return Response(_content("page.html"), media_type="text/html")

    async def _names(self, _request: Request) -> Response:
        try:
            known = await self._journal.workcells()
        except PraxisError as error:
            return _json({"error": str(error)}, _BUSY)
        return _json([{"name": one.name, "about": one.definition["description"]} for one in known])

    async def _all_metrics(self, _request: Request) -> Response:
        return Response(await self._metrics.text(), media_type=CONTENT_TYPE)

    async def _events(self, request: Request) -> Response | _EventStream:
        if sum(map(len, self._watched.values())) >= MOST_LOOKING:
            return _json({"error": f"{MOST_LOOKING} pages are open already"}, _BUSY)
        try:
            return _EventStream(await self._of(request.path_params["name"]))
        except WorkcellNotFound as error:
            return _json({"error": str(error)}, _UNKNOWN)
        except PraxisError as error:
            return _json({"error": str(error)}, _BUSY)

    async def _deck(self, request: Request) -> Response:
        reader = self._readers.get(request.path_params["name"])
        if reader is None or reader.deck.svg is None:
            return _json({"error": "there is no picture"}, _UNKNOWN)
        return Response(reader.deck.svg, media_type="image/svg+xml", headers=_PICTURE_HEADERS)

    async def _report(self, request: Request) -> Response:
        try:
            html = await self._reports.of(UUID(request.path_params["run"]))
        except (RunNotFound, ValueError) as error:
            return _json({"error": str(error)}, _UNKNOWN)
        except (PraxisError, OSError) as error:
            return _json({"error": str(error)}, _BUSY)
        if html is None:
            return Response(_NOT_YET_TEXT, _NOT_YET, media_type="text/html")
        return Response(html, media_type="text/html", headers=_REPORT_HEADERS)

    async def _stop(self, name: str, words: Mapping[str, Any]) -> object:
        if not self._settings.workcell_socket(name).exists() and name not in self._watched:
            await self._journal.workcell(name)
        said = Said(_by(words), _text(words, "why", needed=False))
        _log.warning("workcell %s is stopped %s, on its page", name, said)
        in_thread = asyncio.get_running_loop().run_in_executor
        return await in_thread(self._acting, stop_workcell, self._settings, name, said)

    async def _answer(self, name: str, words: Mapping[str, Any]) -> object:
        await self._journal.workcell(name)
        return await answer(self._settings, self._journal, name, words, _by(words))

    async def _of(self, name: str) -> Watched:
        if name not in self._watched:
            await self._journal.workcell(name)
            reader = Reader(self._settings, name, self._journal, self._redis)
            self._readers[name] = reader
            self._watched[name] = Watched(reader.read)
        return self._watched[name]


class _EventStream:
    """Tells one browser what changes, until it goes away or does not keep up."""

    def __init__(self, watched: Watched) -> None:
        self._watched = watched

    async def __call__(self, _scope: Scope, receive: Receive, send: Send) -> None:
        headers = [(b"content-type", b"text/event-stream"), (b"x-accel-buffering", b"no")]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        async with self._watched.looking() as looking:
            telling = asyncio.create_task(self._tell(looking, send))
            leaving = asyncio.create_task(_left(receive))
            try:
                await asyncio.wait({telling, leaving}, return_when=asyncio.FIRST_COMPLETED)
            finally:
                for task in (telling, leaving):
                    task.cancel()
                    with suppress(asyncio.CancelledError, TimeoutError, OSError):
                        await task

    async def _tell(self, looking: Looking, send: Send) -> None:
        while True:
            news = await looking.news() or {"alive": b"null"}
            body = b"".join(
                b"event: %s\ndata: %s\n\n" % (part.encode(), content)
                for part, content in news.items()
            )
            async with asyncio.timeout(SEND_SECONDS):
                await send({"type": "http.response.body", "body": body, "more_body": True})


async def _left(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass


def _acting(token: str, act: Act) -> Callable[[Request], Awaitable[Response]]:
    """Let somebody act who shows the secret; in a header, which no other site's page can send."""
    expected = f"Bearer {token}".encode()

    async def acting(request: Request) -> Response:
        shown = request.headers.get("authorization", "").encode()
        if not compare_digest(shown, expected):
            return _json({"error": "this needs the token: praxis workcell page"}, _NOT_ALLOWED)
        try:
            return _json(await act(request.path_params["name"], await _words(request)))
        except WorkcellNotFound as error:
            return _json({"error": str(error)}, _UNKNOWN)
        except (AlreadyAnswered, NothingToAnswer) as error:
            return _json({"error": str(error)}, _REFUSED)
        except RequestError as error:
            return _json({"error": str(error)}, _BAD)
        except PraxisError as error:
            return _json({"error": str(error)}, _REFUSED)

    return acting


async def _words(request: Request) -> Mapping[str, Any]:
    found = bytearray()
    async for part in request.stream():
        found += part
        if len(found) > LARGEST_BODY:
            raise RequestError(what=f"it is longer than {LARGEST_BODY} bytes")
    try:
        words = orjson.loads(found)
    except ValueError:
        words = None
    if not isinstance(words, dict):
        raise RequestError(what="it is no JSON object")
    return words


def _by(words: Mapping[str, Any]) -> str:
    by = _text(words, "by").strip()
    if not 0 < len(by) <= LONGEST_NAME:
        raise RequestError(what=f"say who you are, in 1 to {LONGEST_NAME} characters")
    return by


def _text(words: Mapping[str, Any], name: str, *, needed: bool = True) -> str:
    found = words.get(name, None if needed else "")
    if not isinstance(found, str):
        raise RequestError(what=f"{name!r} is no text")
    return found


def _file(name: str, kind: str) -> Callable[[Request], Awaitable[Response]]:
    async def serve(_request: Request) -> Response:
        return Response(_content(name), media_type=kind)

    return serve


def _content(name: str) -> bytes:
    return files("praxis_core.page").joinpath("static", name).read_bytes()


def _json(content: object, status: int = 200) -> Response:
    return Response(orjson.dumps(content), status, media_type="application/json")


def _guarded(application: ASGIApp) -> ASGIApp:
    """Answer only who asks for this computer by its own name, and say what a browser may do.

    Another site whose name was made to mean this computer would be let in by the browser.
    """

    async def guard(scope: Scope, receive: Receive, send: Send) -> None:
        headers = Headers(scope=scope)

        async def answer(message: Message) -> None:
            if message["type"] == "http.response.start":
                told = MutableHeaders(scope=message)
                for name, value in _HEADERS.items():
                    told.setdefault(name, value)
            await send(message)

        if scope["type"] != "http" or _is_of_this_computer(headers):
            await application(scope, receive, answer)
        else:
            refused = _json({"error": "ask for 127.0.0.1 or localhost"}, _MISDIRECTED)
            await refused(scope, receive, answer)

    return guard


def _is_of_this_computer(headers: Headers) -> bool:
    host, origin = headers.get("host", ""), headers.get("origin")
    if origin is not None and urlsplit(origin).netloc != host:
        return False
    try:
        return urlsplit(f"http://{host}").hostname in _HERE
    except ValueError:
        return False
