"""How a run asks people and waits for them: on its page, and wherever else they answer."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from datetime import UTC, datetime
from functools import partial
from typing import Any
from uuid import UUID

from pydantic import JsonValue

from praxis_core.errors import (
    AlreadyAnswered,
    AnswerRefused,
    NoAnswer,
    RequestError,
    RunParked,
    ServiceError,
)
from praxis_core.execution.learned import Park
from praxis_core.execution.page import Form, RunPage, Said
from praxis_core.journal.questions import Question, Questions
from praxis_core.journal.record import Journal
from praxis_core.protocol.asking import Asked

_log = logging.getLogger(__name__)

AFTER_STEP = "after-step/"
"""What the keys of questions begin with that no protocol asks."""

Parked = Callable[[], Awaitable[None]]

LOOK_SECONDS = 0.5
"""How often a run that waits looks whether somebody has answered elsewhere."""


class Asking:
    """Asks people for one attempt of a run.

    Args:
        run_id: The run.
        attempt: Its attempt.
        journal: Where questions are kept.
        page: Where people see them.
        remind_seconds: After how long they are told again.
        park_seconds: After how long the run does without a process.
    """

    def __init__(  # noqa: PLR0913  # what it needs, by name
        self,
        run_id: UUID,
        attempt: int,
        *,
        journal: Journal,
        page: RunPage,
        remind_seconds: float,
        park_seconds: float,
    ) -> None:
        self._run_id = run_id
        self._attempt = attempt
        self._journal = journal
        self._questions = Questions(journal.database)
        self._page = page
        self._remind_seconds = remind_seconds
        self._park_seconds = park_seconds

    async def answer(self, asked: Asked, key: str, park: Park | None = None) -> JsonValue:
        """Wait for the answer to a question, which may have come in an earlier attempt.

        Args:
            asked: What is asked.
            key: What asks: the same in every attempt.
            park: Lets the run wait without a process; None: it waits in this one.

        Raises:
            NoAnswer: nobody answered in time.
            RunParked: the run waits without a process.
        """
        question = await self._questions.ask(self._run_id, self._attempt, key, asked)
        if question.answered_at is not None:
            return question.answer
        # Somebody may have filled a form in while the run had no process, and in time.
        left_behind = await self._page.left_behind(self._run_id, question.id)
        taken = "" if left_behind is None else await self._taken(question, left_behind)
        if isinstance(taken, Question):
            return await self._noted(taken)
        what = f"It asks {question.title!r}. To answer: praxis run answer {self._run_id}"
        await self._journal.event(self._run_id, "asked", what, {"question": question.id})
        left = None
        if asked.within is not None:
            past = datetime.now(UTC) - question.asked_at
            left = max((asked.within - past).total_seconds(), 0.0)
        parked = None
        if park is not None:
            parked = partial(park, left, 0.0 if asked.park else self._park_seconds)
        try:
            async with asyncio.timeout(left), self._reminded(question):
                answered = await self._answered(question, taken, parked)
        except TimeoutError:
            raise NoAnswer(title=question.title, within=str(asked.within)) from None
        except RunParked as parked:
            # Who answers from now on sees that it is parked; who did before may not have.
            with suppress(ServiceError):
                if (await self._questions.read(question.id)).answered_at is not None:
                    parked.seconds = 0.0
            raise
        return await self._noted(answered)

    async def _noted(self, answered: Question) -> JsonValue:
        """Write into the audit trail that there is an answer, and give it."""
        said = f"{answered.answered_by} answered {answered.title!r}"
        details: JsonValue = {"question": answered.id, "answer": answered.answer}
        await self._journal.event(self._run_id, "answered", said, details)
        return answered.answer

    async def _answered(self, question: Question, refused: str, park: Parked | None) -> Question:
        """Wait for the first answer, wherever it is given.

        Args:
            question: The question.
            refused: Why what somebody said before was not taken; empty: nobody has.
            park: Lets the run wait without a process.
        """
        while True:
            text = f"{question.text}\n\n{refused}".strip()
            form = Form(question.id, question.title, text, question.form)
            ways: list[Callable[[], Awaitable[Any]]] = [
                partial(self._page.asked, self._run_id, form),
                partial(self._answered_elsewhere, question),
            ]
            said: Said | Question = await first_of(*ways, *([] if park is None else [park]))
            taken = said if isinstance(said, Question) else await self._taken(question, said)
            if isinstance(taken, Question):
                return taken
            refused = taken

    async def _taken(self, question: Question, said: Said) -> Question | str:
        """Write down what somebody said on a page; why not, if it cannot be taken."""
        answer, by = said
        try:
            return await self._questions.answer(question.id, answer, by, self._page.via)
        except AlreadyAnswered:
            return await self._questions.read(question.id)
        except (AnswerRefused, RequestError) as refused:
            return f"**Not taken:** {refused}"

    async def _answered_elsewhere(self, question: Question) -> Question:
        while True:
            with suppress(ServiceError):  # it is being restarted
                now = await self._questions.read(question.id)
                if now.answered_at is not None:
                    return now
            await asyncio.sleep(LOOK_SECONDS)

    @asynccontextmanager
    async def _reminded(self, question: Question) -> AsyncIterator[None]:
        async def remind() -> None:
            while True:
                await asyncio.sleep(self._remind_seconds)
                what = f"It still waits for an answer to {question.title!r}"
                _log.warning("%s. To give it: praxis run answer %s", what, self._run_id)
                with suppress(ServiceError):
                    details: JsonValue = {"question": question.id}
                    await self._journal.event(self._run_id, "reminded", what, details)

        reminding = asyncio.create_task(remind())
        try:
            yield
        finally:
            reminding.cancel()
            await asyncio.wait([reminding])


async def first_of(*ways: Callable[[], Awaitable[Any]]) -> Any:
    """Give what comes first, and end the others."""
    tasks = [asyncio.ensure_future(way()) for way in ways]
    try:
        done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        return next(task for task in tasks if task in done).result()
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.wait(tasks)
