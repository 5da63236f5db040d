"""A run that waits for people does without a process, and goes on with what they say."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID, uuid4

import psycopg
import pytest
from pylabrobot.shaking import Shaker

from praxis_core.errors import AlreadyAnswered, NoAnswer, RunParked
from praxis_core.execution.consent import ABANDONED
from praxis_core.execution.going_on import note, reason_to_go_on
from praxis_core.execution.page import RunPage, Said
from praxis_core.journal.questions import Question, Questions
from praxis_core.journal.record import Journal
from praxis_core.orchestrator import RunRequest
from praxis_core.protocol import operator, protocol, run
from praxis_core.protocol.lifecycle import RunStatus
from praxis_core.redis_connection import connect_async
from praxis_core.services.parked_runs import ParkedRuns

Stand = Any
STIR = ["stir 100.0", "stop"]
STUCK = """
CREATE OR REPLACE FUNCTION praxis.be_stuck() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  PERFORM pg_advisory_xact_lock(5715);
  RETURN NEW;
END $$;
CREATE TRIGGER stuck BEFORE INSERT ON praxis.run_event FOR EACH ROW
  WHEN (NEW.kind = 'parked') EXECUTE FUNCTION praxis.be_stuck();
"""


WITHIN = timedelta(seconds=1.5)
"""Longer than an attempt takes to ask, on a busy machine, too."""


@protocol(name="asking-at-night", version="1.0.0")
async def asking(stirrer: Shaker) -> str:
    """Ask without a process, and clean up when it goes on."""
    await stirrer.backend.start_shaking(speed=100.0)
    try:
        return await operator.choose("Which buffer?", ["PBS", "TBS"], park=True)
    finally:
        await stirrer.backend.stop_shaking()


@protocol(name="asking-for-long", version="1.0.0")
async def asking_for_long(stirrer: Shaker) -> str:
    """Ask somebody who takes their time."""
    await stirrer.backend.start_shaking(speed=100.0)
    await operator.confirm("Is the plate there?")
    await stirrer.backend.stop_shaking()
    return "it is"


@protocol(name="asking-until", version="1.0.0")
async def asking_until(stirrer: Shaker) -> str:
    """Do without an answer that does not come in time."""
    await stirrer.backend.start_shaking(speed=100.0)
    try:
        await operator.confirm("Anybody?", within=WITHIN, park=True)
    except NoAnswer:
        return "nobody"
    finally:
        await stirrer.backend.stop_shaking()
    return "somebody"


@protocol(name="asking-beside", version="1.0.0")
async def asking_beside(stirrer: Shaker) -> str:
    """Ask in one branch, and work in the other."""

    async def work() -> None:
        for _ in range(3):
            await stirrer.backend.start_shaking(speed=100.0)
            await asyncio.sleep(0.1)
        await stirrer.backend.stop_shaking()

    _, said = await asyncio.gather(work(), operator.choose("Which?", ["one", "two"], park=True))
    return str(said)


@protocol(name="asking-and-incubating", version="1.0.0")
async def asking_and_incubating(stirrer: Shaker) -> str:
    """Ask in one branch while the other waits for a night."""
    await stirrer.backend.start_shaking(speed=100.0)
    _, said = await asyncio.gather(
        run.sleep(8 * 3600, park=True), operator.choose("Which?", ["one", "two"], park=True)
    )
    await stirrer.backend.stop_shaking()
    return str(said)


class Page(RunPage):
    """Keeps what it is told, and has what somebody left behind."""

    via = "page"

    def __init__(self) -> None:
        self.told: list[tuple[float | None, bool]] = []
        self.said: Said | None = None

    async def parked(self, parked: RunParked) -> None:
        """Keep it."""
        self.told.append((parked.seconds, parked.on_time))

    async def left_behind(self, run_id: UUID, number: int) -> Said | None:  # noqa: ARG002
        """Give it."""
        return self.said


@pytest.fixture
def page(stand: Stand) -> Page:
    """The page of all attempts on the stand."""
    stand.page = Page()
    return stand.page  # type: ignore[no-any-return]


@pytest.fixture
def questions(journal: Journal) -> Questions:
    """What is asked."""
    return Questions(journal.database)


async def _parked(stand: Stand, function: Callable[..., Any]) -> tuple[RunRequest, RunParked]:
    request = RunRequest(uuid4(), "night", function, "stand")
    with pytest.raises(RunParked) as parked:
        await stand.attempt(request)
    return request, parked.value


async def _open(questions: Questions, request: RunRequest) -> Question:
    [question] = await questions.open(request.run_id)
    return question


async def test_it_goes_on_with_the_answer(
    stand: Stand, page: Page, journal: Journal, questions: Questions
) -> None:
    """Of two people the first counts; started again too early it is parked again."""
    request, parked = await _parked(stand, asking)
    assert parked.until is None
    assert (await journal.run(request.run_id)).status is RunStatus.PARKED
    assert stand.done == STIR[:1]
    with pytest.raises(RunParked):
        await stand.attempt(request)
    assert page.told == [(None, False), (None, False)]

    question = await _open(questions, request)
    await questions.answer(question.id, {"choice": "PBS"}, "ada", "page")
    with pytest.raises(AlreadyAnswered):
        await questions.answer(question.id, {"choice": "TBS"}, "bob", "page")
    result = await stand.attempt(request)

    assert result is not None
    assert (result.attempt, result.summary) == (3, "PBS")
    assert stand.done[-1] == "stop"
    assert stand.done.count("stop") == 1


async def test_one_that_waits_for_long_is_parked_by_itself(
    stand: Stand, page: Page, questions: Questions
) -> None:
    """Without a word of its protocol."""
    stand.settings = stand.settings.model_copy(update={"park_asking_seconds": 0.2})
    request, _ = await _parked(stand, asking_for_long)
    assert page.told == [(None, False)]
    await questions.answer((await _open(questions, request)).id, {}, "ada", "page")
    assert (await stand.attempt(request)).summary == "it is"


async def test_a_time_limit_holds_while_it_is_parked(stand: Stand, journal: Journal) -> None:
    """When it is over there is a reason to go on, and the protocol hears that nobody answered."""
    stand.settings = stand.settings.model_copy(update={"park_over_seconds": 0.0})
    request, parked = await _parked(stand, asking_until)
    assert parked.until is not None
    assert not parked.on_time
    record = await journal.run(request.run_id)
    later = datetime.now(UTC) + WITHIN
    assert (await reason_to_go_on(journal, record, later)).is_due
    result = None
    while result is None:
        with suppress(RunParked):  # it is too early
            result = await stand.attempt(request)
    assert result.summary == "nobody"


async def test_what_was_filled_in_in_time_counts_when_it_is_read_late(
    stand: Stand, page: Page, questions: Questions
) -> None:
    """The run had no process, and took longer to start than there was time left."""
    stand.settings = stand.settings.model_copy(update={"park_over_seconds": 0.0})
    request, _ = await _parked(stand, asking_until)
    page.said = Said({}, "ada")
    end = (await _open(questions, request)).asked_at + WITHIN
    while datetime.now(UTC) < end:  # noqa: ASYNC110
        await asyncio.sleep(0.01)
    result = await stand.attempt(request)
    assert result is not None
    assert result.summary == "somebody"
    [question] = await questions.of_run(request.run_id)
    assert (question.answered_by, question.via) == ("ada", "page")


async def test_what_cannot_be_taken_is_asked_again(
    stand: Stand, page: Page, questions: Questions
) -> None:
    """Somebody left behind what is no answer."""
    request, _ = await _parked(stand, asking)
    page.said = Said({"choice": "HEPES"}, "ada")
    with pytest.raises(RunParked):
        await stand.attempt(request)
    assert (await _open(questions, request)).answered_at is None


async def test_other_branches_come_to_their_end_first(stand: Stand, questions: Questions) -> None:
    """None of what they did is done again."""
    request, _ = await _parked(stand, asking_beside)
    assert stand.done == [*["stir 100.0"] * 3, "stop"]
    await questions.answer((await _open(questions, request)).id, {"choice": "two"}, "ada", "page")
    result = await stand.attempt(request)
    assert result is not None
    assert result.summary == "two"
    assert stand.done == [*["stir 100.0"] * 3, "stop"]


async def test_what_has_to_be_done_at_a_time_does_not_wait_for_people(
    stand: Stand, page: Page
) -> None:
    """The engine is told so."""
    await _parked(stand, asking_and_incubating)
    assert [on_time for _, on_time in page.told] == [True]


async def test_an_answer_at_the_moment_of_parking_is_not_lost(
    stand: Stand, page: Page, questions: Questions, database_url: str
) -> None:
    """It is written that the run is parked, and its process has not said so yet."""
    request = RunRequest(uuid4(), "night", asking, "stand")
    with psycopg.connect(database_url, autocommit=True) as connection:
        connection.execute(STUCK)
        with connection.transaction():
            connection.execute("SELECT pg_advisory_xact_lock(5715)")
            running = asyncio.create_task(stand.attempt(request))
            query = "SELECT 1 FROM praxis.protocol_run WHERE status = 'parked'"
            async with asyncio.timeout(30):
                while connection.execute(query).fetchone() is None:  # noqa: ASYNC110
                    await asyncio.sleep(0.01)
            question = await _open(questions, request)
            await questions.answer(question.id, {"choice": "TBS"}, "ada", "page")
        with pytest.raises(RunParked):
            await running
    assert page.told == [(0.0, False)]
    assert (await stand.attempt(request)).summary == "TBS"


async def test_an_answer_is_a_reason_to_go_on_until_it_is_taken_up(
    stand: Stand, journal: Journal, questions: Questions
) -> None:
    """Also when whoever answered was killed before saying so; and not for ever."""
    request, _ = await _parked(stand, asking)
    now = datetime.now(UTC)
    record = await journal.run(request.run_id)
    assert not await reason_to_go_on(journal, record, now)
    question = await _open(questions, request)
    await questions.answer(question.id, {"choice": "PBS"}, "ada", "page")
    reason = await reason_to_go_on(journal, record, now)
    assert reason.answered == (question.id,)
    await note(journal, record, reason)
    again = await reason_to_go_on(journal, record, now)
    assert again.was_told
    assert again.answered == (question.id,)
    assert not (await reason_to_go_on(journal, record, now + timedelta(minutes=6))).was_told

    assert (await stand.attempt(request)).summary == "PBS"
    assert not await reason_to_go_on(journal, await journal.run(request.run_id), now)


async def test_what_was_killed_while_it_was_given_up_is_done_by_who_looks(
    stand: Stand, journal: Journal, redis_url: str
) -> None:
    """One that was only cancelled keeps what it has, to be resumed."""
    request, _ = await _parked(stand, asking)
    await journal.set_status(request.run_id, RunStatus.CANCELLED)
    redis = connect_async(redis_url)
    looking = ParkedRuns(stand.settings, journal, redis)
    await looking.look()
    assert await journal.claims("stand")
    await journal.event(request.run_id, ABANDONED, "Somebody gave the run up.")
    await looking.look()
    assert not await journal.claims("stand")
    await redis.aclose()
