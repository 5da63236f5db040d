"""What changed of assets is handed on completely, by whole asset."""

from __future__ import annotations

import copy
from collections.abc import Callable
from datetime import UTC, datetime, timedelta, timezone
from time import process_time
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from praxis_core.assets.changes import Changes
from praxis_core.assets.documents import part, place, put_part, put_place
from praxis_core.assets.manager import AssetManager
from praxis_core.assets.state import (
    AssetManagerState,
    Before,
    ContainerContents,
    Location,
    MountedTip,
)
from praxis_core.labware.encoded_error import EncodedError
from praxis_core.protocol.command import DeckChange
from praxis_core.protocol.lifecycle import Sent
from tests.assets.conftest import ITEMS

WHOLES = ["trough", "waste", "plate", "plate2", "reader"]
ROWS = 3
"""Tips in a rack: what is true of three is true of 96."""
WELLS = ["trough", "waste", "plate_A1", "plate_B1", "plate2_A1", "undescribed"]
SPOTS = ["tips_A1", "tips_B1", "tips2_A1"]
CHANNELS = [0, 1, 7]
DEVICES = ["star", "arm"]
PLATES = ["plate", "plate2"]
SHELVES = ["plate_site", "plate2_site", "shelf", "plate"]
NO_ANSWER = EncodedError("builtins:TimeoutError", "no answer")
FAILED_0 = EncodedError(
    "pylabrobot.liquid_handling.errors:ChannelizedError",
    "",
    {"args": [], "state": {"errors": {"$dict": [[0, {"$error": {}}]]}}, "cause": None},
)

_wells = st.sampled_from(WELLS)
_channels = st.sampled_from(CHANNELS)
_volumes = st.sampled_from([0.0, 5.0, 300.0, 1e5])
_mixes = st.none() | st.tuples(st.sampled_from([0.0, 20.0]), st.integers(0, 2))
_acts = st.one_of(
    st.tuples(st.just("pick"), st.sampled_from(SPOTS), _channels),
    st.tuples(st.just("drop"), st.sampled_from([*SPOTS, "waste"]), _channels),
    st.tuples(
        st.sampled_from(["aspirate", "dispense"]),
        st.lists(st.tuples(_wells, _channels), min_size=1, max_size=3, unique_by=lambda x: x[1]),
        _volumes,
        _mixes,
    ),
    st.tuples(st.just("pick96"), st.sampled_from(["tips", "tips2"])),
    st.tuples(st.just("drop96"), st.sampled_from(["tips", "tips2", "waste"])),
    st.tuples(st.just("grip"), st.sampled_from(PLATES)),
    st.tuples(st.just("put_down"), st.sampled_from(PLATES), st.sampled_from(SHELVES)),
)
_fates = st.sampled_from(["ok", "ok", "ok", "none", "some", "channel", "doubt", "doubt"])
_names = st.sampled_from([*WELLS[:-1], *SPOTS, "star[0]", "star[1]", "star[96:3]"])
_others = st.one_of(
    st.tuples(st.just("say"), _names),
    st.tuples(st.just("say_tip"), _names.filter(lambda name: name not in WELLS), st.booleans()),
    st.tuples(st.just("say_place"), st.sampled_from(PLATES), st.sampled_from(SHELVES)),
    st.tuples(
        st.just("say_gripper"), st.sampled_from(DEVICES), st.none() | st.sampled_from(PLATES)
    ),
    st.tuples(st.just("discard_head"), st.just("star"), st.sampled_from([None, "waste"])),
    st.tuples(st.just("set_up"), st.sampled_from(DEVICES)),
    st.tuples(st.sampled_from(["settle", "unsettle", "again", "learn"])),
    st.tuples(st.just("set_back"), st.sets(st.sampled_from([*WHOLES, "tips", *DEVICES]))),
    st.tuples(st.just("add"), st.sampled_from(["plate3", "tips3", "lid"])),
    st.tuples(st.just("deck"), st.sampled_from([*PLATES, "tips3", "lid"]), st.none() | _wells),
    st.tuples(st.just("take")),
)
_stories = st.lists(st.one_of(st.tuples(_acts, _fates), st.tuples(_others)), max_size=20)


