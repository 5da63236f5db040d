"""The host of a workcell: ``python -m praxis_core.host.serve NAME``.

One process per workcell owns every device connection. A kernel lock keeps a second one of this
computer out, and an epoch in the journal one of any other. It takes the devices up as they are, and
what it knows about the deck from what the journal says happened. SIGTERM ends it in order: what is
under way comes to its end, and the devices stay as they are for the next host.
"""

from __future__ import annotations

import argparse
import asyncio
import gc
import logging
import os
import signal
import socket
import sys
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import asynccontextmanager, contextmanager, suppress
from dataclasses import dataclass
from functools import partial
from uuid import UUID, uuid4

import uvicorn
from uvicorn.config import Config

from praxis_core.errors import HostReplaced, PraxisError, ServiceUnreachable, SettingsError
from praxis_core.host.address import Listening, listening, silence_seconds
from praxis_core.host.control import HostControl
from praxis_core.host.devices import LAB, WAYS, Opening, may_come_back, open_devices
from praxis_core.host.files import REPLACED, HostFiles, holder, locked_by_me
from praxis_core.host.metrics import CommandMetrics, HostFacts, HostMetrics
from praxis_core.host.monitor import Monitor
from praxis_core.host.server import Served, application
from praxis_core.host.sessions import Sessions
from praxis_core.host.spool import Importer, Spool
from praxis_core.host.wire import LARGEST_FRAME
from praxis_core.journal.database import Database
from praxis_core.journal.record import Journal
from praxis_core.journal.records import StoredWorkcell
from praxis_core.journal.schema import require_current
from praxis_core.redis_connection import connect_async
from praxis_core.settings import PraxisSettings
from praxis_core.workcell.live_status import LiveStatus
from praxis_core.workcell.time_limits import TimeLimit, time_limit

_log = logging.getLogger(__name__)

DATABASE_SECONDS = 120.0
"""How long a host that starts waits for Postgres."""
_DATABASE_PAUSE = 0.5


@dataclass(frozen=True, slots=True)
class Host:
    """A host that is ready to be asked."""

    served: Served
    sessions: Sessions
    silence: float
    """Seconds after which a silent run is asked whether it is there."""


class _Server(uvicorn.Server):
    """Uvicorn without its signals: the host ends in an order of its own."""

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield


async def serve(
    settings: PraxisSettings,
    workcell: str,
    *,
    devices: str = LAB,
    time_limit: TimeLimit = time_limit,
) -> bool:
    """Serve a workcell until SIGTERM or SIGINT, or until a newer host has replaced this one.

    Args:
        settings: Where everything is.
        workcell: Its name.
        devices: How simulated devices are made, one of ``WAYS``.
        time_limit: After how many seconds a call is taken for hung.

    Returns:
        Whether to begin anew, because a run is on another version of the definition.

    Raises:
        HostAlreadyRunning: another process of this computer serves it.
        HostReplaced: another one, with another home or on another computer, serves it by now.
        WorkcellNotFound, DevicesNotConnected, SettingsError, ServiceError: it cannot be served.
    """
    network = listening(settings)
    ending = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, ending.set)
    files = HostFiles.of(settings, workcell)
    opening = partial(open_devices, way=devices, time_limit=time_limit)
    with locked_by_me(files.lock, workcell):
        async with _opened(settings, workcell, files, opening, ending) as host:
            await _answer(host, _sockets(settings, workcell, network), network, ending)
        settings.workcell_socket(workcell).unlink(missing_ok=True)
        if host.sessions.replaced.is_set():
            raise HostReplaced(workcell=workcell, epoch=host.served.epoch, newest="unknown")
        return host.sessions.outdated.is_set() and not ending.is_set()


@asynccontextmanager
async def _opened(
    settings: PraxisSettings,
    workcell: str,
    files: HostFiles,
    opening: Opening,
    ending: asyncio.Event,
) -> AsyncIterator[Host]:
    """Make a host that is ready: devices taken up, knowledge regained, sessions expected."""
    addresses = settings.addresses()
    redis = connect_async(addresses.redis_url)
    async with Database(addresses.database_url) as database:
        await _answering(database, ending)
        journal = Journal(database)
        stored = await _wanted(journal, workcell)
        epoch = await journal.begin_host(workcell, uuid4(), os.getpid())
        live = LiveStatus(redis, workcell)
        importer = Importer(journal, files.spool)
        await importer.bring_in()
        counted = CommandMetrics()
        async with opening(settings, stored, journal, live, epoch, counted) as (
            runtime,
            line,
        ):
            sessions = Sessions(
                runtime,
                workcell=workcell,
                version=stored.version,
                epoch=epoch,
                grace_seconds=settings.grace_seconds,
            )
            await runtime.see_to_parked()
            runtime.look_after(await _expect_runs(sessions, journal, workcell))
            await importer.bring_in()
            control = HostControl(
                workcell, runtime, sessions, journal, Spool(files.spool), importer
            )

            def watched() -> bool:
                return holder(files.watch) is not None

            facts = HostFacts(runtime, journal, sessions.overview, watched, epoch, stored.version)
            served = Served(
                workcell,
                stored.version,
                epoch,
                sessions,
                status=runtime.status,
                deck=runtime.assets.snapshot,
                control=control,
                stopped=lambda: runtime.is_stopped,
                given_away=lambda: runtime.is_given_away,
                watched=watched,
                metrics=HostMetrics.of(workcell, counted, facts).text,
            )
            monitor = Monitor(runtime, line, journal, importer, seconds=settings.monitor_seconds)
            async with monitor.watching():
                # To look for garbage among all that stays to the end takes 0.1 s, and nobody knows
                # when: in the midst of a command, or as a run begins.
                gc.collect()
                gc.freeze()
                yield Host(served, sessions, silence_seconds(settings))
    await redis.aclose()


