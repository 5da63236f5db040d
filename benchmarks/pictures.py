"""What a picture of a deck costs that has no free site. Prints its table when it is run alone."""

from __future__ import annotations

from random import Random
from statistics import median
from time import perf_counter

from pylabrobot.resources.hamilton import STARDeck

from benchmarks.row import Row
from praxis_core.assets.state import AssetManagerState, MountedTip
from praxis_core.labware.factories import make
from praxis_core.labware.inventory import inventory
from praxis_core.pictures.deck import deck_svg

REPEATS = 9
LIMIT_MS = 100.0


def rows() -> list[Row]:
    """Measure."""
    deck, known = full()
    took, size = [], 0
    for _ in range(REPEATS):
        began = perf_counter()
        size = len(deck_svg(deck, known).encode())
        took.append((perf_counter() - began) * 1e3)
    what = f"picture of a full STAR deck / {LIMIT_MS:g} ms"
    return [Row(what, f"{median(took):.0f} ms, {size / 1e3:.0f} kB", median(took) / LIMIT_MS, 1.0)]


def full() -> tuple[STARDeck, AssetManagerState]:
    """Fill a deck with plates and tip racks, no two wells alike."""
    deck = STARDeck()
    for n in range(9):
        carrier = make("PLT_CAR_L5AC_A00" if n % 2 else "TIP_CAR_480_A00", f"carrier_{n}")
        kind = "cor_96_wellplate_360uL_Fb" if n % 2 else "hamilton_96_tiprack_300uL_filter"
        for site in range(5):
            carrier[site] = make(kind, f"thing_{n}_{site}")
        deck.assign_child_resource(carrier, rails=1 + 6 * n)
    known = AssetManagerState.model_validate(inventory(deck))
    chance = Random(1)  # noqa: S311  # repeatable
    for well in known.containers.values():
        well.volume = chance.random() * 50
        well.amounts = {"dye": chance.random() * 1e4, "inhibitor": chance.random() * 1e4}
    for spot in known.tip_spots:
        known.tip_spots[spot] = chance.choice([True, False, None])
        known.used_tips[spot] = MountedTip(spot=spot, uses=chance.randint(1, 5))
    return deck, known


if __name__ == "__main__":
    for one in rows():
        print(one.line())
