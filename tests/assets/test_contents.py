"""What commands do to liquids and tips."""

from __future__ import annotations

from typing import Any

import pytest

from praxis_core.assets.contents import Change
from praxis_core.assets.state import AssetManagerState, ContainerContents


def test_a_transfer_moves_volume_and_what_is_dissolved(bench: Any) -> None:
    """100 µM dye in the trough is 100 µM dye in the tip and in the well."""
    bench.pick_up(["tips_A1"], [0])
    bench.move_liquid("aspirate", ["trough"], [100], [0])
    tip = bench.assets.mounted_tips("star")[0]
    assert (tip.volume, tip.concentration("dye")) == (100, pytest.approx(100))
    bench.move_liquid("dispense", ["plate_A1"], [100], [0])
    well = bench.assets.contents("plate_A1")
    assert (well.volume, well.concentration("dye")) == (100, pytest.approx(100))
    assert bench.assets.contents("trough").volume == 9_900
    assert bench.assets.mounted_tips("star")[0].amounts == {}
    assert bench.flags == []


def test_a_dilution_halves_the_concentration(bench: Any) -> None:
    """What comes mixes with what is there, and a tip takes the mixture."""
    bench.assets.add(AssetManagerState(containers={"water": ContainerContents(volume=100)}))
    bench.pick_up(["tips_A1", "tips_B1"], [0, 1])
    bench.move_liquid("aspirate", ["trough", "water"], [50, 50], [0, 1])
    bench.move_liquid("dispense", ["plate_A1", "plate_A1"], [50, 50], [0, 1])
    assert bench.assets.contents("plate_A1").concentration("dye") == pytest.approx(50)
    bench.move_liquid("aspirate", ["plate_A1"], [10], [0])
    assert bench.assets.mounted_tips("star")[0].concentration("dye") == pytest.approx(50)


def test_channels_are_those_of_the_call_in_its_order(bench: Any) -> None:
    """``use_channels=[5, 2]`` pairs the first operation with channel 5."""
    bench.pick_up(["tips_A1", "tips_B1"], [5, 2])
    bench.move_liquid("aspirate", ["trough", "trough"], [10, 20], [2, 5])
    tips = bench.assets.mounted_tips("star")
    assert {channel: tip.volume for channel, tip in tips.items()} == {5: 20, 2: 10}


def test_arguments_may_come_by_position(bench: Any) -> None:
    """As from a script that calls the backend itself."""
    spot = {"$resource": "tips_A1"}
    cls = "pylabrobot.liquid_handling.standard:Pickup"
    bench.do("pick_up_tips", [{"$data": cls, "fields": {"resource": spot}}], {"$tuple": [3]})
    assert list(bench.assets.mounted_tips("star")) == [3]


def test_more_than_there_is_is_air_and_is_flagged(bench: Any) -> None:
    """An aspiration takes what there is."""
    bench.pick_up(["tips_A1"], [0])
    bench.move_liquid("aspirate", ["trough"], [30], [0])
    bench.move_liquid("dispense", ["plate_A1"], [30], [0])
    changes = bench.move_liquid("aspirate", ["plate_A1"], [50], [0])
    assert changes[0] == Change(
        "plate_A1", "volume", 30, 0, "20.00 µL of air: 50.00 µL were asked of 30.00 µL"
    )
    assert bench.assets.mounted_tips("star")[0].volume == 30
    changes = bench.move_liquid("dispense", ["plate_A2"], [50], [0])
    assert bench.assets.contents("plate_A2").volume == 30
    assert [change.flag for change in changes if change.flag] == [
        "20.00 µL of air: 50.00 µL were asked of 30.00 µL"
    ]


def test_what_runs_over_is_flagged(bench: Any) -> None:
    """It still counts as being there: where it went, nobody knows."""
    bench.pick_up(["tips_A1"], [0])
    bench.move_liquid("aspirate", ["trough"], [400], [0])
    bench.move_liquid("dispense", ["plate_A1"], [400], [0])
    assert bench.flags == ["40.00 µL ran over: it holds 360.00 µL"]
    assert bench.assets.contents("plate_A1").volume == 400


