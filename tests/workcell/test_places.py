"""Labware is brought to places that have names, and the workcell knows what stands where."""

from __future__ import annotations

from typing import Any

import pytest
from pylabrobot.resources import Coordinate

from praxis_core.errors import AssetUnknown, PlaceOccupied, PlaceUnknown, RequestError
from praxis_core.labware.factories import make
from praxis_core.workcell.definition import WorkcellDefinition


async def test_a_plate_goes_to_every_place_and_is_known_to_be_there(
    star: WorkcellDefinition, connect: Any, protocol_code: Any
) -> None:
    """Replica, runtime and asset manager agree on where the plate is after each move."""
    runtime, replica = await connect(star)
    plate = replica.asset("plate_01")
    twin = runtime.model.resources.get("plate_01")
    free = [place for place in star.places if runtime.stands_at(place) is None]
    assert {"reader", "shaker", "carrier 1, site 5"} <= set(free)

    with protocol_code():
        for place in (*free, "carrier 1, site 1"):
            await replica.bring(plate, place)

            assert runtime.stands_at(place) == "plate_01"
            assert runtime.where("plate_01")[0] == plate.parent.name
            await replica.asset("star").backend.request_tip_presence()
            assert twin.get_absolute_location() == plate.get_absolute_location()

    assert runtime.gripper("star") is None


async def test_the_gripper_is_known_to_hold_what_was_picked_up(
    star: WorkcellDefinition, connect: Any, protocol_code: Any
) -> None:
    """Between pick-up and drop the plate is in the arm, turned as it was dropped afterwards."""
    from pylabrobot.liquid_handling.standard import GripDirection

    runtime, replica = await connect(star)
    lh, plate = replica.asset("star"), replica.asset("plate_01")
    with protocol_code():
        await lh.pick_up_resource(plate, direction=GripDirection.FRONT)
        assert runtime.gripper("star") == "plate_01"
        assert runtime.where("plate_01") == ("star",)
        assert runtime.status()["star"].gripper == "plate_01"

        await lh.drop_resource(replica.asset("carrier_plates[4]"), direction=GripDirection.BACK)
        await lh.backend.request_tip_presence()

    assert runtime.gripper("star") is None
    assert runtime.stands_at("carrier 1, site 5") == "plate_01"
    assert runtime.model.resources.get("plate_01").rotation.z == plate.rotation.z == 180


async def test_what_cannot_be_brought_is_refused_before_anything_moves(
    star: WorkcellDefinition, connect: Any, protocol_code: Any
) -> None:
    """An unknown place, an occupied one, and a run without a gripper."""
    runtime, replica = await connect(star)
    plate = replica.asset("plate_01")
    with protocol_code():
        with pytest.raises(PlaceUnknown, match="carrier 1, site 1"):
            await replica.bring(plate, "carrier 9, site 1")
        with pytest.raises(PlaceOccupied, match="plate_02 stands there"):
            await replica.bring(plate, "carrier 1, site 2")
        await replica.bring(plate, "carrier 1, site 1")  # it is there already
        await replica.asset("star").stop()
        with pytest.raises(RequestError, match="gripper"):
            await replica.bring(plate, "carrier 1, site 4")

    with pytest.raises(PlaceUnknown, match="reader"):
        runtime.stands_at("nowhere")
    assert runtime.stands_at("carrier 1, site 1") == "plate_01"


async def test_labware_that_a_protocol_adds_exists_on_both_sides(
    star: WorkcellDefinition, connect: Any, protocol_code: Any
) -> None:
    """A new plate can be pipetted into; taken off, it is gone from the deck again."""
    runtime, replica = await connect(star)
    lh, site = replica.asset("star"), replica.asset("carrier_plates[4]")
    new: Any = make("cor_96_wellplate_360uL_Fb", "plate_99")
    with protocol_code():
        site.assign_child_resource(new)
        await lh.pick_up_tips(replica.asset("tips_300_01")["A1:A1"])
        await lh.aspirate([replica.asset("diluent")], vols=[30])
        await lh.dispense(new["A1"], vols=[30])

        well = runtime.assets.contents("plate_99_well_A1")
        assert (well.volume, well.max_volume) == (30, 360)
        assert runtime.stands_at("carrier 1, site 5") == "plate_99"

        new.unassign()
        replica.asset("star").deck.assign_child_resource(new, location=Coordinate(900, 100, 100))
        await replica.detach()

    assert runtime.stands_at("carrier 1, site 5") is None
    assert runtime.where("plate_99") == ("deck", "star")
    assert runtime.model.resources.get("plate_99").location == Coordinate(900, 100, 100)


async def test_assets_are_found_by_the_names_people_use(
    star: WorkcellDefinition, connect: Any
) -> None:
    """Devices, labware, wells and carrier sites; a wrong name is told with the closest ones."""
    _, replica = await connect(star)

    assert replica.asset("star") is replica.devices["star"]
    assert replica.asset("plate_01[A1]") is replica.asset("plate_01")["A1"][0]
    assert replica.asset("carrier_plates[0]") is replica.asset("plate_01").parent
    for wrong in ("plate_1", "plate_01[Z9]", "diluent[A1]", "carrier_plates[9]"):
        with pytest.raises(AssetUnknown, match="Closest"):
            replica.asset(wrong)
