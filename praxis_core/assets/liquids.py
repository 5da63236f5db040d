"""The arithmetic of liquids: they mix ideally, in a container and in a tip, with their sources.

Volumes are in µL. What is dissolved and what it came from are shared out in proportion.
"""

from __future__ import annotations

from praxis_core.assets.operations import Mixing
from praxis_core.assets.state import ContainerContents, Liquid, MountedTip

_ROUNDING = 1e-6
"""µL; smaller differences come from floating point."""


def move(source: Liquid, target: Liquid, volume: float) -> None:
    """Move liquid; all there is when that is less, or when only rounding would stay behind."""
    if volume <= 0 or source.volume <= 0:
        return
    if volume >= source.volume - _ROUNDING:
        target.volume += source.volume
        _pour(source.amounts, target.amounts)
        _pour(source.sources, target.sources)
        source.volume, source.amounts, source.sources = 0.0, {}, {}
        return
    part = volume / source.volume
    source.volume -= volume
    target.volume += volume
    _share(source.amounts, target.amounts, part)
    _share(source.sources, target.sources, part)


def _pour(given: dict[str, float], taken: dict[str, float]) -> None:
    for name, amount in given.items():
        taken[name] = taken.get(name, 0.0) + amount


def _share(given: dict[str, float], taken: dict[str, float], part: float) -> None:
    for name, amount in given.items():
        moved = amount * part
        taken[name] = taken.get(name, 0.0) + moved
        given[name] = amount - moved


def mix(tip: MountedTip, container: Liquid, mixing: Mixing | None) -> None:
    """Draw and give back; only what is in the tip makes a difference, for containers are mixed."""
    if mixing is None or tip.volume <= 0:
        return
    kept = tip.volume
    for _ in range(mixing.repetitions):
        move(container, tip, mixing.volume)
        move(tip, container, tip.volume - kept)


def known_volume(liquid: Liquid) -> float | None:
    """Give the volume; None when nobody knows it."""
    return None if liquid.unknown else liquid.volume


def missing(wanted: float, there: float | None) -> str:
    """Say what was air because less was there than wanted; empty: nothing, or nobody knows."""
    if there is None or wanted <= there + _ROUNDING:
        return ""
    return f"{wanted - there:.2f} µL of air: {wanted:.2f} µL were asked of {there:.2f} µL"


def overflow(container: ContainerContents) -> str:
    """Say what ran over; empty: nothing, or nobody knows."""
    limit = container.max_volume
    if limit is None or container.unknown or container.volume <= limit + _ROUNDING:
        return ""
    return f"{container.volume - limit:.2f} µL ran over: it holds {limit:.2f} µL"
