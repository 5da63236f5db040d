"""A run that is in doubt waits in its process for the answer, and then goes on by itself."""

from __future__ import annotations

import asyncio
import logging
import re
from collections.abc import Mapping, Sequence
from contextlib import suppress
from functools import partial
from uuid import UUID

from pydantic import JsonValue

from praxis_core.assets.operations import written_channels
from praxis_core.errors import (
    AnswerRefused,
    DecisionRefused,
    NothingToAnswer,
    RequestError,
    ServiceError,
)
from praxis_core.execution.asking import LOOK_SECONDS, first_of
from praxis_core.execution.deciding import refuse_hopeless
from praxis_core.execution.doubt_told import text_of
from praxis_core.execution.page import Form, RunPage, Said
from praxis_core.execution.report_process import begin_report
from praxis_core.journal.doubts import CHANNELS, FAILURE, NOTE, channels_of
from praxis_core.journal.record import Journal
from praxis_core.journal.records import Doubt
from praxis_core.protocol.lifecycle import Answer, DoubtSubject
from praxis_core.settings import PraxisSettings

_log = logging.getLogger(__name__)

_CHANNELS = re.compile(r"(\d{1,3})(?:-(\d{1,3}))?")

MEANINGS = {
    Answer.HAPPENED: "it is done wholly, by the device or by hand",
    Answer.DID_NOT_HAPPEN: "the deck is as before it, or was put back: do it again",
    Answer.PARTLY: "it is done on some channels: do it on the others",
    Answer.SKIP: "nothing of it is done: leave it out, and go on",
    Answer.FAILED: "tell the protocol, which ends unless it expects that",
    Answer.ABORT: "end the run",
}
"""What each answer means, for people."""


async def settled(journal: Journal, settings: PraxisSettings, run_id: UUID, page: RunPage) -> bool:
    """Wait until all is answered that a run is in doubt about.

    Args:
        journal: Where questions are.
        settings: How long to wait, and where the run's state and the logs of Praxis are.
        run_id: The run.
        page: Where people see them; they may answer elsewhere, too.

    Returns:
        Whether the run may go on: all is answered, and nobody has aborted it.
    """
    if not settings.answer_wait_seconds:
        return False
    try:
        async with asyncio.timeout(settings.answer_wait_seconds):
            while doubts := await journal.open_doubts(run_id):
                await _settle(journal, settings, doubts[0], page)
    except TimeoutError:
        return False
    asked = await journal.doubts(run_id)
    return bool(asked) and asked[-1].answer is not Answer.ABORT


async def _settle(journal: Journal, settings: PraxisSettings, doubt: Doubt, page: RunPage) -> None:
    """Wait for the first answer to a doubt, wherever it is given."""
    what = await text_of(journal, doubt, settings.home_path / "logs")
    text, title = what, "What happened?"
    while True:
        form = Form(doubt.id, title, text, _schema(doubt))
        said: Said | None = await first_of(
            partial(page.asked, doubt.run_id, form),
            partial(_settled_elsewhere, journal, doubt),
        )
        if said is None:
            return
        try:
            await _take(journal, settings, doubt, said)
        except NothingToAnswer:
            return
        except (AnswerRefused, DecisionRefused, RequestError) as refused:
            text = f"{what}\n\n**Not taken:** {refused}"
        else:
            return


async def _settled_elsewhere(journal: Journal, doubt: Doubt) -> None:
    while True:
        with suppress(ServiceError):  # it is being restarted
            if all(one.id != doubt.id for one in await journal.open_doubts(doubt.run_id)):
                return
        await asyncio.sleep(LOOK_SECONDS)


async def _take(journal: Journal, settings: PraxisSettings, doubt: Doubt, said: Said) -> None:
    given = said.answer if isinstance(said.answer, dict) else {}
    answers = {_label(answer): answer for answer in doubt.choices}
    answer = answers.get(str(given.get("answer")))
    if answer is None or not said.by.strip():
        raise RequestError(what="choose what happened, and give your name")
    await refuse_hopeless(journal, settings, doubt, answer)
    _log.info("%s says of %s: %s", said.by, doubt.what, answer)
    await journal.answer_doubt(doubt.id, answer, said.by.strip(), _details(doubt, answer, given))
    await begin_report(settings, journal, doubt.run_id)


def _details(doubt: Doubt, answer: Answer, given: Mapping[str, JsonValue]) -> JsonValue:
    """Read from a form what goes with an answer."""
    if doubt.subject is DoubtSubject.ONCE:
        return given.get("value")
    note, happened = given.get("note"), given.get(CHANNELS)
    channels = read_channels(happened) if isinstance(happened, str) else None
    return details_of(answer, channels, note if isinstance(note, str) else None)


def details_of(answer: Answer, channels: Sequence[int] | None, note: str | None) -> JsonValue:
    """Put together what goes with an answer about a command.

    Args:
        answer: The answer.
        channels: On which it happened, of one that happened partly.
        note: What the person says besides.
    """
    details: dict[str, JsonValue] = {}
    if answer is Answer.PARTLY:
        details[CHANNELS] = [*(channels or ())]
    if note:
        details[NOTE] = note
    return details or None


def told_channels(doubt: Doubt) -> list[int]:
    """Give the channels on which a command happened, as its device says; none: it says nothing."""
    details = doubt.details if isinstance(doubt.details, dict) else {}
    match details.get(FAILURE):
        case {"failed_channels": [_, *_] as failed}:
            return [one for one in channels_of(details) if one not in failed]
        case _:
            return []


def read_channels(told: str) -> list[int]:
    """Read channels as people write them: ``0-3, 6``.

    Raises:
        RequestError: it cannot be read.
    """
    found: list[int] = []
    for part in filter(None, told.replace(" ", "").split(",")):
        match = _CHANNELS.fullmatch(part)
        if match is None:
            raise RequestError(what=f"{told!r} names no channels; write them as 0-3,6")
        first = int(match[1])
        found += range(first, int(match[2] or first) + 1)
    return found


def _schema(doubt: Doubt) -> dict[str, JsonValue]:
    offered: JsonValue = [_label(choice) for choice in doubt.choices]
    meanings = ". ".join(f"{_label(choice)}: {MEANINGS[choice]}" for choice in doubt.choices)
    fields: dict[str, JsonValue] = {
        "answer": {
            "type": "string",
            "title": "Look at the deck, then say what is true",
            "description": f"{meanings}. What you replaced or filled up, say first: praxis assets.",
            "enum": offered,
        }
    }
    if Answer.PARTLY in doubt.choices:
        used = written_channels(channels_of(doubt.details))
        fields[CHANNELS] = {
            "type": "string",
            "title": "Channels on which it happened, if only on some",
            "description": f"Of {used}; written as 0-3,6.",
            "default": written_channels(told_channels(doubt)),
        }
    if doubt.subject is DoubtSubject.COMMAND:
        fields["note"] = {"type": "string", "title": "What you did by hand, or saw"}
    if doubt.subject is DoubtSubject.ONCE:
        fields["value"] = {"type": "string", "title": "What it returned, if it happened"}
    return {"type": "object", "properties": fields, "required": ["answer"]}


def _label(answer: Answer) -> str:
    return answer.value.replace("_", " ")