async def _answering(database: Database, ending: asyncio.Event) -> None:
    """Wait for a database that is just being started.

    Raises:
        ServiceUnreachable: it does not answer for ``DATABASE_SECONDS``, or until the end.
        SchemaOutdated, SchemaTooNew: it is of another version.
    """
    loop = asyncio.get_running_loop()
    deadline = loop.time() + DATABASE_SECONDS
    while True:
        try:
            return await require_current(database)
        except ServiceUnreachable as error:
            if ending.is_set() or loop.time() > deadline:
                raise
            _log.warning("%s", error)
        with suppress(TimeoutError):
            await asyncio.wait_for(ending.wait(), _DATABASE_PAUSE)


async def _wanted(journal: Journal, workcell: str) -> StoredWorkcell:
    """Choose the version of the definition: that of the run which claimed devices last."""
    claims = await journal.claims(workcell)
    if not claims:
        return await journal.workcell(workcell)
    last = await journal.run(max(claims, key=lambda claim: claim.token).run_id)
    if last.status.ended:
        return await journal.workcell(workcell)
    return await journal.workcell(workcell, last.workcell_version)


async def _expect_runs(sessions: Sessions, journal: Journal, workcell: str) -> set[UUID]:
    """Give the runs that an earlier host served the grace period to come back; say which."""
    expected = set()
    for claim in await may_come_back(journal, workcell):
        sessions.expect(claim.run_id, claim.attempt, claim.token)
        expected.add(claim.run_id)
    return expected


def _sockets(
    settings: PraxisSettings, workcell: str, network: Listening | None
) -> list[socket.socket]:
    sockets = [_unix_socket(settings, workcell)]
    if network is not None:
        try:
            sockets.append(socket.create_server((network.host, network.port)))
        except OSError as error:
            raise SettingsError(setting="PRAXIS_WORKCELL_LISTEN", what=str(error)) from error
    return sockets


def _unix_socket(settings: PraxisSettings, workcell: str) -> socket.socket:
    """Open the socket of the workcell anew: the lock says that nobody answers at an old one."""
    folder = settings.socket_folder
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    if os.geteuid() not in (0, folder.stat().st_uid):
        what = f"{folder} belongs to another user; choose a folder of your own"
        raise SettingsError(setting="PRAXIS_HOME", what=what)
    path = settings.workcell_socket(workcell)
    path.unlink(missing_ok=True)
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    listener.bind(str(path))
    path.chmod(0o600)
    return listener


async def _answer(
    host: Host,
    sockets: Sequence[socket.socket],
    network: Listening | None,
    ending: asyncio.Event,
) -> None:
    """Answer until the end, and let what is under way come to its own."""
    servers = [_server(host, None), *([] if network is None else [_server(host, network)])]
    answering = [
        asyncio.create_task(server.serve(sockets=[listener]))
        for server, listener in zip(servers, sockets, strict=True)
    ]
    _log.info("workcell %s is served, epoch %s", host.served.workcell, host.served.epoch)
    events = (ending, host.sessions.replaced, host.sessions.outdated)
    reasons = [asyncio.create_task(event.wait()) for event in events]
    await asyncio.wait({*answering, *reasons}, return_when=asyncio.FIRST_COMPLETED)
    await host.sessions.stop()
    for server in servers:
        server.should_exit = True
    for reason in reasons:
        reason.cancel()
    await asyncio.gather(*answering)


def _server(host: Host, network: Listening | None) -> _Server:
    return _Server(
        Config(
            application(host.served, token=None if network is None else network.token),
            http="h11",
            ws="websockets-sansio",
            ws_max_size=LARGEST_FRAME,
            ws_ping_interval=host.silence,
            ws_ping_timeout=host.silence,
            ws_per_message_deflate=False,
            ssl_certfile=None if network is None else network.certificate,
            ssl_keyfile=None if network is None else network.key,
            lifespan="off",
            log_config=None,
            access_log=False,
            proxy_headers=False,
            server_header=False,
            timeout_graceful_shutdown=5,
        )
    )


def main(arguments: Sequence[str] | None = None) -> int:
    """Serve the workcell that the command line names; give the exit code."""
    parser = argparse.ArgumentParser(prog="python -m praxis_core.host.serve")
    parser.add_argument("workcell")
    parser.add_argument("--devices", choices=WAYS, default=LAB)
    given = parser.parse_args(arguments)
    form = "%(asctime)s %(levelname)s %(name)s: %(message)s"
    logging.basicConfig(level=logging.INFO, format=form, stream=sys.stderr)
    for handler in logging.getLogger().handlers:
        handler.setLevel(logging.INFO)  # what goes over the devices' lines has files of its own
    logging.getLogger("uvicorn").setLevel(logging.WARNING)
    try:
        again = asyncio.run(serve(PraxisSettings(), given.workcell, devices=given.devices))
    except HostReplaced as error:
        _log.critical("%s", error)
        return REPLACED
    except PraxisError as error:
        _log.critical("%s", error)
        return 1
    if again:
        _log.info("workcell %s is served anew, on another version", given.workcell)
        sys.stderr.flush()
        # The same process: whoever watches it sees neither an end nor a beginning.
        words = [given.workcell, "--devices", given.devices]
        os.execv(sys.executable, [sys.executable, "-m", "praxis_core.host.serve", *words])  # noqa: S606
    return 0


if __name__ == "__main__":
    sys.exit(main())
