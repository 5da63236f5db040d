"""What is not known, who says what it is, and how a workcell is set back."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from praxis_core.assets.manager import AssetManager
from praxis_core.assets.state import AssetManagerState, ContainerContents, Location, MountedTip
from praxis_core.errors import AssetUnknown, ContentsUnknown
from praxis_core.labware.encoded_error import EncodedError
from praxis_core.protocol.lifecycle import Sent

NO_ANSWER = EncodedError("builtins:TimeoutError", "no answer")


def _channels(*failed: int) -> EncodedError:
    pairs: list[Any] = [[channel, {"$error": {}}] for channel in failed]
    state: dict[str, Any] = {"errors": {"$dict": pairs}}
    return EncodedError(
        "pylabrobot.liquid_handling.errors:ChannelizedError",
        "clot",
        {"args": [], "state": state, "cause": None},
    )


@pytest.mark.parametrize("sent", [Sent.SOME, Sent.UNKNOWN, None])
def test_what_a_failed_command_touched_is_unknown(bench: Any, sent: Sent | None) -> None:
    """Source and tip; what is taken from there makes its target unknown as well."""
    bench.pick_up(["tips_A1"], [0])
    bench.sent = sent
    bench.move_liquid("aspirate", ["trough"], [10], [0], error=NO_ANSWER)
    trough = bench.assets.contents("trough")

    assert not trough.known
    assert "star.aspirate (branch 0, 1) failed: no answer" in trough.unknown
    assert not bench.assets.mounted_tips("star")[0].known
    with pytest.raises(ContentsUnknown, match=r"what is in trough: star\.aspirate"):
        trough.concentration("dye")
    bench.move_liquid("dispense", ["plate_A1"], [10], [0])
    assert not bench.assets.contents("plate_A1").known
    assert bench.assets.contents("plate_B1").known
    assert set(bench.assets.unknown()) == {"trough", "star[0]", "plate_A1"}


def test_what_is_drawn_from_the_unknown_is_unknown(bench: Any) -> None:
    """There may have been less of it, or something else in it."""
    bench.pick_up(["tips_A1", "tips_B1"], [0, 1])
    bench.move_liquid("aspirate", ["trough"], [10], [0], error=NO_ANSWER)
    bench.move_liquid("aspirate", ["trough"], [10], [1])

    assert not bench.assets.mounted_tips("star")[1].known


def test_a_channel_that_was_doubtful_twice_is_not_settled_by_the_first_answer(bench: Any) -> None:
    """It may carry the second tip."""
    bench.doubting = True
    bench.pick_up(["tips_B1"], [0])
    first, bench.doubting = bench.doubted, False
    bench.error = NO_ANSWER
    bench.pick_up(["tips_A1"], [0])
    bench.settle(first, happened=False)

    assert "star[0]" in bench.assets.unknown()


@pytest.mark.parametrize(("happened", "in_tip"), [(True, 10.0), (False, 0.0)])
def test_what_somebody_says_meanwhile_stays(bench: Any, *, happened: bool, in_tip: float) -> None:
    """The trough was filled anew since; what the tip drew, it drew from what was there before."""
    bench.pick_up(["tips_A1"], [0])
    was = bench.assets.contents("trough").concentration("dye")
    bench.doubting = True
    bench.move_liquid("aspirate", ["trough"], [10], [0])
    bench.assets.say("trough", 5000.0, {"other": 7.0})
    bench.settle(bench.doubted, happened=happened)

    trough, tip = bench.assets.contents("trough"), bench.assets.mounted_tips("star")[0]
    assert (trough.volume, trough.amounts) == (5000.0, {"other": 7.0})
    assert (tip.known, tip.volume) == (True, in_tip)
    assert not happened or tip.concentration("dye") == was
    assert bench.assets.unknown() == {}


def test_what_was_certainly_not_sent_changes_nothing(bench: Any) -> None:
    """It can be done anew."""
    bench.pick_up(["tips_A1"], [0])
    before = bench.assets.snapshot()
    bench.sent = Sent.NONE

    assert bench.move_liquid("aspirate", ["trough"], [10], [0], error=NO_ANSWER) == []
    assert bench.assets.snapshot() == before


def test_channels_that_did_not_fail_are_entered(bench: Any) -> None:
    """PyLabRobot's ChannelizedError names those that failed; the others did their part."""
    bench.pick_up(["tips_A1", "tips_B1"], [0, 1])
    wells = ["trough", "trough"]
    bench.move_liquid("aspirate", wells, [10, 20], [0, 1], error=_channels(1))
    tips = bench.assets.mounted_tips("star")

    assert (tips[0].known, tips[0].volume, tips[0].concentration("dye")) == (True, 10, 100)
    assert not tips[1].known
    assert not bench.assets.contents("trough").known


