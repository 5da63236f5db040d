"""What a protocol gets that asks by kind, in one order, and what is told when there is nothing."""

from __future__ import annotations

from datetime import date
from itertools import permutations
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as some
from pylabrobot.resources import (
    Plate,
    Resource,
    TipRack,
    Trough,
    agenbio_1_troughplate_190mL_Fl,
    cor_96_wellplate_360uL_Fb,
    hamilton_1_trough_60mL_Vb,
    hamilton_96_tiprack_300uL_filter,
)

from praxis_core.assets.choosing import Choice, Fact, choose, shortfalls
from praxis_core.assets.state import AssetManagerState, Location
from praxis_core.labware.inventory import inventory
from praxis_core.protocol import AssetRequirement, Needs

RACK, PLATE, TROUGH = (f"{cls.__module__}:{cls.__qualname__}" for cls in (TipRack, Plate, Trough))
RACKS = [hamilton_96_tiprack_300uL_filter(f"rack_{letter}") for letter in "abc"]


def state_of(*things: Resource, tips: dict[str, int] | None = None) -> AssetManagerState:
    """What is in labware, with so many tips left in some racks."""
    merged: dict[str, dict[str, Any]] = {}
    for thing in things:
        for part, entries in inventory(thing).items():
            merged.setdefault(part, {}).update(entries)  # type: ignore[arg-type]
    state = AssetManagerState.model_validate(merged)
    for rack, left in (tips or {}).items():
        for number, spot in enumerate(state.racks[rack]):
            state.tip_spots[spot] = number < left
    return state


def rack(name: str, tips: int | None = None, **options: Any) -> AssetRequirement:
    """A rack with so many tips."""
    many, optional = options.pop("many", False), options.pop("optional", False)
    needs = Needs(tips=tips, **options)
    return AssetRequirement(name=name, cls=RACK, needs=needs, many=many, optional=optional)


def chosen(
    requirements: list[AssetRequirement],
    tips: dict[str, int],
    facts: dict[str, Fact] | None = None,
    taken: tuple[str, ...] = (),
) -> Choice:
    """Choose among the three racks."""
    candidates = {one.name: one for one in RACKS}
    return choose(requirements, candidates, state_of(*RACKS, tips=tips), facts, taken=taken)


def test_the_soonest_expiry_comes_before_opened_and_name() -> None:
    """All else being equal, the name decides."""
    wanted = [rack("tips", 8)]
    opened = {"rack_b": 50}
    dated = {
        "rack_b": Fact(expires=date(2030, 2, 1)),
        "rack_c": Fact(expires=date(2030, 1, 1)),
    }

    assert chosen(wanted, {}).assets == {"tips": "rack_a"}
    assert chosen(wanted, opened).assets == {"tips": "rack_b"}
    assert chosen(wanted, opened, dated).assets == {"tips": "rack_c"}
    assert chosen(wanted, opened, dated, taken=("rack_c",)).assets == {"tips": "rack_b"}


def test_what_is_quarantined_or_of_another_type_is_not_chosen() -> None:
    """However well it fits otherwise."""
    facts = {
        "rack_a": Fact(status="quarantined"),
        "rack_b": Fact(factory="hamilton_96_tiprack_1000uL_filter"),
    }
    wanted = [rack("tips", 8, type="hamilton_96_tiprack_300uL_filter")]

    assert chosen(wanted, {}, facts).assets == {"tips": "rack_c"}


def test_what_is_on_a_shelf_is_not_chosen() -> None:
    """If there is nothing else, it is told where it is and what to do."""
    state = state_of(*RACKS)
    for letter in "ab":
        state.locations[f"rack_{letter}"] = Location(parent=None, shelf="dry 1")
    candidates = {one.name: one for one in RACKS}

    assert choose([rack("tips", 8)], candidates, state).assets == {"tips": "rack_c"}
    [problem] = choose([rack("tips", 8)], candidates, state, taken=("rack_c",)).problems
    assert "rack_a is not on the workcell, but on shelf dry 1" in str(problem)
    assert "praxis assets move rack_a" in problem.mend


def test_one_requirement_makes_room_for_another() -> None:
    """The small one takes the opened rack first, and leaves it to nobody who needs it less."""
    wanted = [rack("few", 8), rack("most", 90), rack("some", 40)]

    choice = chosen(wanted, {"rack_a": 41, "rack_b": 95, "rack_c": 10})

    assert choice.problems == ()
    assert choice.assets == {"few": "rack_c", "most": "rack_b", "some": "rack_a"}


def test_what_is_optional_takes_nothing_away() -> None:
    """It stays without, and that is no problem."""
    wanted = [rack("spare", 8, optional=True), rack("tips", 60)]

    choice = chosen(wanted, {"rack_a": 60, "rack_b": 0, "rack_c": 0})

    assert (choice.assets, choice.problems) == ({"tips": "rack_a"}, ())


