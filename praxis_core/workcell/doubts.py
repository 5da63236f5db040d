"""What nobody knows: raised as a question to a person, and until then nothing more is sent."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Sequence

from pydantic import JsonValue

from praxis_core.assets.description import describe
from praxis_core.assets.manager import failed_channels
from praxis_core.assets.operations import channels_used
from praxis_core.errors import CommandInDoubt, JournalError, ServiceError
from praxis_core.journal.doubts import CHANNELS, FAILURE
from praxis_core.journal.record import Journal
from praxis_core.labware.encoded_error import EncodedError
from praxis_core.protocol.command import Command, Outcome
from praxis_core.protocol.lifecycle import Answer, DoubtSubject
from praxis_core.workcell.attending import AttendedRun
from praxis_core.workcell.failures import error_told, failed_answers

_log = logging.getLogger(__name__)

DESTROYED_AFTER = "destroyed_after"
"""Under this key of a question's details stands the number of the last command before a loss."""


def _typed(run: AttendedRun, answers: Iterable[Answer]) -> str:
    words = " | ".join(answer.value.replace("_", "-") for answer in answers)
    return f"praxis run answer {run.run_id} {words}"


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
        channels = channels_used(command)
        answers = [Answer.HAPPENED, Answer.DID_NOT_HAPPEN]
        if len(channels) > 1:
            details[CHANNELS] = list(channels)
            answers.append(Answer.PARTLY)
        answers.append(Answer.ABORT)
        key = (command.branch, command.ordinal)
        await self._ask(run, DoubtSubject.COMMAND, key, question, answers, details)
        return CommandInDoubt(command=does, what=what, choices=_typed(run, answers))

    async def failed(self, run: AttendedRun, command: Command, outcome: Outcome) -> CommandInDoubt:
        """Ask what to do about a command that failed, and let nothing more of its run through.

        Args:
            run: Its run.
            command: The command.
            outcome: How it failed.

        Returns:
            The error to be raised.
        """
        error = outcome.error or EncodedError("builtins:Exception", "")
        does, answers = describe(command), failed_answers(command)
        said = error_told(error)
        what = f"it failed: {said}"
        run.doubt = f"{does} ({what})"
        channels = list(channels_used(command))
        failure: dict[str, JsonValue] = {
            "what": does,
            "fingerprint": command.fingerprint,
            "error": {"type": error.type, "message": error.message, "args": error.args},
            "sent": None if outcome.sent is None else outcome.sent.value,
            "failed_channels": [*sorted(failed_channels(error))],
        }
        details: dict[str, JsonValue] = {"device": command.device, "method": command.method}
        if len(channels) > 1:
            details[CHANNELS] = [*channels]
        details[FAILURE] = failure
        question = f"This failed: {does}. The device says: {said.rstrip('.')}. What now?"
        key = (command.branch, command.ordinal)
        await self._ask(run, DoubtSubject.COMMAND, key, question, answers, details)
        return CommandInDoubt(command=does, what=what, choices=_typed(run, answers))

    async def set_up_destroyed(
        self, run: AttendedRun, device: str, place: int, what: str, after: int
    ) -> None:
        """Ask whether a run may go on although a device lost what it carried for it.

        It cannot be undone: nobody puts used tips back on, with what was in them.

        Args:
            run: The run.
            device: The device.
            place: Its place among those of the workcell; each has a question of its own.
            what: What it lost.
            after: Number of the run's last command before that.
        """
        run.doubt = what
        question = (
            f"{what}. May the run go on without them (happened)? What needs them then fails with "
            "an error, and nothing of it is done again. Otherwise end it (abort)"
        )
        details: dict[str, JsonValue] = {"device": device, DESTROYED_AFTER: after}
        key, answers = (f"r{run.attempt}", place), (Answer.HAPPENED, Answer.ABORT)
        await self._ask(run, DoubtSubject.TAIL, key, question, answers, details)

    async def _ask(  # noqa: PLR0913, PLR0917  # the parts of a question
        self,
        run: AttendedRun,
        subject: DoubtSubject,
        key: tuple[str, int],
        question: str,
        answers: Sequence[Answer],
        details: dict[str, JsonValue],
    ) -> None:
        if self._journal is None:
            return
        try:
            await self._journal.raise_doubt(
                run.run_id, run.attempt, subject, *key, question, answers, details
            )
        except (JournalError, ServiceError) as unwritten:
            # Its intent has no outcome, so whoever goes on with the run finds it all the same.
            _log.error("run %s: the question cannot be written: %s", run.run_id, unwritten)
