"""Where things are, what they hold, and how it is read and kept."""

from __future__ import annotations

import json
from time import process_time
from typing import Any

import pytest

from praxis_core.assets.manager import AssetManager
from praxis_core.assets.state import AssetManagerState, ContainerContents, Location
from praxis_core.errors import AssetUnknown
from praxis_core.protocol.command import DeckChange


def _grip(name: str) -> dict[str, Any]:
    cls = "pylabrobot.liquid_handling.standard:ResourcePickup"
    return {"$data": cls, "fields": {"resource": {"$resource": name}}}


def _put_down(name: str) -> dict[str, Any]:
    cls = "pylabrobot.liquid_handling.standard:ResourceDrop"
    return {"$data": cls, "fields": {"resource": {"$resource": name}, "destination": None}}


def test_a_plate_is_followed_from_its_place_through_the_gripper_to_the_next(bench: Any) -> None:
    """The drop does not say where to; the change of the deck that follows does."""
    assets = bench.assets
    assert assets.where("plate_A1") == ("plate", "plate_site", "deck")
    bench.do("pick_up_resource", pickup=_grip("plate"))
    assert (assets.where("plate"), assets.gripper("star")) == (("star",), "plate")
    assert assets.where("plate_A1") == ("plate",)
    assert assets.stands_on("plate_site") == []
    bench.do("drop_resource", drop=_put_down("plate"))
    assert (assets.where("plate"), assets.gripper("star")) == ((), None)
    assets.apply_deck_changes([DeckChange(1, "plate", "reader", (0, 0, 0))])
    assert assets.where("plate_A1") == ("plate", "reader")
    assert assets.stands_on("reader") == ["plate"]


def test_new_labware_is_taken_up_with_what_it_holds(bench: Any) -> None:
    """What is known already stays as the commands have made it."""
    bench.pick_up(["tips_A1"], [0])
    bench.move_liquid("aspirate", ["trough"], [100], [0])
    new = AssetManagerState(
        containers={"buffer": ContainerContents(volume=500), "trough": ContainerContents(volume=1)},
        locations={"buffer": Location(parent=None)},
        tip_spots={"tips_A1": True},
    )
    bench.assets.add(new)
    bench.assets.apply_deck_changes([DeckChange(1, "buffer", "plate_site", (0, 0, 0))])
    assert bench.assets.contents("buffer").volume == 500
    assert bench.assets.contents("trough").volume == 9_900
    assert not bench.assets.has_tip("tips_A1")
    assert "buffer" in bench.assets.stands_on("plate_site")
    new.containers["buffer"].volume = 7
    assert bench.assets.contents("buffer").volume == 500


def test_what_is_read_is_a_value(bench: Any) -> None:
    """It neither changes later nor can be changed; nor can the state it was made from."""
    before = bench.assets.contents("trough")
    bench.pick_up(["tips_A1"], [0])
    bench.move_liquid("aspirate", ["trough"], [100], [0])
    assert (before.volume, before.amounts["dye"]) == (10_000, 1e6)
    with pytest.raises(TypeError, match="does not support item assignment"):
        before.amounts["dye"] = 0
    state = AssetManagerState(containers={"well": ContainerContents(volume=5)})
    assets = AssetManager(state)
    state.containers["well"].volume = 9
    assert assets.contents("well").volume == 5


def test_a_snapshot_is_json_and_restores_everything(bench: Any) -> None:
    """Tips on both heads, used tips, the gripper, times."""
    bench.pick_up(["tips_A1", "tips_B1"], [0, 7])
    bench.move_liquid("aspirate", ["trough", "trough"], [100, 50], [0, 7])
    bench.drop(["tips_B1"], [7])
    bench.pick_up96("tips2")
    bench.do("pick_up_resource", pickup=_grip("plate"))
    snapshot = json.loads(json.dumps(bench.assets.snapshot(), allow_nan=False))
    restored = AssetManager.restore(snapshot)
    assert restored.snapshot() == snapshot
    assert restored.mounted_tips("star") == bench.assets.mounted_tips("star")
    assert restored.contents("trough") == bench.assets.contents("trough")
    assert len(restored.mounted_tips("star", head96=True)) == 96
    assert restored.gripper("star") == "plate"


@pytest.mark.parametrize("ask", ["contents", "where", "tips_left", "has_tip"])
def test_an_unknown_name_is_told_with_the_closest(bench: Any, ask: str) -> None:
    """Not a KeyError from somewhere inside."""
    questions: dict[str, Any] = {
        "contents": bench.assets.contents,
        "where": bench.assets.where,
        "tips_left": bench.assets.tips_left,
        "has_tip": bench.assets.has_tip,
    }
    with pytest.raises(AssetUnknown, match=r"Nothing is known about 'plat_A1'\. Closest: "):
        questions[ask]("plat_A1")


def test_a_command_of_96_channels_is_entered_quickly(bench: Any) -> None:
    """The bookkeeping must not be what a run waits for: 2 ms, of which a tenth is usual."""
    bench.pick_up96("tips")
    best = 1.0
    for _ in range(20):
        begun = process_time()
        bench.move_liquid96("aspirate96", "trough", 0.1, container=True)
        bench.move_liquid96("dispense96", "plate", 0.1)
        best = min(best, (process_time() - begun) / 2)
    assert best < 0.002
