"""Where liquid came from, and what tips have touched."""

from __future__ import annotations

from collections.abc import Callable
from fractions import Fraction
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from praxis_core.assets.manager import AssetManager
from tests.assets.oracle import Fluid, Refused, Truth

WELLS = ["trough", "plate_A1", "plate_B1", "plate_C1", "plate2_A1", "waste"]
FILLED = {"trough": 80.0, "plate_A1": 40.0, "plate_B1": 10.0}
SPOTS = ["tips_A1", "tips_B1", "tips_C1"]
CHANNELS = [0, 1, 2]

_channels = st.sampled_from(CHANNELS)
_moves = st.one_of(
    st.tuples(st.just("pick"), _channels, st.sampled_from(SPOTS)),
    st.tuples(st.just("drop"), _channels, st.sampled_from([*SPOTS, "waste"])),
    *[
        st.tuples(
            st.sampled_from(["aspirate", "dispense"]),
            _channels,
            st.sampled_from(WELLS),
            st.sampled_from([0.0, 1.0, 7.5, 30.0, 500.0]),
            st.none() | st.tuples(st.sampled_from([5.0, 60.0]), st.integers(1, 3)),
        )
    ]
    * 3,
)


@settings(deadline=None)
@given(moves=st.lists(_moves, max_size=25))
def test_sources_are_those_of_an_independent_computation(
    fresh_bench: Callable[[], Any], moves: list[tuple[Any, ...]]
) -> None:
    """In every container, tip and the waste, after anything that a robot can do."""
    bench, truth = fresh_bench(), Truth()
    truth.containers = {name: Fluid() for name in WELLS}
    truth.spots = {spot: Fluid() for spot in SPOTS}
    for well, volume in FILLED.items():
        bench.assets.say(well, volume)
        truth.containers[well] = Fluid(volume, {well: volume})
    for spot, channel in zip(SPOTS, CHANNELS, strict=True):
        truth.pick(channel, spot)
    bench.pick_up(SPOTS, CHANNELS)
    for move in moves:
        _carry_out(bench, truth, move)
    for name, fluid in truth.containers.items():
        _same(bench.assets.contents(name), fluid)
    for channel, fluid in truth.channels.items():
        _same(bench.assets.mounted_tips("star")[channel], fluid)


def _carry_out(bench: Any, truth: Truth, move: tuple[Any, ...]) -> None:
    method, channel, where, *rest = move
    try:
        getattr(truth, method)(channel, where, *rest, 1)
    except Refused:
        return
    if method in ("pick", "drop"):
        (bench.pick_up if method == "pick" else bench.drop)([where], [channel])
    else:
        volume, mix = rest
        bench.move_liquid(method, [where], [volume], [channel], mix=mix)


def _same(read: Any, fluid: Fluid) -> None:
    assert read.volume == pytest.approx(fluid.volume, abs=1e-5)
    assert {*read.sources} <= {*FILLED}
    for source in FILLED:
        expected = fluid.solutes.get(source, 0.0)
        assert read.sources.get(source, 0.0) == pytest.approx(expected, rel=1e-6, abs=1e-5)


def test_lineage_of_a_pooled_well_after_four_runs_is_exact(bench: Any) -> None:
    """Samples are diluted, a part of each is pooled, the pool is diluted and drawn from."""
    samples = {f"plate_{row}1": 20 + 10 * number for number, row in enumerate("ABCDEFGH")}
    for well, volume in samples.items():
        bench.assets.say(well, volume)
    _transfer(bench, [("trough", well, 30) for well in samples])
    _restart(bench)
    _transfer(bench, [(well, "plate2_A1", 15) for well in samples])
    _restart(bench)
    _transfer(bench, [("trough", "plate2_B1", 60), ("plate2_A1", "plate2_B1", 40)])
    _restart(bench)
    _transfer(bench, [("plate2_B1", "plate2_C1", 25)])

    of_samples = {well: Fraction(15 * volume, volume + 30) for well, volume in samples.items()}
    pool = of_samples | {"trough": 120 - sum(of_samples.values())}
    part = Fraction(40, 120) * Fraction(25, 100)
    expected = {source: volume * part for source, volume in pool.items()}
    expected["trough"] += 60 * Fraction(25, 100)
    well = bench.assets.contents("plate2_C1")
    assert sum(expected.values()) == 25 == well.volume
    assert dict(well.sources) == pytest.approx(
        {source: float(volume) for source, volume in expected.items()}, rel=1e-12
    )


def _transfer(bench: Any, transfers: list[tuple[str, str, float]]) -> None:
    """Take a fresh tip for each transfer, and throw it away."""
    for source, target, volume in transfers:
        spot = next(spot for spot, use in bench.assets.tip_uses("tips").items() if not use.uses)
        bench.pick_up([spot], [0])
        bench.move_liquid("aspirate", [source], [volume], [0])
        bench.move_liquid("dispense", [target], [volume], [0])
        bench.drop(["waste"], [0])


