"""Labware from above, with what is in it: wells filled by volume, tips, what nobody knows."""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Iterable
from dataclasses import dataclass
from math import sqrt

from pylabrobot.resources import Container, Resource, TipRack, TipSpot, Well
from pylabrobot.resources.itemized_resource import ItemizedResource
from pylabrobot.resources.petri_dish import PetriDish
from pylabrobot.resources.tube import Tube
from pylabrobot.resources.well import CrossSectionType

from praxis_core.assets.description import block_of
from praxis_core.assets.state import AssetManagerState, ContainerContents, MountedTip
from praxis_core.pictures.liquids import Tints, told
from praxis_core.pictures.svg import UNKNOWN, Flat, Shared, box, number, titled

_LARGE = 20.0
"""mm; what is wider shows its volume as a level."""

_RIM = 0.07
"""Between a well and the liquid in it, in widths of the well."""

_SMALLEST = 0.3
"""Of the width of a well: how much of it the least liquid covers."""

_LEVELS = 16
"""How many fillings are told apart."""

_FEW_LEVELS = 5
"""The same where there is no room for more."""

_TIP = 0.72
"""Width of a tip, in widths of its spot."""

_REASON = 100
"""Characters of why nobody knows something."""

_NOT_SAID = ContainerContents(unknown="nobody has said what is in it")

_FEW_NAMES = 8

_IDENTIFIER = re.compile(r"([A-Z]+)([0-9]+)")


@dataclass(frozen=True, slots=True)
class _Form:
    """The wells or tip spots of one kind of labware."""

    cap: str
    """``k``: round, ``q``: square, empty: rectangles of any size."""
    width: float
    """Of one, mm; of a rectangle 0."""
    points: tuple[str, ...]
    """Path of each; of a rectangle its corner and size."""
    whole: str
    """Name of the path of all of them."""


