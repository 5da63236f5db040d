"""What is read of containers and tips: values that neither change nor can be changed."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from types import MappingProxyType
from typing import Self

from praxis_core.assets.state import ContainerContents, Liquid, MountedTip
from praxis_core.errors import ContentsUnknown


@dataclass(frozen=True, slots=True)
class Contents:
    """What was in a container or a tip at one moment."""

    volume: float
    """µL."""
    amounts: Mapping[str, float]
    """pmol of each solute."""
    max_volume: float | None = None
    """µL; None: without limit, or unknown."""
    changed_at: datetime | None = None
    """When liquid last came or went; None: not since the record began."""
    since: Mapping[str, datetime] = field(default_factory=lambda: MappingProxyType({}))
    """When each solute came in, if that was after the record began."""
    unknown: str = ""
    """Why nobody knows what is in it: the figures are the last known ones, and count no more."""
    there: bool | None = True
    """Of a tip: whether it is there; None: nobody knows."""
    name: str = ""
    """Container or channel."""
    sources: Mapping[str, float] = field(default_factory=lambda: MappingProxyType({}))
    """µL of each filling that is in it: its lineage."""

    @property
    def known(self) -> bool:
        """Whether the figures say what is in it."""
        return not self.unknown

    def concentration(self, solute: str) -> float:
        """Give the concentration of a solute in µM; 0 when there is none, or no liquid.

        Raises:
            ContentsUnknown: nobody knows.
        """
        if self.unknown:
            raise ContentsUnknown(asset=self.name, why=self.unknown)
        amount = self.amounts.get(solute, 0.0)
        return amount / self.volume if self.volume > 0 else 0.0


@dataclass(frozen=True, slots=True)
class TipUse:
    """What became of a tip that is in its spot."""

    there: bool | None
    """None: nobody knows whether it is."""
    uses: int
    """How often it was picked up, or may have been; 0: it is new."""
    touched: tuple[str, ...]
    """Sources of all that it was dipped into, or may have been."""
    touched_more: bool
    """Whether there were more than are kept."""

    @classmethod
    def of(cls, tip: MountedTip, *, there: bool | None) -> Self:
        """Read it from what is known of the tip."""
        return cls(there, tip.uses, tuple(tip.touched), tip.touched_more)


def contents_of(liquid: Liquid, name: str) -> Contents:
    """Read what is known of some liquid now."""
    amounts = MappingProxyType(dict(liquid.amounts))
    sources = MappingProxyType(dict(liquid.sources))
    found = Contents(liquid.volume, amounts, unknown=liquid.unknown, name=name, sources=sources)
    if isinstance(liquid, MountedTip):
        return replace(found, there=liquid.there)
    if isinstance(liquid, ContainerContents):
        since = MappingProxyType(dict(liquid.since))
        limit, changed_at = liquid.max_volume, liquid.changed_at
        return replace(found, max_volume=limit, changed_at=changed_at, since=since)
    return found