def _restart(bench: Any) -> None:
    bench.assets = AssetManager.restore(bench.assets.snapshot())


def test_what_a_person_says_is_in_a_well_is_a_filling_of_its_own(bench: Any) -> None:
    """Unless they say where it came from; nothing has no source."""
    bench.assets.say("plate_A1", 50)
    assert dict(bench.assets.contents("plate_A1").sources) == {"plate_A1": 50}
    bench.assets.say("plate_A1", 50, sources={"17": 20, "18": 30})
    assert dict(bench.assets.contents("plate_A1").sources) == {"17": 20, "18": 30}
    bench.assets.say("plate_A1", 0)
    assert dict(bench.assets.contents("plate_A1").sources) == {}


def test_what_is_of_unknown_origin_stays_so(bench: Any) -> None:
    """Of 50 µL of which only 20 have a source, a fifth has 4."""
    bench.assets.say("plate_A1", 50, sources={"17": 20})
    _transfer(bench, [("plate_A1", "plate_B1", 10)])
    assert dict(bench.assets.contents("plate_B1").sources) == {"17": 4}


def test_a_tip_tells_how_often_it_was_used_and_what_it_touched(bench: Any) -> None:
    """Also what it was dipped into while it gave; a tip without a trace of liquid too."""
    bench.assets.say("plate_B1", 5, sources={"sample 7": 5})
    for _ in range(3):
        bench.pick_up(["tips_A1"], [0])
        bench.drop(["tips_A1"], [0])
    bench.pick_up(["tips_B1"], [1])
    bench.move_liquid("aspirate", ["trough"], [10], [1])
    bench.move_liquid("dispense", ["plate_B1"], [10], [1])
    bench.drop(["tips_B1"], [1])
    bench.pick_up(["tips_C1"], [1])
    uses = bench.assets.tip_uses("tips")
    assert "tips_C1" not in uses
    found = {spot: (use.uses, use.touched) for spot, use in uses.items() if use.uses}
    assert found == {"tips_A1": (3, ()), "tips_B1": (1, ("sample 7", "trough"))}
    assert bench.assets.tips_left("tips") == 95


def test_tips_of_the_96_head_are_counted_one_by_one(bench: Any) -> None:
    """Picked up and put back as a rack, and one of them once more."""
    bench.pick_up96("tips")
    bench.move_liquid96("aspirate96", "trough", 10, container=True)
    bench.move_liquid96("dispense96", "trough", 10, container=True)
    bench.drop96("tips")
    bench.pick_up(["tips_H12"], [0])
    bench.drop(["tips_H12"], [0])
    uses = bench.assets.tip_uses("tips")
    assert [uses["tips_A1"].uses, uses["tips_H12"].uses] == [1, 2]
    assert {use.touched for use in uses.values()} == {("trough",)}


def test_a_pick_up_of_which_nobody_knows_counts_until_it_is_settled(bench: Any) -> None:
    """It may have been used; when it turns out that it was not, it was not."""
    bench.doubting = True
    bench.pick_up(["tips_A1"], [0])
    bench.doubting = False
    state = bench.assets.snapshot()
    assert state["heads"]["star"]["0"]["uses"] == 1
    assert bench.assets.tip_uses("tips")["tips_A1"].there is None
    bench.settle(bench.doubted, happened=False)
    assert bench.assets.tip_uses("tips")["tips_A1"].uses == 0
    assert bench.assets.tip_uses("tips")["tips_A1"].there is True


def test_what_a_tip_may_have_touched_counts(bench: Any) -> None:
    """The aspiration failed, and nobody knows whether the tip was in the well."""
    bench.pick_up(["tips_A1"], [0])
    bench.doubting = True
    bench.move_liquid("aspirate", ["trough"], [10], [0])
    bench.doubting = False
    assert bench.assets.snapshot()["heads"]["star"]["0"]["touched"] == ["trough"]
    bench.settle(bench.doubted, happened=False)
    assert bench.assets.snapshot()["heads"]["star"]["0"]["touched"] == []


def test_a_tip_that_touched_very_much_says_so(bench: Any) -> None:
    """A hundred are kept, and that there were more."""
    bench.assets.say("plate_A1", 101, sources={f"{number:03}": 1 for number in range(101)})
    bench.pick_up(["tips_A1"], [0])
    bench.move_liquid("aspirate", ["plate_A1"], [1], [0])
    bench.move_liquid("dispense", ["plate_A1"], [1], [0])
    bench.drop(["tips_A1"], [0])
    use = bench.assets.tip_uses("tips")["tips_A1"]
    assert (len(use.touched), use.touched_more) == (100, True)
