"""The hardware of a workcell given to another program, taken back, and confirmed to be as known."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Sequence
from uuid import UUID

from pydantic import JsonValue

from praxis_core.errors import PraxisError, RequestError
from praxis_core.host.spool import Importer, Spool
from praxis_core.journal.control import (
    ATTEMPT_STOPPED,
    Control,
    Said,
    Standing,
    WorkcellStanding,
)
from praxis_core.journal.record import Journal
from praxis_core.protocol.lifecycle import CommandKind, RunStatus
from praxis_core.to_the_end import to_the_end
from praxis_core.workcell.runtime import WorkcellRuntime

_log = logging.getLogger(__name__)

_AT_WORK = (RunStatus.PREPARING, RunStatus.RUNNING, RunStatus.PARKED)


class Giving:
    """Gives the devices away when nobody is at work with them, and takes them back.

    Args:
        workcell: Its name.
        runtime: Its devices.
        journal: Where it is written down.
        spool: What is on disk, until the journal has it.
        importer: Brings it there.
    """

    def __init__(
        self,
        workcell: str,
        runtime: WorkcellRuntime,
        journal: Journal,
        spool: Spool,
        importer: Importer,
    ) -> None:
        self._workcell = workcell
        self._runtime = runtime
        self._journal = journal
        self._control = Control(journal.database)
        self._spool = spool
        self._importer = importer

    async def release(self, said: Said) -> dict[str, JsonValue]:
        """Make the devices safe, and close all lines to them.

        Returns:
            Under ``runs`` those that have stopped and still have something of the workcell.

        Raises:
            RequestError: it is released already, somebody is at work, something is not known yet,
                or a device cannot be made safe. All is as it was.
            ServiceUnreachable: that cannot be written down. All is as it was.
        """
        return await to_the_end(self._release(said))

    async def _release(self, said: Said) -> dict[str, JsonValue]:
        lending = self._runtime.lending
        standing = await self._standing()
        if standing.standing is Standing.RELEASED and lending.is_released:
            raise RequestError(what=f"{standing}. To have it back: {standing.mend}")
        await self._refuse_at_work()
        before = lending.close(Standing.RELEASED, said)
        try:
            await self._refuse_at_work()  # who came just before
            self._refuse_unsafe(await lending.make_safe())
            await self._control.say(self._workcell, Standing.RELEASED, said)
        except BaseException:
            lending.put_back(before)
            raise
        attempts = {run.run_id: run.attempt for run in await lending.let_go()}
        unfinished = await self._unfinished()
        for run_id, attempt in (attempts | unfinished).items():
            await self._tell(said, run_id, attempt)
        return {"runs": [str(run_id) for run_id in unfinished]}

    async def reclaim(self, said: Said) -> dict[str, JsonValue]:
        """Take the devices back; nobody gets them until somebody has looked at the deck.

        Returns:
            Under ``problems``, why a device is not connected yet.

        Raises:
            RequestError: it was not released.
            ServiceUnreachable: that cannot be written down; it stays released.
        """
        standing = await self._standing()
        match standing.standing:
            case Standing.RELEASED:
                await self._control.say(self._workcell, Standing.RECLAIMED, said)
            case Standing.RECLAIMED:  # said while no host was there
                said = standing.said
            case _:
                raise not_released(self._workcell)
        return {"problems": [*await to_the_end(self._runtime.lending.take_back(said))]}

    async def confirm(self, said: Said) -> dict[str, JsonValue]:
        """Let runs come again: somebody has looked, and the deck is as it is known.

        Raises:
            RequestError: it was not taken back.
            ServiceUnreachable: that cannot be written down; nobody gets the devices yet.
        """
        standing = await self._standing()
        if standing.standing is Standing.RECLAIMED:
            await self._control.say(self._workcell, Standing.CONFIRMED, said)
        elif standing.standing is Standing.RELEASED or not self._runtime.is_given_away:
            raise nothing_to_confirm(standing)
        self._runtime.lending.open()
        return {"stopped": self._runtime.is_stopped}

    async def _standing(self) -> WorkcellStanding:
        await self._importer.bring_in()
        return await self._control.standing(self._workcell)

    def _refuse_unsafe(self, problems: Sequence[str]) -> None:
        if problems:
            mend = "See to it; or leave a device as it is: praxis device quarantine "
            what = f"its devices cannot be made safe. {mend}{self._workcell} DEVICE"
            raise self._refused(what, problems)

    async def _refuse_at_work(self) -> None:
        """Let nothing be taken from under a run, nor from what has to be found out yet.

        Raises:
            RequestError: something is under way, asked, or not known.
        """
        runs = await self._journal.runs_unfinished(self._workcell)
        at_work = [str(run.run_id) for run in runs if run.status in _AT_WORK]
        at_work += [str(run) for run in await self._control.at_work(self._workcell)]
        if at_work:
            what = f"at work there: {', '.join(dict.fromkeys(at_work))}"
            mend = f"Let that come to its end: praxis workcell drain {self._workcell} --wait"
            raise self._refused(f"{what}. {mend}", ())
        for run in runs:
            doubts = await self._journal.open_doubts(run.run_id)
            if doubts:
                what = f"run {run.run_id} asks what can be seen only until somebody else is there"
                mend = f"Look, and answer: praxis run show {run.run_id}"
                raise self._refused(f"{what}. {mend}", [doubts[0].what])
            await self._journal.settled_of(run.run_id, run.attempt)
        for record in await self._journal.commands_of_unfinished(self._workcell):
            once = record.command.kind is CommandKind.ONCE
            if once and record.outcome is None and not record.tail:
                name, run_id = record.command.name, record.command.run_id
                what = f"whether {name} of run {run_id} happened is not known, and its device may "
                mend = f"tell. Bring it back, or give that up: praxis run abandon {run_id}"
                raise self._refused(what + mend, ())

    def _refused(self, what: str, parts: Iterable[str]) -> RequestError:
        listed = "".join(f"\n- {part}" for part in parts)
        return RequestError(what=f"workcell {self._workcell} is not released: {what}{listed}")

    async def _tell(self, said: Said, run_id: UUID, attempt: int) -> None:
        """Tell a run's audit trail that its attempt does not go on."""
        message = f"Its workcell was released to another program {said}."
        details: dict[str, JsonValue] = {"attempt": attempt, **said.details}
        try:
            await self._journal.event(run_id, ATTEMPT_STOPPED, message, details)
        except PraxisError as error:
            _log.warning("not in the audit trail of run %s yet: %s", run_id, error)
            details["run"] = str(run_id)
            self._spool.write(ATTEMPT_STOPPED, message, **details)

    async def _unfinished(self) -> dict[UUID, int]:
        """Give the attempts of the runs that have stopped, and still have something here."""
        try:
            runs = await self._journal.runs_unfinished(self._workcell)
        except PraxisError as error:  # it is released all the same
            _log.warning("which runs have something of %s is not known: %s", self._workcell, error)
            return {}
        return {run.run_id: run.attempt for run in runs}


def not_released(workcell: str) -> RequestError:
    """Say that there is nothing to take back."""
    return RequestError(what=f"workcell {workcell} was not released; there is nothing to reclaim")


def nothing_to_confirm(standing: WorkcellStanding) -> RequestError:
    """Say that no deck waits to be confirmed."""
    if standing.standing is Standing.RELEASED:
        return RequestError(what=f"{standing}. First: {standing.mend}")
    what = f"workcell {standing.workcell} was not given to another program since it was confirmed"
    return RequestError(what=f"{what}; nothing waits for that")