def test_a_channel_that_may_have_drawn_the_rest_makes_the_others_unknown(bench: Any) -> None:
    """There may have been air for them."""
    bench.assets.add(AssetManagerState(containers={"tube": ContainerContents(volume=25)}))
    bench.pick_up(["tips_A1", "tips_B1"], [0, 1])
    bench.move_liquid("aspirate", ["tube", "tube"], [10, 20], [0, 1], error=_channels(1))

    assert not bench.assets.mounted_tips("star")[0].known


def test_a_tip_that_may_have_been_taken_is_in_neither_place_for_certain(bench: Any) -> None:
    """Until somebody looks; the contents are those of the tip all the same."""
    assets = bench.assets
    bench.pick_up(["tips_A1"], [0])
    bench.move_liquid("aspirate", ["trough"], [10], [0])
    bench.drop(["tips_A1"], [0])
    bench.error = NO_ANSWER
    bench.pick_up(["tips_A1"], [0])
    assert (assets.has_tip("tips_A1"), assets.mounted_tips("star")[0].there) == (None, None)
    assert assets.tips_left("tips") == 95
    assets.say_tip("star[0]", there=True)
    assets.say_tip("tips_A1", there=False)

    assert assets.has_tip("tips_A1") is False
    assert (assets.mounted_tips("star")[0].there, assets.mounted_tips("star")[0].volume) == (
        True,
        10,
    )
    assert assets.unknown() == {}


def test_a_whole_head_that_failed_is_unknown(bench: Any) -> None:
    """Each of its wells and tips."""
    bench.pick_up96("tips")
    bench.error = NO_ANSWER
    bench.move_liquid96("aspirate96", "plate", 10)

    assert len(bench.assets.unknown()) == 96 * 2
    assert "star[96:95]" in bench.assets.unknown()


def test_a_plate_that_may_have_been_taken_blocks_both_places(bench: Any) -> None:
    """Neither its site nor the gripper is free, and nobody says that it is there."""
    assets = bench.assets
    bench.error = NO_ANSWER
    bench.grip("plate")
    assert set(assets.unknown()) == {"plate", "star[gripper]"}
    assert (assets.gripper("star"), assets.stands_on("plate_site")) == ("plate", ["plate"])
    assets.say_gripper("star", "plate")
    assert (assets.where("plate"), assets.stands_on("plate_site")) == (("star",), [])
    bench.put_down("plate", "shelf")
    assert set(assets.unknown()) == {"plate", "star[gripper]"}
    assets.say_place("plate", "shelf")

    assert (assets.where("plate"), assets.gripper("star")) == (("shelf",), None)
    assert assets.unknown() == {}


def test_a_drop_says_where_the_plate_stands(bench: Any) -> None:
    """The command carries it; one from a gripper that may have been empty says nothing."""
    bench.grip("plate")
    bench.put_down("plate", "shelf")
    assert bench.assets.where("plate") == ("shelf",)
    bench.error = NO_ANSWER
    bench.grip("plate")
    bench.error = None
    bench.put_down("plate", "plate_site")

    assert list(bench.assets.unknown()) == ["plate"]


def test_a_person_says_what_is_there(bench: Any) -> None:
    """In a container, in a tip on a channel and in one that was put back."""
    assets = bench.assets
    bench.pick_up(["tips_A1", "tips_B1"], [0, 1])
    bench.move_liquid("aspirate", ["trough"] * 2, [10, 10], [0, 1], error=NO_ANSWER)
    bench.drop(["tips_B1"], [1])
    assert set(assets.unknown()) == {"trough", "star[0]", "tips_B1"}
    assets.say("trough", 9_980, {"dye": 998_000}, at=bench.now)
    assets.say("star[0]", 10, {"dye": 1_000})
    assets.say("tips_B1", 0)

    assert assets.unknown() == {}
    assert assets.contents("trough").concentration("dye") == 100
    assert assets.contents("trough").since == {"dye": bench.now}
    assert assets.mounted_tips("star")[0].concentration("dye") == 100
    bench.pick_up(["tips_B1"], [1])
    assert assets.mounted_tips("star")[1].volume == 0


