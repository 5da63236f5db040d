"""A reading of a plate as a picture: a cell per well, darker where more was read."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence

from praxis_core.pictures.svg import escaped

_CELL = 52
_HIGH = 26
_SIDE = 34
_TEXT = 11
_LIGHTEST = (240, 246, 252)
_DARKEST = (8, 60, 120)
_READABLE = 0.5
"""From which part of the scale on the ground is so dark that the text on it is white."""
_MOST_WRITTEN = 400
"""Wells; of more the numbers are only told when a pointer rests on them."""


def heat_map_svg(
    rows: Sequence[str],
    columns: Sequence[int],
    values: Mapping[str, float],
    *,
    title: str,
    flagged: Collection[str] = (),
) -> str:
    """Draw a reading; every number stands in its cell, so that no colour has to be told apart.

    Args:
        rows: Names of the rows.
        columns: Numbers of the columns.
        values: By well, e.g. ``B3``; a well without one is left empty.
        title: What the picture shows.
        flagged: Wells whose numbers have a star.
    """
    low, high = min(values.values(), default=0.0), max(values.values(), default=0.0)
    span = high - low or 1.0
    width, height = _SIDE + _CELL * len(columns), _HIGH * (len(rows) + 1)
    parts = [_text(_SIDE + _CELL * (n + 0.5), 17, str(name)) for n, name in enumerate(columns)]
    for down, row in enumerate(rows, 1):
        parts.append(_text(_SIDE / 2, _HIGH * down + 17, row))
        for across, column in enumerate(columns):
            well = f"{row}{column}"
            if well in values:
                told = f"{values[well]:.3g}" + ("*" if well in flagged else "")
                at = _SIDE + _CELL * across, _HIGH * down
                written = len(values) <= _MOST_WRITTEN
                parts.append(_cell(at, well, told, (values[well] - low) / span, written=written))
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" width="{width}" '
        f'height="{height}" font-size="{_TEXT}" text-anchor="middle" role="img">'
        f"<title>{escaped(title)}</title>{''.join(parts)}</svg>"
    )


def _cell(at: tuple[int, int], well: str, told: str, part: float, *, written: bool) -> str:
    x, y = at
    shade = ",".join(
        str(round(a + (b - a) * part)) for a, b in zip(_LIGHTEST, _DARKEST, strict=True)
    )
    ink = "#fff" if part >= _READABLE else "#111"
    text = f'<text x="{x + _CELL / 2}" y="{y + 17}" fill="{ink}">{escaped(told)}</text>'
    return (
        f'<g><title>{escaped(f"{well}: {told}")}</title><rect x="{x}" y="{y}" '
        f'width="{_CELL - 1}" height="{_HIGH - 1}" fill="rgb({shade})"/>'
        f"{text if written else ''}</g>"
    )


def _text(x: float, y: float, text: str) -> str:
    return f'<text x="{x}" y="{y}" fill="currentColor">{escaped(text)}</text>'
