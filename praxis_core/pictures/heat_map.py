"""The readings of a plate as a picture: a coloured cell for each well, with or without its number.

Colours are few, and wells of one colour are one shape: without numbers a plate of 1536 wells stays
below 60 kB, so that it fits into a page of Prefect's, which keeps each picture in its database.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from math import isfinite

from praxis_core.pictures.svg import escaped

COLOURS = (
    "#ffffd9",
    "#edf8b1",
    "#c7e9b4",
    "#7fcdbb",
    "#41b6c4",
    "#1d91c0",
    "#225ea8",
    "#253494",
    "#081d58",
)
"""From low to high, each darker than the one before: told apart in grey and by anybody."""

NO_NUMBER = "#d9d9d9"
"""Of a well whose reading is no number."""

_WHITE_FROM = 5
"""From which colour on numbers are white."""
_LEFT, _TOP, _MARGIN, _TEXT = 26, 34, 8, 11
_LEGEND = 76
_STEP = 14
_SMALL = 12
"""Columns up to which wells are drawn large."""
_WRITTEN = 44, 26
"""Width and height of a cell with a number in it."""
_MOST_WRITTEN = 400
"""Wells; of more the numbers are only told when a pointer rests on them."""


@dataclass(frozen=True, slots=True)
class _Grid:
    """Where the cells are, and what is in them."""

    places: Mapping[str, tuple[int, int]]
    wide: int
    high: int
    values: Mapping[str, float]
    scale: tuple[float, float]
    """The lowest and the highest number."""

    def colour(self, value: float) -> int:
        """Give the colour of a number, counted from the lowest."""
        low, high = self.scale
        if high <= low:
            return len(COLOURS) // 2
        return min(int((value - low) / (high - low) * len(COLOURS)), len(COLOURS) - 1)


def heat_map_svg(  # noqa: PLR0913  # what there is to a picture, by name
    rows: Sequence[str],
    columns: Sequence[int],
    values: Mapping[str, float],
    *,
    title: str,
    flagged: Collection[str] = (),
    numbers: bool = False,
) -> str:
    """Draw a reading: wells by colour, what is flagged with a red edge.

    A well that was not read is hollow; one whose reading is no number is grey and crossed out. The
    whole of a plate is drawn whose corner was read last.

    Args:
        rows: Names of the rows that were read.
        columns: Numbers of the columns that were read.
        values: By well, e.g. ``B3``.
        title: What the picture shows.
        flagged: Wells of which something is to be known.
        numbers: Whether to write the numbers, too; those of a large plate are told by a pointer.
    """
    rows, columns = _rows_to(rows[-1]), range(1, columns[-1] + 1)
    pitch = 34 if len(columns) <= _SMALL else 18 if len(columns) <= 2 * _SMALL else 10
    written = numbers and len(rows) * len(columns) <= _MOST_WRITTEN
    wide, high = _WRITTEN if written else (pitch, pitch)
    places = {
        f"{row}{column}": (_LEFT + wide * x, _TOP + high * y)
        for y, row in enumerate(rows)
        for x, column in enumerate(columns)
    }
    known = [value for value in values.values() if isfinite(value)]
    grid = _Grid(places, wide, high, values, (min(known), max(known)) if known else (0.0, 0.0))
    width = _LEFT + wide * len(columns) + _LEGEND + _MARGIN
    height = _TOP + max(high * len(rows), _STEP * len(COLOURS)) + _MARGIN
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}"',
        f' width="{width}" height="{height}" font-family="sans-serif" font-size="{_TEXT}"',
        ' fill="#222" role="img">',
        f'<rect width="{width}" height="{height}" fill="#fff"/>',
        f'<text x="{_LEFT}" y="14" font-weight="bold">{escaped(title)}</text>',
        *_labels(rows, columns, wide, high),
        *_wells(grid),
        *_edges(grid, flagged),
        *(_numbers(grid, flagged) if written else _told(grid) if numbers else ()),
        *_legend(grid, _LEFT + wide * len(columns) + 12),
        "</svg>",
    ]
    return "".join(parts)


_LETTERS = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
_ROWS = [*_LETTERS, *(f"{first}{second}" for first in "AB" for second in _LETTERS)]


def _rows_to(last: str) -> list[str]:
    return [name for name in _ROWS if (len(name), name) <= (len(last), last)]


def _labels(rows: Sequence[str], columns: Sequence[int], wide: int, high: int) -> Iterable[str]:
    every = 1 if min(wide, high) > _TEXT + 4 else 2  # where it is narrow, each second one
    for y, row in enumerate(rows[::every]):
        at = _TOP + high * (every * y + 0.5) + 4
        yield f'<text x="{_LEFT - 5}" y="{at:g}" text-anchor="end">{row}</text>'
    for x, column in enumerate(columns[::every]):
        at = _LEFT + wide * (every * x + 0.5)
        yield f'<text x="{at:g}" y="{_TOP - 5}" text-anchor="middle">{column}</text>'


def _wells(grid: _Grid) -> Iterable[str]:
    wide, high = grid.wide - 2, grid.high - 2
    found: dict[str, list[str]] = {}
    for well, (x, y) in grid.places.items():
        cell = f"M{x + 1} {y + 1}h{wide}v{high}h-{wide}z"
        value = grid.values.get(well)
        if value is None:
            found.setdefault("none", []).append(cell)
        elif not isfinite(value):
            cross = f"M{x + 1} {y + 1}l{wide} {high}m0-{high}l-{wide} {high}"
            found.setdefault(NO_NUMBER, []).append(cell + cross)
        else:
            found.setdefault(COLOURS[grid.colour(value)], []).append(cell)
    for colour, cells in found.items():
        yield f'<path fill="{colour}" stroke="#999" stroke-width=".6" d="{"".join(cells)}"/>'


def _edges(grid: _Grid, flagged: Collection[str]) -> Iterable[str]:
    places = [grid.places[well] for well in sorted(flagged) if well in grid.places]
    wide, high = grid.wide - 4, grid.high - 4
    edges = "".join(f"M{x + 2} {y + 2}h{wide}v{high}h-{wide}z" for x, y in places)
    if edges:
        yield f'<path fill="none" stroke="#d00" stroke-width="2" d="{edges}"/>'


def _numbers(grid: _Grid, flagged: Collection[str]) -> Iterable[str]:
    for well, (x, y) in grid.places.items():
        value = grid.values.get(well)
        if value is None:
            continue
        dark = isfinite(value) and grid.colour(value) >= _WHITE_FROM
        ink = ' fill="#fff"' if dark else ""
        star = "*" if well in flagged else ""
        at = f'x="{x + grid.wide / 2:g}" y="{y + grid.high / 2 + 4:g}"'
        yield f'<text {at} text-anchor="middle"{ink}>{value:.3g}{star}</text>'


def _told(grid: _Grid) -> Iterable[str]:
    size = f'width="{grid.wide}" height="{grid.high}" fill="transparent"'
    for well, (x, y) in grid.places.items():
        if well in grid.values:
            told = f"<title>{well}: {grid.values[well]:.4g}</title>"
            yield f'<rect x="{x}" y="{y}" {size}>{told}</rect>'


def _legend(grid: _Grid, x: int) -> Iterable[str]:
    low, high = grid.scale
    names = {0: f"{high:.4g}", len(COLOURS) - 1: f"{low:.4g}"}
    for number, colour in enumerate(reversed(COLOURS)):
        y = _TOP + _STEP * number
        yield (
            f'<rect x="{x}" y="{y}" width="12" height="{_STEP}" fill="{colour}" '
            f'stroke="#999" stroke-width=".6"/>'
        )
        if number in names:
            yield f'<text x="{x + 16}" y="{y + 11}">{names[number]}</text>'
