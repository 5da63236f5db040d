"""How an attempt that ended by an error leaves its run: what is done anew, and what is asked."""

from __future__ import annotations

from collections.abc import Sequence
from uuid import UUID

from praxis_core.assets.description import describe
from praxis_core.execution.learned import ONCE, Learning
from praxis_core.execution.trail import Deed, Tail
from praxis_core.journal.record import Journal
from praxis_core.journal.records import CommandRecord
from praxis_core.labware.encoder import message_of
from praxis_core.protocol.lifecycle import Answer, CommandKind, DoubtSubject, Sent

_MOST_TOLD = 12
"""Commands in one question; a person looks at the deck, not at a list."""


async def set_tail_aside(  # noqa: PLR0913, PLR0917  # what ended, and where it is written
    journal: Journal,
    run_id: UUID,
    attempt: int,
    learning: Learning,
    tail: Tail,
    error: BaseException,
) -> None:
    """Let a resumed attempt do the tail anew; ask first if something of it may have happened.

    Nothing is done when another attempt has begun: what it found is what counts.
    """
    if (await journal.run(run_id)).attempt != attempt:
        return
    commands = _from_the_first_on(await journal.recorded(run_id), tail)
    risky, effects = _risky(commands, tail)
    # The question first: killed between the two, the run still asks before it does anything.
    if risky or effects:
        await _ask(journal, run_id, attempt, risky, effects, error)
    if commands:
        await journal.mark_tail(run_id, commands[0].number)
        for one in commands:
            if one.command.attempt != attempt:
                await journal.set_aside(run_id, one.command.branch, one.command.ordinal)
    await learning.cut(tail)


async def will_ask(journal: Journal, run_id: UUID, tail: Tail) -> bool:
    """Tell whether ``set_tail_aside`` is going to ask about a tail."""
    commands = _from_the_first_on(await journal.recorded(run_id), tail)
    return any(_risky(commands, tail))


def _risky(
    commands: Sequence[CommandRecord], tail: Tail
) -> tuple[Sequence[CommandRecord], Sequence[Deed]]:
    """Give what may have happened: commands, and effects outside."""
    risky = [one for one in commands if _may_have_happened(one)]
    return risky, [deed for deed in tail.deeds if deed.kind == ONCE]


def _from_the_first_on(written: Sequence[CommandRecord], tail: Tail) -> list[CommandRecord]:
    keys = {(deed.branch, deed.ordinal) for deed in tail.commands}
    first = min((one.number for one in written if one.key in keys), default=None)
    return [one for one in written if first is not None and one.number >= first]


def _may_have_happened(record: CommandRecord) -> bool:
    if record.command.kind is not CommandKind.ONCE:
        return False
    outcome = record.outcome
    return outcome is None or outcome.error is None or outcome.sent is not Sent.NONE


async def _ask(  # noqa: PLR0913, PLR0917  # the parts of the question
    journal: Journal,
    run_id: UUID,
    attempt: int,
    commands: Sequence[CommandRecord],
    effects: Sequence[Deed],
    error: BaseException,
) -> None:
    told = [f"{describe(one.command)} (command {one.number}: {_end_of(one)})" for one in commands]
    told += [f"run.once({deed.name!r})" for deed in effects]
    more = f"; and {len(told) - _MOST_TOLD} more" if len(told) > _MOST_TOLD else ""
    branch, ordinal = commands[0].key if commands else (effects[0].branch, effects[0].ordinal)
    what = (
        f"attempt {attempt} ended by an error ({type(error).__name__}: {message_of(error)}), and "
        f"these may have happened at its end: {'; '.join(told[:_MOST_TOLD])}{more}. To go on, "
        "bring the deck to where it was before them; they are done again then"
    )
    await journal.raise_doubt(
        run_id,
        attempt,
        DoubtSubject.TAIL,
        branch,
        ordinal,
        what,
        (Answer.DID_NOT_HAPPEN, Answer.ABORT),
        {
            "commands": [
                {"number": one.number, "branch": one.key[0], "ordinal": one.key[1]}
                for one in commands
            ],
            "effects": [deed.name for deed in effects],
        },
    )


def _end_of(record: CommandRecord) -> str:
    if record.outcome is None:
        return "nobody knows how it ended"
    return "done" if record.outcome.error is None else f"failed: {record.outcome.error.message}"
