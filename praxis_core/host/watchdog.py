"""The watchdog of a workcell: ``python -m praxis_core.host.watchdog NAME``.

It starts the workcell's host and knows at once when that dies. It then makes the devices safe by
itself, as the host had said beforehand (``workcell-NAME.safe.json``), and starts the host anew. For
that it needs neither Postgres nor Redis nor Prefect, and no PyLabRobot: what it does is written to
a spool, which the next host brings into the audit log.

A watchdog that is killed leaves the host at work; the next one takes that over as it is.
"""

from __future__ import annotations

import asyncio
import logging
import signal
import sys
from collections.abc import Sequence
from contextlib import suppress
from functools import partial

from pydantic import JsonValue

from praxis_core.errors import PraxisError
from praxis_core.host.files import HostFiles, holder, locked_by_me
from praxis_core.host.host_process import HostProcess
from praxis_core.host.safe_keeper import SafeKeeper, Send, send_to_lab
from praxis_core.host.spool import Spool
from praxis_core.settings import PraxisSettings

BEGIN_SECONDS = 60.0
"""How long a host may take to answer for the first time: it rebuilds what it knows."""

ASK_EVERY = 1.0
"""Seconds between an answer of the host, or the lack of one, and the next question."""

FIRST_ASK_EVERY = 0.2
"""Seconds between two questions to a host that has not answered yet."""

END_SECONDS = 20.0
"""How long a host is given to end in order."""

LONGEST_PAUSE = 30.0
"""Seconds between two starts of a host that does not stay."""

STAYED_SECONDS = 30.0
"""A host that lived that long is started again at once."""

_log = logging.getLogger("praxis.watchdog")


class Watchdog:
    """Keeps one workcell served, and safe while it is not."""

    def __init__(
        self,
        settings: PraxisSettings,
        workcell: str,
        send: Send,
        *,
        command: Sequence[str] | None = None,
    ) -> None:
        self._workcell = workcell
        self._socket = settings.workcell_socket(workcell)
        self._dead_seconds = settings.host_dead_seconds
        self._command = command or (sys.executable, "-m", "praxis_core.host.serve", workcell)
        self._files = HostFiles.of(settings, workcell)
        self._spool = Spool(self._files.spool)
        self._safe = SafeKeeper(self._files.safe, send, self._tell)
        self._ending: signal.Signals | None = None
        self._woken = asyncio.Event()
        self._short_lives = 0

    async def run(self) -> None:
        """Serve until a signal: SIGTERM ends all in order, SIGHUP makes room for a successor.

        Raises:
            HostAlreadyRunning: the workcell has a watchdog already.
        """
        # First of all: who sees the lock held may send a signal.
        for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
            asyncio.get_running_loop().add_signal_handler(number, self._end, number)
        with locked_by_me(self._files.watch, self._workcell):
            host: HostProcess | None = await self._first_host()
            while host is not None:
                await self._watch(host)
                host = await self._next_host(host)
            await self._safe.stop()

    def _end(self, number: signal.Signals) -> None:
        self._ending = number
        self._woken.set()

    async def _first_host(self) -> HostProcess:
        pid = holder(self._files.lock)
        found = None if pid is None else HostProcess.found(pid)
        if found is not None:
            self._tell("host_watched", f"{self._name(found)} had lost its watchdog; it has one.")
            return found
        # Whoever served it last may have died together with its watchdog.
        await self._safe.begin()
        return self._start()

    async def _watch(self, host: HostProcess) -> None:
        """Return when the host has ended, after killing one that is silent, or on a signal."""
        asking = asyncio.create_task(self._ask(host))
        waiting = [asyncio.create_task(self._woken.wait()), asyncio.create_task(host.ended.wait())]
        try:
            await asyncio.wait(waiting, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for task in (asking, *waiting):
                task.cancel()
                with suppress(asyncio.CancelledError):
                    await task

    async def _ask(self, host: HostProcess) -> None:
        """Ask the host again and again whether it is there; kill it when it is not."""
        while not host.answered and host.silent < max(BEGIN_SECONDS, self._dead_seconds):
            await host.ask(self._socket, FIRST_ASK_EVERY)
        if host.answered:
            self._safe.hand_over()
            _log.info("the host of %s answers (process %d)", self._workcell, host.pid)
        while True:
            if not host.answered or host.silent >= self._dead_seconds:
                what = f"did not answer for {host.silent:.0f} s and is killed"
                self._tell("host_silent", f"{self._name(host)} {what}.", pid=host.pid)
                host.send(signal.SIGKILL)
                return
            await host.ask(self._socket, ASK_EVERY)

    async def _next_host(self, host: HostProcess) -> HostProcess | None:
        """Start the next host after one that died; None: this watchdog is to end."""
        if host.replaced:
            what = f"{self._name(host)} was replaced by another one; this watchdog ends."
            self._tell("host_replaced", what)
            return None
        if self._ending is None:
            await self._safe.begin()
            how = f"{self._name(host)} {host.how_it_ended()}."
            self._tell("host_died", how, pid=host.pid, lived_seconds=round(host.lived_seconds, 3))
            await self._pause(host)
        if self._ending is None:
            return self._start()
        await self._end_host(host)
        return None

    async def _pause(self, host: HostProcess) -> None:
        """Wait before the next start, the longer the oftener hosts have not stayed."""
        stayed = host.lived_seconds >= STAYED_SECONDS
        self._short_lives = 0 if stayed else self._short_lives + 1
        seconds = min(2.0 ** (self._short_lives - 2), LONGEST_PAUSE) if self._short_lives > 1 else 0
        with suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await self._woken.wait()

    async def _end_host(self, host: HostProcess) -> None:
        host.send(signal.SIGTERM)
        if not await host.wait(END_SECONDS):
            self._tell("host_silent", f"{self._name(host)} did not end and is killed.")
            host.send(signal.SIGKILL)
            await host.ended.wait()
        if self._ending is not signal.SIGHUP:
            # Nobody is left who could end a hold in its time.
            await self._safe.finish()

    def _start(self) -> HostProcess:
        host = HostProcess.start(self._command)
        _log.info("started the host of %s (process %d)", self._workcell, host.pid)
        return host

    def _name(self, host: HostProcess) -> str:
        return f"The host of {self._workcell} (process {host.pid})"

    def _tell(self, kind: str, message: str, **details: JsonValue) -> None:
        _log.warning(message)
        self._spool.write(kind, message, workcell=self._workcell, **details)


def main(words: Sequence[str]) -> int:
    """Run the watchdog of the workcell that the command line names."""
    logging.basicConfig(format="%(asctime)s %(name)s %(message)s", level=logging.INFO)
    [workcell] = words
    try:
        settings = PraxisSettings()
        send = partial(send_to_lab, settings.lab_socket(workcell))
        asyncio.run(Watchdog(settings, workcell, send).run())
    except PraxisError as error:
        sys.stderr.write(f"Error: {error}\n")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
