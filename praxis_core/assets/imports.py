"""Inventory that people keep in a table: read from CSV, taken in as a whole or not at all."""

from __future__ import annotations

import csv
import re
from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, date, datetime
from io import StringIO
from typing import Any

from sqlalchemy import insert, select
from sqlalchemy.ext.asyncio import AsyncSession

from praxis_core.assets.entries import By
from praxis_core.errors import InventoryRefused, Problem
from praxis_core.journal.asset_tables import AssetChangeKind, AssetChangeRow, AssetRow
from praxis_core.labware.storable_text import as_storable

COLUMNS = ("kind", "barcode", "factory", "shelf", "reagent", "lot", "expires", "sample")
"""Of the table, in any order; the first two are needed in each line."""
_NEEDED = COLUMNS[:2]
_KIND = re.compile("[a-z][a-z0-9_.-]*")


async def take_in(session: AsyncSession, source: str, table: str, by: By) -> list[str]:
    """Take up what stands on shelves; see ``Catalogue.take_in``."""
    lines = [
        {column: as_storable((value or "").strip()) for column, value in line.items() if column}
        for line in csv.DictReader(StringIO(table))
    ]
    barcodes = [line.get("barcode", "") for line in lines]
    query = select(AssetRow.barcode).where(
        AssetRow.barcode.in_(barcodes), AssetRow.discarded_at.is_(None)
    )
    known = {barcode: "the catalogue" for barcode in await session.scalars(query) if barcode}
    problems = [*_faults(source, lines, known)]
    if problems:
        raise InventoryRefused(source=source, count=len(problems), problems=problems)
    if lines:
        rows = [_row(line) for line in lines]
        told = {"at": datetime.now(UTC), "kind": AssetChangeKind.CREATED.value}
        told |= {"who": by.who, "why": by.why or source}
        ids = await session.scalars(insert(AssetRow).returning(AssetRow.id), rows)
        await session.execute(insert(AssetChangeRow), [{"asset_id": one, **told} for one in ids])
    return barcodes


def _faults(
    source: str, lines: Sequence[Mapping[str, str]], known: dict[str, str]
) -> Iterator[Problem]:
    for number, line in enumerate(lines, 2):  # the first line names the columns
        where = f"{source}:{number}"
        for column in line.keys() - set(COLUMNS):
            yield Problem(where, f"no column is called {column!r}", ", ".join(COLUMNS))
        for column in _NEEDED:
            if not line.get(column):
                yield Problem(where, f"{column} is missing")
        kind, barcode, expires = (line.get(name) for name in ("kind", "barcode", "expires"))
        if kind and not _KIND.fullmatch(kind):
            yield Problem(where, f"{kind!r} is no kind", "a word in small letters: plate, tip_rack")
        if barcode:
            if barcode in known:
                yield Problem(where, f"barcode {barcode} is in {known[barcode]} already")
            known.setdefault(barcode, f"line {number}")
        if expires and _date(expires) is None:
            yield Problem(where, f"{expires!r} is no date", "write 2026-12-31")


def _date(text: str) -> date | None:
    try:
        return date.fromisoformat(text)
    except ValueError:
        return None


def _row(line: Mapping[str, str]) -> dict[str, Any]:
    row: dict[str, Any] = {column: line.get(column) or None for column in COLUMNS}
    return row | {"expires": _date(row["expires"] or "")}
