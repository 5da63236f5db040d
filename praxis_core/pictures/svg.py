"""What all pictures have in common: how they are written, and how they look.

Everything is told by form as well as by colour, so that it can be read in print and by people who
see few colours. What is printed is always light.
"""

from __future__ import annotations

import base64
from collections.abc import Iterable
from dataclasses import dataclass
from zlib import crc32

UNKNOWN = "ph"
"""Pattern of what nobody knows."""

_LIGHT = {
    "bg": "fill:#fff",
    "dk": "fill:#f7f8f9;stroke:#8a9099",
    "ca": "fill:#e6e8ec",
    "si": "fill:none;stroke:#9aa1ab;stroke-dasharray:4 3",
    "un": f"fill:url(#{UNKNOWN});stroke:#6b727c",
    "bo": "fill:#fbfbfc;stroke:#6b727c",
    "de": "fill:#e3eaf4;stroke:#3f5577;stroke-width:1.6",
    "ed": "stroke:#828993;fill:none",
    "em": "stroke:#fff;fill:#fff",
    "no": "stroke:#b4bac2;fill:none",
    "ti": "stroke:#39424f;fill:none",
    "li": "fill:#8d96a3;fill-opacity:.22;stroke:#4a525e;stroke-width:1.2",
    "hb": "fill:#fff",
    "hl": "stroke:#23272e;stroke-width:1.1;fill:none",
    "h1": "stroke:#fff;stroke-width:4;fill:none",
    "h2": "stroke:#c4007a;stroke-width:2.4;fill:none",
    "tx": "fill:#14171b;stroke:#fff",
    "gr": "stroke:#c9ced5;fill:none;stroke-width:.7",
}
_DARK = {
    "bg": "fill:#15181d",
    "dk": "fill:#1b1f25;stroke:#6d7580",
    "ca": "fill:#262b33",
    "si": "stroke:#6d7580",
    "bo": "fill:#20242b;stroke:#98a0ab",
    "de": "fill:#223048;stroke:#8aa8d8",
    "ed": "stroke:#8b939e",
    "em": "stroke:#15181d;fill:#15181d",
    "no": "stroke:#59616c",
    "ti": "stroke:#d9dee6",
    "li": "fill:#b9c1cc;stroke:#c3cad4",
    "hb": "fill:#15181d",
    "hl": "stroke:#e6e9ee",
    "h1": "stroke:#15181d",
    "h2": "stroke:#ff6fc4",
    "tx": "fill:#eef0f3;stroke:#15181d",
    "gr": "stroke:#3a414b",
}
_COMMON = (
    "stroke-linejoin:round",
    "font-family:system-ui,'DejaVu Sans',Arial,sans-serif",
)


def _rules(look: dict[str, str]) -> str:
    return "".join(f".pxd .{name}{{{rule}}}" for name, rule in look.items())


STYLE = (
    f"<style>.pxd{{{';'.join(_COMMON)}}}{_rules(_LIGHT)}"
    ".pxd .tx{paint-order:stroke;stroke-width:.25em}"
    ".pxd .hw{stroke-width:2.6}.pxd .ht{stroke-width:1.4}"
    ".pxd .k{stroke-linecap:round}.pxd .q{stroke-linecap:square}"
    f"@media screen and (prefers-color-scheme:dark){{{_rules(_DARK)}}}</style>"
)
PATTERN = (
    f'<pattern id="{UNKNOWN}" width="2.6" height="2.6" patternUnits="userSpaceOnUse" '
    'patternTransform="rotate(45)"><path d="M0 0h2.6v2.6h-2.6z" class="hb"/>'
    '<path d="M.8 0v2.6" class="hl"/></pattern>'
)


def number(value: float) -> str:
    """Write a length with as few characters as will do: a tenth of a millimetre."""
    text = f"{value:.1f}".removesuffix(".0")
    return "0" if text == "-0" else text


def escaped(text: str) -> str:
    """Write text so that it stands in an element or an attribute; without control characters."""
    if not text.isprintable():
        text = "".join(one if one.isprintable() else " " for one in text)
    return text.replace("&", "&amp;").replace("<", "&lt;").replace('"', "&quot;")


def titled(text: str) -> str:
    """Say what is told of an element when a pointer rests on it."""
    return f"<title>{escaped(text)}</title>" if text else ""


