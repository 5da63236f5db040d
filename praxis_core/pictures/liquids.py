"""The colour of a liquid, by what is dissolved in it, and what it is in words."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from math import log10

from praxis_core.assets.state import AssetManagerState, Liquid

_HUES = (
    (0, 114, 178),  # blue
    (230, 159, 0),  # orange
    (0, 158, 115),  # green
    (204, 121, 167),  # purple
    (213, 94, 0),  # vermilion
    (240, 228, 66),  # yellow
)
"""Of Okabe and Ito: told apart by people who see few colours."""

_PLAIN = (168, 199, 222)
"""Liquid in which nothing is dissolved, as far as is known."""

_DECADES = 4
"""Concentrations below the highest by as many powers of ten look alike."""

_PALEST = 0.25

_STEPS = 20
"""How many shades of a solute are told apart."""

_COARSE = 5
"""How many shades are one where there is no room for more."""

_LARGE = 1e4
"""Figures from here on are written out."""

_MOST = 4
"""Solutes that are named."""

Colour = str


class Tints:
    """The colours of all liquids of one moment.

    A solute has a hue; the more concentrated it is, compared with the most concentrated liquid
    there is, the darker.

    Args:
        contents: All that is there.
    """

    def __init__(self, contents: AssetManagerState) -> None:
        self.most = dict(sorted(highest(contents).items()))
        """The highest concentration of each solute, µM."""
        self._hues = {one: _HUES[n % len(_HUES)] for n, one in enumerate(self.most)}
        self._colours: dict[tuple[tuple[str, int], ...], Colour] = {}

    def colour(self, liquid: Liquid, *, coarse: bool = False) -> Colour:
        """Give the colour of a liquid of which it is known what it is; coarse: one of a few."""
        step = _COARSE if coarse else 1
        shades = tuple(
            (solute, self._shade(solute, amount / liquid.volume) // step * step)
            for solute, amount in liquid.amounts.items()
            if amount > 0 and solute in self.most
        )
        found = self._colours.get(shades)
        if found is None:
            found = self._colours[shades] = self._mixed(shades)
        return found

    def darkest(self, solute: str) -> Colour:
        """Give the colour of the most concentrated liquid with just this solute."""
        return self._mixed(((solute, _STEPS),))

    def _shade(self, solute: str, concentration: float) -> int:
        below = log10(concentration / self.most[solute]) / _DECADES
        return round(_STEPS * (_PALEST + (1 - _PALEST) * max(1 + below, 0.0)))

    def _mixed(self, shades: tuple[tuple[str, int], ...]) -> Colour:
        if not shades:
            return _written(_PLAIN)
        total = sum(shade for _, shade in shades)
        strength = max(shade for _, shade in shades) / _STEPS
        hue = [
            sum(self._hues[solute][part] * shade for solute, shade in shades) / total
            for part in range(3)
        ]
        pale = (226, 232, 238)
        return _written(
            tuple(low + (high - low) * strength for low, high in zip(pale, hue, strict=True))
        )


def _written(colour: tuple[float, ...]) -> Colour:
    return "#" + "".join(f"{round(part):02x}" for part in colour)


PLAIN = _written(_PLAIN)


def highest(contents: AssetManagerState) -> dict[str, float]:
    """Give the highest concentration of each solute, µM."""
    most: dict[str, float] = {}
    for liquid in _known(contents):
        for solute, amount in liquid.amounts.items():
            if amount / liquid.volume > most.get(solute, 0.0):
                most[solute] = amount / liquid.volume
    return most


def _known(contents: AssetManagerState) -> Iterator[Liquid]:
    heads = (*contents.heads.values(), *contents.heads96.values())
    things: list[Iterable[Liquid]] = [contents.containers.values(), contents.used_tips.values()]
    for liquids in (*things, *(tips.values() for tips in heads)):
        for liquid in liquids:
            if liquid.volume > 0 and liquid.amounts and not liquid.unknown:
                yield liquid


def told(liquid: Liquid) -> str:
    """Say what a liquid is: its volume, and what is dissolved in it."""
    if liquid.unknown:
        return f"unknown: {liquid.unknown}"
    if liquid.volume <= 0:
        return "empty"
    parts = [f"{_figure(liquid.volume)} µL"]
    by_amount = sorted(liquid.amounts.items(), key=lambda one: (-one[1], one[0]))
    parts += [
        f"{solute} {concentration(amount / liquid.volume)}"
        for solute, amount in by_amount[:_MOST]
        if amount > 0
    ]
    if len(by_amount) > _MOST:
        parts.append(f"{len(by_amount) - _MOST} more")
    return ", ".join(parts)


def concentration(micromolar: float) -> str:
    """Write a concentration with the unit that suits it."""
    for unit, size in (("M", 1e6), ("mM", 1e3), ("µM", 1.0)):
        if micromolar >= size * 0.9999:
            return f"{_figure(micromolar / size)} {unit}"
    return f"{_figure(micromolar * 1e3)} nM"


def _figure(value: float) -> str:
    return f"{value:.4g}" if abs(value) < _LARGE else f"{value:.0f}"