def test_several_are_taken_until_it_is_enough() -> None:
    """Opened ones first, together as many as needed."""
    choice = chosen([rack("tips", 100, many=True)], {"rack_b": 40, "rack_c": 20})

    assert choice.assets == {"tips": ["rack_b", "rack_c", "rack_a"]}
    short = chosen([rack("tips", 100, many=True)], {"rack_a": 0, "rack_b": 40, "rack_c": 20})
    assert [problem.what for problem in short.problems] == [
        "racks rack_b and rack_c have 60 of 192 tips; needs 40 more"
    ]


def test_the_refill_list_names_the_least_that_has_to_be_brought() -> None:
    """Of the rack that lacks least."""
    choice = chosen([rack("tips", 96)], {"rack_a": 10, "rack_b": 40, "rack_c": 0})

    [problem] = choice.problems
    assert problem.where == "assets.tips"
    assert problem.what == "rack rack_b has 40 of 96 tips; needs 56 more"


def test_liquids_count_as_far_as_they_are_known() -> None:
    """Volume and reagent of a trough; a plate that has to be empty."""
    trough, plate = hamilton_1_trough_60mL_Vb("pbs"), cor_96_wellplate_360uL_Fb("plate")
    state = state_of(trough, plate)
    state.containers["pbs"].volume = 1000
    needs = Needs(volume=1200, reagent="PBS")
    buffer = AssetRequirement(name="buffer", cls=TROUGH, needs=needs)
    empty = AssetRequirement(name="plate", cls=PLATE, needs=Needs(empty=True, free=96))
    things = {"pbs": trough, "plate": plate}
    facts = {"pbs": Fact(reagent="PBS")}

    both = choose([buffer, empty], things, state, facts)
    assert both.assets == {"plate": "plate"}
    assert [one.what for one in both.problems] == ["pbs has 1000 µL; needs 200 µL more"]
    wrong = shortfalls(buffer, ["pbs"], state, {"pbs": Fact(reagent="water")})
    assert [one.what for one in wrong] == [
        "pbs holds no PBS",
        "pbs has 1000 µL; needs 200 µL more",
    ]
    state.containers["plate_well_C4"].unknown = "it was spilled"
    filled = choose([empty], things, state, facts)
    assert "1 of 96 wells hold liquid" in filled.problems[0].what or (
        "95 free places" in filled.problems[0].what
    )


def test_what_somebody_filled_is_not_to_be_replaced() -> None:
    """A reservoir is not empty on purpose, however few wells it has; the commands are complete."""
    enzyme, used = agenbio_1_troughplate_190mL_Fl("enzyme"), cor_96_wellplate_360uL_Fb("plate")
    state = state_of(enzyme, used)
    for one in state.containers.values():
        one.volume = 100
    wanted = AssetRequirement(name="plate", cls=PLATE, needs=Needs(empty=True))
    things = {"enzyme": enzyme, "plate": used}

    choice = choose([wanted], things, state, {"enzyme": Fact(filled=True)}, workcell="star")

    [problem] = choice.problems
    assert problem.what == "plate is not empty: 96 of 96 wells hold liquid"
    assert problem.mend == "praxis assets replace plate -w star"


def test_numbers_in_names_count_as_numbers() -> None:
    """Ten comes after nine."""
    racks = [hamilton_96_tiprack_300uL_filter(name) for name in ("rack_10", "rack_9")]

    choice = choose([rack("tips", 8)], {one.name: one for one in racks}, state_of(*racks))

    assert choice.assets == {"tips": "rack_9"}


@given(
    wanted=some.lists(some.sampled_from([8, 30, 60, 96]), min_size=1, max_size=3),
    left=some.lists(some.sampled_from([0, 8, 31, 60, 96]), min_size=3, max_size=3),
)
def test_a_choice_is_found_exactly_when_there_is_one(wanted: list[int], left: list[int]) -> None:
    """As trying all of them says; no rack is given twice, and each has what is needed."""
    tips = dict(zip(("rack_a", "rack_b", "rack_c"), left, strict=True))
    possible = any(
        all(tips[name] >= need for name, need in zip(order, wanted, strict=False))
        for order in permutations(tips)
    )

    choice = chosen([rack(f"tips_{n}", need) for n, need in enumerate(wanted)], tips)

    assert (choice.problems == ()) is possible
    names = list(choice.assets.values())
    assert len(set(map(str, names))) == len(names)
    for requirement, name in choice.assets.items():
        assert tips[str(name)] >= wanted[int(requirement.removeprefix("tips_"))]


@pytest.mark.parametrize("needs", [None, Needs(type="hamilton_96_tiprack_300uL_filter")])
def test_a_kind_alone_is_chosen_only_where_it_is_asked_for(needs: Needs | None) -> None:
    """Nothing is guessed for a protocol that does not say what it needs."""
    requirement = AssetRequirement(name="tips", cls=RACK, needs=needs)

    assert bool(chosen([requirement], {}).assets) is (needs is not None)
