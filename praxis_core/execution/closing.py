"""How an attempt is closed: its data file, its error, its state in the archive, its status."""

from __future__ import annotations

import logging
from contextlib import suppress

from pydantic import JsonValue

from praxis_core.assets.catalogue import Catalogue
from praxis_core.errors import (
    HostLost,
    HostNotRunning,
    ImpossibleTransition,
    PraxisError,
    RunStopped,
    ServiceError,
    StateError,
    WorkcellReleased,
    WorkcellStopped,
    WorkcellUnverified,
)
from praxis_core.execution.attempt import ERROR_FLAG, Attempt
from praxis_core.execution.data_file import write_measurements
from praxis_core.execution.decisions import STOPPED
from praxis_core.execution.ending import set_tail_aside
from praxis_core.execution.plain_data import describe_error
from praxis_core.execution.readout import of_attempt
from praxis_core.execution.report_process import begin_report
from praxis_core.execution.timeliness import flags
from praxis_core.journal.record import Journal
from praxis_core.labware.encoder import message_of
from praxis_core.protocol.lifecycle import RunStatus
from praxis_core.settings import PraxisSettings

_log = logging.getLogger(__name__)


def _kind_of(error: BaseException) -> str:
    """Name what interrupted a run, for the audit trail."""
    match error:
        case HostLost() | HostNotRunning():
            return "host_lost"
        case WorkcellReleased() | WorkcellUnverified():
            return "resume_refused"
        case WorkcellStopped():
            return "workcell_stopped"
        case _:
            return "resume_refused"


class Closing:
    """The end of one attempt; each part of it is written down although another cannot be.

    Args:
        attempt: The attempt.
        journal: Where it is written down.
        settings: Where files go, and how long the state stays.
    """

    def __init__(self, attempt: Attempt, *, journal: Journal, settings: PraxisSettings) -> None:
        self._attempt = attempt
        self._journal = journal
        self._settings = settings

    async def after_error(self, error: BaseException) -> None:
        """Record an error, and flag it in PraxisState, before it goes on to whoever waits.

        What has to be done anew is set aside, and what may have happened is asked about.
        """
        if self._attempt.parked is not None:
            self._attempt.progress.status = RunStatus.PARKED  # all of it is written
            return
        self._attempt.progress.error = describe_error(error)
        status = self._attempt.status_after(error)
        try:
            if not status.ended:
                await self._stop(status, error)
                return
            await self._set_tail_aside(error)
            await self.complete(status, None)
        except PraxisError as unrecorded:
            # It must not hide what ended the run. The next attempt closes this one.
            error.add_note(f"The end of the run could not be recorded: {unrecorded}")

    async def complete(self, status: RunStatus, summary: JsonValue) -> None:
        """Write the data file, the final status and the archive; the report makes itself."""
        attempt = self._attempt
        await self._write_data_file()
        final_state = await self._archived()
        attempt.progress.status = status
        await self._journal.finish(
            attempt.run_id,
            status,
            summary=summary,
            final_state=final_state,
            error=attempt.progress.error,
            attempt=attempt.number,
        )
        await self._draw_the_deck()
        if final_state is not None:
            self._let_state_expire()
        await begin_report(self._settings, self._journal, attempt.run_id)

    async def _draw_the_deck(self) -> None:
        """Let the deck after any of its commands be told at once."""
        run_id = self._attempt.run_id
        try:
            await Catalogue(self._journal.database).draw(run_id)
        except ServiceError as error:
            _log.info("run %s: its deck is drawn when it is asked for: %s", run_id, error)

    async def _stop(self, status: RunStatus, error: BaseException) -> None:
        """Leave the run as it is, with its state live, for a later attempt to go on with.

        That it is in doubt the question says, which is in the database already.
        """
        attempt = self._attempt
        attempt.progress.status = status
        if status is RunStatus.INTERRUPTED:
            await self._say_why(error)
            # The host may have been faster: it misses the run, or asks about its last command.
            with suppress(ImpossibleTransition):
                await self._journal.set_status(attempt.run_id, status, attempt=attempt.number)
        if not attempt.state_begun:
            return  # what is lost must not come back as a state that holds nothing but an error
        try:
            attempt.state[ERROR_FLAG] = attempt.progress.error
        except (ServiceError, StateError) as lost:
            _log.warning("run %s could not flag its error: %s", attempt.run_id, lost)

    async def _say_why(self, error: BaseException) -> None:
        """Write down what has interrupted the attempt."""
        run_id, course = self._attempt.run_id, self._attempt.course
        stopped = None if course is None else course.stopped
        if isinstance(stopped, RunStopped):
            details = {name: str(stopped.details[name]) for name in ("path", "name")}
            await self._journal.event(run_id, STOPPED, str(stopped), {**details})
            return
        await self._journal.event(run_id, _kind_of(error), message_of(error))

    async def _set_tail_aside(self, error: BaseException) -> None:
        attempt, tail = self._attempt, self._attempt.tail_of(error)
        if tail is not None and attempt.learning is not None:
            await set_tail_aside(
                self._journal, attempt.run_id, attempt.number, attempt.learning, tail, error
            )

    async def _archived(self) -> dict[str, JsonValue] | None:
        """Give the last content of the state; None: out of reach, so it stays where it is."""
        attempt = self._attempt
        if not attempt.state_begun:
            return None
        try:
            if attempt.progress.error is not None:
                attempt.state[ERROR_FLAG] = attempt.progress.error
            return attempt.state.archive()
        except (ServiceError, StateError) as lost:
            await self._journal.event(attempt.run_id, "state_not_archived", str(lost))
            return None

    def _let_state_expire(self) -> None:
        try:
            self._attempt.state.end(self._settings.state_retention_days)
        except (ServiceError, StateError) as error:
            # The run has ended and its state is archived: no reason to fail it.
            run_id = self._attempt.run_id
            _log.warning("the archived state of run %s does not expire: %s", run_id, error)

    async def _write_data_file(self) -> None:
        run_id, number = self._attempt.run_id, self._attempt.number
        measurements = of_attempt(await self._journal.measurements(run_id), number)
        if not measurements:
            return
        # A folder for each attempt: the file of an earlier one stays what its hash says.
        folder = self._settings.files_of(run_id, number)
        try:
            flag_of = flags(await self._journal.events(run_id))
            file = write_measurements(folder, measurements, flag_of)
        except OSError as error:
            # The measurements are in the database: no reason to fail the run.
            await self._journal.event(run_id, "data_file_not_written", str(error))
            return
        await self._journal.data_file(run_id, str(file.path), file.sha256, file.media_type)
