"""What a run asks people is asked once and answered once, as its form wants it."""

from __future__ import annotations

import asyncio
from uuid import UUID

import pytest
from pydantic import JsonValue

from praxis_core.errors import AlreadyAnswered, AnswerRefused, NothingToAnswer, RequestError
from praxis_core.journal.questions import Question, Questions, wanted
from praxis_core.journal.record import Journal
from praxis_core.protocol.asking import Asked
from praxis_core.protocol.lifecycle import RunStatus

BUFFER = Asked(
    "Which buffer is in the trough?",
    form={
        "type": "object",
        "properties": {"choice": {"type": "string", "enum": ["PBS", "TBS"]}},
        "required": ["choice"],
        "additionalProperties": False,
    },
)


@pytest.fixture
def questions(journal: Journal) -> Questions:
    """The questions of the test's database."""
    return Questions(journal.database)


@pytest.fixture
async def asked(journal: Journal, questions: Questions, run_id: UUID) -> Question:
    """A run that asks."""
    await journal.start(run_id, assets={}, start_snapshot={})
    return await questions.ask(run_id, 1, "0/0", BUFFER)


async def test_what_was_asked_stays_with_its_answer(
    questions: Questions, asked: Question, run_id: UUID
) -> None:
    """An attempt that begins again finds both."""
    assert await questions.open() == await questions.open(run_id) == [asked]

    await questions.answer(asked.id, {"choice": "PBS"}, " ada ", "prefect")

    again = await questions.ask(run_id, 1, "0/0", Asked("Something else?"))
    assert (again.title, again.answer) == (BUFFER.title, {"choice": "PBS"})
    assert (again.answered_by, again.via) == ("ada", "prefect")
    assert await questions.open() == []


async def test_of_two_people_at_once_one_is_told_of_the_other(
    questions: Questions, asked: Question
) -> None:
    """The first answer stands."""
    answers = [
        questions.answer(asked.id, {"choice": choice}, who, "prefect")
        for choice, who in [("PBS", "ada"), ("TBS", "bob")] * 3
    ]

    results = await asyncio.gather(*answers, return_exceptions=True)

    [taken] = [one for one in results if isinstance(one, Question)]
    refused = [one for one in results if isinstance(one, AlreadyAnswered)]
    assert len(refused) == len(results) - 1
    assert all(f"was answered by {taken.answered_by} at" in str(one) for one in refused)
    assert await questions.read(asked.id) == taken


@pytest.mark.parametrize(
    ("answer", "told"),
    [
        ({"choice": "HEPES"}, "choice: 'HEPES' is not one of ['PBS', 'TBS']"),
        ({"choice": 7}, "choice: 7 is not"),
        ({}, "'choice' is a required property"),
        ("PBS", "'PBS' is not of type 'object'"),
        ({"choice": "PBS", "more": 1}, "'more' was unexpected"),
    ],
)
async def test_an_answer_of_the_wrong_type_is_not_taken(
    questions: Questions, asked: Question, answer: object, told: str
) -> None:
    """It says what is wrong, and what may be said."""
    with pytest.raises(AnswerRefused) as caught:
        await questions.answer(asked.id, answer, "ada", "prefect")  # type: ignore[arg-type]

    assert told in str(caught.value)
    assert str(caught.value).endswith("Possible: PBS, TBS")
    assert (await questions.read(asked.id)).answered_at is None


@pytest.mark.parametrize("name", ["", "  ", "x" * 101])
async def test_an_answer_has_a_name(questions: Questions, asked: Question, name: str) -> None:
    """Nobody can be asked later who nobody was."""
    with pytest.raises(RequestError, match="say who answers"):
        await questions.answer(asked.id, {"choice": "PBS"}, name, "prefect")


async def test_a_run_that_has_succeeded_asks_nothing(
    journal: Journal, questions: Questions, asked: Question
) -> None:
    """Its protocol caught that nobody answered."""
    await journal.finish(
        asked.run_id, RunStatus.SUCCEEDED, summary=None, final_state=None, error=None
    )

    with pytest.raises(NothingToAnswer, match="succeeded"):
        await questions.answer(asked.id, {"choice": "PBS"}, "ada", "prefect")
    assert await questions.open() == []


@pytest.mark.parametrize(
    ("form", "told"),
    [
        ({}, "yes"),
        (BUFFER.form, "PBS, TBS"),
        ({"properties": {"mass": {}, "tube": {}}}, '{"mass": ..., "tube": ...}'),
    ],
)
async def test_what_may_be_answered_is_said_in_words(
    questions: Questions, asked: Question, form: dict[str, JsonValue], told: str
) -> None:
    """A word where a word will do, else the fields."""
    another = await questions.ask(asked.run_id, 1, "0/1", Asked("And this?", form=form))
    assert wanted(another) == told
