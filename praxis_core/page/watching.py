"""Those who look at a workcell's page, and the one reader that serves all of them."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from datetime import UTC, datetime

import orjson

from praxis_core.page.reading import Sections

_log = logging.getLogger(__name__)

EVERY_SECONDS = 1.0
"""Between the beginnings of two reads, however many look."""

ALIVE_SECONDS = 5.0
"""After that long without news whoever looks is told that there are none."""


class Looking:
    """One browser: what it has not been told yet, of each part only the newest."""

    def __init__(self) -> None:
        self._news: dict[str, bytes] = {}
        self._told = asyncio.Event()

    def tell(self, part: str, content: bytes) -> None:
        """Let it know; never waits, and what it has not fetched is replaced."""
        self._news[part] = content
        self._told.set()

    async def news(self) -> dict[str, bytes]:
        """Wait for news and take them; nothing: there were none for a while."""
        try:
            async with asyncio.timeout(ALIVE_SECONDS):
                await self._told.wait()
        except TimeoutError:
            return {}
        self._told.clear()
        news, self._news = self._news, {}
        return news


class Watched:
    """One workcell that is looked at: it is read only while somebody does.

    Args:
        read: Reads all there is to see.
    """

    def __init__(self, read: Callable[[], Awaitable[Sections]]) -> None:
        self._read = read
        self._looking: set[Looking] = set()
        self._shown: dict[str, bytes] = {}
        self._task: asyncio.Task[None] | None = None
        self._due = 0.0

    def __len__(self) -> int:
        """How many look."""
        return len(self._looking)

    @asynccontextmanager
    async def looking(self) -> AsyncIterator[Looking]:
        """Tell one browser what there is, and then what changes."""
        one = Looking()
        for part, content in self._shown.items():
            one.tell(part, content)
        self._looking.add(one)
        if self._task is None or self._task.done():
            self._task = asyncio.create_task(self._watch(), name="page")
        try:
            yield one
        finally:
            self._looking.discard(one)

    async def _watch(self) -> None:
        loop = asyncio.get_running_loop()
        while self._looking:
            await asyncio.sleep(max(0.0, self._due - loop.time()))
            self._due = loop.time() + EVERY_SECONDS
            try:
                self._show(await self._read())
            except Exception:  # noqa: BLE001  # the next look may succeed; the page says how old it is
                _log.exception("the workcell cannot be read")

    def _show(self, sections: Sections) -> None:
        for part, content in sections.items():
            told = orjson.dumps(content)
            if self._shown.get(part) != told:
                self._shown[part] = told
                for one in self._looking:
                    one.tell(part, told)
        read = orjson.dumps(datetime.now(UTC).isoformat())
        self._shown["read"] = read
        for one in self._looking:
            one.tell("read", read)
