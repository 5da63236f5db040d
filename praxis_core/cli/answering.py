"""``praxis run answer`` and ``questions``: what runs ask people, and what people say."""

from __future__ import annotations

import asyncio
import getpass
import json
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Annotated
from uuid import UUID

import typer
from pydantic import JsonValue
from rich.markup import escape

from praxis_core.cli.console import AsJson, console, print_json
from praxis_core.cli.opening import journal, run_id_of
from praxis_core.cli.result import as_json, show_asked, show_questions, told_of
from praxis_core.cli.stopping import cancel_in_prefect, known_run
from praxis_core.cli.waiting import in_prefect
from praxis_core.errors import NothingToAnswer, RequestError, RunNotFound, ServiceError
from praxis_core.execution.deciding import refuse_hopeless
from praxis_core.execution.doubt_told import DoubtTold
from praxis_core.execution.in_doubt import details_of, read_channels
from praxis_core.execution.report_process import begin_report
from praxis_core.journal.questions import Question, Questions, wanted
from praxis_core.journal.record import Journal
from praxis_core.journal.records import Doubt
from praxis_core.protocol.lifecycle import Answer, DoubtSubject
from praxis_core.services.parked_runs import start_again
from praxis_core.settings import PraxisSettings

VIA = "command-line"


def _word(answer: Answer) -> str:
    return answer.value.replace("_", "-")


_ANSWERS = {_word(answer): answer for answer in Answer}


def answer(
    run: Annotated[str, typer.Argument(help="Id of the run, or its first characters.")],
    said: Annotated[
        str,
        typer.Argument(
            metavar="ANSWER",
            help="As the question says: yes, one of the choices, or a JSON object. Of a command in "
            "doubt or that failed: happened (wholly), did-not-happen (the deck is as before it; it "
            "is done again), partly (--channels), skip, failed (the protocol is told), or abort.",
        ),
    ],
    *,
    question: Annotated[
        int | None, typer.Option(help="Number of the question, when the run asks several.")
    ] = None,
    value: Annotated[
        str | None,
        typer.Option(help="What run.once() would have returned, as JSON, when it happened."),
    ] = None,
    channels: Annotated[
        str | None,
        typer.Option(help="Of one that happened partly, the channels on which it did: 0-3,6."),
    ] = None,
    note: Annotated[
        str | None, typer.Option(help="What you did by hand, or saw; kept with the answer.")
    ] = None,
    anyway: Annotated[
        bool, typer.Option("--anyway", help="Skip it although the rest cannot go well then.")
    ] = False,
    by: Annotated[str | None, typer.Option(help="Who answers; else your login name.")] = None,
    as_json_: AsJson = False,
) -> None:
    """Answer what a run asks; look at the deck first."""
    settings = PraxisSettings()
    run_id = asyncio.run(run_id_of(settings, run))
    name = getpass.getuser() if by is None else by
    given = Given(_json(value, "--value"), channels, note, anyway=anyway)
    answered, still_open, by_hand = asyncio.run(
        _answer(settings, run_id, said, question, given, name)
    )
    aborted = isinstance(answered, Doubt) and answered.answer is Answer.ABORT
    if aborted and not by_hand:
        cancel_in_prefect(settings, run_id)
    if isinstance(answered, Question):
        asyncio.run(_wake(settings, run_id))
    if as_json_:
        print_json({"answered": as_json(answered), "open": [as_json(one) for one in still_open]})
        return
    console.print(escape(f"Noted: {said}."))
    _show(run_id, still_open, {})
    if not still_open and not aborted:
        console.print(_goes_on(settings, run_id, by_hand=by_hand))


async def _wake(settings: PraxisSettings, run_id: UUID) -> None:
    """Let the worker start the run if it is parked; what that misses, the page's process does."""
    async with journal(settings) as records:
        with suppress(RunNotFound, ServiceError):
            await start_again(settings, records, run_id)


@dataclass(frozen=True, slots=True)
class Given:
    """What was typed beside an answer."""

    value: JsonValue
    channels: str | None
    note: str | None
    anyway: bool

    def to(self, asked: Doubt | Question, said: str) -> JsonValue:
        """Put together what goes with an answer.

        Raises:
            RequestError: something goes with another one: it is not left aside in silence.
        """
        about = asked.subject if isinstance(asked, Doubt) else None
        if self.value is not None and about is not DoubtSubject.ONCE:
            raise self._misplaced("--value", "run.once()", asked)
        if self.note is not None and about in {None, DoubtSubject.ONCE}:
            raise self._misplaced("--note", "a command in doubt", asked)
        if self.channels is not None and said != _word(Answer.PARTLY):
            raise self._misplaced("--channels", _word(Answer.PARTLY), said)
        if self.anyway and said != _word(Answer.SKIP):
            raise self._misplaced("--anyway", _word(Answer.SKIP), said)
        if about in {None, DoubtSubject.ONCE} or said not in _ANSWERS:
            return self.value
        channels = None if self.channels is None else read_channels(self.channels)
        return details_of(_ANSWERS[said], channels, self.note)

    def _misplaced(self, what: str, where: str, here: Doubt | Question | str) -> RequestError:
        if isinstance(here, Question):
            here = f"the question {here.title!r}"
        elif isinstance(here, Doubt):
            here = f"question {here.id}"
        return RequestError(what=f"{what} goes with {where}, not with {here}; nothing is noted")