class Story:
    """Whatever can happen to assets."""

    def __init__(self, bench: Any) -> None:
        self.bench = bench
        self.first = _small(AssetManagerState.model_validate(bench.assets.snapshot()))
        bench.assets = AssetManager(self.first, WHOLES)
        self.doubted: list[tuple[Any, Any]] = []

    @property
    def assets(self) -> AssetManager:
        """The keeper."""
        assets: AssetManager = self.bench.assets
        return assets

    def act(self, act: tuple[Any, ...], fate: str) -> None:
        """Let a command end as its fate says."""
        bench = self.bench
        errors = {"none": NO_ANSWER, "some": NO_ANSWER, "channel": FAILED_0}
        bench.error, bench.doubting = errors.get(fate), fate == "doubt"
        bench.sent = {"none": Sent.NONE, "some": Sent.SOME}.get(fate)
        self.carry_out(act)
        if bench.doubting:
            self.doubted.append((bench.doubted, act))
        bench.error, bench.sent, bench.doubting = None, None, False

    def carry_out(self, act: tuple[Any, ...]) -> None:
        """Send a command."""
        bench = self.bench
        match act:
            case ("pick", spot, channel):
                bench.pick_up([spot], [channel])
            case ("drop", target, channel):
                bench.drop([target], [channel])
            case ("pick96", rack):
                bench.pick_up96(rack, [True] * ROWS + [False] * (96 - ROWS))
            case ("drop96", target):
                bench.drop96(target)
            case ("grip", plate):
                bench.grip(plate)
            case ("put_down", plate, place):
                bench.put_down(plate, place)
            case (method, pairs, volume, mix):
                wells, channels = zip(*pairs, strict=True)
                bench.move_liquid(method, wells, [volume] * len(wells), channels, mix=mix)

    def other(self, what: str, *args: Any) -> None:
        """Let something else happen."""
        here = getattr(self, what, None)
        if here is not None:
            here(*args)
            return
        getattr(self.assets, what)(*args)

    def say(self, name: str) -> None:
        """What is in it."""
        self.assets.say(name, 7, {"dye": 3}, at=self.bench.now)

    def say_tip(self, name: str, there: bool) -> None:
        """Whether a tip is there."""
        self.assets.say_tip(name, there=there)

    def settle(self) -> None:
        """It happened."""
        if self.doubted:
            self.bench.settle(self.doubted.pop()[0], happened=True)

    def unsettle(self) -> None:
        """It did not happen."""
        if self.doubted:
            self.bench.settle(self.doubted.pop(0)[0], happened=False)

    def again(self) -> None:
        """What was in doubt is sent anew, and never reaches the device."""
        if self.doubted:
            command, act = self.doubted.pop()
            self.bench.again = command.ordinal
            self.act(act, "none")

    def learn(self) -> None:
        """All is as it was."""
        self.assets.learn(self.first)

    def set_back(self, names: set[str]) -> None:
        """Some of it is as it was."""
        self.assets.set_back(self.first.restricted(names))

    def add(self, name: str) -> None:
        """New labware."""
        self.assets.add(_labware(name))

    def deck(self, name: str, parent: str | None) -> None:
        """Something is put somewhere."""
        self.assets.apply_deck_changes([DeckChange(1, name, parent, (0, 0, 0))])


def _small(state: AssetManagerState) -> AssetManagerState:
    state.racks = {name: spots[:ROWS] for name, spots in state.racks.items()}
    state.tip_spots = {spot: True for spots in state.racks.values() for spot in spots}
    state.containers = {name: held for name, held in state.containers.items() if name in WELLS}
    state.grippers = dict.fromkeys(DEVICES)
    wanted = {*WELLS, *PLATES, *SHELVES}
    state.locations = {name: at for name, at in state.locations.items() if name in wanted}
    return state


def _labware(name: str) -> AssetManagerState:
    state = AssetManagerState(locations={name: Location(parent=None)})
    part = f"{name}_A1"
    state.locations[part] = Location(parent=name)
    if name == "plate3":
        state.containers[part] = ContainerContents(volume=5, sources={part: 5}, max_volume=9)
    elif name == "tips3":
        state.racks[name] = [part]
        state.tip_spots[part] = True
        state.used_tips[part] = MountedTip(spot=None, uses=3)
    return state


class Follower:
    """Knows the first state, and what was handed on."""

    def __init__(self, state: AssetManagerState) -> None:
        self.state = state.model_copy(deep=True)
        self.owners: dict[str, str] = {}

    def follow(self, changes: Changes) -> None:
        """Take over what was handed on; what it says was there before was."""
        changes = copy.deepcopy(changes)
        for name, change in changes.assets.items():
            assert name == change.asset
            assert change.parts or change.places or change.rack
            for one, what in change.parts.items():
                assert what.before == part(self.state, one) != what.after
                put_part(self.state, one, what.after)
                assert self.owners.setdefault(one, name) == name
            for resource, what in change.places.items():
                assert what.before == place(self.state, resource) != what.after
                put_place(self.state, resource, what.after)
            if change.rack:
                self.state.racks[name] = list(change.rack)
        for key, doubt in changes.doubts.items():
            if doubt is None:
                del self.state.doubts[key]
            else:
                self.state.doubts[key] = Before.model_validate(doubt)

    def says(self) -> dict[str, Any]:
        """Give what it knows as ``AssetManager.snapshot`` does."""
        return _canonical(self.state.model_dump(mode="json"))


def _canonical(snapshot: dict[str, Any]) -> dict[str, Any]:
    """Leave out heads without tips, and racks that are gone: neither is anything."""
    for heads in ("heads", "heads96"):
        snapshot[heads] = {device: tips for device, tips in snapshot[heads].items() if tips}
    spots = snapshot["tip_spots"]
    racks = snapshot["racks"].items()
    snapshot["racks"] = {name: rack for name, rack in racks if rack[0] in spots}
    return snapshot


