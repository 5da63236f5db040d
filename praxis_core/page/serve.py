"""The workcells' page: ``python -m praxis_core.page.serve``.

A process of its own beside the hosts, on this computer only: to draw a deck takes a tenth of a
second, for which no device should wait. It looks after the runs that have no process, too.
"""

from __future__ import annotations

import asyncio
import logging
import os
import socket
import sys
from contextlib import suppress

import uvicorn
from uvicorn.config import Config

from praxis_core.errors import PraxisError, SettingsError
from praxis_core.host.token import token_of
from praxis_core.journal.database import Database
from praxis_core.journal.record import Journal
from praxis_core.page.application import Pages
from praxis_core.redis_connection import connect_async
from praxis_core.services.parked_runs import ParkedRuns
from praxis_core.settings import PraxisSettings

HOST = "127.0.0.1"
PORTS_TRIED = 100
NICENESS = 5
"""It gives way to the hosts and the runs of its computer."""

_log = logging.getLogger("praxis.page")


async def serve(settings: PraxisSettings) -> None:
    """Serve the pages until SIGTERM or SIGINT.

    Raises:
        SettingsError: no port is free.
    """
    listener = _listener(settings)
    port = listener.getsockname()[1]
    addresses = settings.addresses()
    redis = connect_async(addresses.redis_url)
    async with Database(addresses.database_url, pool_size=3) as database:
        pages = Pages(settings, Journal(database), redis)
        config = Config(
            pages.application(token_of(settings)),
            http="h11",
            ws="none",
            lifespan="off",
            log_config=None,
            access_log=False,
            proxy_headers=False,
            server_header=False,
            limit_concurrency=200,
            timeout_graceful_shutdown=1,
        )
        settings.page_port_file.write_text(str(port))
        _log.info("the page is at http://%s:%d", HOST, port)
        looking = asyncio.create_task(ParkedRuns(settings, Journal(database), redis).watch())
        try:
            await uvicorn.Server(config).serve(sockets=[listener])
        finally:
            looking.cancel()
            await asyncio.wait({looking})
    await redis.aclose()


def _listener(settings: PraxisSettings) -> socket.socket:
    """Take the port that somebody was told, else the first one that is free."""
    ports = [*range(settings.page_port, min(settings.page_port + PORTS_TRIED, 65536))]
    with suppress(OSError, ValueError):
        ports.insert(0, int(settings.page_port_file.read_text()))
    for port in ports:
        with suppress(OSError):
            return socket.create_server((HOST, port))
    what = f"no port from {ports[-1] - PORTS_TRIED + 1} to {ports[-1]} is free"
    raise SettingsError(setting="PRAXIS_PAGE_PORT", what=what)


def main() -> int:
    """Serve the pages of the home that the environment names; give the exit code."""
    form = "%(asctime)s %(levelname)s %(name)s: %(message)s"
    logging.basicConfig(level=logging.INFO, format=form, stream=sys.stderr)
    logging.getLogger("uvicorn").setLevel(logging.WARNING)
    os.nice(NICENESS)
    try:
        asyncio.run(serve(PraxisSettings()))
    except PraxisError as error:
        _log.critical("%s", error)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
