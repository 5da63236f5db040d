"""A protocol asks the people at the bench; what they say is recorded, and not asked for again."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import suppress
from datetime import timedelta
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

import pytest
from pydantic import BaseModel, Field, SecretStr, field_validator
from pylabrobot.heating_shaking import HeaterShaker

from praxis_core.errors import NoAnswer, NoRun, RequestError
from praxis_core.execution.page import Form, RunPage, Said
from praxis_core.journal.questions import Questions
from praxis_core.journal.record import Journal
from praxis_core.orchestrator import Orchestrator, RunRequest, RunResult
from praxis_core.planning.plan import Plan
from praxis_core.protocol import operator, protocol
from praxis_core.protocol.lifecycle import RunStatus
from praxis_core.settings import PraxisSettings
from praxis_core.workcell.definition import WorkcellDefinition


class Weights(BaseModel):
    """What three tubes weigh, g."""

    first: float = Field(gt=0)
    second: float = Field(gt=0)

    @field_validator("second")
    @classmethod
    def differs(cls, value: float) -> float:
        """Refuse what no JSON schema can tell."""
        if value == 13:  # any number will do
            raise ValueError("a tube of 13 g brings bad luck")
        return value


@protocol(name="asking", version="1.0.0")
async def asking(shaker: HeaterShaker) -> str:
    """Ask for three things, between commands."""
    await operator.confirm("Put the plate on the shaker", "**Lid off**, please.")
    await shaker.lock_plate()
    buffer = await operator.choose("Which buffer?", ["PBS", "TBS"])
    if buffer == "TBS":
        await shaker.unlock_plate()
    weights = await operator.enter(Weights, "Weigh the tubes")
    await shaker.unlock_plate()
    return f"{buffer} {weights.first + weights.second:g} g"


@protocol(name="impatient", version="1.0.0")
async def impatient(shaker: HeaterShaker) -> str:
    """Do without the people when they do not come."""
    await shaker.lock_plate()
    try:
        await operator.confirm("Is anybody there?", within=timedelta(milliseconds=1))
    except NoAnswer as error:
        await shaker.unlock_plate()
        return str(error)
    return "somebody came"


class Page(RunPage):
    """Answers what it is told to, and keeps what was asked."""

    via = "page"

    def __init__(self) -> None:
        self.answers: list[Any] = []
        self.forms: list[Form] = []
        self.waits = asyncio.Event()
        self.plan: Plan | None = None

    async def planned(self, plan: Plan) -> None:
        """Keep the plan."""
        self.plan = plan

    async def asked(self, run_id: UUID, form: Form) -> Said:
        """Answer at once if there is an answer."""
        self.forms.append(form)
        if self.answers:
            return Said(self.answers.pop(0), "ada")
        self.waits.set()
        return await super().asked(run_id, form)


class Bench:
    """The library's STAR with a page."""

    def __init__(self, journal: Journal, settings: PraxisSettings) -> None:
        self.page = Page()
        self.journal = journal
        self.questions = Questions(journal.database)
        self.orchestrator = Orchestrator(journal=journal, settings=settings, page=self.page)
        self.run_id = uuid4()

    async def run(self, function: Any) -> RunResult:
        """Carry a run out, or go on with it."""
        request = RunRequest(self.run_id, "a run", function, "star")
        async with asyncio.timeout(60):
            return await self.orchestrator.run(request)

    async def methods(self) -> list[str]:
        """List what the run did."""
        commands = await self.journal.commands(self.run_id)
        # Not those that set the devices again of an attempt that went on.
        return [one.command.method for one in commands if one.key[0] == "0"]


@pytest.fixture
async def bench(
    journal: Journal, database_url: str, redis_url: str, tmp_path: Path
) -> AsyncIterator[Bench]:
    """A bench without anybody."""
    settings = PraxisSettings(
        home=tmp_path,
        database_url=SecretStr(database_url),
        redis_url=SecretStr(redis_url),
        remind_seconds=0.2,
    )
    bench = Bench(journal, settings)
    assert WorkcellDefinition.model_validate((await journal.workcell("star")).definition)
    yield bench
    await bench.orchestrator.close()


