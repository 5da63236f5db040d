"""Whatever fails, and however: what is said to be known is true."""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from praxis_core.labware.encoded_error import EncodedError
from praxis_core.protocol.lifecycle import Sent
from tests.assets.oracle import Fluid, Refused, Truth

WELLS = ["trough", "waste", "plate_A1", "plate_B1"]
SPOTS = ["tips_A1", "tips_B1", "tips_C1"]
CHANNELS = [0, 1, 2]
PLATES = ["plate", "plate2"]
PLACES = ["plate_site", "plate2_site", "shelf"]
NO_ANSWER = EncodedError("builtins:TimeoutError", "no answer")

PARTS = st.sampled_from([0.0, 0.5, 1.0])
VOLUMES = st.sampled_from([0.0, 5.0, 20.0, 45.0])
MIXES = st.none() | st.none() | st.tuples(st.sampled_from([0.0, 10.0]), st.integers(0, 2))


def _on_channels(*what: Any) -> Any:
    one = st.tuples(*what)
    return st.dictionaries(st.sampled_from(CHANNELS), one, min_size=1, max_size=3)


ACTS = st.one_of(
    st.tuples(st.just("pick"), _on_channels(st.sampled_from(SPOTS))),
    st.tuples(st.just("drop"), _on_channels(st.sampled_from([*SPOTS, "waste"]))),
    st.tuples(
        st.sampled_from(["aspirate", "dispense"]),
        _on_channels(st.sampled_from(WELLS), VOLUMES),
        MIXES,
    ),
    st.tuples(st.just("grip"), st.sampled_from(PLATES)),
    st.tuples(st.just("put_down"), st.sampled_from(PLATES), st.sampled_from(PLACES)),
)
FATES = st.one_of(
    st.just(("ok",)),
    st.just(("ok",)),
    st.just(("none",)),
    st.tuples(st.just("channels"), st.dictionaries(st.sampled_from(CHANNELS), PARTS)),
    st.tuples(
        st.sampled_from([Sent.SOME, Sent.UNKNOWN, None, "doubt"]),
        st.lists(PARTS, min_size=3, max_size=3),
    ),
    st.tuples(st.just("doubt"), PARTS.map(lambda part: [part] * 3)),
)
OTHERS = st.one_of(
    st.tuples(st.just("say"), st.sampled_from([*WELLS, "star[0]", "star[1]"])),
    st.tuples(st.just("say_tip"), st.sampled_from([*SPOTS, "star[0]", "star[1]"])),
    st.tuples(st.just("say_place"), st.sampled_from(PLATES)),
    st.tuples(
        st.sampled_from(
            ["say_gripper", "discard", "discard into", "settle", "settle", "again", "snapshot"]
        )
    ),
    st.tuples(st.just("set_up"), PARTS),
)
STORIES = st.lists(
    st.one_of(st.tuples(ACTS, FATES), st.tuples(ACTS, FATES), st.tuples(OTHERS)), max_size=14
)