def questions(
    run: Annotated[
        str, typer.Argument(help="Id of the run, or its first characters; all: of all runs.")
    ] = "all",
    *,
    as_json_: AsJson = False,
) -> None:
    """List what runs ask, and what was answered by whom."""
    settings = PraxisSettings()
    run_id = None if run == "all" else asyncio.run(run_id_of(settings, run))
    asked, doubts, known = asyncio.run(_asked_of(settings, run_id))
    if as_json_:
        asked_about = [
            {**as_json(one), **(as_json(known[one.id]) if one.id in known else {})}
            for one in doubts
        ]
        print_json({"questions": [as_json(one) for one in asked], "doubts": [*asked_about]})
        return
    listed: list[Doubt | Question] = [*asked, *doubts]
    for one in listed:
        _show(one.run_id, [one], known, number=True)
        if one.answered_at is not None:
            when = f"{one.answered_at:%Y-%m-%d %H:%M:%S}"
            told = one.answer if isinstance(one, Doubt) else json.dumps(one.answer)
            console.print(escape(f"  {when} {one.answered_by} (unverified): {told}"))
    if not asked and not doubts:
        console.print("Nothing is asked.")


async def _asked_of(
    settings: PraxisSettings, run_id: UUID | None
) -> tuple[Sequence[Question], Sequence[Doubt], dict[int, DoubtTold]]:
    async with journal(settings) as records:
        asked = Questions(records.database)
        if run_id is not None:
            doubts = await records.doubts(run_id)
            known = await told_of(settings, records, doubts)
            return await asked.of_run(run_id), doubts, known
        runs = [one.run_id for one in await records.runs(limit=1000) if not one.status.ended]
        doubts = [doubt for run in runs for doubt in await records.open_doubts(run)]
        return await asked.open(), doubts, await told_of(settings, records, doubts)


async def _answer(  # noqa: PLR0917  # what is said
    settings: PraxisSettings,
    run_id: UUID,
    said: str,
    number: int | None,
    given: Given,
    by: str,
) -> tuple[Doubt | Question, list[Doubt | Question], bool]:
    async with journal(settings) as records:
        run = await known_run(settings, records, run_id)
        questions = Questions(records.database)
        open_ones = await _open(records, questions, run_id)
        one = await _meant(records, questions, run_id, run.status.value, open_ones, number)
        answered: Doubt | Question
        value = given.to(one, said)
        if isinstance(one, Question):
            answered = await questions.answer(one.id, _as_wanted(one, said), by, VIA)
        elif said in _ANSWERS:
            if not given.anyway:
                await refuse_hopeless(records, settings, one, _ANSWERS[said])
            answered = await records.answer_doubt(one.id, _ANSWERS[said], by, value)
            await begin_report(settings, records, run_id)
        else:
            raise RequestError(what=f"{said!r} is no answer; say one of: {', '.join(_ANSWERS)}")
        return answered, await _open(records, questions, run_id), run.by_hand


async def _open(records: Journal, questions: Questions, run_id: UUID) -> list[Doubt | Question]:
    return [*await records.open_doubts(run_id), *await questions.open(run_id)]


async def _meant(  # noqa: PLR0917  # what there is
    records: Journal,
    questions: Questions,
    run_id: UUID,
    status: str,
    open_ones: Sequence[Doubt | Question],
    number: int | None,
) -> Doubt | Question:
    """Find the question that is answered; one that was answered before says so itself."""
    if number is not None:
        asked: list[Doubt | Question] = [
            *await records.doubts(run_id),
            *await questions.of_run(run_id),
        ]
        for one in asked:
            if one.id == number:
                return one
    if not open_ones:
        raise NothingToAnswer(run_id=run_id, status=status.replace("_", " "))
    if number is None and len(open_ones) == 1:
        return open_ones[0]
    numbers = ", ".join(str(one.id) for one in open_ones)
    what = f"run {run_id} asks {len(open_ones)} questions; say which one: --question {numbers}"
    raise RequestError(what=what)


def _as_wanted(asked: Question, said: str) -> JsonValue:
    """Read what was typed as an answer to a question."""
    fields = asked.form.get("properties")
    if said in asked.choices:
        return dict.fromkeys(fields, said) if isinstance(fields, dict) else {}
    if not fields:
        what = f"{said!r} does not answer {asked.title!r}; say: {wanted(asked)}, or leave it open"
        raise RequestError(what=f"{what}, or cancel the run")
    if asked.choices:
        what = f"{said!r} does not answer {asked.title!r}; say one of: {wanted(asked)}"
        raise RequestError(what=what)
    return _json(said, f"an answer to {asked.title!r} is {wanted(asked)}, and this")


def _json(text: str | None, where: str) -> JsonValue:
    if text is None:
        return None
    try:
        value: JsonValue = json.loads(text)
    except ValueError as error:
        raise RequestError(what=f"{where}: {text!r} is no JSON: {error}") from None
    return value


def _show(
    run_id: UUID,
    asked: Sequence[Doubt | Question],
    known: Mapping[int, DoubtTold],
    *,
    number: bool = False,
) -> None:
    named = number or len(asked) > 1
    doubts = [one for one in asked if isinstance(one, Doubt)]
    show_questions(run_id, doubts, named=named, known=known)
    show_asked([one for one in asked if isinstance(one, Question)], named=named)


def _goes_on(settings: PraxisSettings, run_id: UUID, *, by_hand: bool) -> str:
    if by_hand:
        return f"Give it up, for others to have its things: praxis run abandon {run_id}"
    flow_run = in_prefect(settings, run_id)
    if flow_run is not None and not flow_run.ended:
        return "It goes on by itself."
    return f"Go on with: praxis run resume {run_id}"