class LabwareDrawer:
    """Draws the labware of one moment.

    Args:
        contents: What is in it.
        tints: The colours of liquids.
        shared: Where forms are written that several have.
        highlight: Names of wells and tip spots to be outlined.
        titles: Whether each tells what it is when a pointer rests on it.
    """

    def __init__(
        self,
        contents: AssetManagerState,
        tints: Tints,
        shared: Shared,
        highlight: Collection[str] = (),
        *,
        titles: bool = True,
    ) -> None:
        self._titles = titles
        self._contents = contents
        self._tints = tints
        self._shared = shared
        self._highlight = frozenset(highlight)
        self._forms: dict[object, _Form] = {}

    def draw(self, resource: Resource, *, coarse: bool = False) -> str:
        """Draw labware with its own corner at 0, 0; what is behind it has a smaller y.

        Args:
            resource: Labware, or anything else, which has its outline only.
            coarse: Tell no well by itself, and fewer fillings apart.
        """
        body = box(_outline(resource), "bo")
        if isinstance(resource, ItemizedResource):
            items = _items_of(resource)
            return body + self._items(resource, items, coarse=coarse) if items else body
        if isinstance(resource, Container):
            return self._single(resource)
        return body

    def again(self, resource: Resource, drawn: str) -> str:
        """Give what was drawn of labware in another picture; the forms that it uses are shared."""
        items = _items_of(resource) if isinstance(resource, ItemizedResource) else []
        if items:
            self._form(resource, items)
        return drawn

    def state_of(self, resource: Resource) -> object:
        """Give all that a drawing of labware depends on, but for the colours of liquids."""
        items = _items_of(resource) if isinstance(resource, ItemizedResource) else [resource]
        return [self._state(one) for one in items]

    def _state(self, item: Resource) -> object:
        marked, there = item.name in self._highlight, None
        liquid: tuple[object, ...] = ()
        if isinstance(item, TipSpot):
            there = self._contents.tip_spots.get(item.name)
            used = self._contents.used_tips.get(item.name)
            if used is not None:
                liquid = (used.uses, used.volume, used.unknown, dict(used.amounts))
        elif isinstance(item, Container):
            held = self._liquid(item)
            liquid = (held.max_volume, held.volume, held.unknown, dict(held.amounts))
        return marked, there, liquid

    def outlined(self, resource: Resource) -> bool:
        """Whether some wells or tips of it are outlined."""
        if not self._highlight or not isinstance(resource, ItemizedResource):
            return False  # a deck has a trash, too
        return any(child.name in self._highlight for child in _items_of(resource))

    def summary(self, resource: Resource) -> str:
        """Say in a few words what is in labware; empty: nothing can be."""
        if isinstance(resource, TipRack):
            spots = [self._contents.tip_spots.get(one.name) for one in resource.children]
            more = f", {spots.count(None)} unknown" if None in spots else ""
            return f"{spots.count(True)} of {len(spots)} tips{more}"
        if isinstance(resource, ItemizedResource):
            wells = [self._liquid(one) for one in resource.children if isinstance(one, Container)]
            unknown = sum(bool(one.unknown) for one in wells)
            filled = sum(one.volume > 0 and not one.unknown for one in wells)
            told_ = f"{filled} of {len(wells)} wells filled" if wells else ""
            return told_ + (f", {unknown} unknown" if unknown else "")
        if isinstance(resource, Container):
            return _short(told(self._liquid(resource)))
        return ""

    def title(self, text: str) -> str:
        """Say what is told of something, if anything is."""
        return titled(text if self._titles else "")

    def tip_at(self, tip: MountedTip, diameter: float) -> str:
        """Draw a tip on a channel, around 0, 0."""
        look = _ring(
            diameter,
            f'stroke="url(#{UNKNOWN})"'
            if tip.unknown or tip.there is None
            else f'stroke="{self._tints.colour(tip)}"'
            if tip.volume > 0
            else 'class="em"',
        )
        return f'<g class="k">{look.replace("@", "M0 0h.01")}</g>'

    # --- one container ----------------------------------------------------------------------------

    def _single(self, container: Container) -> str:
        x, y, width, depth = _outline(container)
        liquid = self._liquid(container)
        if isinstance(container, (Tube, PetriDish)):
            path = f"M{number(width / 2)} {number(-depth / 2)}h.01"
            look = self._look(liquid, container, min(width, depth), _LEVELS)
            return _empty(path, min(width, depth)) + f'<g class="k">{look.replace("@", path)}</g>'
        body = box(_outline(container), "bo")
        return (
            body
            + self._level(container, liquid, (x, y, width, depth))
            + self._ring_around(container, (x, y, width, depth))
        )

    def _ring_around(self, container: Container, at: Flat) -> str:
        if container.name not in self._highlight:
            return ""
        return box(at, "h1") + box(at, "h2")

    def _level(
        self,
        container: Container,
        liquid: ContainerContents,
        at: Flat,
        look: str = "",
    ) -> str:
        """Draw how full something large is: as a level that rises from its front edge."""
        x, y, width, depth = (at[0] + 1, at[1] + 1, at[2] - 2, at[3] - 2)
        if width <= 0 or depth <= 0:
            return ""
        if liquid.unknown:
            fill, part = f"url(#{UNKNOWN})", 1.0
        elif liquid.volume > 0:
            fill, part = self._tints.colour(liquid), max(_part(liquid, container), 0.02)
        else:
            return ""
        high = depth * part
        place = f'x="{number(x)}" y="{number(y + depth - high)}"'
        size = f'width="{number(width)}" height="{number(high)}"'
        return f'<rect {place} {size} fill="{fill}">{look}</rect>'

    # --- many of them -----------------------------------------------------------------------------

    def _items(self, resource: Resource, items: list[Resource], *, coarse: bool) -> str:
        form = self._form(resource, items)
        if not form.cap:
            return self._boxes(items)
        groups: dict[tuple[str, str], list[int]] = {}
        key_of = self._key_of(items[0], form, coarse=coarse)
        for n, item in enumerate(items):
            look, text = key_of(item)
            groups.setdefault((look, text if self._titles else ""), []).append(n)
        base = ""
        if not isinstance(items[0], TipSpot):
            base = _empty_all(form)
        drawn = [
            self._group(form, items, look, text, members)
            for (look, text), members in groups.items()
            if look
        ]
        return f'<g class="{form.cap}">{base}{"".join(drawn)}</g>{self._rings(form, items)}'

    def _key_of(
        self, first: Resource, form: _Form, *, coarse: bool
    ) -> Callable[[Resource], tuple[str, str]]:
        if isinstance(first, TipSpot):
            return lambda spot: self._tip(spot, form, coarse=coarse)
        levels = _FEW_LEVELS if coarse else _LEVELS

        def key(well: Resource) -> tuple[str, str]:
            liquid = self._liquid(well)
            look = self._look(liquid, well, form.width, levels, coarse=coarse)
            return look, "" if coarse else _short(told(liquid))

        return key

    def _group(
        self, form: _Form, items: list[Resource], look: str, text: str, members: list[int]
    ) -> str:
        """Draw all that look alike, and say of them what they are."""
        if text:
            text = f"{_named(items[n] for n in members)}: {text}"
        if len(members) == len(items) and look.count("@") == 1:
            drawn = look.replace('<path d="@"', f'<use href="#{form.whole}"')
        else:
            drawn = look.replace("@", "".join(form.points[n] for n in members))
        title = titled(text)
        if not title:
            return drawn
        if drawn.count("<") == 1:
            element = drawn[1:].partition(" ")[0]
            return f"{drawn[:-2]}>{title}</{element}>"
        return f"<g>{title}{drawn}</g>"

    def _rings(self, form: _Form, items: list[Resource]) -> str:
        """Outline what a command is at."""
        if not self._highlight:
            return ""
        marked = [n for n, item in enumerate(items) if item.name in self._highlight]
        if not marked:
            return ""
        points = [form.points[n][1:].partition("h")[0] for n in marked]
        around = _circle if form.cap == "k" else _square
        path = "".join(around(point, form.width / 2 + 0.4) for point in points)
        wide, thin = f'<path d="{path}" class="h1 hw"/>', f'<path d="{path}" class="h2 ht"/>'
        return wide + thin

    def _boxes(self, items: list[Resource]) -> str:
        """Draw wells that are neither round nor square, or large."""
        drawn = []
        for item in items:
            x, y, width, depth = _outline(item)
            at = (x + item.location.x, y - item.location.y, width, depth)
            liquid = self._liquid(item)
            look = self.title(f"{_named([item])}: {_short(told(liquid))}")
            drawn.append(box(at, "bo") + self._level(item, liquid, at, look))
            drawn.append(self._ring_around(item, at))
        return "".join(drawn)

    # --- how they look ----------------------------------------------------------------------------

    def _tip(self, spot: Resource, form: _Form, *, coarse: bool) -> tuple[str, str]:
        there = self._contents.tip_spots.get(spot.name)
        used = self._contents.used_tips.get(spot.name)
        width = form.width * _TIP
        if there is None:
            return _path(f'stroke="url(#{UNKNOWN})"', width), "nobody knows whether a tip is here"
        if not there:
            return _path('class="no"', width / 4), "no tip"
        if used is None:
            return _path('class="ti"', width), "tip, not used"
        times = "" if coarse else f" {used.uses} times" if used.uses > 1 else ""
        inside = f'stroke="url(#{UNKNOWN})"' if used.unknown else 'class="em"'
        return _ring(width, inside), f"used tip{times}" + (", " + _short(told(used)))

    def _look(
        self,
        liquid: ContainerContents,
        container: Resource,
        width: float,
        levels: int,
        *,
        coarse: bool = False,
    ) -> str:
        if liquid.unknown:
            return _path(f'stroke="url(#{UNKNOWN})"', width * (1 - 2 * _RIM))
        if liquid.volume <= 0:
            return ""
        level = max(round(_part(liquid, container) * levels), 1) / levels
        wide = width * (1 - 2 * _RIM) * (_SMALLEST + (1 - _SMALLEST) * sqrt(level))
        return _path(f'stroke="{self._tints.colour(liquid, coarse=coarse)}"', wide)

    def _liquid(self, container: Resource) -> ContainerContents:
        return self._contents.containers.get(container.name, _NOT_SAID)

    # --- where they are ---------------------------------------------------------------------------

    def _form(self, resource: Resource, items: list[Resource]) -> _Form:
        """Give the form of the items of labware; that of one kind is made once."""
        first, last = items[0], items[-1]
        key = (
            type(resource),
            resource.model if resource.model is not None else resource.name,
            len(items),
            (first.location.x, first.location.y, last.location.x, last.location.y),
            first.get_size_x(),
        )
        form = self._forms.get(key)
        if form is None:
            form = self._forms[key] = self._made(items)
        return form

    def _made(self, items: list[Resource]) -> _Form:
        sizes = {(one.get_size_x(), one.get_size_y()) for one in items}
        x, y = next(iter(sizes))
        if len(sizes) > 1 or max(x, y) > _LARGE or abs(x - y) > max(x, y) / 10:
            return _Form("", 0, (), "")
        points = tuple(
            f"M{number(one.location.x + x / 2)} {number(-one.location.y - y / 2)}h.01"
            for one in items
        )
        round_ = not isinstance(items[0], Well) or (
            items[0].cross_section_type is CrossSectionType.CIRCLE
        )
        return _Form("k" if round_ else "q", min(x, y), points, self._shared.name("".join(points)))


