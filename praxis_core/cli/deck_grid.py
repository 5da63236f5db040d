"""The deck in a terminal: a row for each labware, and the wells of what a command touches."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from pydantic import JsonValue
from rich.text import Text
from sqlalchemy import func, select

from praxis_core.assets.catalogue import Catalogue
from praxis_core.assets.description import PLACE
from praxis_core.assets.state import AssetManagerState, ContainerContents
from praxis_core.journal.asset_tables import AssetChangeRow
from praxis_core.journal.record import Journal
from praxis_core.page.deck import table
from praxis_core.protocol.command import Command

FILLS = " ▁▂▃▄▅▆▇█"
"""Signs of a filled well, by how full it is; the first one is not used."""
FILLS_ASCII = " 12345678"
EMPTY, UNKNOWN = "·", "?"
EMPTY_ASCII = "."
TIP, USED_TIP = "o", "u"
_MOST_GRIDS = 2
_MOST_COLUMNS = 24
"""Wider labware does not fit into a terminal."""


class DeckInWords:
    """Reads the deck of a workcell as it is known; only when something has changed.

    Args:
        workcell: Its name.
        journal: What happened.
    """

    def __init__(self, workcell: str, journal: Journal) -> None:
        self._workcell = workcell
        self._journal = journal
        self._catalogue = Catalogue(journal.database)
        self._shown: tuple[object, ...] = ()
        self._told: dict[str, JsonValue] = {}
        self._lately: list[str] = []

    async def read(self, touching: Sequence[Command]) -> JsonValue:
        """Tell what stands where, and what is in each well of what some commands touch."""
        from praxis_core.pictures.command import concerned

        stored = await self._journal.workcell(self._workcell)
        async with self._journal.database.session() as session:
            newest = await session.scalar(select(func.max(AssetChangeRow.id)))
        keys = tuple((one.run_id, one.branch, one.ordinal) for one in touching)
        now = (newest, stored.version, keys)
        if now != self._shown:
            state = await self._catalogue.state(self._workcell)
            touched = [name for one in touching for name in concerned(one, state)]
            self._told = {
                "labware": table(state, stored.definition, {}),
                "grids": self._grids(state, touched),
            }
            self._shown = now
        return dict(self._told)

    def _grids(self, state: AssetManagerState, touched: Sequence[str]) -> list[JsonValue]:
        """Draw also what was touched just before: else it would come and go with each command."""
        found = [*grids(state, touched, self._lately)]
        self._lately = [str(one["name"]) for one in found[:_MOST_GRIDS]]
        return [*found[:_MOST_GRIDS]]


def grids(
    state: AssetManagerState, touched: Iterable[str], also: Iterable[str] = ()
) -> Iterable[dict[str, JsonValue]]:
    """Tell what is in the wells or tip spots of each labware of which some are touched.

    Args:
        state: What is known.
        touched: Names of wells and tip spots; other names are left out.
        also: Names of labware that comes after these.

    Returns:
        Of each its name, what is in each place (0 to 1 of a well; ``tip``, ``used`` or 0 of a tip
        spot; None: nobody knows) by row and column, and which are touched.
    """
    wanted: dict[str, list[JsonValue]] = {}
    for name in touched:
        if found := PLACE.fullmatch(name):
            wanted.setdefault(found["labware"], []).append(found["row"] + found["column"])
    for name in also:
        wanted.setdefault(name, [])
    cells: dict[str, dict[str, JsonValue]] = {name: {} for name in wanted}
    for name, content in [*state.containers.items(), *state.tip_spots.items()]:
        found = PLACE.fullmatch(name)
        if found and found["labware"] in cells:
            cells[found["labware"]][found["row"] + found["column"]] = (
                _share(content)
                if isinstance(content, ContainerContents)
                else _tip(content, used=name in state.used_tips)
            )
    for name, touched_here in wanted.items():
        if len(cells[name]) > 1:
            yield {"name": name, "cells": cells[name], "touched": touched_here}


def _share(well: ContainerContents) -> float | None:
    if well.unknown:
        return None
    if well.volume <= 0:
        return 0.0
    return min(well.volume / well.max_volume, 1.0) if well.max_volume else 1.0


def _tip(there: bool | None, *, used: bool) -> JsonValue:
    if there is None:
        return None
    return 0.0 if not there else "used" if used else "tip"


def grid_lines(grid: Any, *, plain: bool = False) -> list[Text]:
    """Draw wells or tips, a sign for each, those that are touched in brackets.

    Args:
        grid: As ``grids`` tells it.
        plain: With signs that every terminal knows.
    """
    cells: dict[tuple[str, int], Any] = {}
    for place, content in grid["cells"].items():
        row = place.rstrip("0123456789")
        cells[row, int(place[len(row) :])] = content
    rows = sorted({row for row, _ in cells}, key=lambda row: (len(row), row))
    columns = sorted({column for _, column in cells})
    if len(columns) > _MOST_COLUMNS:
        return [Text(f"{grid['name']}: too many wells to draw")]
    touched = set(grid["touched"])
    lines = [Text(grid["name"]), Text("  " + "".join(f"{one:>2} " for one in columns), style="dim")]
    for row in rows:
        line = Text(f"{row:<2}", style="dim")
        for column in columns:
            sign, style = _sign(cells.get((row, column), ""), plain=plain)
            if f"{row}{column}" in touched:
                line.append(f"[{sign}]", style="bold yellow")
            else:
                line.append(f" {sign} ", style=style)
        lines.append(line)
    return lines


def _sign(content: Any, *, plain: bool) -> tuple[str, str]:
    """Give the sign and, in addition, the colour of a place."""
    match content:
        case None:
            return UNKNOWN, "red"
        case "":
            return " ", ""
        case "tip":
            return TIP, "green"
        case "used":
            return USED_TIP, "yellow"
        case 0:
            return (EMPTY_ASCII if plain else EMPTY), "dim"
        case share:
            fills = FILLS_ASCII if plain else FILLS
            return fills[max(1, round(share * (len(fills) - 1)))], "cyan"


def beside(left: list[Text], right: list[Text], width: int) -> list[Text]:
    """Put one drawing beside another; below it when the terminal is not wide enough."""
    wide = max(line.cell_len for line in left)
    if wide + 2 + max(line.cell_len for line in right) > width:
        return [*left, *right]
    lines = []
    for index in range(max(len(left), len(right))):
        line = left[index].copy() if index < len(left) else Text()
        line.append(" " * (wide + 2 - line.cell_len))
        lines.append(line.append_text(right[index]) if index < len(right) else line)
    return lines
