"""Whatever a robot does, no liquid, no solute and no source appears or vanishes."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

WELLS = ["trough", "waste", "plate_A1", "plate_B1", "plate_A2", "plate2_H12"]
FILLED = {"trough": 10_000, "plate_A1": 50, "plate_B1": 0.5, "plate2_H12": 3_000}
SPOTS = ["tips_A1", "tips_B1", "tips2_A1"]
CHANNELS = [0, 1, 7]

_volumes = st.floats(0, 2_000) | st.sampled_from([0.0, 1e-9, 360.0, 1e5])
_mixes = st.none() | st.tuples(st.floats(0, 500), st.integers(0, 12))
_moves = st.one_of(
    st.tuples(st.just("pick"), st.sampled_from(SPOTS), st.sampled_from(CHANNELS)),
    st.tuples(st.just("drop"), st.sampled_from([*SPOTS, "waste"]), st.sampled_from(CHANNELS)),
    st.tuples(
        st.sampled_from(["aspirate", "dispense"]),
        st.sampled_from(WELLS),
        st.sampled_from(CHANNELS),
        _volumes,
        _mixes,
    ),
    st.tuples(st.just("pick96"), st.sampled_from(["tips", "tips2"])),
    st.tuples(st.just("drop96"), st.sampled_from(["tips", "tips2", "waste"])),
    st.tuples(
        st.sampled_from(["aspirate96", "dispense96"]),
        st.sampled_from(["plate", "plate2", "trough", "waste"]),
        _volumes,
        _mixes,
    ),
)


def _everything(assets: Any) -> dict[str, float]:
    """Add up all liquid (µL), each solute (pmol) and each source (µL), wherever it is."""
    totals = dict.fromkeys(["", "dye", "enzyme", *FILLED], 0.0)
    for place in _places(assets):
        totals[""] += place["volume"]
        for name, amount in (place["amounts"] | place["sources"]).items():
            totals[name] += amount
    return totals


def _places(assets: Any) -> list[dict[str, Any]]:
    """Give all that may hold liquid."""
    state = assets.snapshot()
    places = [*state["containers"].values(), *state["used_tips"].values()]
    for heads in (*state["heads"].values(), *state["heads96"].values()):
        places += heads.values()
    return places


def _possible(bench: Any, move: tuple[Any, ...]) -> bool:
    """Leave out what makes a tip vanish: taking a second one, or putting two into one spot."""
    assets = bench.assets
    if move[0] == "pick":
        return move[2] not in assets.mounted_tips("star") and assets.has_tip(move[1])
    if move[0] == "drop":
        return move[1] == "waste" or not assets.has_tip(move[1])
    if move[0] == "pick96":
        return not assets.mounted_tips("star", head96=True) and assets.tips_left(move[1]) == 96
    if move[0] == "drop96":
        return bool(move[1] == "waste" or assets.tips_left(move[1]) == 0)
    return True


def _carry_out(bench: Any, move: tuple[Any, ...]) -> None:
    match move:
        case ("pick", spot, channel):
            bench.pick_up([spot], [channel])
        case ("drop", target, channel):
            bench.drop([target], [channel])
        case ("pick96", rack):
            bench.pick_up96(rack)
        case ("drop96", target):
            bench.drop96(target)
        case (method, target, volume, mix):
            whole = target in ("trough", "waste")
            bench.move_liquid96(method, target, volume, container=whole, mix=mix)
        case (method, well, channel, volume, mix):
            bench.move_liquid(method, [well], [volume], [channel], mix=mix)


@settings(deadline=None)
@given(moves=st.lists(_moves, min_size=1, max_size=25))
def test_volume_every_solute_and_every_source_are_conserved(
    fresh_bench: Any, moves: list[tuple[Any, ...]]
) -> None:
    """Over any sequence of commands, sensible or not; and all that is there has its sources."""
    bench = fresh_bench()
    for well, volume in FILLED.items():
        if well != "trough":
            bench.assets.say(well, volume, {"dye": 3})
    before = _everything(bench.assets)
    for move in moves:
        if _possible(bench, move):
            _carry_out(bench, move)
    after = _everything(bench.assets)
    assert after == pytest.approx(before, rel=1e-9)
    state = bench.assets.snapshot()
    for contents in state["containers"].values():
        assert contents["volume"] >= 0
        assert all(amount >= 0 for amount in contents["amounts"].values())
    for place in _places(bench.assets):
        assert all(volume >= 0 for volume in place["sources"].values())
        assert sum(place["sources"].values()) == pytest.approx(place["volume"], rel=1e-9, abs=1e-7)


@settings(deadline=None, max_examples=25)
@given(moves=st.lists(_moves, min_size=1, max_size=10))
def test_the_same_commands_from_a_snapshot_give_the_same_state(
    fresh_bench: Any, moves: list[tuple[Any, ...]]
) -> None:
    """A snapshot, as JSON, loses nothing: what follows it is the same."""
    bench, other = fresh_bench(), fresh_bench()
    for move in moves[: len(moves) // 2]:
        _carry_out(bench, move)
    other.assets = type(bench.assets).restore(bench.assets.snapshot())
    other.now = bench.now
    for move in moves[len(moves) // 2 :]:
        _carry_out(bench, move)
        _carry_out(other, move)
    assert other.assets.snapshot() == bench.assets.snapshot()
