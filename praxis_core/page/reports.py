"""The reports of runs for browsers; one that is not there is made, by a process of its own."""

from __future__ import annotations

import asyncio
from pathlib import Path
from uuid import UUID, uuid4

from praxis_core.errors import RequestError
from praxis_core.execution.data_file import REPORT
from praxis_core.execution.report_process import start
from praxis_core.journal.record import Journal
from praxis_core.settings import PraxisSettings

MOST_AT_A_TIME = 2
"""That are made, or wait to be fetched; each is a process of 100 MB."""

WAIT_SECONDS = 5.0
"""How long a browser waits for an answer, which may be that it is not ready yet."""


class Reports:
    """Gives reports: of a run that has ended the file in its folder; else as it stands now.

    Args:
        settings: Where the files are.
        journal: What happened.
    """

    def __init__(self, settings: PraxisSettings, journal: Journal) -> None:
        self._settings = settings
        self._journal = journal
        self._making: dict[UUID, asyncio.Task[bytes]] = {}

    async def of(self, run_id: UUID) -> bytes | None:
        """Give the report of a run; None: it is being made, and may be asked for again.

        Raises:
            RunNotFound: there is no such run.
            RequestError: it cannot be made, or too many are made just now.
            ServiceError: the database does not answer.
        """
        run = await self._journal.run(run_id)
        path = self._settings.files_of(run_id, run.attempt) / REPORT
        if run.status.ended and await asyncio.to_thread(path.exists):
            return await asyncio.to_thread(path.read_bytes)
        making = self._begun(run_id)
        if not (await asyncio.wait({making}, timeout=WAIT_SECONDS))[0]:
            return None
        self._making.pop(run_id, None)
        return making.result()

    def _begun(self, run_id: UUID) -> asyncio.Task[bytes]:
        if run_id in self._making:
            return self._making[run_id]
        if len(self._making) >= MOST_AT_A_TIME:
            # What nobody has come back for goes first.
            self._making = {run: one for run, one in self._making.items() if not one.done()}
        if len(self._making) >= MOST_AT_A_TIME:
            raise RequestError(what=f"{MOST_AT_A_TIME} reports are being made; try again soon")
        name = f"report of {run_id}"
        making = self._making[run_id] = asyncio.create_task(self._made(run_id), name=name)
        return making

    async def _made(self, run_id: UUID) -> bytes:
        folder = self._settings.run_folder
        return await asyncio.to_thread(self._make, run_id, folder / f"report-{uuid4()}.html")

    def _make(self, run_id: UUID, file: Path) -> bytes:
        try:
            process = start(self._settings, [str(run_id), "--output", str(file)])
            if process.wait() != 0:
                log = self._settings.home_path / "logs" / "reports.log"
                what = f"the report of run {run_id} could not be made; why is in {log}"
                raise RequestError(what=what)
            return file.read_bytes()
        finally:
            file.unlink(missing_ok=True)