@settings(deadline=None, max_examples=150)
@given(story=_stories, often=st.booleans())
def test_what_is_handed_on_is_all_that_changes(
    fresh_bench: Callable[[], Any], story: list[tuple[Any, ...]], often: bool
) -> None:
    """Folded over the first state it gives the state, whatever happens, and after each of it."""
    told = Story(fresh_bench())
    follower = Follower(told.first)
    for happening in [*story, (("take",),)]:
        if len(happening) == 2:
            told.act(*happening)
        elif happening[0] != ("take",):
            told.other(*happening[0])
        if often or happening[0] == ("take",):
            follower.follow(told.assets.take_changes())
            assert follower.says() == _canonical(told.assets.snapshot())
            assert not told.assets.take_changes()


def test_what_changed_is_told_by_whole_asset(bench: Any) -> None:
    """A command with a tip, a well of a plate and a trough: three assets and the device."""
    bench.assets = AssetManager(
        AssetManagerState.model_validate(bench.assets.snapshot()), ["plate", "trough"]
    )
    bench.pick_up(["tips_A1"], [0])
    bench.move_liquid("aspirate", ["trough"], [100], [0])
    bench.move_liquid("dispense", ["plate_A1"], [60], [0])
    changes = bench.assets.take_changes()
    assert {name: list(one.parts) for name, one in changes.assets.items()} == {
        "tips": ["tips_A1"],
        "star": ["star[0]"],
        "trough": ["trough"],
        "plate": ["plate_A1"],
    }
    well = changes.assets["plate"].parts["plate_A1"]
    assert (well.before["volume"], "sources" in well.before) == (0, False)
    assert (well.after["volume"], well.after["sources"]) == (60, {"trough": 60})
    spot = changes.assets["tips"].parts["tips_A1"]
    assert (spot.before, spot.after) == (
        {"tip": True, "uses": 0, "used": None},
        {"tip": False, "uses": 0, "used": None},
    )
    channel = changes.assets["star"].parts["star[0]"]
    assert channel.before is None
    assert (channel.after["uses"], channel.after["touched"]) == (1, ["trough"])


def test_a_lid_stays_an_asset_of_its_own_and_a_well_its_plates(bench: Any) -> None:
    """Wherever it is put, and whatever it is put on."""
    assets = AssetManager(AssetManagerState.model_validate(bench.assets.snapshot()), ["plate"])
    assets.add(_labware("lid"))
    assets.apply_deck_changes([DeckChange(1, "lid", "plate", (0, 0, 0))])
    assert [*assets.take_changes().assets] == ["lid"]
    assert assets.wholes == {"plate", "lid", "tips", "tips2", "star"}
    bench.assets = assets
    bench.grip("lid")
    bench.grip("plate")
    changes = assets.take_changes()
    assert {name: [*one.places] for name, one in changes.assets.items()} == {
        "lid": ["lid"],
        "plate": ["plate"],
        "star": [],
    }
    assert changes.assets["star"].parts["star[gripper]"].after == {"holds": "plate", "unknown": ""}
    assets.say("plate_A1", 5)
    assert [*assets.take_changes().assets] == ["plate"]


@pytest.mark.parametrize(("channels", "most"), [(8, 0.0005), (96, 0.003)])
def test_bookkeeping_of_a_command_and_its_changes_is_quick(
    bench: Any, channels: int, most: float
) -> None:
    """0.5 ms for eight channels, of which a third is usual; with 96 there is more to tell."""
    wells = [f"plate_{item}" for item in ITEMS[:8]]
    if channels == 8:
        bench.pick_up([f"tips_{item}" for item in ITEMS[:8]], range(8))
    else:
        bench.pick_up96("tips")

    def transfer() -> int:
        if channels == 8:
            bench.move_liquid("aspirate", ["trough"] * 8, [1] * 8, range(8))
            drawn = bench.assets.take_changes()
            bench.move_liquid("dispense", wells, [1] * 8, range(8))
        else:
            bench.move_liquid96("aspirate96", "trough", 0.1, container=True)
            drawn = bench.assets.take_changes()
            bench.move_liquid96("dispense96", "plate", 0.1)
        changes = [drawn, bench.assets.take_changes()]
        return sum(len(one.parts) for each in changes for one in each.assets.values())

    assert transfer() > 2 * channels
    best = 1.0
    for _ in range(20):
        begun = process_time()
        transfer()
        best = min(best, (process_time() - begun) / 2)
    assert best < most


def test_the_same_instant_of_two_zones_is_written_as_each_was_given() -> None:
    """They are equal, and a time is written once for many wells."""
    first = datetime(2026, 1, 1, 12, tzinfo=UTC)
    times = [first, first.astimezone(timezone(timedelta(hours=2)))]
    state = AssetManagerState(
        containers={f"well_{n}": ContainerContents(changed_at=at) for n, at in enumerate(times)}
    )
    written = [part(state, name) for name in state.containers]
    assert [one and one["changed_at"] for one in written] == [at.isoformat() for at in times]
