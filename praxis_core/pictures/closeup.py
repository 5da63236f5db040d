"""The part of a deck that somebody is asked about: its labware large, and where that stands."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping

from pylabrobot.machines.machine import Machine
from pylabrobot.resources import Carrier, Container, Deck, Resource
from pylabrobot.resources.itemized_resource import ItemizedResource

from praxis_core.assets.state import AssetManagerState
from praxis_core.pictures.beside import channels, framed, head96, in_gripper, legend, nowhere
from praxis_core.pictures.deck import has_deck
from praxis_core.pictures.labware import LabwareDrawer
from praxis_core.pictures.liquids import Tints
from praxis_core.pictures.places import Places, Standing, places
from praxis_core.pictures.svg import (
    Block,
    Shared,
    box,
    in_rows,
    number,
    picture,
    width_of,
    words,
)

MOST_BYTES = 44_000
"""Of a picture: as text of Markdown it is a third longer, and has to stay below 60 kB."""

_MOST = 6
"""Pieces of labware that are drawn."""
_FEW = 2
"""The same where they would be too much for a page; at last only the map is drawn."""
_WIDTH = 420.0
"""mm of a row."""
_TEXT = 9.5
_SMALL = 0.6
"""Of what has the same size on every picture of a whole deck."""
_SCALE = 1.7
"""Pixels per mm."""


def closeup_svg(
    deck: Resource | Iterable[Resource],
    contents: AssetManagerState,
    names: Collection[str],
    *,
    highlight: Collection[str] = (),
    called: Mapping[str, str] | None = None,
) -> str:
    """Draw some labware and devices of a deck.

    Args:
        deck: As of ``deck_svg``.
        contents: As of ``deck_svg``.
        names: What is drawn: labware, wells, tip spots, devices. What there is not, is left out.
        highlight: Names to be outlined.
        called: How people call places.

    Returns:
        SVG of a few kB, without titles: nobody can point into a picture of a text.
    """
    found = places(deck, contents)
    drawing = _Closeup(found, contents, names, highlight, called or {})
    title = f"Seen from above: {', '.join(drawing.shown) or 'the deck'}"
    for most, coarse in ((_MOST, False), (_MOST, True), (_FEW, True), (0, True)):
        block = drawing.draw(most, coarse=coarse)
        text = picture(block, drawing.shared, title, margin=8, scale=_SCALE)
        if len(text.encode()) <= MOST_BYTES:
            break
    return text


class _Closeup:
    def __init__(
        self,
        found: Places,
        contents: AssetManagerState,
        names: Collection[str],
        highlight: Collection[str],
        called: Mapping[str, str],
    ) -> None:
        self._found = found
        self._called = called
        self._devices = [*dict.fromkeys(names)]
        self._highlight = frozenset(highlight)
        self._wholes = {
            one.name: one
            for one in (*_resources(found), *found.held.values(), *found.lost.values())
        }
        owners = {
            child.name: whole.name for whole in self._wholes.values() for child in whole.children
        }
        wanted = [one if one in self._wholes else owners.get(one, "") for one in names]
        pieces = (self._wholes[one] for one in dict.fromkeys(wanted) if one)
        self._pieces = [one for one in pieces if isinstance(one, (ItemizedResource, Container))]
        self._contents = _of_interest(contents, self._pieces, names)
        tints = Tints(contents)
        self.shared = Shared()
        self._tints = tints
        self._labware = LabwareDrawer(self._contents, tints, self.shared, highlight, titles=False)
        self.shown = [one.name for one in self._pieces[:_MOST]]

    def draw(self, most: int, *, coarse: bool) -> Block:
        """Draw it: where, what, and what the signs mean."""
        pieces = [self._piece(one, coarse=coarse) for one in self._pieces[:most]]
        what = in_rows([*pieces, *self._heads()], _WIDTH, 18)
        signs = legend(self._contents, self._tints, outlined=bool(self._highlight))
        below = in_rows([one.scaled(_SMALL) for one in signs], _WIDTH, 12)
        return in_rows([what, self._map(_WIDTH * 0.6), below], 0, 12)

    def _piece(self, resource: Resource, *, coarse: bool) -> Block:
        """Draw labware under its name and place."""
        name = resource.name
        if name in self._found.lost:
            return framed(nowhere(resource), "unknown", resource, self._labware, _TEXT)
        for device, held in self._found.held.items():
            if held is resource:
                unknown = self._contents.grippers_unknown.get(device, "")
                told = in_gripper(device, resource, unknown)
                return framed(told, unknown, resource, self._labware, _TEXT)
        on = self._found.on.get(name, "")
        where = self._called.get(on, on)
        told = f"{name}, {where}" if where else name
        width, depth = float(resource.get_size_x()), float(resource.get_size_y())
        drawn = self._labware.draw(resource, coarse=coarse)
        body = f'<g transform="translate(0 {number(depth + 15)})">{drawn}</g>'
        lines = words(0, 10, told, _TEXT)
        return Block(max(width, width_of(told, _TEXT)), depth + 15, lines + body)

    def _heads(self) -> Iterator[Block]:
        for device in self._devices:
            if self._contents.heads.get(device):
                yield channels(device, self._contents.heads[device], self._labware).scaled(_SMALL)
            if self._contents.heads96.get(device):
                yield head96(device, self._contents.heads96[device], self._labware).scaled(_SMALL)

    def _map(self, width: float) -> Block:
        """Draw where on the deck it is."""
        boxes = [one.box() for one in self._found.standing]
        low_x, low_y = min(one.x for one in boxes), min(one.y for one in boxes)
        high_x = max(one.x + one.width for one in boxes)
        high_y = max(one.y + one.depth for one in boxes)
        scale = width / (high_x - low_x)
        drawn = []
        for one, at in zip(self._found.standing, boxes, strict=True):
            look = self._on_map(one)
            if look:
                flat = (
                    (at.x - low_x) * scale,
                    (high_y - at.y - at.depth) * scale,
                    at.width * scale,
                    at.depth * scale,
                )
                drawn.append((look, box(flat, look)))
        drawn.sort(key=lambda one: one[0] == "h2")
        return Block(width, (high_y - low_y) * scale, "".join(text for _, text in drawn))

    def _on_map(self, one: Standing) -> str:
        resource = one.resource
        if resource in self._pieces or resource.name in self._highlight - {"", *self._decked()}:
            return "h2"
        match resource:
            case Machine() if not has_deck(resource):
                return "de"
            case Deck():
                return "dk"
            case Carrier():
                return "ca"
            case ItemizedResource() | Container():
                return "bo"
            case _:
                return ""

    def _decked(self) -> Iterator[str]:
        """Name the devices that have a deck: they are everywhere."""
        for one in self._found.standing:
            if has_deck(one.resource):
                yield one.resource.name


def _resources(found: Places) -> Iterator[Resource]:
    for one in found.standing:
        yield one.resource


def _of_interest(
    contents: AssetManagerState, pieces: Iterable[Resource], names: Collection[str]
) -> AssetManagerState:
    """Leave out what is not drawn, so that the legend tells of nothing else."""
    items = {child.name for piece in pieces for child in piece.children}
    items |= {piece.name for piece in pieces}
    return AssetManagerState.model_construct(
        containers={n: one for n, one in contents.containers.items() if n in items},
        tip_spots={n: one for n, one in contents.tip_spots.items() if n in items},
        used_tips={n: one for n, one in contents.used_tips.items() if n in items},
        racks={},
        locations=contents.locations,
        heads={n: one for n, one in contents.heads.items() if n in names},
        heads96={n: one for n, one in contents.heads96.items() if n in names},
        grippers=contents.grippers,
        grippers_unknown=contents.grippers_unknown,
        doubts={},
    )
