"""What a person is told about a run that stopped, and what they may do about it."""

from __future__ import annotations

import json
import os
import re
from collections.abc import AsyncIterator, Awaitable, Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

import pytest
from typer.testing import CliRunner

from praxis_core.cli import app
from praxis_core.cli.lost import is_lost
from praxis_core.errors import (
    HostNotRunning,
    NothingToAnswer,
    RequestError,
    RunNeedsAnswer,
    RunNotResumable,
)
from praxis_core.execution.consent import allow_current_code, current_code_allowed
from praxis_core.journal.record import Journal
from praxis_core.journal.records import AttemptRequest
from praxis_core.protocol.command import Command
from praxis_core.protocol.lifecycle import Answer, CommandKind, DoubtSubject, RunStatus
from praxis_core.services.prefect_api import FlowRun

ANSWERS = (Answer.HAPPENED, Answer.DID_NOT_HAPPEN, Answer.ABORT)


def praxis(*words: str) -> str:
    """Run a command; give what it printed, or raise what it would have said."""
    result = CliRunner().invoke(app, words, catch_exceptions=False)
    assert result.exit_code == 0, result.output
    return re.sub(r"\s+", " ", result.stdout)


@pytest.fixture(autouse=True)
def installation(database_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The command line finds the test's database, and no Prefect."""
    monkeypatch.setenv("PRAXIS_DATABASE_URL", database_url)
    monkeypatch.setenv("PRAXIS_HOME", str(tmp_path))
    monkeypatch.setattr("praxis_core.cli.console.console.width", 200)


Begin = Callable[..., Awaitable[UUID]]


@pytest.fixture
async def begin(journal: Journal) -> AsyncIterator[Begin]:
    """Begins a run that has the shaker, and lets it stop in some way."""

    async def begin(status: RunStatus | None = None) -> UUID:
        [protocol, *_] = await journal.protocols()
        run_id = uuid4()
        request = AttemptRequest(
            run_id=run_id,
            run_name="a run",
            protocol_id=protocol.id,
            workcell_id=(await journal.workcell("star")).id,
            parameters={},
            assets={},
            simulated=True,
        )
        attempt = await journal.begin_attempt(request)
        await journal.claim_devices(
            "star", ["shaker"], run_id=run_id, attempt=attempt, take_over=True
        )
        await journal.start(run_id, assets={}, start_snapshot=None)
        if status is not None:
            await journal.set_status(run_id, status)
        return run_id

    yield begin
    await journal.settled()


async def ask(journal: Journal, run_id: UUID, ordinal: int = 0) -> int:
    """Let a command of the run be in doubt; give the number of the question."""
    command = Command(
        run_id=run_id,
        attempt=1,
        branch="0",
        ordinal=ordinal,
        device="shaker",
        method="lock_plate",
        args=(),
        kwargs={},
        kind=CommandKind.ONCE,
        fingerprint="0" * 64,
    )
    if ordinal == 0:
        await journal.command_intent(command, datetime.now(UTC))
    doubt = await journal.raise_doubt(
        run_id,
        1,
        DoubtSubject.COMMAND,
        "0",
        ordinal,
        f"Was command {ordinal} carried out?",
        ANSWERS,
        {"deck": "plate_01 on the shaker"},
    )
    return doubt.id


async def run_in_thread(*words: str) -> str:
    """The command has an event loop of its own."""
    import asyncio

    return await asyncio.to_thread(praxis, *words)


async def test_a_run_in_doubt_says_what_it_asks_and_how_to_answer(
    journal: Journal, begin: Begin
) -> None:
    """In the list it is told apart, and its page has the question, the deck and the words."""
    run_id = await begin()
    await ask(journal, run_id)

    listed = await run_in_thread("run", "list")
    shown = await run_in_thread("run", "show", str(run_id)[:8])
    data = json.loads(await run_in_thread("run", "show", str(run_id), "--json"))

    assert "in doubt" in listed
    assert "Was command 0 carried out? deck: plate_01 on the shaker" in shown
    assert f"praxis run answer {run_id} did-not-happen" in shown
    assert [one["what"] for one in data["doubts"]] == ["Was command 0 carried out?"]


@pytest.mark.parametrize("said", ["happened", "did-not-happen"])
async def test_an_answer_is_noted_and_the_run_may_go_on(
    journal: Journal, begin: Begin, said: str
) -> None:
    """Under the name of who said so."""
    run_id = await begin()
    await ask(journal, run_id)

    told = await run_in_thread("run", "answer", str(run_id), said)

    assert f"Go on with: praxis run resume {run_id}" in told
    [doubt] = await journal.doubts(run_id)
    assert doubt.answer is not None
    assert doubt.answer.value == said.replace("-", "_")
    assert doubt.answered_by
    assert (await journal.find_command(run_id, "0", 0) is None) == (said == "did-not-happen")


async def test_abort_ends_the_run_and_frees_its_devices(journal: Journal, begin: Begin) -> None:
    """All its questions are closed with it."""
    run_id = await begin()
    question = await ask(journal, run_id)
    await ask(journal, run_id, 1)

    await run_in_thread("run", "answer", str(run_id), "abort", "--question", str(question))

    assert (await journal.run(run_id)).status is RunStatus.CANCELLED
    assert await journal.claims("star") == []
    assert await journal.open_doubts(run_id) == []


async def test_several_questions_are_answered_by_their_number(
    journal: Journal, begin: Begin
) -> None:
    """Without one nothing is noted, and the numbers are said."""
    run_id = await begin()
    questions = [await ask(journal, run_id, number) for number in (0, 1)]

    with pytest.raises(RequestError, match=f"--question {questions[0]}, {questions[1]}"):
        await run_in_thread("run", "answer", str(run_id), "happened")
    told = await run_in_thread(
        "run", "answer", str(run_id), "did-not-happen", "--question", str(questions[1])
    )

    assert f"Question {questions[0]}:" in told
    assert [doubt.id for doubt in await journal.open_doubts(run_id)] == [questions[0]]


async def test_what_was_not_asked_is_not_answered(journal: Journal, begin: Begin) -> None:
    """Nor is a word that is no answer."""
    run_id = await begin(RunStatus.INTERRUPTED)

    with pytest.raises(NothingToAnswer, match="interrupted"):
        await run_in_thread("run", "answer", str(run_id), "happened")
    await ask(journal, run_id)
    with pytest.raises(RequestError, match="'perhaps' is no answer"):
        await run_in_thread("run", "answer", str(run_id), "perhaps")


async def test_a_run_that_waits_for_an_answer_is_not_resumed(
    journal: Journal, begin: Begin
) -> None:
    """Nothing moves before somebody has looked."""
    run_id = await begin()
    await ask(journal, run_id)

    with pytest.raises(RunNeedsAnswer, match="Was command 0 carried out"):
        await run_in_thread("run", "resume", str(run_id))


async def test_a_run_that_succeeded_or_was_overtaken_is_not_resumed(
    journal: Journal, begin: Begin
) -> None:
    """There is nothing to go on with, or the deck was set back since."""
    star = (await journal.workcell("star")).definition
    await journal.store_workcell("star", {**star, "refill": "every_run"})
    done = await begin()
    await journal.finish(
        done, RunStatus.SUCCEEDED, summary=None, final_state={}, error=None, attempt=1
    )
    left = await begin(RunStatus.INTERRUPTED)
    newcomer = await begin()

    with pytest.raises(RunNotResumable, match="it has succeeded"):
        await run_in_thread("run", "resume", str(done))
    with pytest.raises(RunNotResumable, match=f"run {newcomer} has had its devices since"):
        await run_in_thread("run", "resume", str(left))


async def test_a_run_that_is_given_up_is_cancelled_and_frees_its_devices(
    journal: Journal, begin: Begin
) -> None:
    """Whether it asks something or not, and although Prefect does not answer."""
    interrupted = await begin(RunStatus.INTERRUPTED)
    await run_in_thread("run", "abandon", str(interrupted))
    asking = await begin()
    await ask(journal, asking)
    await run_in_thread("run", "abandon", str(asking))

    for run_id in (interrupted, asking):
        assert (await journal.run(run_id)).status is RunStatus.CANCELLED
        assert "run_abandoned" in {event.kind for event in await journal.events(run_id)}
    assert await journal.claims("star") == []


async def test_an_interrupted_run_says_how_to_go_on(journal: Journal, begin: Begin) -> None:
    """And a resumed one from where it was live again."""
    run_id = await begin(RunStatus.INTERRUPTED)
    await journal.event(run_id, "resumed", "resumed: 37 commands replayed, live from command 38")

    shown = await run_in_thread("run", "show", str(run_id))

    assert f"Go on from where it was: praxis run resume {run_id}" in shown
    assert "resumed: 37 commands replayed, live from command 38" in shown


@pytest.mark.parametrize("status", [None, RunStatus.INTERRUPTED])
async def test_only_a_run_that_seems_to_go_on_has_ended_without_a_word(
    journal: Journal, begin: Begin, status: RunStatus | None
) -> None:
    """One that is interrupted says so itself, whatever Prefect calls it."""
    run = await journal.run(await begin(status))
    ended = FlowRun(run.run_id, "a run", "FAILED", "Failed", "HostLost", None, datetime.now(UTC))

    assert is_lost(run, ended) is (status is None)


async def test_a_run_that_ended_is_not_given_up(journal: Journal, begin: Begin) -> None:
    """Its history says how it ended, and nothing is added to that."""
    run_id = await begin()
    await journal.finish(
        run_id, RunStatus.SUCCEEDED, summary=None, final_state={}, error=None, attempt=1
    )
    await journal.release_claims(run_id)

    with pytest.raises(RequestError, match=r"has ended .succeeded. and has nothing"):
        await run_in_thread("run", "abandon", str(run_id))
    assert "run_abandoned" not in {event.kind for event in await journal.events(run_id)}


async def test_a_run_says_that_it_waits_for_its_workcells_host(begin: Begin) -> None:
    """Nothing moves meanwhile, and what starts the host is said."""
    shown = await run_in_thread("run", "show", str(await begin()))

    assert "for the host of workcell star, which does not answer" in shown
    assert "praxis up" in shown


async def test_the_current_code_is_allowed_for_one_attempt(journal: Journal, begin: Begin) -> None:
    """The next attempt of the run has it; the one after has to be allowed again."""
    run_id = await begin(RunStatus.INTERRUPTED)
    assert not await current_code_allowed(journal, run_id)

    await allow_current_code(journal, run_id, "somebody")

    assert await current_code_allowed(journal, run_id)
    run = await journal.run(run_id)
    request: dict[str, Any] = {"run_id": run_id, "run_name": run.name, "parameters": {}}
    await journal.begin_attempt(
        AttemptRequest(
            **request,
            protocol_id=run.protocol_id,
            workcell_id=run.workcell_id,
            assets={},
            simulated=True,
        )
    )
    assert not await current_code_allowed(journal, run_id)


async def test_a_workcell_without_a_host_says_so(begin: Begin) -> None:
    """In the list, and to who wants something of it."""
    listed = json.loads(await run_in_thread("workcell", "list", "--json"))

    assert [one["host"] for one in listed] == [None]
    assert "not running" in await run_in_thread("workcell", "list")
    with pytest.raises(HostNotRunning, match="praxis up"):
        await run_in_thread("device", "release", "star", "shaker")
    assert os.environ["PRAXIS_HOME"]
