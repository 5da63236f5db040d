"""A run goes step by step: after each a person says whether it goes on, which counts for good."""

from __future__ import annotations

import asyncio
from typing import Any
from uuid import uuid4

import pytest
from pylabrobot.shaking import Shaker

from praxis_core.errors import AlreadyAnswered, RunStopped
from praxis_core.execution.decisions import EACH
from praxis_core.journal.questions import Question, Questions
from praxis_core.journal.record import Journal
from praxis_core.orchestrator import RunRequest, RunResult
from praxis_core.protocol import protocol, step
from praxis_core.protocol.lifecycle import RunStatus

Stand = Any
STIRS = ["stir 1.0", "stir 2.0", "stir 3.0"]


@step("Stir at {speed:.0f}")
async def stir(stirrer: Shaker, speed: float) -> None:
    """Stir."""
    await stirrer.backend.start_shaking(speed=speed)


@protocol(name="three-steps", version="1.0.0")
async def three_steps(stirrer: Shaker) -> str:
    """Stir faster and faster."""
    for speed in (1.0, 2.0, 3.0):
        await stir(stirrer, speed)
    return "stirred"


@pytest.fixture
def request_() -> RunRequest:
    """A run that goes step by step."""
    return RunRequest(uuid4(), "slowly", three_steps, "stand", until=EACH)


async def asked(journal: Journal, request: RunRequest) -> Question:
    """Wait until the run asks."""
    questions = Questions(journal.database)
    async with asyncio.timeout(30):
        while not (found := await questions.open(request.run_id)):  # noqa: ASYNC110  # in Postgres
            await asyncio.sleep(0.01)
    return found[0]


async def says(journal: Journal, request: RunRequest, word: str) -> Question:
    """Wait until the run asks, and answer."""
    question = await asked(journal, request)
    await Questions(journal.database).answer(question.id, {"choice": word}, "Ada", "test")
    return question


async def test_each_step_is_confirmed(stand: Stand, journal: Journal, request_: RunRequest) -> None:
    """Nothing of the next one is done before."""
    running = asyncio.create_task(stand.attempt(request_))
    for number in (1, 2, 3):
        question = await asked(journal, request_)
        assert question.title == f"Step {number} (Stir at {number}) is done. Go on?"
        assert stand.done == STIRS[:number]
        await says(journal, request_, "go on")

    result: RunResult = await running
    assert result.summary == "stirred"
    assert stand.done == STIRS


async def test_it_stops_where_somebody_wants_it_to(
    stand: Stand, journal: Journal, request_: RunRequest
) -> None:
    """And goes on after that step when it is resumed; the next one asks again."""
    running = asyncio.create_task(stand.attempt(request_))
    question = await says(journal, request_, "stop here")
    with pytest.raises(RunStopped, match="after step 1"):
        await running
    assert (await journal.run(request_.run_id)).status is RunStatus.INTERRUPTED
    assert stand.done == STIRS[:1]
    with pytest.raises(AlreadyAnswered):
        await Questions(journal.database).answer(question.id, {"choice": "go on"}, "Bob", "test")

    running = asyncio.create_task(stand.attempt(request_))
    for number in (2, 3):
        assert (await asked(journal, request_)).title.startswith(f"Step {number} ")
        await says(journal, request_, "go on")
    await running
    assert [one for one in stand.done if one not in STIRS[:1]] == STIRS[1:]


async def test_what_was_confirmed_before_a_kill_is_not_asked_again(
    stand: Stand, journal: Journal, request_: RunRequest
) -> None:
    """The step after it, which the kill has hit, is done once."""
    first = asyncio.create_task(stand.attempt(request_, kill_at=2, moment="before"))
    await says(journal, request_, "go on")
    assert await first is None

    running = asyncio.create_task(stand.attempt(request_))
    titles = [(await says(journal, request_, "go on")).title for _ in (2, 3)]
    await running
    assert [title.partition(" (")[0] for title in titles] == ["Step 2", "Step 3"]
    assert [one for one in stand.done if one == STIRS[1]] == STIRS[1:2]