def test_an_emptied_well_keeps_no_traces(bench: Any) -> None:
    """Rounding leaves no solute in nothing."""
    bench.pick_up(["tips_A1"], [0])
    bench.move_liquid("aspirate", ["trough"], [30.1], [0])
    bench.move_liquid("dispense", ["plate_A1"], [30.1], [0])
    for volume in (10.1, 10, 10):
        bench.move_liquid("aspirate", ["plate_A1"], [volume], [0])
    well = bench.assets.contents("plate_A1")
    assert (well.volume, dict(well.amounts), dict(well.since)) == (0, {}, {})
    assert bench.flags == []


def test_mixing_with_an_empty_tip_changes_nothing(bench: Any) -> None:
    """Containers are mixed anyway."""
    bench.pick_up(["tips_A1"], [0])
    bench.move_liquid("aspirate", ["trough"], [20], [0], mix=(500, 3))
    bench.move_liquid("dispense", ["plate_A1"], [20], [0], mix=(10, 5))
    assert bench.assets.contents("plate_A1").concentration("dye") == pytest.approx(100)
    assert bench.assets.contents("trough").volume == 9_980


def test_mixing_exchanges_what_is_in_the_tip_with_the_well(bench: Any) -> None:
    """Ten rounds leave a tip with dye and a well of water alike; both keep their volumes."""
    bench.assets.add(AssetManagerState(containers={"water": ContainerContents(volume=50)}))
    bench.pick_up(["tips_A1"], [0])
    bench.move_liquid("aspirate", ["trough"], [10], [0])
    bench.move_liquid("aspirate", ["water"], [0], [0], mix=(40, 10))
    tip, well = bench.assets.mounted_tips("star")[0], bench.assets.contents("water")
    assert (tip.volume, well.volume) == (pytest.approx(10), pytest.approx(50))
    assert tip.concentration("dye") == pytest.approx(100 * 10 / 60, rel=1e-3)
    assert well.concentration("dye") == pytest.approx(100 * 10 / 60, rel=1e-3)


def test_mixing_more_than_there_is_returns_what_was_drawn(bench: Any) -> None:
    """A well of 10 µL and a tip of 10 µL keep their volumes when 40 µL are to be mixed."""
    bench.assets.add(AssetManagerState(containers={"water": ContainerContents(volume=10)}))
    bench.pick_up(["tips_A1"], [0])
    bench.move_liquid("aspirate", ["trough"], [10], [0])
    bench.move_liquid("aspirate", ["water"], [0], [0], mix=(40, 1))
    assert bench.assets.mounted_tips("star")[0].volume == pytest.approx(10)
    assert bench.assets.contents("water").volume == pytest.approx(10)


def test_a_tip_goes_back_to_its_spot_with_what_is_in_it(bench: Any) -> None:
    """Picked up again, it brings its liquid along."""
    bench.pick_up(["tips_A1"], [0])
    assert not bench.assets.has_tip("tips_A1")
    assert bench.assets.tips_left("tips") == 95
    bench.move_liquid("aspirate", ["trough"], [10], [0])
    bench.drop(["tips_A1"], [0])
    assert bench.assets.tips_left("tips") == 96
    assert bench.assets.mounted_tips("star") == {}
    bench.pick_up(["tips_A1"], [3])
    assert bench.assets.mounted_tips("star")[3].volume == 10


def test_a_discarded_tip_takes_its_liquid_into_the_waste(bench: Any) -> None:
    """Nothing vanishes."""
    bench.pick_up(["tips_A1"], [0])
    bench.move_liquid("aspirate", ["trough"], [10], [0])
    bench.drop(["waste"], [0])
    waste = bench.assets.contents("waste")
    assert (waste.volume, waste.concentration("dye")) == (10, pytest.approx(100))
    assert bench.assets.tips_left("tips") == 95


def test_tips_that_are_not_there_are_flagged(bench: Any) -> None:
    """With trackers switched off, PyLabRobot would pick them up without a word."""
    bench.pick_up(["tips_A1"], [0])
    bench.drop(["waste"], [0])
    bench.pick_up(["tips_A1"], [0])
    bench.pick_up(["tips_B1"], [0])
    bench.drop(["tips_C1"], [0])
    assert bench.flags == [
        "no tip was left here",
        "star[0] carried a tip already",
        "a tip was here already",
    ]