class Story:
    """The truth, and the bookkeeping that hears of it what a workcell hears."""

    def __init__(self, bench: Any) -> None:
        self.bench = bench
        self.truth = Truth()
        state = bench.assets.snapshot()
        for name, held in state["containers"].items():
            self.truth.containers[name] = Fluid(held["volume"], dict(held["amounts"]))
        self.truth.spots = {spot: Fluid() for spot in state["tip_spots"]}
        self.truth.places = {plate: state["locations"][plate]["parent"] for plate in PLATES}
        self.in_doubt: tuple[Any, bool] | None = None
        self.doubted: tuple[Any, ...] = ()
        # Little of everything, so that what went wrong shows soon.
        for well, volume, solute in (("trough", 60, "dye"), ("plate_A1", 40, "enzyme")):
            self.truth.containers[well] = Fluid(volume, {solute: volume * 100})
            self.say(well)
        self.act(("pick", {0: ("tips_A1",), 1: ("tips_B1",)}), ("ok",))

    # --- what happens ----------------------------------------------------------------------------

    def act(self, act: tuple[Any, ...], fate: tuple[Any, ...]) -> None:
        """Let one command happen as its fate wants, and tell the bookkeeping."""
        if fate == ("none",):
            self.tell(act, EncodedError("builtins:ValueError", "wrong"), Sent.NONE)
        elif act[0] in ("grip", "put_down"):
            self.move(act, fate)
        else:
            self.on_channels(act, fate)

    def move(self, act: tuple[Any, ...], fate: tuple[Any, ...]) -> None:
        """Take labware or put it down; both wholly or not at all."""
        doubted = fate[0] not in ("ok", "channels")
        happens = fate[1][0] > 0 if doubted else True
        try:
            if happens:
                getattr(self.truth, act[0])(*act[1:])
        except Refused:
            happens, doubted = False, True
        self.report(act, fate, happened=happens, nothing=not happens, doubted=doubted)

    def on_channels(self, act: tuple[Any, ...], fate: tuple[Any, ...]) -> None:
        """Let each channel do what its fate says."""
        channels = act[1]
        wanted = dict.fromkeys(channels, 1.0)
        if fate[0] == "channels":
            wanted |= {channel: part for channel, part in fate[1].items() if channel in channels}
            failed = set(fate[1]) & set(channels)
        else:
            wanted |= dict(zip(channels, fate[1] if len(fate) > 1 else [], strict=False))
            failed = set()
        refused = {channel for channel in channels if not self.on_one(act, channel, wanted)}
        if fate[0] in ("ok", "channels"):
            failed |= refused
            pairs: list[Any] = [[channel, {"$error": {}}] for channel in sorted(failed)]
            state: dict[str, Any] = {"errors": {"$dict": pairs}}
            error = EncodedError(
                "pylabrobot.liquid_handling.errors:ChannelizedError",
                "",
                {"args": [], "state": state, "cause": None},
            )
            self.tell(act, error if failed else None, Sent.SOME if failed else None)
            return
        parts = [0.0 if channel in refused else wanted[channel] for channel in channels]
        whole, nothing = all(part == 1 for part in parts), not any(parts)
        self.report(act, fate, happened=whole, nothing=nothing, doubted=True)

    def on_one(self, act: tuple[Any, ...], channel: int, wanted: dict[int, float]) -> bool:
        """Let one channel do its part; whether its device did not refuse."""
        if wanted[channel] == 0:
            return True
        rest = (act[2], wanted[channel]) if len(act) > 2 else ()
        try:
            getattr(self.truth, act[0])(channel, *act[1][channel], *rest)
        except Refused:
            return False
        return True

    # --- what the bookkeeping hears --------------------------------------------------------------

    def report(
        self,
        act: tuple[Any, ...],
        fate: tuple[Any, ...],
        *,
        happened: bool,
        nothing: bool,
        doubted: bool,
    ) -> None:
        """Tell the bookkeeping how a command ended, as far as anybody knows."""
        if fate[0] == "doubt":
            self.bench.doubting = True
            self.tell(act, None, None)
            self.bench.doubting = False
            if happened or nothing:
                self.in_doubt, self.doubted = (self.bench.doubted, happened), act
        else:
            sent = fate[0] if isinstance(fate[0], Sent) else None
            self.tell(act, NO_ANSWER if doubted else None, sent)

    def tell(self, act: tuple[Any, ...], error: EncodedError | None, sent: Sent | None) -> None:
        """Tell the bookkeeping of a command."""
        bench = self.bench
        bench.error, bench.sent = error, sent
        match act:
            case ("grip", plate):
                bench.grip(plate)
            case ("put_down", plate, place):
                bench.put_down(plate, place)
            case ("pick" | "drop" as method, channels):
                do = bench.pick_up if method == "pick" else bench.drop
                do([target for (target,) in channels.values()], list(channels))
            case (method, channels, mix):
                wells, volumes = zip(*channels.values(), strict=True)
                bench.move_liquid(method, wells, volumes, list(channels), mix=mix)
        bench.error = bench.sent = None

    def other(self, act: tuple[Any, ...]) -> None:
        """Let a person say what is true, or a set-up destroy something."""
        getattr(self, act[0].replace(" ", "_"))(*act[1:])

    def say(self, name: str) -> None:
        """What is in it."""
        truth = self.truth
        held = truth.channels.get(int(name[5])) if "[" in name else truth.containers[name]
        if held is not None:
            self.bench.assets.say(name, held.volume, held.solutes, at=self.bench.now)
            if "[" in name:
                self.bench.assets.say_tip(name, there=True)

    def say_tip(self, name: str) -> None:
        """Whether a tip is there."""
        truth = self.truth
        there = int(name[5]) in truth.channels if "[" in name else truth.spots[name] is not None
        self.bench.assets.say_tip(name, there=there)

    def say_place(self, plate: str) -> None:
        """Where it stands."""
        if self.truth.gripped != plate:
            self.bench.assets.say_place(plate, self.truth.places[plate])

    def say_gripper(self) -> None:
        """What is held."""
        self.bench.assets.say_gripper("star", self.truth.gripped)

    def discard(self) -> None:
        """Tips are thrown off, nobody knows where."""
        self.truth.channels.clear()
        self.bench.assets.discard_head("star")

    def discard_into(self) -> None:
        """Tips are thrown into the waste."""
        for channel in list(self.truth.channels):
            self.truth.drop(channel, "waste")
        self.bench.assets.discard_head("star", "waste")

    def set_up(self, spilt: float) -> None:
        """Tips are thrown off; what is held falls, and some of it spills."""
        self.truth.channels.clear()
        plate, self.truth.gripped = self.truth.gripped, None
        if plate is not None:
            self.truth.places[plate] = None
            for name, held in self.truth.containers.items():
                if name.startswith(f"{plate}_"):
                    held.give(Fluid(), held.volume * spilt)
        self.bench.assets.set_up("star")

    def settle(self) -> None:
        """A person says whether the last doubtful command happened."""
        if self.in_doubt is not None:
            command, happened = self.in_doubt
            self.bench.settle(command, happened=happened)
            self.in_doubt = None

    def again(self) -> None:
        """What did not happen is done anew."""
        if self.in_doubt is not None and not self.in_doubt[1]:
            self.bench.again = self.in_doubt[0].ordinal
            self.in_doubt = None
            self.act(self.doubted, ("ok",))

    def snapshot(self) -> None:
        """The bookkeeping is written down and read again."""
        assets = self.bench.assets
        self.bench.assets = type(assets).restore(assets.snapshot())

    # --- what must hold --------------------------------------------------------------------------

    def check(self) -> None:
        """Compare."""
        assets, truth = self.bench.assets, self.truth
        for name in WELLS:
            self.same(assets.contents(name), truth.containers[name])
        for spot in SPOTS:
            if assets.has_tip(spot) is not None:
                assert assets.has_tip(spot) is (truth.spots[spot] is not None), spot
        self.check_head(assets.mounted_tips("star"))
        unknown = assets.unknown()
        assert "star[gripper]" in unknown or assets.gripper("star") == truth.gripped
        for plate in PLATES:
            where = [place for place in assets.where(plate) if place in PLACES]
            assert plate in unknown or (where or [None])[0] == truth.places[plate]

    def check_head(self, followed: dict[int, Any]) -> None:
        """Compare the tips on the channels."""
        carried = self.truth.channels
        assert set(carried) <= set(followed)
        assert {channel for channel, tip in followed.items() if tip.there} <= set(carried)
        for channel, held in carried.items():
            self.same(followed[channel], held)

    @staticmethod
    def same(followed: Any, true: Fluid) -> None:
        """Compare what is known of some liquid."""
        if not followed.known:
            return
        assert followed.volume == pytest.approx(true.volume, abs=1e-5)
        for solute in ("dye", "enzyme"):
            expected = pytest.approx(true.solutes.get(solute, 0.0), rel=1e-6, abs=1e-3)
            assert followed.amounts.get(solute, 0.0) == expected


@settings(deadline=None, max_examples=200)
@given(story=STORIES)
def test_what_is_followed_is_true_or_said_to_be_unknown(
    fresh_bench: Callable[[], Any], story: list[tuple[Any, ...]]
) -> None:
    """Failures of single channels, commands half done, lost answers, doubts, people, set-ups."""
    told = Story(fresh_bench())
    for happening in story:
        if len(happening) == 1:
            told.other(happening[0])
        else:
            told.act(*copy.deepcopy(happening))
        told.check()