def _items_of(resource: Resource) -> list[Resource]:
    return [one for one in resource.children if isinstance(one, (TipSpot, Container))]


def _outline(resource: Resource) -> Flat:
    width, depth = float(resource.get_size_x()), float(resource.get_size_y())
    return 0.0, -depth, width, depth


def _part(liquid: ContainerContents, container: Resource) -> float:
    """Say how full something is, from 0 to 1."""
    most = liquid.max_volume or container.max_volume
    return min(liquid.volume / most, 1.0) if most and most > 0 else 1.0


def _short(text: str) -> str:
    return text if len(text) <= _REASON else f"{text[:_REASON]}…"


def _named(items: Iterable[Resource]) -> str:
    """Name wells by row and column, as their labware does; else as they are called."""
    names = [str(item.name).rpartition("_")[2] for item in items]
    places = [match for match in map(_IDENTIFIER.fullmatch, names) if match is not None]
    if len(places) < len(names):
        return ", ".join(names[:_FEW_NAMES]) + (", ..." if len(names) > _FEW_NAMES else "")
    return block_of([(match[1], int(match[2])) for match in places])


def _path(stroke: str, width: float) -> str:
    return f'<path d="@" {stroke} stroke-width="{number(width)}"/>'


def _ring(width: float, inside: str) -> str:
    return _path('class="ti"', width) + _path(inside, width - 2.4)


def _empty(path: str, width: float) -> str:
    return f'<g class="k">{_two(f"path d={chr(34)}{path}{chr(34)}", width)}</g>'


def _empty_all(form: _Form) -> str:
    return _two(f'use href="#{form.whole}"', form.width)


def _two(element: str, width: float) -> str:
    """Draw an edge with nothing inside."""
    return (
        f'<{element} class="ed" stroke-width="{number(width)}"/>'
        f'<{element} class="em" stroke-width="{number(width * (1 - 2 * _RIM))}"/>'
    )


def _circle(centre: str, radius: float) -> str:
    r = number(radius)
    twice = number(2 * radius)
    return f"M{centre}m-{r} 0a{r} {r} 0 1 0 {twice} 0a{r} {r} 0 1 0-{twice} 0"


def _square(centre: str, radius: float) -> str:
    r, twice = number(radius), number(2 * radius)
    return f"M{centre}m-{r}-{r}h{twice}v{twice}h-{twice}z"
