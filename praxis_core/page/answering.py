"""Answers that are given on the page: the same door as ``praxis run answer``."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from contextlib import suppress
from typing import Any
from uuid import UUID

from pydantic import JsonValue

from praxis_core.errors import PraxisError, RequestError
from praxis_core.execution.report_process import begin_report
from praxis_core.journal.questions import Questions
from praxis_core.journal.record import Journal
from praxis_core.protocol.lifecycle import Answer
from praxis_core.services.prefect_api import PrefectApi
from praxis_core.settings import PraxisSettings

VIA = "page"
"""How an answer came."""

PREFECT_SECONDS = 5.0


async def answer(
    settings: PraxisSettings, journal: Journal, workcell: str, words: Mapping[str, Any], by: str
) -> dict[str, JsonValue]:
    """Write down what somebody says.

    Args:
        settings: Where Prefect is, which is told of a run that is given up.
        journal: Where it is written down.
        workcell: On whose page.
        words: ``run``, ``id`` and ``kind`` of the question, and the ``answer``.
        by: Who says so.

    Raises:
        RequestError: it is no answer, or to nothing that is asked here.
        AlreadyAnswered, AnswerRefused, NothingToAnswer: as of the journal.
    """
    run_id, number = _run(words.get("run")), words.get("id")
    if not isinstance(number, int) or isinstance(number, bool):
        raise RequestError(what=f"{number!r} is no number of a question")
    run = await journal.run(run_id)
    if run.workcell != workcell:
        raise RequestError(what=f"run {run_id} is on workcell {run.workcell}")
    said = words.get("answer")
    if words.get("kind") == "question":
        questions = Questions(journal.database)
        _of_run(number, [one.id for one in await questions.of_run(run_id)], run_id)
        await questions.answer(number, said, by, VIA)
        return {"answered": number}
    if words.get("kind") != "doubt" or said not in list(Answer):
        raise RequestError(what=f"{said!r} is no answer; say one of: {', '.join(Answer)}")
    _of_run(number, [one.id for one in await journal.doubts(run_id)], run_id)
    await journal.answer_doubt(number, Answer(said), by)
    await begin_report(settings, journal, run_id)
    if Answer(said) is Answer.ABORT and not run.by_hand:
        await asyncio.to_thread(_cancel_in_prefect, settings, run_id)
    return {"answered": number}


def _of_run(number: int, asked: list[int], run_id: UUID) -> None:
    if number not in asked:
        raise RequestError(what=f"run {run_id} has not asked question {number}")


def _run(said: object) -> UUID:
    try:
        return UUID(str(said))
    except ValueError:
        raise RequestError(what=f"{said!r} is no id of a run") from None


def _cancel_in_prefect(settings: PraxisSettings, run_id: UUID) -> None:
    """Let Prefect know; what counts is in the database, whether Prefect answers or not."""
    with suppress(PraxisError), PrefectApi(settings, timeout=PREFECT_SECONDS) as api:
        api.give_up(run_id)