@pytest.mark.parametrize("name", ["plat_A1", "stern[0]"])
def test_only_what_there_is_can_be_said_something_about(bench: Any, name: str) -> None:
    """As when it is read."""
    assets: AssetManager = bench.assets
    said: list[Callable[[], None]] = [
        lambda: assets.say(name, 1),
        lambda: assets.say_tip(name, there=True),
        lambda: assets.say_place(name, "deck"),
    ]
    for say in said:
        with pytest.raises(AssetUnknown):
            say()


@pytest.mark.parametrize("happened", [True, False])
def test_a_doubt_that_is_settled_leaves_no_trace(bench: Any, happened: bool) -> None:
    """It is as if the command had been done, or not, from the beginning; through a snapshot."""
    bench.pick_up(["tips_A1", "tips_B1"], [0, 1])
    bench.move_liquid("aspirate", ["trough"], [30], [1])
    before = bench.assets.contents("trough")
    bench.doubting = True
    bench.move_liquid("aspirate", ["trough"], [10], [0])
    bench.doubting = False
    assert not bench.assets.contents("trough").known
    bench.move_liquid("dispense", ["plate_A1"], [30], [1])
    bench.assets = AssetManager.restore(bench.assets.snapshot())
    bench.settle(bench.doubted, happened=happened)

    assert bench.assets.unknown() == {}
    trough, tip = bench.assets.contents("trough"), bench.assets.mounted_tips("star")[0]
    assert (trough.volume, tip.volume) == ((9_960, 10) if happened else (9_970, 0))
    assert happened or trough == before
    assert bench.assets.snapshot()["doubts"] == {}


def test_what_was_touched_since_a_doubt_is_not_settled_by_it(bench: Any) -> None:
    """What was there before does not come back: something has come in since, or was said."""
    bench.pick_up(["tips_A1", "tips_B1"], [0, 1])
    bench.move_liquid("aspirate", ["trough"], [30], [1])
    bench.doubting = True
    bench.move_liquid("aspirate", ["trough"], [10], [0])
    bench.doubting = False
    bench.move_liquid("dispense", ["trough"], [30], [1])
    bench.settle(bench.doubted, happened=False)

    assert set(bench.assets.unknown()) == {"trough", "star[0]"}


@pytest.mark.parametrize("looked", [True, False])
def test_a_command_that_is_done_anew_did_not_happen_before(bench: Any, looked: bool) -> None:
    """It is entered once, whatever was said of it between."""
    bench.doubting = True
    bench.pick_up(["tips_A1"], [0])
    bench.doubting = False
    assert bench.assets.in_doubt(bench.doubted.run_id) == {("0", bench.doubted.ordinal)}
    if looked:
        bench.assets.say_tip("tips_A1", there=True)
        bench.assets.say_tip("star[0]", there=False)
    bench.again = bench.doubted.ordinal
    bench.pick_up(["tips_A1"], [0])

    assert bench.assets.unknown() == {}
    assert bench.assets.mounted_tips("star")[0].there
    assert bench.assets.in_doubt(bench.doubted.run_id) == set()


def test_tips_that_a_set_up_throws_off_are_gone(bench: Any) -> None:
    """From both heads; what took them is unknown if there was liquid in them."""
    bench.pick_up(["tips_A1", "tips_B1"], [0, 3])
    bench.pick_up96("tips2")
    assert bench.assets.discard_head("star", "waste")[:3] == ["star[0]", "star[3]", "star[96:0]"]
    assert bench.assets.unknown() == {}
    bench.pick_up(["tips_C1"], [0])
    bench.move_liquid("aspirate", ["trough"], [10], [0])
    bench.assets.discard_head("star", "waste")

    assert bench.assets.mounted_tips("star") == bench.assets.mounted_tips("star", head96=True) == {}
    assert list(bench.assets.unknown()) == ["waste"]
    assert bench.assets.discard_head("star") == []


def test_a_plate_that_a_set_up_drops_is_lost_with_what_was_in_it(bench: Any) -> None:
    """Its place and each of its wells; nothing else."""
    bench.grip("plate")
    bench.assets.set_up("star")

    assert bench.assets.gripper("star") is None
    lost: dict[str, str] = bench.assets.unknown()
    assert len(lost) == 97
    assert lost["plate_A1"] == lost["plate"] == "star dropped plate when it was set up"
    bench.assets.set_up("star")
    assert bench.assets.unknown() == lost


