"""The report of a run, made by a process of its own, so that no run waits for its pictures.

``python -m praxis_core.execution.report_process RUN`` puts the report of a run that has ended into
its folder; with ``--output FILE`` it writes that of any run. It gives way to everything else, and
one at a time draws in a home. It may be killed at any moment: a report is there whole, or not.
"""

from __future__ import annotations

import argparse
import asyncio
import fcntl
import logging
import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from uuid import UUID

from praxis_core.errors import PraxisError
from praxis_core.execution.data_file import REPORT, write_report
from praxis_core.execution.report import report
from praxis_core.journal.database import Database
from praxis_core.journal.record import Journal
from praxis_core.settings import PraxisSettings

NOT_MADE = "report_not_made"
"""Kind of the event that says why a run has no report."""

NICENESS = 15
"""It gives way to hosts, runs and pages."""

_log = logging.getLogger(__name__)


async def begin_report(settings: PraxisSettings, journal: Journal, run_id: UUID) -> None:
    """Let the report of a run be made if it has ended; whatever comes of it, the run is as it is.

    Whoever may have ended a run calls this. An attempt has one report, as of its end.

    Args:
        settings: Where everything is.
        journal: The run history.
        run_id: The run.
    """
    if not settings.run_reports:
        return
    try:
        run = await journal.run(run_id)
        if not run.status.ended or run.started_at is None:
            return  # it goes on, or nothing has moved
        if (settings.files_of(run_id, run.attempt) / REPORT).exists():
            return
        process = start(settings, [str(run_id)])
    except OSError as error:
        await _say_why_not(journal, run_id, error)
    except PraxisError as error:
        _log.warning("run %s has no report: %s", run_id, error)
    else:
        # Somebody has to hear how it ends, or it stays a zombie for as long as a notebook is open.
        threading.Thread(target=process.wait, name="report", daemon=True).start()


def start(settings: PraxisSettings, words: list[str]) -> subprocess.Popen[bytes]:
    """Start a process that makes a report, and that outlives this one.

    Raises:
        OSError: none can be started.
    """
    logs = settings.home_path / "logs"
    logs.mkdir(parents=True, exist_ok=True)
    database = {"PRAXIS_DATABASE_URL": settings.addresses().database_url}
    home = {"PRAXIS_HOME": str(settings.home_path)}
    with (logs / "reports.log").open("ab") as log:
        return subprocess.Popen(  # noqa: S603  # this program
            [sys.executable, "-m", __name__, *words],
            env={**os.environ, **database, **home},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=log,
            start_new_session=True,
        )


async def make(settings: PraxisSettings, run_id: UUID, output: Path | None) -> None:
    """Make a report.

    Args:
        settings: Where everything is.
        run_id: The run.
        output: File to write; None: into the folder of the run, if it has ended.

    Raises:
        Exception: whatever stood in the way; of a run that has ended it is written down.
    """
    # Only when it is its turn: what draws takes 100 MB.
    from praxis_core.execution.report_material import gathered

    async with Database(settings.addresses().database_url, pool_size=1) as database:
        journal = Journal(database)
        run = await journal.run(run_id)
        if output is not None:
            write_report(output, report(await gathered(journal, run_id)))
            return
        if not run.status.ended:
            return  # it goes on already, and has one when that has ended
        path = settings.files_of(run_id, run.attempt) / REPORT
        try:
            file = write_report(path, report(await gathered(journal, run_id)))
        except Exception as error:
            await _say_why_not(journal, run_id, error)
            raise
        await journal.data_file(run_id, str(file.path), file.sha256, file.media_type)


async def _say_why_not(journal: Journal, run_id: UUID, error: Exception) -> None:
    what = f"Its report could not be made: {error}. Make it with: praxis run report {run_id}"
    _log.warning("run %s: %s", run_id, what)
    with suppress(PraxisError):
        await journal.event(run_id, NOT_MADE, what)


@contextmanager
def _turn(settings: PraxisSettings) -> Iterator[None]:
    """Wait until nobody else draws in this home; the kernel frees what a killed process had."""
    settings.run_folder.mkdir(parents=True, exist_ok=True)
    with (settings.run_folder / "reports.lock").open("ab") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


def main() -> int:
    """Make the report of the run that the command line names; give the exit code."""
    form = "%(asctime)s %(levelname)s %(name)s: %(message)s"
    logging.basicConfig(level=logging.INFO, format=form, stream=sys.stderr)
    parser = argparse.ArgumentParser(prog="python -m praxis_core.execution.report_process")
    parser.add_argument("run", type=UUID)
    parser.add_argument("--output", type=Path)
    given = parser.parse_args()
    os.nice(NICENESS)
    try:
        settings = PraxisSettings()
        with _turn(settings):
            asyncio.run(make(settings, given.run, given.output))
    except Exception:  # noqa: BLE001  # the end of a process: it goes into the log
        _log.exception("the report of run %s was not made", given.run)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
