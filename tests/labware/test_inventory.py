"""What a deck holds is listed for the bookkeeping."""

from __future__ import annotations

from typing import Any

from pylabrobot.resources import Trash

from praxis_core.labware.factories import make
from praxis_core.labware.inventory import inventory


def test_containers_tips_and_places_are_listed() -> None:
    """A carrier with a plate and one with a used tip rack."""
    carrier: Any = make("PLT_CAR_L5AC_A00", "carrier")
    carrier[0] = plate = make("cor_96_wellplate_360uL_Fb", "plate")
    plate.get_resource("plate_well_A2").tracker.set_volume(20)
    tips: Any = make("TIP_CAR_480_A00", "tip_carrier")
    tips[4] = make("hamilton_96_tiprack_300uL", "tips")
    tips[4].resource.set_tip_state([False] + [True] * 95)
    found, of_tips = inventory(carrier), inventory(tips)
    wells: Any = found["containers"]
    assert len(wells) == 96
    filling = {"plate_well_A2": 20}
    assert wells["plate_well_A2"] == {"volume": 20, "sources": filling, "max_volume": 360}
    assert found["locations"]["plate"] == {"parent": "carrier-0"}
    assert found["locations"]["carrier-0"] == {"parent": "carrier"}
    assert found["locations"]["carrier"] == {"parent": None}
    spots: Any = of_tips["tip_spots"]
    assert [spots["tips_tipspot_A1"], spots["tips_tipspot_B1"]] == [False, True]
    assert of_tips["racks"]["tips"][:9:8] == ["tips_tipspot_A1", "tips_tipspot_A2"]


def test_waste_has_no_limit() -> None:
    """Infinity is no JSON."""
    assert inventory(Trash("waste", 1, 1, 1))["containers"] == {
        "waste": {"volume": 0, "sources": {}, "max_volume": None}
    }
