"""The process that serves the workcells' page on this computer."""

from __future__ import annotations

import http.client
import signal
import sys
from contextlib import closing
from dataclasses import dataclass, replace
from urllib.parse import urlsplit

from praxis_core.host.token import token_of
from praxis_core.services import process
from praxis_core.services.environment import configuration, environment
from praxis_core.services.home import Home
from praxis_core.services.process import ProcessRecord
from praxis_core.settings import PraxisSettings

NAME = "page"
MODULE = "praxis_core.page.serve"
START_SECONDS = 60.0
_ASK_SECONDS = 3.0
_STOP = ((signal.SIGTERM, 5.0),)


@dataclass(frozen=True)
class EmbeddedPage:
    """The page of one home's workcells."""

    home: Home
    settings: PraxisSettings

    @property
    def address(self) -> str:
        """Where it answers."""
        return self.settings.page_url

    def record(self) -> ProcessRecord | None:
        """The running process, or nothing."""
        return process.running(self.home.record(NAME), self.home.mark(NAME), MODULE)

    def ready(self) -> bool:
        """It answers."""
        address = urlsplit(self.address)
        connection = http.client.HTTPConnection(
            str(address.hostname), address.port, timeout=_ASK_SECONDS
        )
        with closing(connection):
            try:
                connection.request("GET", "/page.css")
                return connection.getresponse().status == http.HTTPStatus.OK
            except (OSError, http.client.HTTPException):
                return False

    def launch(self) -> ProcessRecord:
        """Start it, unless it runs; one that was started for other addresses is ended first."""
        running = self.record()
        if running is not None and running.configuration == self._configuration():
            return running
        self.stop()
        token = token_of(self.settings)
        record = process.start(
            [sys.executable, "-m", MODULE],
            log=self.home.log(NAME),
            folder=self.home.folder,
            environment={
                **environment(self.settings),
                "PRAXIS_PAGE_PORT": str(self.settings.page_port),
                "PRAXIS_WORKCELL_TOKEN": token,
            },
            mark=self.home.mark(NAME),
        )
        record = replace(record, configuration=self._configuration())
        process.write_record(self.home.record(NAME), record)
        return record

    def wait(self, record: ProcessRecord) -> None:
        """Wait until it answers.

        Raises:
            ServiceDidNotStart: it ended, or does not answer in time.
        """
        log = self.home.log(NAME)
        process.wait_ready(NAME, record, self.ready, log=log, seconds=START_SECONDS)

    def stop(self) -> None:
        """End it."""
        record = self.record()
        if record is not None:
            process.stop(_STOP, record)
        self.home.record(NAME).unlink(missing_ok=True)

    def _configuration(self) -> str:
        addresses = self.settings.addresses()
        token = token_of(self.settings) if self.settings.workcell_token else ""
        return configuration(
            addresses.database_url, addresses.redis_url, str(self.settings.page_port), token
        )
