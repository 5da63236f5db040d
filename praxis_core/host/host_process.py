"""The process of a workcell's host, as its watchdog sees it."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from time import monotonic

import orjson

from praxis_core.host.files import REPLACED

ANSWER_SECONDS = 2.0
"""How long an answer is waited for, before the host is asked anew."""


class HostProcess:
    """One host process, be it a child of this one or of an earlier watchdog.

    Attributes:
        pid: its number.
        ended: is set when the process has ended, at once.
        answered: it has answered at least once.
        silent: seconds since its last answer, as far as this process was awake.
    """

    def __init__(self, pid: int, child: subprocess.Popen[bytes] | None = None) -> None:
        self.pid = pid
        self.ended = asyncio.Event()
        self.answered = False
        self.silent = 0.0
        self._child = child
        self._began = monotonic()
        # Readable when the process ends, whoever is its parent.
        self._watched = os.pidfd_open(pid)
        asyncio.get_running_loop().add_reader(self._watched, self._end)

    @classmethod
    def start(cls, command: Sequence[str]) -> HostProcess:
        """Start a host; what it says goes where this process's words go."""
        child = subprocess.Popen(  # noqa: S603  # this installation's own module
            command,
            stdin=subprocess.DEVNULL,
            # Ctrl-C reaches it through its watchdog, in order.
            start_new_session=True,
        )
        return cls(child.pid, child)

    @classmethod
    def found(cls, pid: int) -> HostProcess | None:
        """Take over a host that an earlier watchdog started; None: it has ended."""
        try:
            return cls(pid)
        except ProcessLookupError:
            return None

    @property
    def replaced(self) -> bool:
        """Whether it ended because another host serves its workcell by now."""
        return self._child is not None and self._child.returncode == REPLACED

    @property
    def lived_seconds(self) -> float:
        """How long this process has known it."""
        return monotonic() - self._began

    def send(self, number: signal.Signals) -> None:
        """Send a signal, never to another process that was given the number."""
        if not self.ended.is_set():
            with suppress(ProcessLookupError):
                signal.pidfd_send_signal(self._watched, number)

    async def wait(self, seconds: float) -> bool:
        """Wait for its end; say whether it came in time."""
        try:
            async with asyncio.timeout(seconds):
                await self.ended.wait()
        except TimeoutError:
            return False
        return True

    async def ask(self, socket: Path, pause: float) -> None:
        """Ask whether it is there, count for how long it has not been, and pause."""
        began = monotonic()
        answer = await health(socket)
        if answer is not None and answer.get("pid") == self.pid:
            self.answered, self.silent = True, 0.0
        else:
            # A watchdog that was stopped for an hour has not waited for an hour.
            self.silent += min(monotonic() - began, ANSWER_SECONDS) + pause
        await asyncio.sleep(pause)

    def how_it_ended(self) -> str:
        """Say how it ended, for people."""
        if self._child is None:
            return "has ended; an earlier watchdog had started it"
        code = self._child.returncode
        if code is not None and code < 0:
            return f"was killed by {signal.Signals(-code).name}"
        return f"ended with exit code {code}"

    def _end(self) -> None:
        asyncio.get_running_loop().remove_reader(self._watched)
        os.close(self._watched)
        if self._child is not None:
            self._child.wait()
        self.ended.set()


async def health(socket: Path, seconds: float = ANSWER_SECONDS) -> dict[str, object] | None:
    """Ask a host how it is; None: nobody answers in time."""
    try:
        async with asyncio.timeout(seconds):
            reader, writer = await asyncio.open_unix_connection(str(socket))
            try:
                writer.write(b"GET /health HTTP/1.1\r\nHost: host\r\nConnection: close\r\n\r\n")
                answer = await reader.read()
            finally:
                writer.close()
        head, _, body = answer.partition(b"\r\n\r\n")
        found = orjson.loads(body)
    except (OSError, TimeoutError, ValueError):
        return None
    return found if head.split(b" ", 2)[1:2] == [b"200"] and isinstance(found, dict) else None
