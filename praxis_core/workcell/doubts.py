"""What nobody knows: raised as a question to a person, and until then nothing more is sent."""

from __future__ import annotations

import logging

from pydantic import JsonValue

from praxis_core.assets.description import describe
from praxis_core.errors import CommandInDoubt, JournalError, ServiceError
from praxis_core.journal.record import Journal
from praxis_core.labware.encoded_error import EncodedError
from praxis_core.protocol.command import Command
from praxis_core.protocol.lifecycle import Answer, DoubtSubject
from praxis_core.workcell.attending import CHOICES, AttendedRun

_log = logging.getLogger(__name__)

_ANSWERS = (Answer.HAPPENED, Answer.DID_NOT_HAPPEN, Answer.ABORT)


class Doubts:
    """Asks what commands did of which nobody knows; None: there is no journal to ask in."""

    def __init__(self, journal: Journal | None) -> None:
        self._journal = journal

    async def about(
        self, run: AttendedRun, command: Command, what: str, error: EncodedError | None = None
    ) -> CommandInDoubt:
        """Ask whether a command happened, and let nothing more of its run through.

        Args:
            run: Its run.
            command: The command.
            what: Why nobody knows.
            error: What the device's side raised.

        Returns:
            The error to be raised.
        """
        does = describe(command)
        run.doubt = f"{does} ({what})"
        question = f"Did this happen: {does}? Nobody knows, for {what}"
        details: dict[str, JsonValue] = {"device": command.device, "method": command.method}
        if error is not None:
            details["error"] = {"type": error.type, "message": error.message}
        key = (command.branch, command.ordinal)
        await self._ask(run, DoubtSubject.COMMAND, key, question, details)
        choices = CHOICES.replace("RUN", str(run.run_id))
        return CommandInDoubt(command=does, what=what, choices=choices)

    async def set_up_destroyed(self, run: AttendedRun, device: str, what: str) -> None:
        """Ask whether a run may go on although a device lost what it carried for it."""
        run.doubt = what
        question = f"{what}. May the run go on from there?"
        await self._ask(run, DoubtSubject.TAIL, ("0", 0), question, {"device": device})

    async def _ask(
        self,
        run: AttendedRun,
        subject: DoubtSubject,
        key: tuple[str, int],
        question: str,
        details: dict[str, JsonValue],
    ) -> None:
        if self._journal is None:
            return
        try:
            await self._journal.raise_doubt(
                run.run_id, run.attempt, subject, *key, question, _ANSWERS, details
            )
        except (JournalError, ServiceError) as unwritten:
            # Its intent has no outcome, so whoever goes on with the run finds it all the same.
            _log.error("run %s: the question cannot be written: %s", run.run_id, unwritten)