async def test_what_people_say_on_the_page_is_what_the_protocol_gets(bench: Bench) -> None:
    """A choice that decides makes the plan conditional; what the model refuses is asked again."""
    bench.page.answers = [
        {},
        {"choice": "TBS"},
        {"first": 1, "second": 13},
        {"first": 1, "second": 2},
    ]

    result = await bench.run(asking)

    assert result.summary == "TBS 3 g"
    assert await bench.methods() == ["lock_plate", "unlock_plate", "unlock_plate"]
    titles = ["Put the plate on the shaker", "Which buffer?", *["Weigh the tubes"] * 2]
    assert [form.title for form in bench.page.forms] == titles
    assert "**Lid off**" in bench.page.forms[0].text
    assert "second: Value error, a tube of 13 g brings bad luck" in bench.page.forms[3].text
    assert bench.page.plan is not None
    assert "the answer to 'Which buffer?' is compared" in str(bench.page.plan.conditional_from)
    asked = await bench.questions.of_run(bench.run_id)
    assert {(one.answered_by, one.via) for one in asked} == {("ada", "page")}
    kinds = [one.kind for one in await bench.journal.events(bench.run_id)]
    assert (kinds.count("asked"), kinds.count("answered")) == (4, 4)


async def test_an_answer_of_the_wrong_type_is_asked_for_again(bench: Bench) -> None:
    """The page says what was wrong with it."""
    bench.page.answers = [
        "yes",
        {},
        {"choice": "HEPES"},
        {"choice": "PBS"},
        {"first": 1, "second": 2},
    ]

    assert (await bench.run(asking)).summary == "PBS 3 g"

    assert "is not one of ['PBS', 'TBS']" in bench.page.forms[3].text


async def test_a_run_that_is_resumed_does_not_ask_again(bench: Bench) -> None:
    """What was answered elsewhere while nobody worked on it is there, too; people are reminded."""
    bench.page.answers = [{}]
    running = asyncio.create_task(bench.run(asking))
    await bench.page.waits.wait()
    async with asyncio.timeout(30):
        while "reminded" not in [e.kind for e in await bench.journal.events(bench.run_id)]:  # noqa: ASYNC110
            await asyncio.sleep(0.05)
    running.cancel()
    with suppress(asyncio.CancelledError):
        await running
    assert (await bench.journal.run(bench.run_id)).status is RunStatus.CANCELLED
    [question] = await bench.questions.open(bench.run_id)
    await bench.questions.answer(question.id, {"choice": "PBS"}, "bob", "command-line")

    bench.page.answers, bench.page.forms = [{"first": 2, "second": 2}], []
    result = await bench.run(asking)

    assert result.summary == "PBS 4 g"
    assert [form.title for form in bench.page.forms] == ["Weigh the tubes"]
    assert await bench.methods() == ["lock_plate", "unlock_plate"]


async def test_what_is_answered_elsewhere_ends_the_form(bench: Bench) -> None:
    """Whoever is faster."""
    bench.page.answers = [{}]
    running = asyncio.create_task(bench.run(asking))
    await bench.page.waits.wait()
    bench.page.answers = [{"first": 2, "second": 2}]
    [question] = await bench.questions.open(bench.run_id)
    await bench.questions.answer(question.id, {"choice": "PBS"}, "bob", "command-line")

    assert (await running).summary == "PBS 4 g"


async def test_a_protocol_may_wait_for_so_long_only(bench: Bench) -> None:
    """It may catch that nobody answered; a replay is told the same."""
    said = (await bench.run(impatient)).summary
    assert said == (
        "Nobody answered 'Is anybody there?' within 0:00:00.001000. Let the protocol give more "
        "time (within=...), or catch this error."
    )
    assert await bench.methods() == ["lock_plate", "unlock_plate"]


async def test_a_protocol_that_is_called_directly_has_nobody_to_ask(tmp_path: Path) -> None:
    """And a picture has to be one."""
    with pytest.raises(NoRun, match="operator needs a run"):
        await operator.confirm("Anybody?")
    large = tmp_path / "large.png"
    large.write_bytes(b"x" * 60_001)
    for picture, told in [
        (large, "60001 bytes; at most 60000"),
        (tmp_path / "none.svg", "cannot be read"),
        (tmp_path / "deck.txt", "no PNG, JPEG or SVG"),
    ]:
        with pytest.raises(RequestError, match=told):
            await operator.confirm("Anybody?", picture=picture)
    with pytest.raises(RequestError, match="different options"):
        await operator.choose("Which?", [])
