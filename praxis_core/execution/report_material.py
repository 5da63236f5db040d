"""What the report of a run is made of: gathered from the history, the deck drawn per command."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing
from datetime import UTC, datetime
from uuid import UUID

from praxis_core.assets.catalogue import Catalogue
from praxis_core.errors import RunNotFound, ServiceError
from praxis_core.execution.report import MOST_BYTES_OF_FILM, Reported
from praxis_core.execution.versions import versions
from praxis_core.journal.questions import Questions
from praxis_core.journal.record import Journal
from praxis_core.journal.records import CommandRecord, RunRecord
from praxis_core.pictures.film import Film
from praxis_core.protocol.command import DeckChange

MOST_PICTURES = 5000


async def gathered(journal: Journal, run_id: UUID) -> Reported:
    """Gather all that a report tells; to draw the deck takes 10 to 40 ms per command.

    Raises:
        RunNotFound: there is no such run.
        ServiceError: nobody can be asked.
    """
    run = await journal.run(run_id)
    commands = await journal.commands(run_id)
    until = run.ended_at if run.status.ended else None
    film, missing = await _film(journal, run, [one for one in commands if not one.tail])
    return Reported(
        run=run,
        protocol=await journal.protocol_version(run.protocol_id),
        attempts=await journal.attempts(run_id),
        steps=await journal.steps(run_id),
        commands=commands,
        measurements=await journal.measurements(run_id),
        events=await journal.events(run_id),
        doubts=await journal.doubts(run_id),
        questions=await Questions(journal.database).of_run(run_id),
        corrections=await Catalogue(journal.database).corrections(run_id, run.created_at, until),
        film=film,
        no_more_pictures=missing,
        versions=versions(),
        at=datetime.now(UTC),
    )


async def _film(
    journal: Journal, run: RunRecord, done: Sequence[CommandRecord]
) -> tuple[Film | None, str]:
    """Draw the deck command by command; why there are no more pictures, if some are missing."""
    film = Film()
    try:
        async with aclosing(_pictures(journal, run, done[:MOST_PICTURES])) as pictures:
            async for one in pictures:
                film.add(one)
                if film.bytes_ > MOST_BYTES_OF_FILM:
                    break
    except RunNotFound:
        return None, "The run never started: nothing is known of its deck."
    except ServiceError:
        raise
    except Exception as error:  # noqa: BLE001  # people bring labware of their own; the rest counts
        return film if film.first else None, f"Its deck cannot be drawn: {error}"
    last = len(film.changes)
    if last == len(done):
        return film, ""
    more = f"Pictures of the first {last} of {len(done)} commands; of the others: praxis deck --run"
    return film, more


async def _pictures(
    journal: Journal, run: RunRecord, done: Sequence[CommandRecord]
) -> AsyncGenerator[str]:
    """Draw the deck before the first command, and after each."""
    from praxis_core.pictures.built import built
    from praxis_core.pictures.command import concerned
    from praxis_core.pictures.deck import Kept, deck_svg
    from praxis_core.workcell.definition import WorkcellDefinition

    stored = await journal.workcell(run.workcell, run.workcell_version)
    definition = WorkcellDefinition.model_validate(stored.definition)
    found, at, changes, kept = built(definition), 0, list[DeckChange](), Kept()
    numbers = [one.number for one in done]
    async for state in Catalogue(journal.database).decks(run.run_id, numbers):
        last = done[at - 1].command if at else None
        if last is not None:
            changes += last.deck_changes
            if any(one.definition is not None for one in last.deck_changes):
                # Something is there that was not.
                found, kept = built(definition, changes), Kept()
        highlight = [] if last is None else concerned(last, state)
        yield deck_svg(found.deck, state, highlight=highlight, called=found.called, kept=kept)
        at += 1