@pytest.mark.parametrize("happened", [True, False])
def test_what_a_set_up_dropped_is_known_once_the_command_before_it_is(
    bench: Any, *, happened: bool
) -> None:
    """A plate that had been put down was not in the gripper when the device was set up."""
    bench.grip("plate")
    bench.doubting = True
    bench.put_down("plate", "plate_site")
    bench.assets.set_up("star")
    assert {"plate", "plate_A1"} <= bench.assets.unknown().keys()
    bench.settle(bench.doubted, happened=happened)

    assert bench.assets.gripper("star") is None
    lost: dict[str, str] = bench.assets.unknown()
    if happened:
        assert lost == {}
        assert bench.assets.where("plate")[0] == "plate_site"
    else:
        assert lost["plate_A1"] == lost["plate"] == "star dropped plate when it was set up"


def test_where_nobody_knows_what_was_held_all_that_is_lost_may_have_been_dropped(
    bench: Any,
) -> None:
    """After a put-down and a grip that failed, either plate may be in the gripper."""
    bench.sent, bench.error = Sent.SOME, EncodedError("builtins:RuntimeError", "it broke")
    bench.put_down("plate2", "plate_site")
    bench.grip("plate")

    bench.assets.set_up("star")

    assert bench.assets.gripper("star") is None
    lost: dict[str, str] = bench.assets.unknown()
    assert lost["plate_A1"] == lost["plate"] == "star may have dropped plate when it was set up"
    assert lost["plate2_A1"] == "star may have dropped plate2 when it was set up"


def _begun() -> AssetManagerState:
    return AssetManagerState(
        containers={name: ContainerContents(volume=10) for name in ("p_A1", "q_A1", "lid_hole")},
        tip_spots={"r_A1": True},
        racks={"r": ["r_A1"]},
        locations={
            "deck": Location(parent=None),
            "p": Location(parent="site"),
            "p_A1": Location(parent="p"),
            "lid": Location(parent="p"),
            "lid_hole": Location(parent="lid"),
            "q": Location(parent="deck"),
            "q_A1": Location(parent="q"),
            "r": Location(parent="deck"),
            "r_A1": Location(parent="r"),
        },
        grippers={"star": None, "arm": None},
    )


def test_some_things_are_taken_out_with_all_that_belongs_to_them() -> None:
    """A plate with its wells and its lid; a rack with its spots; a device with its heads."""
    part = _begun().restricted(["p", "star", "no such thing"])

    assert set(part.containers) == {"p_A1", "lid_hole"}
    assert set(part.locations) == {"p", "p_A1", "lid", "lid_hole"}
    assert (part.tip_spots, part.racks) == ({}, {})
    assert (part.heads, part.heads96, part.grippers) == ({"star": {}}, {"star": {}}, {"star": None})
    rack = _begun().restricted(["r"])
    assert (rack.racks, rack.tip_spots, set(rack.locations)) == (
        {"r": ["r_A1"]}, {"r_A1": True}, {"r", "r_A1"},
    )  # fmt: skip
    assert rack.grippers == {}


def test_only_what_is_named_is_set_back() -> None:
    """Places, contents, tips, heads and doubts of these; a gripper lets go of what is set back."""
    state = _begun()
    for name in ("p_A1", "q_A1"):
        state.containers[name] = ContainerContents(volume=3, unknown="spilt")
    state.tip_spots["r_A1"] = None
    state.used_tips["r_A1"] = MountedTip(spot="r_A1", volume=1)
    state.locations |= {
        "p": Location(parent=None, unknown="stuck"),
        "q": Location(parent="elsewhere"),
    }
    state.grippers = {"star": "q", "arm": "p"}
    state.grippers_unknown = {"star": "stuck", "arm": "stuck"}
    state.heads = {"star": {0: MountedTip(spot=None)}, "arm": {1: MountedTip(spot=None)}}
    assets = AssetManager(state)
    assets.set_back(_begun().restricted(["p", "r", "star"]))
    kept = assets.snapshot()

    assert (assets.contents("p_A1").volume, assets.contents("p_A1").known) == (10, True)
    assert (assets.contents("q_A1").volume, assets.contents("q_A1").known) == (3, False)
    assert (assets.has_tip("r_A1"), kept["used_tips"]) == (True, {})
    assert (assets.where("p"), assets.where("q")) == (("site",), ("elsewhere",))
    assert (assets.gripper("star"), assets.gripper("arm")) == (None, None)
    assert kept["grippers_unknown"] == {}
    assert (assets.mounted_tips("star"), list(assets.mounted_tips("arm"))) == ({}, [1])
    assert state.containers["p_A1"].volume == 3
