"""The embedded Valkey: run state, leases and Prefect's messages, on disk before confirmed."""

from __future__ import annotations

import os
import signal
from dataclasses import dataclass
from pathlib import Path

import redis
from redis.backoff import NoBackoff
from redis.retry import Retry

from praxis_core.services import process
from praxis_core.services.binaries import valkey_program
from praxis_core.services.home import Home
from praxis_core.services.process import ProcessRecord

NAME = "valkey"
START_SECONDS = 60.0

_STOP = ((signal.SIGTERM, 15.0),)


@dataclass(frozen=True)
class EmbeddedValkey:
    """The Valkey of one home."""

    home: Home

    @property
    def data(self) -> Path:
        """The folder of its append-only file."""
        return self.home.folder / "valkey"

    @property
    def socket(self) -> Path:
        """Where it answers."""
        return self.home.sockets / "valkey.sock"

    @property
    def log(self) -> Path:
        """What the server says."""
        return self.home.log(NAME)

    def record(self) -> ProcessRecord | None:
        """The running server, or nothing."""
        return process.running(self.home.record(NAME), self.home.mark(NAME), "--unixsocket")

    def ready(self) -> bool:
        """It answers, and has read its data."""
        try:
            with self._client() as client:
                return bool(client.ping())
        except redis.RedisError:
            return False

    def launch(self) -> ProcessRecord:
        """Start the server, unless it runs, without waiting until it answers.

        Raises:
            ServiceDidNotStart: its program is not there.
        """
        running = self.record()
        if running is not None:
            return running
        self.data.mkdir(mode=0o700, exist_ok=True)
        record = process.start(
            [
                valkey_program(),
                *("--port", "0"),
                *("--unixsocket", self.socket),
                *("--unixsocketperm", "700"),
                # Its own folder is its working directory: no path needs to be quoted.
                *("--dir", "."),
                *("--databases", "16"),
                *("--save", ""),
                *("--appendonly", "yes"),
                *("--appendfsync", "always"),
                *("--maxmemory-policy", "noeviction"),
                *("--daemonize", "no"),
                # A title would be written over the environment, by which it is found.
                *("--set-proc-title", "no"),
            ],
            log=self.log,
            folder=self.data,
            environment={"PATH": os.environ.get("PATH", os.defpath), "LC_ALL": "C"},
            mark=self.home.mark(NAME),
        )
        process.write_record(self.home.record(NAME), record)
        return record

    def wait(self, record: ProcessRecord) -> None:
        """Wait until the server answers.

        Raises:
            ServiceDidNotStart: it ended, or does not answer in time.
        """
        process.wait_ready(NAME, record, self.ready, log=self.log, seconds=START_SECONDS)

    def stop(self) -> None:
        """End the server; what it had confirmed is on disk."""
        record = self.record()
        if record is not None:
            process.stop(_STOP, record)
        self.home.record(NAME).unlink(missing_ok=True)

    def _client(self) -> redis.Redis:
        # Without retries: they would answer "not yet" only after seconds.
        return redis.Redis(
            unix_socket_path=str(self.socket), socket_timeout=5, retry=Retry(NoBackoff(), 0)
        )
