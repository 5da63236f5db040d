"""The deck after any command of a run, from the changes of assets and pictures of them.

A picture says where the last change of each part is, after so many commands. Between two of them
are as few changes as can be read at once; they are drawn when somebody asks, and once more if a
change has come since, as when somebody has answered what became of an old command.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from typing import Any
from uuid import UUID

from sqlalchemy import Row, TextClause, Uuid, bindparam, text
from sqlalchemy.ext.asyncio import AsyncSession

from praxis_core.assets.documents import put_part, put_place
from praxis_core.assets.state import AssetManagerState
from praxis_core.errors import RunNotFound

BETWEEN = 400
"""Changes between two pictures."""
ALL = 2**63 - 1
"""Number of no command, beyond all of them."""


def _of_run(sql: str) -> TextClause:
    return text(sql).bindparams(bindparam("run", type_=Uuid()))


_START = _of_run("""
    SELECT start_snapshot -> 'assets' AS assets FROM praxis.run_attempt
    WHERE run_id = :run AND start_snapshot IS NOT NULL ORDER BY number LIMIT 1
""")

_STALE = _of_run("""
    DELETE FROM praxis.asset_picture p
    WHERE p.run_id = :run AND p.number = (
        SELECT max(number) FROM praxis.asset_picture WHERE run_id = :run AND number <= :number)
      AND p.changes <> (
        SELECT count(*) FROM praxis.asset_change c WHERE c.run_id = :run AND c.number <= p.number)
""")

_DUE = _of_run("""
    SELECT number FROM (
      SELECT number, row_number() OVER (ORDER BY number) AS row FROM praxis.asset_change
      WHERE run_id = :run AND number <= :number AND number > coalesce((
        SELECT max(number) FROM praxis.asset_picture WHERE run_id = :run AND number <= :number), -1)
    ) c WHERE row % :between = 0 ORDER BY number
""")

_LAST = """
    picture AS (
      SELECT * FROM praxis.asset_picture WHERE run_id = :run AND number <= :number
      ORDER BY number DESC LIMIT 1
    ), since AS (
      SELECT id, parts, places FROM praxis.asset_change
      WHERE run_id = :run AND number <= :number
        AND number > coalesce((SELECT number FROM picture), -1)
    ), last AS (
      SELECT what, name, max(id) AS id FROM (
        SELECT 'part' AS what, p.name, since.id FROM since, jsonb_object_keys(parts) AS p (name)
        UNION ALL SELECT 'place', p.name, since.id
          FROM since, jsonb_object_keys(places) AS p (name)
        UNION ALL SELECT 'part', p.name, p.id
          FROM picture, unnest(parts, part_changes) AS p (name, id)
        UNION ALL SELECT 'place', p.name, p.id
          FROM picture, unnest(places, place_changes) AS p (name, id)
      ) found GROUP BY what, name
    )
"""

_DRAW = _of_run(f"""
    WITH {_LAST}
    INSERT INTO praxis.asset_picture
        (run_id, number, changes, parts, part_changes, places, place_changes)
      SELECT :run, :number,
        (SELECT count(*) FROM praxis.asset_change WHERE run_id = :run AND number <= :number),
        coalesce(array_agg(name) FILTER (WHERE what = 'part'), '{{}}'),
        coalesce(array_agg(id) FILTER (WHERE what = 'part'), '{{}}'),
        coalesce(array_agg(name) FILTER (WHERE what = 'place'), '{{}}'),
        coalesce(array_agg(id) FILTER (WHERE what = 'place'), '{{}}')
      FROM last
      ON CONFLICT DO NOTHING
""")  # noqa: S608  # constants

_SINCE = _of_run(f"""
    WITH {_LAST}
    SELECT json_agg(json_build_array(last.name, change.after, what))  -- read at once, not 200 times
    FROM last, LATERAL (  -- one by one: the planner thinks that there are many
      SELECT CASE what WHEN 'part' THEN parts ELSE places END -> last.name -> 1 AS after
      FROM praxis.asset_change WHERE id = last.id OFFSET 0
    ) change
""")  # noqa: S608  # constants


async def deck_at(session: AsyncSession, run: UUID, number: int) -> AssetManagerState:
    """Tell what a run knew after a command; see ``Catalogue.deck_at``."""
    start = await session.scalar(_START, {"run": run})
    if start is None:
        raise RunNotFound(run_id=run)
    await draw(session, run, number)
    state = AssetManagerState.model_validate(start)
    since = await session.scalar(_SINCE, {"run": run, "number": number})
    for name, after, what in since or ():
        (put_part if what == "part" else put_place)(state, name, after)
    return state


_CHANGES = _of_run("""
    SELECT id, number, coalesce(parts, '{}') AS parts, coalesce(places, '{}') AS places
    FROM praxis.asset_change WHERE run_id = :run AND number IS NOT NULL ORDER BY number, id
""")


async def decks_at(
    session: AsyncSession, run: UUID, numbers: Sequence[int]
) -> AsyncIterator[AssetManagerState]:
    """Tell what a run knew at its start and after each of these commands.

    Args:
        session: Of the database.
        run: The run.
        numbers: Of commands, ascending.

    Yields:
        The state at the start, then one per command; always the same object, that is changed.

    Raises:
        RunNotFound: it has never started.
    """
    start = await session.scalar(_START, {"run": run})
    if start is None:
        raise RunNotFound(run_id=run)
    changes = (await session.execute(_CHANGES, {"run": run})).all()
    state, last, at = AssetManagerState.model_validate(start), dict[tuple[str, str], int](), 0
    yield state
    for number in numbers:
        while at < len(changes) and changes[at].number <= number:
            _put(state, changes[at], last)
            at += 1
        yield state


def _put(state: AssetManagerState, change: Row[Any], last: dict[tuple[str, str], int]) -> None:
    """Enter a change, but for what was said later of an earlier command."""
    for what, put in (("parts", put_part), ("places", put_place)):
        for name, (_, after) in getattr(change, what).items():
            if change.id > last.get((what, name), 0):
                last[what, name] = change.id
                put(state, name, after)


async def draw(session: AsyncSession, run: UUID, number: int) -> int:
    """Draw the pictures that are missing up to a command.

    Args:
        session: In a transaction.
        run: The run.
        number: Of the command.

    Returns:
        How many.
    """
    while (await session.execute(_STALE, {"run": run, "number": number})).rowcount:  # type: ignore[attr-defined]
        pass  # the one before it may be, too
    values = {"run": run, "number": number, "between": BETWEEN}
    due = [*await session.scalars(_DUE, values)]
    for one in due:
        await session.execute(_DRAW, {"run": run, "number": one})
    return len(due)
