"""Water runs: what counts as water, and that what they move leaves no lineage."""

from __future__ import annotations

from typing import Any

import pytest

from praxis_core.assets.state import ContainerContents, MountedTip
from praxis_core.assets.water import (
    OF_WATER_RUN,
    Poured,
    holding_water,
    is_water,
    only_water,
    told,
)

KNOWN = {
    "1": Poured("Water", "W1"),
    "2": Poured("dye", "L8"),
    "3": Poured("water", sample="S-17"),
    "4": Poured(),
}


def _liquid(volume: float = 0.0, **said: Any) -> ContainerContents:
    return ContainerContents(volume=volume, **said)


@pytest.mark.parametrize(
    ("liquid", "expected"),
    [
        (_liquid(), True),
        (_liquid(50, sources={"1": 50}), True),
        (_liquid(50, sources={OF_WATER_RUN: 50}), True),
        (_liquid(50, sources={"1": 20, OF_WATER_RUN: 30}), True),
        (_liquid(50, sources={"1": 20}), False),  # nobody knows where the rest came from
        (_liquid(50, sources={"2": 50}), False),
        (_liquid(50, sources={"3": 50}), False),
        (_liquid(50, sources={"4": 50}), False),
        (_liquid(50, sources={"9": 50}), False),
        (_liquid(50, sources={"water": 50}), False),  # a container of that name, with whatever
        (_liquid(50, sources={"1": 50}, amounts={"dye": 1.0}), False),
        (_liquid(50, sources={"1": 50}, unknown="it was dropped"), False),
        (_liquid(0, unknown="it was dropped"), False),
    ],
)
def test_water_is_what_is_known_to_be_water_alone(
    liquid: ContainerContents, *, expected: bool
) -> None:
    """No sample, nothing dissolved in it, nothing of unknown origin."""
    assert only_water(liquid, KNOWN) is expected


def test_other_names_are_not_taken_for_water() -> None:
    """Whatever water is in them."""
    assert [is_water(one) for one in ("water", " WATER ", "peptone water", "", None)] == [
        True,
        True,
        False,
        False,
        False,
    ]


def test_what_is_no_water_is_told_for_people() -> None:
    """What it is, of which lot and sample, and what is in it."""
    dye = _liquid(50, sources={"1": 20, "2": 30}, amounts={"tartrazine": 3.0})
    assert told(dye, KNOWN) == "it holds 50 µL of dye, lot L8 with tartrazine in it"
    sample = _liquid(50, sources={"3": 50})
    assert told(sample, KNOWN) == "it holds 50 µL of water, sample S-17"
    assert "something that nobody has named" in told(_liquid(5, sources={"4": 5}), KNOWN)
    assert told(_liquid(5, unknown="dropped"), KNOWN).endswith(
        "nobody knows what is in it: dropped"
    )
    assert told(MountedTip(spot="a", touched=["1", "2"]), KNOWN) == (
        "the tip there was in dye, lot L8"
    )


def test_what_a_water_run_moves_is_water_of_no_filling(bench: Any) -> None:
    """Where it is drawn from, the filling stays; volumes are those of any run."""
    bench.assets.say("trough", 1000, sources={"1": 1000})
    bench.water = True

    bench.pick_up(["tips_A1"], [0])
    bench.move_liquid("aspirate", ["trough"], [100], [0], mix=(50, 3))
    bench.move_liquid("dispense", ["plate_A1"], [60], [0], mix=(20, 2))
    bench.drop(["tips_A1"], [0])

    assets = bench.assets
    assert dict(assets.contents("trough").sources) == {"1": pytest.approx(900)}
    assert dict(assets.contents("plate_A1").sources) == {OF_WATER_RUN: pytest.approx(60)}
    tip = assets.state.used_tips["tips_A1"]
    assert (tip.volume, tip.sources) == (pytest.approx(40), {OF_WATER_RUN: pytest.approx(40)})
    assert (tip.touched, tip.uses) == ([OF_WATER_RUN], 1)
    holding = holding_water(assets.state, KNOWN)
    assert {"trough", "plate", "plate_A1"} <= holding
    assert "plate2" not in holding


def test_what_another_run_draws_then_is_part_of_its_lineage(bench: Any) -> None:
    """Also water that a water run has left; it is not taken for nothing."""
    bench.assets.say("plate_A1", 100, sources={OF_WATER_RUN: 100})
    bench.assets.say("plate_B1", 100, sources={"2": 100})
    for number, well in enumerate(("plate_A1", "plate_B1")):
        bench.pick_up([f"tips_{well[-2:]}"], [number])
        bench.move_liquid("aspirate", [well], [30], [number])
        bench.move_liquid("dispense", ["plate_C1"], [30], [number])
        bench.drop(["waste"], [number])

    assert dict(bench.assets.contents("plate_C1").sources) == {OF_WATER_RUN: 30, "2": 30}


def test_a_failed_command_of_a_water_run_leaves_what_it_touched_unknown(bench: Any) -> None:
    """As of any other run; and settled, it is water again."""
    bench.assets.say("trough", 1000, sources={"1": 1000})
    bench.water = True
    bench.pick_up(["tips_A1"], [0])
    bench.doubting = True
    bench.move_liquid("aspirate", ["trough"], [100], [0])
    assert not bench.assets.contents("trough").known
    assert not only_water(bench.assets.state.containers["trough"], KNOWN)

    bench.settle(bench.doubted, happened=True)

    assert dict(bench.assets.contents("trough").sources) == {"1": 900}
    assert dict(bench.assets.mounted_tips("star")[0].sources) == {OF_WATER_RUN: 100}
