"""Inventory from files: taken in as a whole or not at all, with every fault told at once.

What stands on shelves people keep in a table, read from CSV; what a workcell holds is written in
its definition.
"""

from __future__ import annotations

import csv
import difflib
import re
from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime
from io import StringIO
from typing import Any

from sqlalchemy import insert, select
from sqlalchemy.ext.asyncio import AsyncSession

from praxis_core.assets.corrections import require_free
from praxis_core.assets.entries import By
from praxis_core.assets.inventory import Description, hold, ids, load, register, set_back
from praxis_core.assets.manager import AssetManager
from praxis_core.assets.shelves import VOLUME
from praxis_core.assets.state import AssetManagerState
from praxis_core.assets.units import read_volume
from praxis_core.errors import AssetInUse, InventoryRefused, Problem, RequestError
from praxis_core.journal.asset_tables import AssetChangeKind, AssetChangeRow, AssetRow
from praxis_core.labware.storable_text import as_storable

COLUMNS = (
    "kind",
    "barcode",
    "factory",
    "shelf",
    "reagent",
    "lot",
    "expires",
    "sample",
    VOLUME,
)
"""Of the table, in any order; the first two are needed in each line."""
_NEEDED = COLUMNS[:2]
_KIND = re.compile("[a-z][a-z0-9_.-]*")
_TOO_MANY = "and more"
_SEPARATORS = ",;\t"

_Line = Mapping[str, str]


async def take_in(session: AsyncSession, source: str, table: str, by: By) -> list[str]:
    """Take up what stands on shelves; see ``Catalogue.take_in``."""
    lines = read_table(table)
    barcodes = [line.get("barcode", "") for _, line in lines]
    query = select(AssetRow.barcode).where(
        AssetRow.barcode.in_(barcodes), AssetRow.discarded_at.is_(None)
    )
    known = {barcode: "the catalogue" for barcode in await session.scalars(query) if barcode}
    problems = [*_faults(source, lines, known)]
    if not lines:
        problems.append(Problem(f"{source}:1", "nothing is in it", f"columns: {_listed()}"))
    refuse(source, problems)
    rows = [_row(line) for _, line in lines]
    told = {"at": datetime.now(UTC), "kind": AssetChangeKind.CREATED.value}
    told |= {"who": by.who, "why": by.why or source}
    created = await session.scalars(insert(AssetRow).returning(AssetRow.id), rows)
    await session.execute(insert(AssetChangeRow), [{"asset_id": one, **told} for one in created])
    return barcodes


def refuse(source: str, problems: Sequence[Problem]) -> None:
    """Refuse a file that has faults.

    Raises:
        InventoryRefused: it has.
    """
    if problems:
        raise InventoryRefused(source=source, count=len(problems), problems=[*problems])


def read_table(table: str) -> list[tuple[int, _Line]]:
    """Read CSV, also with semicolons or tabs as spreadsheets write it: each line with its number.

    What is in a line beyond the last column is under ``"and more"``.
    """
    first = table.partition("\n")[0]
    separator = max(_SEPARATORS, key=first.count)
    reader = csv.DictReader(StringIO(table), delimiter=separator, restkey=_TOO_MANY)
    lines: list[tuple[int, _Line]] = []
    for line in reader:
        cells = {
            (column or "").strip(): as_storable(_cell(value)) for column, value in line.items()
        }
        if any(cells.values()):
            lines.append((reader.line_num, cells))
    return lines


def _cell(value: str | Sequence[str] | None) -> str:
    return (value if isinstance(value, str) else ", ".join(value or ())).strip()


def _faults(
    source: str, lines: Sequence[tuple[int, _Line]], known: dict[str, str]
) -> Iterator[Problem]:
    columns = lines[0][1].keys() if lines else set[str]()
    for column in sorted(columns - {*COLUMNS, _TOO_MANY}):
        yield Problem(f"{source}:1", f"no column is called {column!r}", _listed())
    for number, line in lines:
        where = f"{source}:{number}"
        yield from _faults_of_form(where, line)
        if barcode := line.get("barcode"):
            if barcode in known:
                yield Problem(where, f"barcode {barcode} is in {known[barcode]} already")
            known.setdefault(barcode, f"line {number}")


def _faults_of_form(where: str, line: _Line) -> Iterator[Problem]:
    for column in _NEEDED:
        if not line.get(column):
            yield Problem(where, f"{column} is missing")
    if line.get(_TOO_MANY):
        yield Problem(where, f"it has more cells than there are columns: {line[_TOO_MANY]}")
    kind, expires = line.get("kind"), line.get("expires")
    if kind and not _KIND.fullmatch(kind):
        yield Problem(where, f"{kind!r} is no kind", "a word in small letters: plate, tip_rack")
    if expires and _date(expires) is None:
        yield Problem(where, f"{expires!r} is no date", "write 2026-12-31")
    if line.get("factory"):
        yield from _no_factory(where, line["factory"])
    if line.get(VOLUME):
        try:
            read_volume(line[VOLUME])
        except RequestError as error:
            yield Problem(where, str(error.details["what"]))


def _no_factory(where: str, factory: str) -> Iterator[Problem]:
    from praxis_core.labware.factories import factory_names  # it takes long to import

    known = factory_names()
    if "." not in factory and factory not in known:
        close = difflib.get_close_matches(factory, known, n=2)
        mend = f"did you mean {' or '.join(close)}?" if close else ""
        yield Problem(where, f"PyLabRobot has no factory {factory}", mend)


def _listed() -> str:
    return ", ".join(COLUMNS)


def _date(text: str) -> date | None:
    try:
        return date.fromisoformat(text)
    except ValueError:
        return None


def _row(line: _Line) -> dict[str, Any]:
    row: dict[str, Any] = {name: line.get(name) or None for name in COLUMNS if name != VOLUME}
    config = {VOLUME: read_volume(line[VOLUME])} if line.get(VOLUME) else {}
    return row | {"expires": _date(row["expires"] or ""), "config": config}


# --- a workcell -----------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class SetUp:
    """What a workcell holds, as somebody has set it up."""

    source: str
    """What the file is called, for people."""
    state: AssetManagerState
    things: Mapping[str, Description]
    """All that the workcell has."""
    lines: Mapping[str, int]
    """Labware that the file names, and where in it."""


async def set_up(session: AsyncSession, workcell: str, what: SetUp, by: By) -> list[str]:
    """Let labware be as a file says; see ``Catalogue.set_up``."""
    await hold(session, workcell)
    problems = [problem async for problem in _in_the_way(session, workcell, what)]
    refuse(what.source, problems)
    new = await register(session, workcell, what.state, what.things, by)
    changes = await set_back(session, workcell, what.state, by, [*what.lines])
    return sorted({*new, *changes.assets})


async def _in_the_way(session: AsyncSession, workcell: str, what: SetUp) -> AsyncIterator[Problem]:
    known = await ids(session, workcell)
    assets = AssetManager(await load(session, workcell), known)
    for name, line in what.lines.items():
        where = f"{what.source}:{line}"
        if name in known:
            try:
                await require_free(session, workcell, name)
            except AssetInUse as error:
                yield Problem(where, str(error))
        place = what.state.locations[name].parent
        there = assets.stands_on(place) if place is not None else []
        for other in there:
            if other in known and other not in what.lines:
                yield Problem(
                    where,
                    f"{name} cannot be on {place}: {other} stands there, and the file says nothing "
                    "of it",
                    f"praxis assets move {other} PLACE",
                )
