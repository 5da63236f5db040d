"""The worker: it takes runs from the work pool and starts each in a process of its own."""

from __future__ import annotations

import hashlib
import os
import platform
import shutil
import signal
import sys
from dataclasses import dataclass, replace
from pathlib import Path

from praxis_core.services import process
from praxis_core.services.environment import configuration, environment
from praxis_core.services.home import Home
from praxis_core.services.prefect_api import PrefectApi, Worker
from praxis_core.services.process import ProcessRecord
from praxis_core.settings import PraxisSettings

NAME = "worker"
WORK_POOL = "praxis"
START_SECONDS = 120.0
HEARTBEAT_SECONDS = 10
MISSED_HEARTBEATS = 3

# The first signal ends the worker in order, a second one would kill it.
_STOP = ((signal.SIGTERM, 20.0),)
# A run is given time to leave its devices safe.
_STOP_RUN = ((signal.SIGTERM, 30.0),)


@dataclass(frozen=True)
class EmbeddedWorker:
    """The worker of one home."""

    home: Home
    settings: PraxisSettings

    @property
    def worker_name(self) -> str:
        """Its name in Prefect, the same at each start; no other home has it."""
        where = hashlib.sha256(os.fsencode(self.home.folder)).hexdigest()[:8]
        return f"praxis-{platform.node() or 'local'}-{where}"

    def record(self) -> ProcessRecord | None:
        """The running worker, or nothing."""
        return process.running(self.home.record(NAME), self.home.mark(NAME), "--pool")

    def ready(self) -> bool:
        """It sends heartbeats; Prefect calls a worker online long after its end."""
        known = self._known()
        if self.record() is None or known is None or known.heartbeat_age is None:
            return False
        # The last heartbeat of the worker before this one says nothing of this one.
        if self._before.exists() and self._before.read_text() == str(known.last_heartbeat):
            return False
        return known.heartbeat_age <= HEARTBEAT_SECONDS * MISSED_HEARTBEATS

    def launch(self) -> ProcessRecord:
        """Start the worker, unless it runs, without waiting until it is online.

        One that was started for other addresses or by another version is ended first, its runs not.
        """
        running = self.record()
        if running is not None and running.configuration == self._configuration():
            return running
        self._stop_alone()
        known = self._known()
        self._before.write_text(str(known.last_heartbeat) if known else "")
        scratch = self.home.folder / "tmp"
        if not self.runs():
            shutil.rmtree(scratch, ignore_errors=True)
        scratch.mkdir(mode=0o700, exist_ok=True)
        record = process.start(
            [
                *(sys.executable, "-m", "prefect", "worker", "start"),
                *("--pool", WORK_POOL, "--type", "process", "--name", self.worker_name),
                *("--install-policy", "never"),
            ],
            log=self.home.log(NAME),
            folder=self.home.folder,
            environment=environment(self.settings)
            | {
                # Prefect leaves folders of its runs in the folder for temporary files.
                "TMPDIR": str(scratch),
                "PREFECT_WORKER_QUERY_SECONDS": "2",
                "PREFECT_WORKER_HEARTBEAT_SECONDS": str(HEARTBEAT_SECONDS),
            },
            mark=self.home.mark(NAME),
        )
        record = replace(record, configuration=self._configuration())
        process.write_record(self.home.record(NAME), record)
        return record

    def wait(self, record: ProcessRecord) -> None:
        """Wait until the worker is online.

        Raises:
            ServiceDidNotStart: it ended, or is not online in time.
        """
        log = self.home.log(NAME)
        process.wait_ready(NAME, record, self.ready, log=log, seconds=START_SECONDS)

    def stop(self) -> None:
        """End the runs in order, also those of an earlier worker of this home, then the worker.

        The worker stands still meanwhile: it would take new runs, and it kills those it has when it
        is asked to end.
        """
        record = self.record()
        if record is not None:
            process.send(signal.SIGSTOP, record)
        process.stop(_STOP_RUN, *self.runs())
        if record is not None:
            process.send(signal.SIGCONT, record)
            process.stop(_STOP, record)
        self.home.record(NAME).unlink(missing_ok=True)

    def _stop_alone(self) -> None:
        """End the worker and let its runs go on, which it would kill if it were asked to end."""
        record = self.record()
        if record is not None:
            process.stop((), record)
        self.home.record(NAME).unlink(missing_ok=True)

    def _configuration(self) -> str:
        addresses = self.settings.addresses()
        return configuration(addresses.database_url, addresses.redis_url, addresses.prefect_api_url)

    @property
    def _before(self) -> Path:
        return self.home.records / "worker-heartbeat-before"

    def _known(self) -> Worker | None:
        with PrefectApi(self.settings) as api:
            known = [worker for worker in api.workers(WORK_POOL) if worker.name == self.worker_name]
        return known[0] if known else None

    def runs(self) -> list[ProcessRecord]:
        """List the processes of runs, also those whose worker has been killed."""
        own = self.record()
        marked = process.marked(self.home.mark(NAME))
        return [record for record in marked if own is None or record.pid != own.pid]
