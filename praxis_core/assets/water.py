"""Water runs: what counts as water, and what a run that is done with water must not touch.

What such a run moves is entered as what it is, volumes of water, but leaves no lineage: whatever
lot the water in a tip came from, in ``sources`` it goes by one key, which is that of no filling.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import chain
from uuid import UUID

from pydantic import JsonValue
from sqlalchemy import ARRAY, BigInteger, Text, Uuid, bindparam, text
from sqlalchemy.ext.asyncio import AsyncSession

from praxis_core.assets.operations import Aspirate, Dispense, Operation, PickTip
from praxis_core.assets.state import AssetManagerState, Liquid, MountedTip

WATER = "water"
"""The reagent; no other name is taken for it: there is peptone water, and heavy water."""

OF_WATER_RUN = "~water"
"""Key in ``sources`` of what a water run has moved."""

_ROUNDING = 1e-6
"""Part of a volume."""


@dataclass(frozen=True, slots=True)
class Poured:
    """What was once filled into a container."""

    reagent: str | None = None
    lot: str | None = None
    sample: JsonValue = None

    @property
    def is_water(self) -> bool:
        """Whether it is known to be water, and no sample."""
        return self.sample is None and is_water(self.reagent)

    def __str__(self) -> str:
        """Name it for people."""
        said = [] if self.sample is None else [f"sample {self.sample}"]
        said += [f"lot {self.lot}"] if self.lot else []
        reagent = self.reagent or ("" if said else "something that nobody has named")
        return ", ".join([reagent, *said] if reagent else said)


Fillings = Mapping[str, Poured]
"""What fillings are, by their keys in ``sources``."""

_POURED = text("""
    SELECT id, reagent, lot, sample FROM praxis.source WHERE id = ANY (:ids)
""").bindparams(bindparam("ids", type_=ARRAY(BigInteger())))


_CHANGED_BY = text("""
    SELECT DISTINCT p.name FROM praxis.asset_change c, jsonb_object_keys(c.parts) AS p (name)
    WHERE c.run_id = :run AND p.name = ANY (:names)
""").bindparams(bindparam("run", type_=Uuid()), bindparam("names", type_=ARRAY(Text())))


def is_water(reagent: str | None) -> bool:
    """Whether a reagent is water."""
    return reagent is not None and reagent.strip().casefold() == WATER


async def fillings(session: AsyncSession, keys: Iterable[str]) -> dict[str, Poured]:
    """Tell what fillings are; see ``Catalogue.fillings``."""
    ids = [int(key) for key in keys if key.isdecimal()]
    if not ids:
        return {}
    found = await session.execute(_POURED, {"ids": ids})
    return {str(key): Poured(reagent, lot, sample) for key, reagent, lot, sample in found}


async def changed_by(session: AsyncSession, run: UUID, names: Collection[str]) -> frozenset[str]:
    """Name what a run has changed; see ``Catalogue.changed_by``."""
    found = await session.scalars(_CHANGED_BY, {"run": run, "names": [*names]})
    return frozenset(found)


def keys_in(state: AssetManagerState) -> set[str]:
    """Name the fillings that are in containers, and those that tips in racks have touched."""
    liquids = chain(state.containers.values(), state.used_tips.values())
    return {key for liquid in liquids for key in keys_of(liquid)}


def keys_of(liquid: Liquid) -> Iterable[str]:
    """Name the fillings that are in a liquid, and those that the tip which holds it has touched."""
    return (*liquid.sources, *(liquid.touched if isinstance(liquid, MountedTip) else ()))


# --- what a liquid is -----------------------------------------------------------------------------


def only_water(liquid: Liquid, known: Fillings) -> bool:
    """Whether there is certainly nothing but water in it; also where there is nothing."""
    if liquid.unknown or any(amount > 0 for amount in liquid.amounts.values()):
        return False
    water = sum(volume for key, volume in liquid.sources.items() if _is_water(key, known))
    return liquid.volume - water <= _ROUNDING * (1 + liquid.volume)


def _is_water(key: str, known: Fillings) -> bool:
    return key == OF_WATER_RUN or (key in known and known[key].is_water)


def told(liquid: Liquid, known: Fillings) -> str:
    """Say what is in it that is not water, for people."""
    if liquid.unknown:
        return f"nobody knows what is in it: {liquid.unknown}"
    if isinstance(liquid, MountedTip) and only_water(liquid, known):
        return f"the tip there was in {_named(liquid.touched, known)}"
    solutes = [name for name, amount in liquid.amounts.items() if amount > 0]
    dissolved = f" with {', '.join(solutes)} in it" if solutes else ""
    return f"it holds {liquid.volume:g} µL of {_named(liquid.sources, known)}{dissolved}"


def _named(keys: Iterable[str], known: Fillings) -> str:
    others = [key for key in keys if not _is_water(key, known)]
    return "; ".join(dict.fromkeys(str(known.get(key, Poured())) for key in others)) or "water"


def holding_water(state: AssetManagerState, known: Fillings) -> frozenset[str]:
    """Name the containers, and the labware, in which there is water and nothing else."""
    some, other = set[str](), set[str]()
    for name, liquid in state.containers.items():
        if liquid.volume <= 0 and not liquid.unknown:
            continue
        place = state.locations.get(name)
        names = {name} if place is None or place.parent is None else {name, place.parent}
        (some if only_water(liquid, known) else other).update(names)
    return frozenset(some - other)


# --- what a command touches -----------------------------------------------------------------------


def against(
    state: AssetManagerState,
    operations: Sequence[Operation],
    known: Fillings,
    is_waste: Callable[[str], bool],
) -> Iterator[tuple[str, Liquid]]:
    """Give what must not be touched in a water run: other liquids, and tips that were in them.

    Args:
        state: What is where.
        operations: What is going to be done.
        known: What the fillings are that are in it.
        is_waste: Whether a container takes whatever comes.

    Yields:
        Name of the container or tip spot, and what is in it.
    """
    for operation in operations:
        match operation:
            case Aspirate(container=name) | Dispense(container=name):
                held = state.containers.get(name)
                if isinstance(operation, Dispense) and is_waste(name):
                    continue
                if held is not None and not only_water(held, known):
                    yield name, held
            case PickTip(spot=spot):
                tip = state.used_tips.get(spot)
                there = state.tip_spots.get(spot)
                if tip is not None and there is not False and not _is_clean(tip, known):
                    yield spot, tip
            case _:
                pass


def _is_clean(tip: MountedTip, known: Fillings) -> bool:
    touched = all(_is_water(key, known) for key in tip.touched)
    return touched and not tip.touched_more and only_water(tip, known)


def leave_no_trace(tip: Liquid) -> None:
    """Let what is in a tip be water of no filling."""
    tip.sources = {OF_WATER_RUN: tip.volume} if tip.volume > 0 else {}


def how_to_mend(name: str, whole: str, called: str, workcell: str, *, tips: Collection[str]) -> str:
    """Say what to do about what a water run must not touch.

    Args:
        name: Container or tip spot.
        whole: The labware that it belongs to.
        called: What people call the container.
        workcell: Where it is.
        tips: Names of all tip spots.
    """
    of = f" -w {workcell}"
    other = f"bring another one, then: praxis assets replace {whole}{of}"
    if name in tips:
        return other
    water = f"praxis assets volume {_quoted(called)} --set VOLUME --reagent water{of}"
    return f"put water there, then: {water}" if name == whole else f"{other}; or {water}"


def _quoted(called: str) -> str:
    return f'"{called}"' if "[" in called else called
