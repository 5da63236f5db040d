"""The embedded Prefect server, on the embedded Postgres and Valkey, on 127.0.0.1."""

from __future__ import annotations

import signal
import socket
import sys
from dataclasses import dataclass, replace

import psutil

from praxis_core.errors import ServiceDidNotStart
from praxis_core.services import process
from praxis_core.services.environment import configuration, environment
from praxis_core.services.home import Home
from praxis_core.services.prefect_api import PrefectApi
from praxis_core.services.process import ProcessRecord
from praxis_core.settings import PraxisSettings

NAME = "prefect"
HOST = "127.0.0.1"
START_SECONDS = 120.0
PORTS_TRIED = 100
STARTS = 3
"""How often it is started when its port is taken each time."""
HEALTH_SECONDS = 5.0

_STOP = ((signal.SIGTERM, 15.0),)


@dataclass(frozen=True)
class EmbeddedPrefect:
    """The Prefect server of one home."""

    home: Home
    settings: PraxisSettings

    def record(self) -> ProcessRecord | None:
        """The running server, or nothing."""
        return process.running(self.home.record(NAME), self.home.mark(NAME), "server")

    def ready(self) -> bool:
        """It answers, and it is the one of this home."""
        record = self.record()
        if record is None or not _listens(record, self._port()):
            return False
        with PrefectApi(self.settings, timeout=HEALTH_SECONDS) as api:
            return api.healthy()

    def launch(self) -> ProcessRecord:
        """Start the server on the next free port, unless it runs, without waiting for it.

        One that was started for other addresses or by another version is ended first.

        Raises:
            ServiceDidNotStart: no port is free.
        """
        running = self.record()
        if running is not None and running.configuration == self._configuration():
            return running
        self.stop()
        port = self._free_port()
        self.settings.prefect_port_file.write_text(str(port))
        folder = self.home.folder / "prefect"
        folder.mkdir(mode=0o700, exist_ok=True)
        record = process.start(
            [
                sys.executable,
                "-m",
                "prefect",
                "server",
                "start",
                "--host",
                HOST,
                "--port",
                str(port),
            ],
            log=self.home.log(NAME),
            folder=folder,
            environment=self._environment(port),
            mark=self.home.mark(NAME),
        )
        record = replace(record, configuration=self._configuration())
        process.write_record(self.home.record(NAME), record)
        return record

    def wait(self, record: ProcessRecord) -> None:
        """Wait until the server answers; on another port if somebody took that of its start.

        Raises:
            ServiceDidNotStart: it ended, or does not answer in time.
        """
        for _ in range(STARTS - 1):
            try:
                return self._wait(record)
            except ServiceDidNotStart:
                # Between the look whether a port is free and its use the server is imported.
                if record.alive or _free(self._port()):
                    raise
            record = self.launch()
        return self._wait(record)

    def _wait(self, record: ProcessRecord) -> None:
        log = self.home.log(NAME)
        process.wait_ready(NAME, record, self.ready, log=log, seconds=START_SECONDS)

    def stop(self) -> None:
        """End the server."""
        record = self.record()
        if record is not None:
            process.stop(_STOP, record)
        self.home.record(NAME).unlink(missing_ok=True)

    def _configuration(self) -> str:
        addresses = self.settings.addresses()
        return configuration(addresses.prefect_database_url, addresses.prefect_redis_url)

    def _port(self) -> int:
        return self.settings.taken_port

    def _free_port(self) -> int:
        first = self.settings.prefect_port
        last = min(first + PORTS_TRIED, 65536)
        if self.settings.prefect_api_url is not None and _free(self._port()):
            return self._port()  # somebody was told this address
        for port in range(first, last):
            if _free(port):
                return port
        what = f"no port from {first} to {last - 1} is free; set PRAXIS_PREFECT_PORT to another"
        raise ServiceDidNotStart(service=NAME, what=what, log=str(self.home.log(NAME)))

    def _environment(self, port: int) -> dict[str, str]:
        addresses = self.settings.addresses()
        messages = "prefect_redis.messaging"
        server = "PREFECT_SERVER"
        return environment(self.settings) | {
            # Prefect's tables beside ours; pg_trgm, which they need, is in public.
            f"{server}_DATABASE_CONNECTION_URL": addresses.prefect_database_url,
            f"{server}_DATABASE_SQLALCHEMY_CONNECT_ARGS_SEARCH_PATH": "prefect,public",
            f"{server}_EVENTS_MESSAGING_BROKER": messages,
            f"{server}_EVENTS_MESSAGING_CACHE": messages,
            "PREFECT_MESSAGING_BROKER": messages,
            "PREFECT_MESSAGING_CACHE": messages,
            f"{server}_EVENTS_CAUSAL_ORDERING": "prefect_redis.ordering",
            f"{server}_CONCURRENCY_LEASE_STORAGE": "prefect_redis.lease_storage",
            f"{server}_WORKER_CHANNEL_CLEANUP_QUEUE_STORAGE": "prefect_redis.cleanup_queue",
            "PREFECT_REDIS_MESSAGING_URL": addresses.prefect_redis_url,
            "PREFECT_REDIS_WORKER_CLEANUP_QUEUE_URL": addresses.prefect_redis_url,
            f"{server}_DOCKET_URL": addresses.prefect_redis_url,
            # The port on the command line alone would leave the pages asking port 4200.
            f"{server}_API_HOST": HOST,
            f"{server}_API_PORT": str(port),
            f"{server}_UI_API_URL": addresses.prefect_api_url,
            f"{server}_UI_SHOW_PROMOTIONAL_CONTENT": "false",
            # A run that waits for the one before it of its deployment looks again so often: devices
            # do not stand idle for half a minute.
            f"{server}_DEPLOYMENTS_CONCURRENCY_SLOT_WAIT_SECONDS": "5",
            # By default events are read one by one: nine task runs a second, shown after 10 s.
            "PREFECT_REDIS_MESSAGING_PUBLISHER_PUBLISH_EVERY": "1",
            f"{server}_SERVICES_TASK_RUN_RECORDER_READ_BATCH_SIZE": "100",
            f"{server}_SERVICES_TASK_RUN_RECORDER_BATCH_SIZE": "50",
            f"{server}_SERVICES_TASK_RUN_RECORDER_FLUSH_INTERVAL": "1",
            f"{server}_SERVICES_EVENT_PERSISTER_READ_BATCH_SIZE": "100",
            f"{server}_SERVICES_EVENT_PERSISTER_FLUSH_INTERVAL": "1",
            f"{server}_SERVICES_TRIGGERS_READ_BATCH_SIZE": "100",
        }


def _free(port: int) -> bool:
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as probe:
        # As the server will do: a port whose last connections are still closing is free.
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((HOST, port))
        except OSError:
            return False
    return True


def _listens(record: ProcessRecord, port: int) -> bool:
    try:
        connections = psutil.Process(record.pid).net_connections(kind="tcp")
    except psutil.Error:
        return False
    return any(
        connection.status == psutil.CONN_LISTEN and connection.laddr.port == port
        for connection in connections
    )
