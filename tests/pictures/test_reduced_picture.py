"""A picture for a text is small, however full the deck is."""

from __future__ import annotations

from collections.abc import Collection
from functools import partial

from pylabrobot.resources.hamilton import STARDeck

from praxis_core.assets.state import AssetManagerState
from praxis_core.labware.factories import make
from praxis_core.labware.inventory import inventory
from praxis_core.pictures.built import Built
from praxis_core.pictures.closeup import MOST_BYTES
from praxis_core.pictures.deck import Kept, deck_svg
from praxis_core.pictures.reduced import changes, reduced_svg


def _deck(plates: int) -> tuple[Built, AssetManagerState]:
    """Make a deck of so many plates, no two wells alike."""
    deck = STARDeck()
    for n in range(plates):
        if n % 5 == 0:
            carrier = make("PLT_CAR_L5AC_A00", f"carrier_{n // 5}")
            deck.assign_child_resource(carrier, rails=1 + 6 * (n // 5))
        carrier[n % 5] = make("cor_96_wellplate_360uL_Fb", f"plate_{n}")
    known = AssetManagerState.model_validate(inventory(deck))
    for n, well in enumerate(known.containers.values()):
        well.volume = 1 + n % 300
        well.amounts = {"dye": 1.01**n}
    return Built((deck,), {}), known


def test_a_deck_with_room_is_drawn_whole_and_without_words_for_a_pointer() -> None:
    """All labware is there."""
    found, known = _deck(2)

    svg = reduced_svg(found, known)

    assert len(svg.encode()) <= MOST_BYTES
    assert svg.count("<title>") == 1  # the picture's own
    assert "plate_0" in svg
    assert "plate_1" in svg


def test_of_a_full_deck_what_has_changed_is_drawn() -> None:
    """Large, with a map of the deck."""
    found, known = _deck(40)
    before = known.model_copy(deep=True)
    known.containers["plate_7_well_B3"].volume = 77

    changed = changes(before, known)
    svg = reduced_svg(found, known, changed)

    assert changed == ["plate_7_well_B3"]
    assert len(svg.encode()) <= MOST_BYTES
    assert "plate_7" in svg
    assert "plate_8" not in svg


def test_what_is_kept_of_earlier_pictures_changes_none() -> None:
    """Whatever changes: contents, colours of all liquids, what is outlined, how coarse it is."""
    found, known = _deck(4)
    kept = Kept()

    def same(most_bytes: int = 300_000, highlight: Collection[str] = ()) -> None:
        draw = partial(
            deck_svg, found.deck, known, most_bytes=most_bytes, highlight=highlight, titles=True
        )
        assert draw(kept=kept) == draw()

    same()
    known.containers["plate_1_well_A1"].volume = 50
    same()
    known.containers["plate_1_well_A1"].amounts["dye"] = 1e6  # all others are paler now
    same()
    known.containers["plate_2_well_A1"].unknown = "spilled"
    same(highlight=["plate_3_well_A1"])
    same(most_bytes=20_000)
    same()
