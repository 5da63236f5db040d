"""The whole deck from above, to scale: every thing with its name, its place and what is in it."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping

from pylabrobot.machines.machine import Machine
from pylabrobot.resources import Carrier, Container, Deck, Lid, Resource, ResourceHolder
from pylabrobot.resources.hamilton import HamiltonDeck
from pylabrobot.resources.itemized_resource import ItemizedResource

from praxis_core.assets.state import AssetManagerState
from praxis_core.pictures.beside import beside, legend
from praxis_core.pictures.labware import LabwareDrawer
from praxis_core.pictures.liquids import Tints
from praxis_core.pictures.places import Box, Places, Standing, places
from praxis_core.pictures.svg import (
    Block,
    Flat,
    Shared,
    box,
    fitting,
    in_rows,
    number,
    picture,
    width_of,
    words,
)

MOST_BYTES = 300_000
"""Of a picture of a deck, as long as there are fewer than some 40 000 wells."""

_MANY = 5000
"""Wells; of more none is told by itself."""

_MARGIN = 12.0
_NAME = 9.0
"""Size of names, mm: what there is room for between two sites of a carrier."""
_LEAST_NAME = 4.5
_LEAST_CARRIER = 6.5
_AROUND = 1.0
"""mm between a thing and the line around it."""
_NAMED = 15.0
"""mm; what is smaller has its name only as a title."""

Names = Mapping[str, str]
"""How people call a place, by the name of what stands there on the deck."""


def deck_svg(  # noqa: PLR0913  # what may be said of a picture, by name
    deck: Resource | Iterable[Resource],
    contents: AssetManagerState,
    *,
    highlight: Collection[str] = (),
    title: str = "",
    called: Names | None = None,
    titles: bool = True,
    most_bytes: int = MOST_BYTES,
    kept: Kept | None = None,
) -> str:
    """Draw a deck; the same deck and contents give the same picture.

    Args:
        deck: What stands on nothing, with all that it carries; nothing of it is changed.
        contents: What is where, and what is in it. Of what it does not know the deck tells where
            it stands; nobody knows what is in it.
        highlight: Names of wells, tip spots, labware, places and devices to be outlined, as
            ``command.concerned`` gives them.
        title: What the picture shows, on one line.
        called: How people call places.
        titles: Whether each thing tells what it is when a pointer rests on it; of no use where
            nobody can point into the picture.
        kept: What was drawn of the same deck before, so that only what has changed is drawn anew;
            the picture is the same without.
        most_bytes: What would be larger is drawn with fewer details; it may still be larger.

    Returns:
        SVG; light or dark as its reader's screen is, and light in print.
    """
    found = places(deck, contents)
    drawing = _Drawing(found, contents, highlight, called or {}, titles=titles, kept=kept)
    told = title or "The deck"
    coarse = drawing.all_of_it() if len(contents.containers) > _MANY else frozenset[str]()
    while True:
        text = picture(drawing.whole(title, coarse), drawing.shared, told, margin=_MARGIN)
        size = len(text.encode())
        if size <= most_bytes or coarse >= drawing.sizes.keys():
            return text
        coarse = drawing.coarser(size - most_bytes, coarse)


class Kept:
    """Labware as it was drawn in earlier pictures of one deck, all with titles or all without."""

    def __init__(self) -> None:
        self._most: Mapping[str, float] = {}
        self._drawn: dict[tuple[str, bool], tuple[object, str]] = {}

    def begin(self, most: Mapping[str, float]) -> None:
        """Forget all of it if liquids have other colours now: by the highest concentrations."""
        if most != self._most:
            self._most = most
            self._drawn.clear()

    def drawn(self, resource: Resource, labware: LabwareDrawer, *, coarse: bool) -> str:
        """Give labware as it was drawn before, if nothing of it has changed; else draw it."""
        key, state = (resource.name, coarse), labware.state_of(resource)
        was = self._drawn.get(key)
        if was is not None and was[0] == state:
            return labware.again(resource, was[1])
        text = labware.draw(resource, coarse=coarse)
        self._drawn[key] = state, text
        return text


class _Drawing:
    """One picture of a whole deck."""

    def __init__(  # noqa: PLR0913  # what meets here, by name
        self,
        found: Places,
        contents: AssetManagerState,
        highlight: Collection[str],
        called: Names,
        *,
        titles: bool,
        kept: Kept | None,
    ) -> None:
        self.shared = Shared()
        self.sizes: dict[str, int] = {}
        """Bytes of each labware."""
        self._found = found
        self._contents = contents
        self._highlight = frozenset(highlight)
        self._called = called
        self._tints = Tints(contents)
        self._labware = LabwareDrawer(contents, self._tints, self.shared, highlight, titles=titles)
        self._drawn: dict[tuple[str, bool], str] = {}
        self._kept = kept
        if kept is not None:
            kept.begin(self._tints.most)

    def coarser(self, bytes_: int, coarse: Collection[str]) -> frozenset[str]:
        """Name what has to be drawn with fewer details for a picture to be so much smaller."""
        names = set(coarse)
        for name, size in sorted(self.sizes.items(), key=lambda one: (-one[1], one[0])):
            if bytes_ > 0 and name not in names:
                names.add(name)
                bytes_ -= size * 3 // 4
        return frozenset(names or self.sizes)

    def all_of_it(self) -> frozenset[str]:
        """Name all that stands on the deck."""
        return frozenset(one.resource.name for one in self._found.standing)

    def whole(self, title: str, coarse: Collection[str]) -> Block:
        """Draw all."""
        boxes = [one.box() for one in self._found.standing]
        low_x, low_y = min(one.x for one in boxes), min(one.y for one in boxes)
        high_x = max(one.x + one.width for one in boxes)
        high_y = max(one.y + one.depth for one in boxes)
        layers = [self._body(one, coarse) for one in self._found.standing]
        layers += [self._outlined(one) for one in self._found.standing]
        layers += [self._name(one) for one in self._found.standing]
        deck = Block(
            high_x - low_x,
            high_y - low_y,
            f'<g transform="translate({number(-low_x)} {number(high_y)})">{"".join(layers)}</g>',
        )
        below = beside(self._found, self._contents, self._labware)
        signs = legend(self._contents, self._tints, outlined=bool(self._highlight))
        parts = [deck, *(in_rows(row, deck.width, 26) for row in (below, signs) if row)]
        if title:
            text, size = fitting(title, deck.width, 22, 12)
            parts.insert(0, Block(deck.width, 24, words(0, 18, text, size)))
        return in_rows(parts, 0, 14)

    # --- one thing --------------------------------------------------------------------------------

    def _body(self, one: Standing, coarse: Collection[str]) -> str:
        resource = one.resource
        room = one.box()
        flat = (room.x, -room.y - room.depth, room.width, room.depth)
        match resource:
            case Machine() if not has_deck(resource):
                look = "de"
            case Machine():
                return ""  # its deck is drawn
            case Deck():
                return box(flat, "dk", inside=self._labware.title(resource.name)) + _rails(resource)
            case Carrier():
                look = "ca"
            case ItemizedResource() | Container():
                return self._placed(one, coarse)
            case ResourceHolder() if resource.name in self._found.strange:
                return box(flat, "un", inside=self._labware.title(self._told(resource)))
            case ResourceHolder():
                look = "si"
            case Lid():
                return _lid(flat, self._labware.title(self._told(resource)))
            case _:
                look = "bo"
        return box(flat, look, inside=self._labware.title(self._told(resource)))

    def _placed(self, one: Standing, coarse: Collection[str]) -> str:
        name = one.resource.name
        key = (name, name in coarse)
        if key not in self._drawn:
            self._drawn[key] = self._labware_of(one.resource, coarse=key[1])
            self.sizes[name] = len(self._drawn[key])
        turn = f"rotate({number(-one.turn)})" if one.turn else ""
        return (
            f'<g transform="translate({number(one.x)} {number(-one.y)}){turn}">'
            f"{self._labware.title(self._told(one.resource))}{self._drawn[key]}</g>"
        )

    def _labware_of(self, resource: Resource, *, coarse: bool) -> str:
        if self._kept is None:
            return self._labware.draw(resource, coarse=coarse)
        return self._kept.drawn(resource, self._labware, coarse=coarse)

    def _told(self, resource: Resource) -> str:
        """Say of a thing what it is, where it stands and what is in it."""
        name = resource.name
        on = self._found.on.get(name, "")
        where = self._called.get(on, on)
        kind = f" ({resource.model})" if resource.model else ""
        here = f"; {self._called[name]}" if name in self._called else ""
        told = f"{name}{kind}{here}" + (f", on {where}" if where else "")
        inside = self._labware.summary(resource)
        if name in self._found.strange:
            inside = f"{self._found.strange[name]}, of which nobody has said what it is like"
        return f"{told}: {inside}" if inside else told

    def _outlined(self, one: Standing) -> str:
        resource = one.resource
        if resource.name not in self._highlight and not self._labware.outlined(resource):
            return ""
        if has_deck(resource):
            return ""
        room = one.box()
        flat = (
            room.x - _AROUND,
            -room.y - room.depth - _AROUND,
            room.width + 2 * _AROUND,
            room.depth + 2 * _AROUND,
        )
        return box(flat, "h1") + box(flat, "h2")

    def _name(self, one: Standing) -> str:
        """Write a name where it hides nothing: below labware, above devices, on what is plain."""
        resource, room = one.resource, one.box()
        unnamed = max(room.width, room.depth) < 2 * _NAMED or has_deck(resource)
        match resource:
            case _ if unnamed or isinstance(resource, (Deck, Lid)) or self._is_covered(one):
                return ""
            case Machine():
                return _name_above(resource.name, room)
            case Carrier():
                return _name_below(resource.name, room, 13, _LEAST_CARRIER)
            case ItemizedResource():
                return _name_below(resource.name, room, 9, _LEAST_NAME)
            case _:
                return self._name_inside(resource, room)

    def _name_inside(self, resource: Resource, room: Box) -> str:
        strange = self._found.strange.get(resource.name)
        if strange is not None:
            return _name_inside(strange, room, hatched=True)
        name = self._called.get(resource.name, resource.name)
        return _name_inside(name, room, hatched=isinstance(resource, Container))

    def _is_covered(self, one: Standing) -> bool:
        """Whether most of a thing cannot be seen for what stands on it."""
        if isinstance(one.resource, (Machine, Carrier, ItemizedResource)):
            return False  # their names are beside them
        width, depth = one.resource.get_size_x(), one.resource.get_size_y()
        carried = self._found.carrying.get(one.resource.name, [])
        return any(2 * on.get_size_x() * on.get_size_y() > width * depth for on in carried)


def has_deck(resource: Resource) -> bool:
    """Whether something is as large as the deck that it works on."""
    return any(isinstance(child, Deck) for child in resource.children)


def _name_above(name: str, room: Box) -> str:
    text, size = fitting(name, room.width, _NAME + 2, _LEAST_NAME)
    return words(room.x, -room.y - room.depth - 3, text, size)


def _name_below(name: str, room: Box, below: float, least: float) -> str:
    text, size = fitting(name, room.width, _NAME, least)
    if room.width < _NAMED:
        return ""
    return words(room.x + room.width / 2, -room.y + below, text, size, anchor="middle")


def _name_inside(name: str, room: Box, *, hatched: bool = False) -> str:
    """Write a name into a thing; on what may be hatched, on a plain ground."""
    if min(room.width, room.depth) < _NAMED:
        return ""
    upright = room.depth > room.width * 1.3
    text, size = fitting(name, max(room.width, room.depth) - 4, _NAME, _LEAST_NAME)
    long, high = width_of(text, size) + 3, size * 1.4
    ground = box((-long / 2, -high / 2, long, high), "bg") if hatched else ""
    middle, centre = room.x + room.width / 2, -room.y - room.depth / 2
    turn = "rotate(-90)" if upright else ""
    return (
        f'<g transform="translate({number(middle)} {number(centre)}){turn}">{ground}'
        f"{words(0, size / 3, text, size, anchor='middle')}</g>"
    )


def _lid(flat: Flat, title: str) -> str:
    """Draw a lid: what is below it stays visible."""
    x, y, width, depth = flat
    cross = (
        f"M{number(x)} {number(y)}l{number(width)} {number(depth)}"
        f"M{number(x + width)} {number(y)}l{number(-width)} {number(depth)}"
    )
    return f'<g>{title}{box(flat, "li")}<path d="{cross}" class="li"/></g>'


def _rails(deck: Resource) -> str:
    """Draw the rails of a Hamilton deck, with every fifth number."""
    if not isinstance(deck, HamiltonDeck):
        return ""
    xs = [float(deck.rails_to_location(n).x) for n in range(1, deck.num_rails + 1)]
    front = float(deck.rails_to_location(1).y)
    lines = "".join(f"M{number(x)} {number(-front)}v-497" for x in xs)
    numbers = "".join(
        words(x, -front + 34, str(n), _NAME, anchor="middle")
        for n, x in enumerate(xs, 1)
        if n == 1 or n % 5 == 0
    )
    return f'<path d="{lines}" class="gr"/>{numbers}'