def test_the_96_head_serves_96_wells(bench: Any) -> None:
    """Trough to plate, plate to plate, and back into the rack."""
    bench.pick_up96("tips")
    assert bench.assets.tips_left("tips") == 0
    bench.move_liquid96("aspirate96", "trough", 50, container=True)
    bench.move_liquid96("dispense96", "plate", 50)
    bench.move_liquid96("aspirate96", "plate", 20, mix=(10, 3))
    bench.move_liquid96("dispense96", "plate2", 20)
    bench.drop96("tips")
    assert bench.assets.contents("trough").volume == pytest.approx(10_000 - 96 * 50)
    assert {bench.assets.contents(f"plate_{i}").volume for i in ("A1", "H12")} == {30}
    assert bench.assets.contents("plate2_H12").concentration("dye") == pytest.approx(100)
    assert bench.assets.tips_left("tips") == 96
    assert bench.flags == []


def test_channels_of_the_96_head_without_a_tip_do_nothing(bench: Any) -> None:
    """A rack with only its first column makes a head with eight tips."""
    present = [True] * 8 + [False] * 88
    bench.pick_up96("tips", present)
    assert bench.assets.tips_left("tips") == 88
    bench.move_liquid96("aspirate96", "trough", 50, container=True, present=present)
    bench.move_liquid96("dispense96", "plate", 50, present=present)
    assert bench.assets.contents("plate_H1").volume == 50
    assert bench.assets.contents("plate_A2").volume == 0
    assert bench.assets.contents("trough").volume == 9_600
    bench.drop96("tips2")
    assert bench.flags == ["a tip was here already"] * 8
    assert bench.assets.mounted_tips("star", head96=True) == {}


def test_the_96_head_takes_tips_from_where_they_are(bench: Any) -> None:
    """A tip keeps the name of the spot it was made in, wherever it was put since."""
    bench.pick_up96("tips")
    bench.drop96("waste")
    bench.pick_up96("tips2", made_in="tips")
    assert (bench.assets.tips_left("tips"), bench.assets.tips_left("tips2")) == (0, 0)
    assert bench.flags == []


def test_tips_of_the_96_head_are_discarded_into_the_waste(bench: Any) -> None:
    """With what is in them."""
    bench.pick_up96("tips")
    bench.move_liquid96("aspirate96", "trough", 10, container=True)
    bench.drop96("waste")
    assert bench.assets.contents("waste").volume == pytest.approx(960)


def test_other_commands_change_nothing(bench: Any) -> None:
    """Neither readings nor commands of other devices that are called alike."""
    before = bench.assets.snapshot()
    others: dict[str, dict[str, Any]] = {
        "read_absorbance": {"wavelength": 450},
        "aspirate": {"source": "A1", "volume": 10},
        "dispense": {"dispense_parameters": [{"$data": "pylabrobot.powder:Dose", "fields": {}}]},
        "move_picked_up_resource": {"move": None},
        "aspirate96": {},
    }
    for method, kwargs in others.items():
        assert bench.do(method, **kwargs) == []
    assert bench.assets.snapshot() == before


def test_a_container_knows_when_each_solute_came(bench: Any) -> None:
    """A reaction begins when the later of its partners arrives, not when the well is touched."""
    bench.pick_up(["tips_A1"], [0])
    bench.move_liquid("aspirate", ["trough"], [50], [0])
    bench.move_liquid("dispense", ["plate_A1"], [50], [0])
    came = bench.now
    bench.move_liquid("aspirate", ["plate_A1"], [10], [0])
    well = bench.assets.contents("plate_A1")
    assert dict(well.since) == {"dye": came, "enzyme": came}
    assert well.changed_at == bench.now != came
    assert dict(bench.assets.contents("trough").since) == {}


def test_a_tip_over_the_edge_of_a_small_rack_is_gone(bench: Any) -> None:
    """A person says that a channel of the 96-head carries one for which the rack has no place."""
    spots = {"small_A1": False}
    bench.assets.add(AssetManagerState(tip_spots=spots, racks={"small": ["small_A1"]}))
    bench.assets.say_tip("star[96:0]", there=True)
    bench.assets.say_tip("star[96:40]", there=True)
    bench.drop96("small")
    assert bench.assets.mounted_tips("star", head96=True) == {}
    assert bench.assets.has_tip("small_A1")
