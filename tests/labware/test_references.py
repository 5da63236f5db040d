"""The run state stores a reference to a resource or machine, never a copy that lives on its own."""

from __future__ import annotations

import json
from typing import Any

import pytest
from pylabrobot.liquid_handling import LiquidHandler
from pylabrobot.only_fans import Fan
from pylabrobot.only_fans.chatterbox import FanChatterboxBackend
from pylabrobot.resources import Resource
from pylabrobot.resources.errors import ResourceNotFoundError
from pylabrobot.scales import Scale
from pylabrobot.scales.chatterbox import ScaleChatterboxBackend

from praxis_core.errors import NotDecodable, NotEncodable
from praxis_core.labware.factories import make
from praxis_core.labware.references import (
    AbsentMachine,
    dereference,
    name_machine,
    reference,
)


def _stored(obj: object) -> Any:
    return json.loads(json.dumps(reference(obj), allow_nan=False))


def _plate() -> Any:
    plate = make("cor_96_wellplate_360uL_Fb", "plate")
    plate.get_item("A1").set_volume(12.5)
    plate.get_item("B1").set_volume(100)
    return plate


def test_within_the_run_a_reference_is_the_live_object() -> None:
    """Not an equal one: aspirating from a copy would leave the plate as it was."""
    plate: Any = _plate()
    known: dict[str, Any] = {"plate": plate}
    assert dereference(_stored(plate.get_item("B1")), plate.get_resource) is plate.get_item("B1")
    assert dereference(_stored(plate), known.__getitem__) is plate


def test_another_reader_gets_the_labware_with_its_volumes() -> None:
    """Without a run, and where the run knows no such name."""
    plate = _plate()
    nowhere: dict[str, Any] = {}
    for resolve in (None, nowhere.__getitem__, make("PLT_CAR_L5AC_A00", "c").get_resource):
        back: Any = dereference(_stored(plate), resolve)
        assert back == plate
        assert back is not plate
        volumes = [well.tracker.volume for well in back.get_all_items()]
        assert volumes == [12.5, 100.0] + [0.0] * 94


def test_a_well_is_found_within_its_plate() -> None:
    """Its reference holds the plate's definition but only its own volume."""
    well = _plate().get_item("B1")
    data = _stored(well)
    assert (data["within"], data["state"]["volumes"]) == ("plate", {"plate_well_B1": 100})
    back: Any = dereference(data, None)
    assert (back.name, back.parent.name, back.tracker.volume) == ("plate_well_B1", "plate", 100)
    assert back.parent.get_item("A1").tracker.volume == 0


def test_a_rack_comes_back_with_the_tips_it_had() -> None:
    """A new rack is full; a stored one is as it was."""
    rack = make("hamilton_96_tiprack_300uL", "tips")
    rack.set_tip_state([False] * 8 + [True] * 88)
    back: Any = dereference(_stored(rack), None)
    assert [spot.has_tip() for spot in back.get_all_items()] == [False] * 8 + [True] * 88
    rack.empty()
    spot: Any = dereference(_stored(rack.get_item("C4")), None)
    assert not spot.has_tip()


def test_a_site_of_a_carrier_comes_back_with_what_stands_on_it() -> None:
    """And a resource that no factory makes comes back from its JSON."""
    carrier = make("PLT_CAR_L5AC_A00", "carrier")
    carrier[1] = _plate()
    site: Any = dereference(_stored(carrier[1]), None)
    assert site.resource.get_item("B1").tracker.volume == 100
    box = Resource("box", 10, 20, 30)
    assert dereference(_stored(box), None) == box


def test_a_machine_is_its_name() -> None:
    """Rebuilding one would open a second connection; another reader gets a description."""
    scale = Scale("scale", 1, 1, 1, backend=ScaleChatterboxBackend())
    data = _stored(scale)
    assert dereference(data, {"scale": scale}.__getitem__) is scale
    assert dereference(data, None) == AbsentMachine("scale", "pylabrobot.scales.scale:Scale")


def test_a_machine_can_be_called_by_its_name_on_the_workcell(star_deck: Any) -> None:
    """A fan has no name of its own, and a liquid handler's is made from its deck's."""
    fan = Fan(backend=FanChatterboxBackend())
    with pytest.raises(NotEncodable, match="no name of its own"):
        reference(fan)
    name_machine(fan, "fan_01")
    assert _stored(fan)["name"] == "fan_01"
    star = star_deck.parent
    if not isinstance(star, LiquidHandler):
        star = LiquidHandler(backend=ScaleChatterboxBackend(), deck=star_deck)
    name_machine(star, "star")
    assert _stored(star)["name"] == "star"


@pytest.mark.parametrize("value", [1, "text", object(), [1], None])
def test_anything_else_is_no_reference(value: object) -> None:
    """The run state asks, and stores plain data itself."""
    with pytest.raises(NotEncodable, match="neither a resource nor a machine"):
        reference(value)


@pytest.mark.parametrize("data", [{}, {"$praxis": "plate"}, {"$praxis": "resource"}, [], 3])
def test_what_is_no_reference_is_refused(data: Any) -> None:
    """It is not taken for one."""
    with pytest.raises(NotDecodable):
        dereference(data, None)


def test_a_resolver_may_say_not_found_as_a_deck_does() -> None:
    """LookupError and PyLabRobot's own error mean the same."""

    def nothing(name: str) -> object:
        raise ResourceNotFoundError(name)

    assert dereference(_stored(_plate()), nothing) == _plate()
