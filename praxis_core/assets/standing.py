"""Where the labware of a workcell stands, what stands nowhere any more, and how it comes back."""

from __future__ import annotations

from collections.abc import Collection

from sqlalchemy import ARRAY, Text, bindparam, text
from sqlalchemy.ext.asyncio import AsyncSession

from praxis_core.assets.state import Location

# What a run brought has no factory, and goes with it.
_GONE = """
    SELECT DISTINCT a.name FROM praxis.asset a
    WHERE a.workcell = :workcell AND a.discarded_at IS NOT NULL AND a.factory IS NOT NULL
      AND NOT EXISTS (
      SELECT FROM praxis.asset b
      WHERE b.workcell = a.workcell AND b.name = a.name AND b.discarded_at IS NULL)
"""

_IS_GONE = text(_GONE)

_PLACES = text(f"""
    SELECT name, parent, place_unknown, shelf FROM praxis.asset
    WHERE workcell = :workcell AND discarded_at IS NULL AND place_unknown IS NOT NULL
      AND kind NOT IN ('device', 'deck', 'carrier')
    UNION ALL SELECT gone.name, NULL, '', NULL FROM ({_GONE}) AS gone
""")  # noqa: S608  # two constants

_AGAIN = text(f"""
    INSERT INTO praxis.asset (workcell, name, kind, factory, config)
      SELECT DISTINCT ON (name) workcell, name, kind, factory, config FROM praxis.asset
      WHERE workcell = :workcell AND name = ANY (:names) AND name IN ({_GONE})
      ORDER BY name, created_at DESC
""").bindparams(bindparam("names", type_=ARRAY(Text())))  # noqa: S608  # two constants


async def places(session: AsyncSession, workcell: str) -> dict[str, Location]:
    """Read where labware stands, lids and tubes too; see ``Catalogue.places``."""
    return {
        name: Location(parent=parent, unknown=unknown, shelf=shelf or "")
        for name, parent, unknown, shelf in await session.execute(_PLACES, {"workcell": workcell})
    }


async def gone(session: AsyncSession, workcell: str) -> dict[str, Location]:
    """Give what was discarded and not replaced: it stands on nothing."""
    names = await session.scalars(_IS_GONE, {"workcell": workcell})
    return {name: Location(parent=None) for name in names}


async def bring_again(session: AsyncSession, workcell: str, names: Collection[str]) -> None:
    """Let other things of their kind go by the names of what is gone; nothing is in them yet.

    Args:
        session: In a transaction that holds the workcell.
        workcell: Its name.
        names: Only of these; what is not gone stays as it is.
    """
    await session.execute(_AGAIN, {"workcell": workcell, "names": [*names]})
