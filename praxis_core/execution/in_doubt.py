"""A run that is in doubt waits in its process for the answer, and then goes on by itself."""

from __future__ import annotations

import asyncio
import logging
from contextlib import suppress
from functools import partial
from pathlib import Path
from uuid import UUID

from pydantic import JsonValue

from praxis_core.errors import AnswerRefused, NothingToAnswer, RequestError, ServiceError
from praxis_core.execution.asking import LOOK_SECONDS, first_of
from praxis_core.execution.doubt_told import text_of
from praxis_core.execution.page import Form, RunPage, Said
from praxis_core.journal.record import Journal
from praxis_core.journal.records import Doubt
from praxis_core.protocol.lifecycle import Answer, DoubtSubject

_log = logging.getLogger(__name__)

WORDS = {
    Answer.HAPPENED: "happened",
    Answer.DID_NOT_HAPPEN: "did not happen",
    Answer.ABORT: "abort",
}
"""What people choose from."""


async def settled(
    journal: Journal, run_id: UUID, page: RunPage, within: float, logs: Path | None = None
) -> bool:
    """Wait until all is answered that a run is in doubt about.

    Args:
        journal: Where questions are.
        run_id: The run.
        page: Where people see them; they may answer elsewhere, too.
        within: Seconds to wait.
        logs: Folder of the logs of Praxis, where there are some on this computer.

    Returns:
        Whether the run may go on: all is answered, and nobody has aborted it.
    """
    try:
        async with asyncio.timeout(within):
            while doubts := await journal.open_doubts(run_id):
                await _settle(journal, doubts[0], page, logs)
    except TimeoutError:
        return False
    asked = await journal.doubts(run_id)
    return bool(asked) and asked[-1].answer is not Answer.ABORT


async def _settle(journal: Journal, doubt: Doubt, page: RunPage, logs: Path | None) -> None:
    """Wait for the first answer to a doubt, wherever it is given."""
    what = await text_of(journal, doubt, logs)
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
            await _take(journal, doubt, said)
        except NothingToAnswer:
            return
        except (AnswerRefused, RequestError) as refused:
            text = f"{what}\n\n**Not taken:** {refused}"
        else:
            return


async def _settled_elsewhere(journal: Journal, doubt: Doubt) -> None:
    while True:
        with suppress(ServiceError):  # it is being restarted
            if all(one.id != doubt.id for one in await journal.open_doubts(doubt.run_id)):
                return
        await asyncio.sleep(LOOK_SECONDS)


async def _take(journal: Journal, doubt: Doubt, said: Said) -> None:
    given = said.answer if isinstance(said.answer, dict) else {}
    answers = {word: answer for answer, word in WORDS.items()}
    answer = answers.get(str(given.get("answer")))
    if answer is None or not said.by.strip():
        raise RequestError(what="choose what happened, and give your name")
    value: JsonValue = given.get("value") if doubt.subject is DoubtSubject.ONCE else None
    _log.info("%s says of %s: %s", said.by, doubt.what, answer)
    await journal.answer_doubt(doubt.id, answer, said.by.strip(), value)


def _schema(doubt: Doubt) -> dict[str, JsonValue]:
    offered: JsonValue = [WORDS[choice] for choice in doubt.choices]
    fields: dict[str, JsonValue] = {
        "answer": {
            "type": "string",
            "title": "Look at the deck, then say what is true",
            "description": "happened: wholly. did not happen: the deck is as before it, or was put "
            "back; it is done again. abort: end the run.",
            "enum": offered,
        }
    }
    if doubt.subject is DoubtSubject.ONCE:
        fields["value"] = {"type": "string", "title": "What it returned, if it happened"}
    return {"type": "object", "properties": fields, "required": ["answer"]}
