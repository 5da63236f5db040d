"""Labware is made by name, and written down as the name of what made it."""

from __future__ import annotations

import json
from typing import Any

import pytest
from pylabrobot.resources import Plate, Resource, TipRack
from pylabrobot.resources.barcode import Barcode

from praxis_core.errors import FactoryFailed, FactoryUnknown
from praxis_core.labware.factories import (
    build_resource,
    encode_resource,
    factory_names,
    make,
)


def _there_and_back(resource: Resource) -> tuple[Any, Resource]:
    data = encode_resource(resource)
    return data, build_resource(json.loads(json.dumps(data, allow_nan=False)))


@pytest.mark.parametrize(
    ("factory", "cls"),
    [
        ("hamilton_96_tiprack_1000uL_filter", "TipRack"),
        ("cor_96_wellplate_360uL_Fb", "Plate"),
        ("PLT_CAR_L5AC_A00", "PlateCarrier"),
        ("hamilton_1_trough_200mL_Vb", "Trough"),
        ("pylabrobot.resources.greiner.Greiner_384_wellplate_28ul_Fb", "Plate"),
        ("STARLetDeck", "HamiltonSTARDeck"),
    ],
)
def test_labware_is_made_by_the_name_of_its_factory(factory: str, cls: str) -> None:
    """By its bare name, or its import path; a deck, whose factory takes no name, gets it, too."""
    made = make(factory, "thing_1")
    assert (type(made).__name__, made.name) == (cls, "thing_1")


def test_configuration_reaches_the_factory() -> None:
    """A plate with a lid, a rack without tips."""
    plate = make("cor_96_wellplate_360uL_Fb", "plate", with_lid=True)
    rack = make("hamilton_96_tiprack_300uL", "tips", with_tips=False)
    assert isinstance(plate, Plate)
    assert isinstance(rack, TipRack)
    assert (plate.lid.name, rack.get_item("A1").has_tip()) == ("plate_lid", False)


def test_an_unknown_factory_is_told_with_the_closest_names() -> None:
    """A letter in the wrong case is the usual mistake."""
    with pytest.raises(FactoryUnknown, match=r"Closest: hamilton_96_tiprack_1000uL_filter,"):
        make("hamilton_96_tiprack_1000ul_filter", "tips")
    for unknown in ("json.no_such_function", "no_such_module.plate", ""):
        with pytest.raises(FactoryUnknown):
            make(unknown, "x")


@pytest.mark.parametrize(
    ("factory", "config", "what"),
    [
        ("cor_96_wellplate_360uL_Fb", {"wells": 3}, "unexpected keyword argument 'wells'"),
        ("PLT_CAR_L5AC", {}, "pedestal_size_z must be provided"),
        ("HTF", {}, "deprecated"),
        ("hamilton_tip_300uL", {}, "no resource"),
        ("os.getcwd", {}, "no resource"),
        ("ResourceHolder", {}, "missing 3 required positional arguments"),
    ],
)
def test_a_factory_that_cannot_says_why(factory: str, config: dict[str, Any], what: str) -> None:
    """One error, whatever the factory raised."""
    with pytest.raises(FactoryFailed, match=what):
        make(factory, "x", **config)


def test_labware_travels_as_the_name_of_its_factory() -> None:
    """A hundred bytes in place of 70 kB, and the same wells."""
    for factory in ("cor_96_wellplate_360uL_Fb", "DiTi_1000ul_LiHa", "hamilton_96_tiprack_10uL"):
        made = make(factory, "thing_1")
        data, back = _there_and_back(made)
        assert data == {"factory": factory, "name": "thing_1"}
        assert back == made


def test_what_stands_on_labware_travels_with_it() -> None:
    """A carrier with a plate with a lid; each where it stood."""
    carrier = make("PLT_CAR_L5AC_A00", "carrier")
    carrier[2] = make("cor_96_wellplate_360uL_Fb", "plate", with_lid=True)
    data, back = _there_and_back(carrier)
    assert [child["on"] for child in data["children"]] == ["carrier-2"]
    assert back == carrier
    assert back.get_resource("plate_lid").parent.name == "plate"


def test_rotation_and_barcode_travel() -> None:
    """They are set after the factory has made the labware."""
    plate = make("cor_96_wellplate_360uL_Fb", "plate")
    plate.rotate(z=90)
    plate.barcode = Barcode("PL-0001", "Code 39", "front")
    data, back = _there_and_back(plate)
    assert data["factory"] == "cor_96_wellplate_360uL_Fb"
    assert (back.rotation.z, back.barcode) == (90, plate.barcode)


def test_liquids_and_tips_do_not_make_labware_another() -> None:
    """What it holds is no part of what it is."""
    plate, rack = make("cor_96_wellplate_360uL_Fb", "p"), make("hamilton_96_tiprack_300uL", "t")
    assert isinstance(plate, Plate)
    assert isinstance(rack, TipRack)
    plate.set_well_volumes([50.0] * 96)
    rack.empty()
    assert encode_resource(plate) == {"factory": "cor_96_wellplate_360uL_Fb", "name": "p"}
    assert encode_resource(rack) == {"factory": "hamilton_96_tiprack_300uL", "name": "t"}


def test_altered_labware_travels_as_json() -> None:
    """A plate that is not as its factory makes it is written whole, and comes back as it is."""
    plate = make("cor_96_wellplate_360uL_Fb", "plate")
    plate.get_resource("plate_well_A1").rotate(z=45)
    other = make("cor_96_wellplate_360uL_Fb", "other")
    other.get_resource("other_well_H12").unassign()
    for altered in (plate, other, Resource("box", 10, 20, 30)):
        data, back = _there_and_back(altered)
        assert data.keys() == {"json"}
        assert back == altered
        assert encode_resource(back) == data


@pytest.mark.filterwarnings("ignore")  # PyLabRobot's own, about some of its labware
def test_nearly_everything_pylabrobot_has_travels_by_name() -> None:
    """A sample of its plates and tip racks, old names of the same labware included."""
    names = [n for n in factory_names() if "plate_" in n or "tiprack" in n or "DiTi" in n]
    sample = [n for n in names if "pentrons" not in n and not n.endswith("_tip")][::6]
    assert len(sample) > 30
    for name in sample:
        try:
            made = make(name, "thing")
        except FactoryFailed:
            continue  # PyLabRobot says itself that it is not defined yet
        data, back = _there_and_back(made)
        assert (data.get("factory"), back) == (made.model, made)


@pytest.mark.parametrize("data", [None, {}, {"factory": "x"}, {"json": {"type": "Nothing"}}])
def test_what_was_not_written_by_us_is_refused(data: Any) -> None:
    """With an error of ours."""
    with pytest.raises(FactoryFailed):
        build_resource(data)
