"""The readings of a plate as a picture: a coloured square for each well, small enough for a page.

Prefect keeps each artifact in its database and strips inline drawings, so that a picture is
Markdown with a ``data:`` address. Colours are few, and wells of one colour are one shape: a plate
of 1536 wells stays below 60 kB.
"""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Iterable
from math import isfinite
from xml.sax.saxutils import escape

from praxis_core.execution.readout import PlateReadout

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

_LEFT, _TOP, _MARGIN, _TEXT = 26, 34, 8, 11
_LEGEND = 76
_SMALL = 12
"""Columns up to which wells are drawn large."""


def heat_map(readout: PlateReadout) -> str:
    """Draw the readings of a plate.

    Args:
        readout: The readings.

    Returns:
        Markdown of an SVG picture.
    """
    drawn = b64encode(plate_svg(readout).encode()).decode()
    title = readout.title.replace("[", "(").replace("]", ")")
    return f"![{title}](data:image/svg+xml;base64,{drawn})"


def plate_svg(readout: PlateReadout) -> str:
    """Draw the readings of a plate as an SVG: wells by colour, what is flagged with a red edge.

    A well that was not read is hollow; one whose reading is no number is grey and crossed out.
    """
    rows, columns = _grid(readout)
    pitch = 34 if len(columns) <= _SMALL else 18 if len(columns) <= 2 * _SMALL else 10
    width = _LEFT + pitch * len(columns) + _LEGEND + _MARGIN
    height = max(_TOP + pitch * len(rows) + _MARGIN, _TOP + len(COLOURS) * 14 + _MARGIN)
    places = {
        f"{row}{column}": (_LEFT + pitch * x, _TOP + pitch * y)
        for y, row in enumerate(rows)
        for x, column in enumerate(columns)
    }
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}"',
        f' width="{width}" height="{height}" font-family="sans-serif" font-size="{_TEXT}"',
        ' fill="#222">',
        f'<rect width="{width}" height="{height}" fill="#fff"/>',
        f'<text x="{_LEFT}" y="14" font-weight="bold">{escape(readout.title)}</text>',
        *_labels(rows, columns, pitch),
        *_wells(readout, places, pitch),
        *_legend(readout, _LEFT + pitch * len(columns) + 12),
        "</svg>",
    ]
    return "".join(parts)


def _grid(readout: PlateReadout) -> tuple[list[str], list[int]]:
    """The whole of a plate whose corner was read last; a gap in the middle is a hollow well."""
    last_row, last_column = readout.rows[-1], readout.columns[-1]
    rows = [name for name in _ROWS if (len(name), name) <= (len(last_row), last_row)]
    return rows, list(range(1, last_column + 1))


_LETTERS = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
_ROWS = [*_LETTERS, *(f"{first}{second}" for first in "AB" for second in _LETTERS)]


def _labels(rows: list[str], columns: list[int], pitch: int) -> Iterable[str]:
    every = 1 if pitch > _TEXT + 4 else 2  # what is narrower than its number names each second one
    for y, row in enumerate(rows[::every]):
        at = _TOP + pitch * (every * y + 0.5) + 4
        yield f'<text x="{_LEFT - 5}" y="{at:g}" text-anchor="end">{row}</text>'
    for x, column in enumerate(columns[::every]):
        at = _LEFT + pitch * (every * x + 0.5)
        yield f'<text x="{at:g}" y="{_TOP - 5}" text-anchor="middle">{column}</text>'


def _wells(readout: PlateReadout, places: dict[str, tuple[int, int]], pitch: int) -> Iterable[str]:
    side = pitch - 2
    low, high = _range(readout)
    found: dict[str, list[str]] = {}
    for well, (x, y) in places.items():
        square = f"M{x + 1} {y + 1}h{side}v{side}h-{side}z"
        value = readout.values.get(well)
        if value is None:
            found.setdefault("none", []).append(square)
        elif not isfinite(value):
            cross = f"M{x + 1} {y + 1}l{side} {side}m0-{side}l-{side} {side}"
            found.setdefault(NO_NUMBER, []).append(square + cross)
        else:
            found.setdefault(_colour(value, low, high), []).append(square)
    for colour, squares in found.items():
        yield f'<path fill="{colour}" stroke="#999" stroke-width=".6" d="{"".join(squares)}"/>'
    late = [places[well] for well in readout.flagged if well in places]
    if late:
        edges = "".join(f"M{x + 2} {y + 2}h{side - 2}v{side - 2}h-{side - 2}z" for x, y in late)
        yield f'<path fill="none" stroke="#d00" stroke-width="2" d="{edges}"/>'


def _range(readout: PlateReadout) -> tuple[float, float]:
    numbers = [value for value in readout.values.values() if isfinite(value)]
    return (min(numbers), max(numbers)) if numbers else (0.0, 0.0)


def _colour(value: float, low: float, high: float) -> str:
    if high <= low:
        return COLOURS[len(COLOURS) // 2]
    return COLOURS[min(int((value - low) / (high - low) * len(COLOURS)), len(COLOURS) - 1)]


def _legend(readout: PlateReadout, x: int) -> Iterable[str]:
    low, high = _range(readout)
    names = {0: f"{high:.4g}", len(COLOURS) - 1: f"{low:.4g}"}
    for number, colour in enumerate(reversed(COLOURS)):
        y = _TOP + 14 * number
        yield (
            f'<rect x="{x}" y="{y}" width="12" height="14" fill="{colour}" '
            f'stroke="#999" stroke-width=".6"/>'
        )
        if number in names:
            yield f'<text x="{x + 16}" y="{y + 11}">{names[number]}</text>'