Flat = tuple[float, float, float, float]
"""A rectangle of a picture: x and y of its upper left corner, width and height."""


def box(at: Flat, look: str, *, inside: str = "") -> str:
    """Draw a rectangle; ``inside`` is written into its element."""
    x, y, width, height = map(number, at)
    drawn = f'<rect x="{x}" y="{y}" width="{width}" height="{height}" class="{look}"'
    return f"{drawn}>{inside}</rect>" if inside else f"{drawn}/>"


def words(x: float, y: float, text: str, size: float, *, anchor: str = "") -> str:
    """Write a line of text."""
    place = f'x="{number(x)}" y="{number(y)}"'
    at = f' text-anchor="{anchor}"' if anchor else ""
    return f'<text {place} font-size="{number(size)}"{at} class="tx">{escaped(text)}</text>'


_WIDE = 0.6
"""Width of a letter, in sizes of the text."""


def width_of(text: str, size: float) -> float:
    """Estimate how long a line of text is."""
    return len(text) * size * _WIDE


def fitting(text: str, room: float, size: float, least: float) -> tuple[str, float]:
    """Make a text small enough for some room; what still is too long is cut.

    Args:
        text: One line.
        room: mm.
        size: Of the text, at most.
        least: Below which nobody could read it.
    """
    fits = room / (len(text) * _WIDE) if text else size
    if fits >= least:
        return text, min(size, fits)
    kept = max(int(room / (least * _WIDE)) - 1, 1)
    return f"{text[:kept]}…", least


class Shared:
    """Forms that several things have, each written once.

    They go by what they are, so that the same name never means two forms on a page of many
    pictures.
    """

    def __init__(self) -> None:
        self._forms: dict[str, str] = {}

    def name(self, path: str) -> str:
        """Give the name of a path, by its data."""
        name = f"p{crc32(path.encode()):x}"
        self._forms[name] = path
        return name

    def __str__(self) -> str:
        return "".join(f'<path id="{name}" d="{path}"/>' for name, path in self._forms.items())


@dataclass(frozen=True, slots=True)
class Block:
    """Something that has been drawn: its size, and its elements from the upper left corner on."""

    width: float
    height: float
    elements: str

    def at(self, x: float, y: float) -> str:
        """Put it somewhere."""
        return f'<g transform="translate({number(x)} {number(y)})">{self.elements}</g>'

    def scaled(self, factor: float) -> Block:
        """Make it larger or smaller."""
        elements = f'<g transform="scale({factor:g})">{self.elements}</g>'
        return Block(self.width * factor, self.height * factor, elements)


def in_rows(blocks: Iterable[Block], width: float, gap: float) -> Block:
    """Put blocks beside each other, in as many rows as it takes."""
    x = y = lowest = widest = 0.0
    placed = []
    for block in blocks:
        if x and x + block.width > width:
            x, y = 0.0, lowest + gap
        placed.append(block.at(x, y))
        x += block.width + gap
        widest = max(widest, x - gap)
        lowest = max(lowest, y + block.height)
    return Block(widest, lowest, "".join(placed))


def picture(block: Block, shared: Shared, title: str, *, margin: float, scale: float = 0) -> str:
    """Write a whole picture.

    Args:
        block: What is in it.
        shared: The forms that it uses.
        title: What it shows.
        margin: mm around it.
        scale: Pixels per mm; 0: as wide as there is room.
    """
    width, height = block.width + 2 * margin, block.height + 2 * margin
    view = f"{number(-margin)} {number(-margin)} {number(width)} {number(height)}"
    size = f' width="{width * scale:.0f}" height="{height * scale:.0f}"' if scale else ""
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" class="pxd" viewBox="{view}"{size} role="img">'
        f"{titled(title)}{STYLE}<defs>{PATTERN}{shared}</defs>"
        f"{box((-margin, -margin, width, height), 'bg')}{block.elements}</svg>"
    )


def markdown(svg: str, title: str) -> str:
    """Write a picture as Markdown that shows it wherever no elements of SVG are let through."""
    data = base64.b64encode(svg.encode()).decode()
    alt = title.replace("[", "(").replace("]", ")").replace("\n", " ")
    return f"![{alt}](data:image/svg+xml;base64,{data})"
