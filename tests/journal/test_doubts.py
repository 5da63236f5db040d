"""Questions to a person, what an answer does, and what a protocol learned."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import replace
from datetime import UTC, datetime
from uuid import UUID, uuid4

import pytest

from praxis_core.errors import AnswerRefused, JournalError, NothingToAnswer
from praxis_core.journal.record import Journal
from praxis_core.journal.records import AttemptRequest
from praxis_core.labware.encoded_error import EncodedError
from praxis_core.protocol.command import Command, Outcome
from praxis_core.protocol.lifecycle import Answer, DoubtSubject, OutcomeStatus, RunStatus, Sent

AT = datetime(2025, 3, 14, tzinfo=UTC)
ALL = tuple(Answer)

Requests = Callable[[], Awaitable[AttemptRequest]]


@pytest.fixture
async def doubtful(journal: Journal, command: Command) -> Command:
    """A command that has a claim and an intent, and no outcome."""
    token = await journal.claim_devices(
        "star", [command.device], run_id=command.run_id, attempt=1, take_over=False
    )
    claimed = replace(command, token=token)
    await journal.command_intent(claimed, AT)
    await journal.set_status(command.run_id, RunStatus.RUNNING)
    return claimed


async def _ask(
    journal: Journal, command: Command, subject: DoubtSubject = DoubtSubject.COMMAND
) -> int:
    asked = await journal.raise_doubt(
        command.run_id,
        1,
        subject,
        command.branch,
        command.ordinal,
        "Did it?",
        ALL,
        {"device": "lh"},
    )
    return asked.id


async def test_a_doubt_stops_the_run_until_somebody_answers(
    journal: Journal, doubtful: Command
) -> None:
    """It is asked once, however often it comes up."""
    first = await _ask(journal, doubtful)
    assert await _ask(journal, doubtful) == first

    [doubt] = await journal.open_doubts(doubtful.run_id)
    assert (doubt.subject, doubt.key, doubt.what) == (DoubtSubject.COMMAND, ("0", 0), "Did it?")
    assert (doubt.choices, doubt.details, doubt.answer) == (ALL, {"device": "lh"}, None)
    run = await journal.run(doubtful.run_id)
    assert (run.status, run.ended_at) == (RunStatus.IN_DOUBT, None)


async def test_a_run_that_failed_stays_failed_and_is_asked_all_the_same(
    journal: Journal, doubtful: Command
) -> None:
    """Its tail is what it is asked about."""
    await journal.set_status(doubtful.run_id, RunStatus.FAILED)
    await _ask(journal, doubtful, DoubtSubject.TAIL)

    assert (await journal.run(doubtful.run_id)).status is RunStatus.FAILED
    assert len(await journal.open_doubts(doubtful.run_id)) == 1


async def test_a_command_that_happened_has_its_outcome(journal: Journal, doubtful: Command) -> None:
    """The answer is kept with who gave it, and counts once."""
    doubt = await _ask(journal, doubtful)

    answered = await journal.answer_doubt(doubt, Answer.HAPPENED, "ada", {"note": "seen"})

    assert (answered.answer, answered.answered_by) == (Answer.HAPPENED, "ada")
    assert answered.answer_details == {"note": "seen"}
    [record] = await journal.recorded(doubtful.run_id)
    assert record.outcome is not None
    assert (record.outcome.status, record.outcome.value) == (OutcomeStatus.SUCCEEDED, None)
    assert record.delivered is not None
    assert await journal.open_doubts(doubtful.run_id) == []
    with pytest.raises(NothingToAnswer):
        await journal.answer_doubt(doubt, Answer.HAPPENED, "bob")


async def test_a_failure_that_may_have_been_sent_is_settled_by_the_answer(
    journal: Journal, doubtful: Command, outcome: Outcome
) -> None:
    """No other outcome is ever replaced."""
    lost = replace(
        outcome,
        status=OutcomeStatus.FAILED,
        value=None,
        error=EncodedError("builtins:TimeoutError", "late"),
    )
    for ordinal, sent in enumerate((Sent.UNKNOWN, Sent.SOME)):
        command = replace(doubtful, ordinal=ordinal)
        await journal.command_intent(command, AT)
        await journal.command_outcome(command, replace(lost, sent=sent), [])
        await journal.answer_doubt(await _ask(journal, command), Answer.HAPPENED, "ada")

    unknown, some = await journal.recorded(doubtful.run_id)
    assert unknown.outcome is not None
    assert (unknown.outcome.status, unknown.outcome.sent) == (OutcomeStatus.SUCCEEDED, None)
    assert some.outcome == replace(lost, sent=Sent.SOME)


async def test_a_command_that_did_not_happen_is_done_when_it_comes_up_again(
    journal: Journal, request_attempt: Requests, doubtful: Command
) -> None:
    """Its row stays in the history, set aside."""
    doubt = await _ask(journal, doubtful)

    await journal.answer_doubt(doubt, Answer.DID_NOT_HAPPEN, "ada")

    assert await journal.find_command(doubtful.run_id, "0", 0) is None
    request = replace(await request_attempt(), run_id=doubtful.run_id)
    assert await journal.begin_attempt(request) == 2
    again = replace(doubtful, attempt=2, token=None)
    await journal.command_intent(again, AT)
    first, second = await journal.commands(doubtful.run_id)
    assert (first.tail, second.tail) == (True, False)
    assert [one.command for one in await journal.recorded(doubtful.run_id)] == [again]
    found = await journal.find_command(doubtful.run_id, "0", 0)
    assert found == second


async def test_what_has_happened_meanwhile_cannot_be_said_not_to_have(
    journal: Journal, doubtful: Command, outcome: Outcome
) -> None:
    """An outcome that came late answers the question; done again, it would happen twice."""
    doubt = await _ask(journal, doubtful)
    await journal.command_outcome(doubtful, outcome, [])

    with pytest.raises(AnswerRefused, match="its outcome has come in since: it succeeded"):
        await journal.answer_doubt(doubt, Answer.DID_NOT_HAPPEN, "ada")

    assert len(await journal.open_doubts(doubtful.run_id)) == 1
    await journal.answer_doubt(doubt, Answer.HAPPENED, "ada")
    [record] = await journal.recorded(doubtful.run_id)
    assert record.outcome == outcome


async def test_abort_ends_the_run_with_all_its_questions(
    journal: Journal, doubtful: Command
) -> None:
    """And gives its devices back."""
    doubt = await _ask(journal, doubtful)
    await _ask(journal, replace(doubtful, ordinal=7), DoubtSubject.ONCE)

    await journal.answer_doubt(doubt, Answer.ABORT, "ada")

    assert (await journal.run(doubtful.run_id)).status is RunStatus.CANCELLED
    assert await journal.claims("star") == []
    assert [one.answer for one in await journal.doubts(doubtful.run_id)] == [Answer.ABORT] * 2


async def test_only_what_was_offered_is_an_answer(journal: Journal, doubtful: Command) -> None:
    """And only to a question that was asked, about a run that is there."""
    asked = await journal.raise_doubt(
        doubtful.run_id, 1, DoubtSubject.TAIL, "0", 0, "Again?", [Answer.ABORT]
    )

    with pytest.raises(AnswerRefused, match="Possible: abort"):
        await journal.answer_doubt(asked.id, Answer.HAPPENED, "ada")
    with pytest.raises(JournalError, match="no question 99"):
        await journal.answer_doubt(99, Answer.HAPPENED, "ada")
    with pytest.raises(JournalError, match="no run"):
        await _ask(journal, replace(doubtful, run_id=uuid4()))
    assert len(await journal.open_doubts(doubtful.run_id)) == 1


async def test_the_tail_of_an_attempt_is_set_aside_from_a_command_on(
    journal: Journal, request_attempt: Requests, run_id: UUID, command: Command, outcome: Outcome
) -> None:
    """Of the last attempt only, whatever branch; saying it twice changes nothing."""
    await journal.command_intent(command, AT)
    await journal.begin_attempt(replace(await request_attempt(), run_id=run_id))
    rest = [
        replace(command, attempt=2, branch=branch, ordinal=ordinal)
        for branch, ordinal in (("0", 1), ("0.1", 0), ("0", 2))
    ]
    for one in rest:
        await journal.command_intent(one, AT)
        journal.writer.outcome(one, outcome, [])
    number = (await journal.commands(run_id))[2].number

    for _ in range(2):
        marked = await journal.mark_tail(run_id, number)
        assert [one.command for one in marked] == rest[1:]
        assert all(one.tail and one.outcome == outcome for one in marked)

    assert [one.command for one in await journal.recorded(run_id)] == [command, rest[0]]
    assert await journal.mark_tail(run_id, 0) != []
    assert [one.command for one in await journal.recorded(run_id)] == [command]


async def test_what_was_learned_first_counts(
    journal: Journal, request_attempt: Requests, run_id: UUID
) -> None:
    """For the next attempt, too; an attempt that has ended learns nothing."""
    place = (run_id, 1, "0", 3, "now", "run.now")
    assert await journal.learn(*place, "10:00") == "10:00"
    assert await journal.learn(*place, "11:00") == "10:00"
    assert await journal.learn(run_id, 1, "0", 3, "random", "seed", None) is None
    await journal.begin_attempt(replace(await request_attempt(), run_id=run_id))

    assert await journal.learn(run_id, 2, "0", 3, "now", "run.now", "12:00") == "10:00"
    with pytest.raises(JournalError, match="has ended"):
        await journal.learn(run_id, 1, "0", 4, "now", "run.now", "12:00")

    learned = {one.key: (one.value, one.attempt) for one in await journal.learned(run_id)}
    assert learned == {("0", 3, "now"): ("10:00", 1), ("0", 3, "random"): (None, 1)}


async def test_of_two_who_learn_at_once_one_counts_for_both(journal: Journal, run_id: UUID) -> None:
    """Whoever was first."""
    place = (run_id, 1, "0", 0, "now", "run.now")

    values = await asyncio.gather(*(journal.learn(*place, n) for n in range(8)))

    assert len(set(values)) == 1


async def test_an_outside_effect_is_begun_and_done(journal: Journal, run_id: UUID) -> None:
    """Done once, with its result."""
    await journal.learn(run_id, 1, "0", 0, "once", "mail", None)
    with pytest.raises(JournalError, match="never began"):
        await journal.learn_done(run_id, "0", 1, "once", "sent")

    await journal.learn_done(run_id, "0", 0, "once", "sent")

    [learned] = await journal.learned(run_id)
    assert (learned.value, learned.done_at is not None) == ("sent", True)
    assert await journal.learn(run_id, 1, "0", 0, "once", "mail", None) == "sent"
    with pytest.raises(JournalError, match="never changed"):
        await journal.learn_done(run_id, "0", 0, "once", "sent twice")


@pytest.mark.parametrize(
    ("answer", "learned"), [(Answer.HAPPENED, [("id 7", True)]), (Answer.DID_NOT_HAPPEN, [])]
)
async def test_a_doubtful_outside_effect_is_settled_by_the_answer(
    journal: Journal, command: Command, answer: Answer, learned: list[tuple[str, bool]]
) -> None:
    """With the result that the person knows, or as if it had never begun."""
    await journal.learn(command.run_id, 1, "0", 0, "once", "order", None)
    doubt = await _ask(journal, command, DoubtSubject.ONCE)

    await journal.answer_doubt(doubt, answer, "ada", "id 7")

    found = [(one.value, one.done_at is not None) for one in await journal.learned(command.run_id)]
    assert found == learned
