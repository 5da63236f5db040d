"""Each asset of a protocol becomes one thing of the workcell, or all reasons are told."""

from __future__ import annotations

from collections.abc import Mapping

import pytest
from pylabrobot.liquid_handling import LiquidHandler
from pylabrobot.plate_reading import PlateReader
from pylabrobot.pumps import Pump
from pylabrobot.resources import Lid, Plate, Resource, TipRack, TipSpot, Trough, Well
from pylabrobot.storage import Incubator

from praxis_core.errors import RunRefused
from praxis_core.planning import bind, match
from praxis_core.protocol import AssetRequirement, define, protocol

Candidates = Mapping[str, object]


def need(name: str, cls: type, *, many: bool = False, optional: bool = False) -> AssetRequirement:
    """One requirement."""
    path = f"{cls.__module__}:{cls.__qualname__}"
    return AssetRequirement(name=name, cls=path, many=many, optional=optional)


def problems(
    candidates: Candidates, chosen: Mapping[str, object], *requirements: AssetRequirement
) -> list[str]:
    """All problems, as a person reads them."""
    return [str(problem) for problem in match(requirements, candidates, chosen).problems]


def assets(
    candidates: Candidates, chosen: Mapping[str, object], *requirements: AssetRequirement
) -> dict[str, str | list[str]]:
    """The binding, of which nothing may be wrong."""
    result = match(requirements, candidates, chosen)
    assert result.problems == ()
    return result.assets


def test_what_only_one_thing_fits_is_filled_in(candidates: Candidates) -> None:
    """Devices and labware alike, with machines that are no resources."""
    bound = assets(
        candidates,
        {},
        need("lh", LiquidHandler),
        need("plate_reader", PlateReader),
        need("tips", TipRack),
        need("dosing", Pump),
    )

    assert bound == {"lh": "star", "plate_reader": "reader", "tips": "tips_01", "dosing": "pump"}


def test_the_users_choice_is_taken(candidates: Candidates) -> None:
    """Where two plates fit, the user decides, and the other asset gets the other plate."""
    bound = assets(candidates, {"target": "plate_01"}, need("source", Plate), need("target", Plate))

    assert bound == {"source": "plate_02", "target": "plate_01"}


def test_a_thing_of_the_same_name_is_preferred(candidates: Candidates) -> None:
    """The protocol's name and the workcell's name are the same word."""
    bound = assets(candidates, {}, need("other", Plate), need("plate_02", Plate))

    assert bound == {"other": "plate_01", "plate_02": "plate_02"}


def test_a_name_alone_is_not_enough(candidates: Candidates) -> None:
    """A thing of the same name and another class is not taken."""
    assert assets(candidates, {}, need("reader", TipRack)) == {"reader": "tips_01"}


def test_what_follows_is_filled_in_too(candidates: Candidates) -> None:
    """Only the trough fits one asset; of what fits both, the plate is then the only one left."""
    few = {name: candidates[name] for name in ("plate_01", "diluent")}

    bound = assets(few, {}, need("anything", Resource), need("buffer", Trough))

    assert bound == {"anything": "plate_01", "buffer": "diluent"}


def test_several_that_fit_are_listed(candidates: Candidates) -> None:
    """Nothing is guessed."""
    (problem,) = problems(candidates, {}, need("plate", Plate))

    assert problem == (
        "assets.plate: 2 assets fit, and none is chosen: plate_01, plate_02 "
        "(name one, e.g. plate=plate_01)"
    )


def test_nothing_that_fits_is_told(candidates: Candidates) -> None:
    """The class that is missing on the workcell."""
    (problem,) = problems(candidates, {}, need("cold_store", Incubator))

    assert problem == "assets.cold_store: the workcell has no Incubator (add an Incubator to it)"


def test_what_is_taken_by_others_is_told(candidates: Candidates) -> None:
    """With three plates needed and two there, the message says where the two went."""
    (problem,) = problems(
        candidates,
        {"a": "plate_01", "b": "plate_02"},
        need("a", Plate),
        need("b", Plate),
        need("c", Plate),
    )

    assert problem == (
        "assets.c: no Plate is left: plate_01 is taken as a, plate_02 is taken as b "
        "(add a Plate to the workcell)"
    )


def test_a_wrong_class_is_told_with_what_would_do(candidates: Candidates) -> None:
    """What it is, what is needed, what fits."""
    (problem,) = problems(candidates, {"plate": "tips_01"}, need("plate", Plate))

    assert problem == (
        "assets.plate: tips_01 is a TipRack, and a Plate is needed "
        "(these would do: plate_01, plate_02)"
    )


def test_an_unknown_name_is_told_with_the_closest(candidates: Candidates) -> None:
    """A misspelt name costs one look."""
    (problem,) = problems(candidates, {"lh": "starr"}, need("lh", LiquidHandler))

    assert problem == ("assets.lh: the workcell has nothing called 'starr' (did you mean star?)")


def test_a_thing_is_not_used_twice(candidates: Candidates) -> None:
    """Source and target are two plates."""
    (problem,) = problems(
        candidates,
        {"source": "plate_01", "target": "plate_01"},
        need("source", Plate),
        need("target", Plate),
    )

    assert problem == (
        "assets.target: plate_01 is already used as source (these would do: plate_02)"
    )


def test_a_requirement_that_does_not_exist_is_told(candidates: Candidates) -> None:
    """A misspelt requirement is not silently dropped."""
    (problem,) = problems(candidates, {"tps": "tips_01"}, need("tips", TipRack))

    assert problem == (
        "assets.tps: the protocol needs no asset called 'tps' (did you mean tips? it needs: tips)"
    )


def test_positions_of_labware_can_be_named(candidates: Candidates) -> None:
    """``plate_01[A1]`` is a well, ``tips_01[H12]`` a tip spot."""
    bound = assets(
        candidates,
        {"blank": "plate_01[A1]", "tip": "tips_01[H12]"},
        need("blank", Well),
        need("tip", TipSpot),
    )

    assert bound == {"blank": "plate_01[A1]", "tip": "tips_01[H12]"}


def test_a_range_of_positions_stands_for_each_of_them(candidates: Candidates) -> None:
    """So that a column needs one name."""
    bound = assets(candidates, {"wells": "plate_01[A1:C1]"}, need("wells", Well, many=True))

    assert bound == {"wells": ["plate_01[A1]", "plate_01[B1]", "plate_01[C1]"]}


@pytest.mark.parametrize("position", ["A13", "Z1", "a1", "0", "A1:", "A1:Z99", "nonsense", "A1,B1"])
def test_a_position_that_does_not_exist_is_told(candidates: Candidates, position: str) -> None:
    """With the first and the last that there are."""
    (problem,) = problems(candidates, {"w": f"plate_01[{position}]"}, need("w", Well, many=True))

    assert problem == (
        f"assets.w: plate_01 has no position {position} (its positions are A1 to H12)"
    )


def test_a_device_has_no_positions(candidates: Candidates) -> None:
    """``star[A1]`` is answered, not raised."""
    (problem,) = problems(candidates, {"well": "star[A1]"}, need("well", Well))

    assert "star is a LiquidHandler, which has no positions to name" in problem


def test_a_well_is_asked_for_in_its_notation(candidates: Candidates) -> None:
    """A well is never filled in by itself; the message shows how to name one."""
    (problem,) = problems(candidates, {}, need("blank", Well))

    assert problem == (
        "assets.blank: a Well is needed, and none is named "
        "(name one in plate_01, plate_02, e.g. plate_01[A1])"
    )


def test_a_range_for_one_well_is_too_much(candidates: Candidates) -> None:
    """One is needed, eight were named."""
    (problem,) = problems(candidates, {"blank": "plate_01[A1:H1]"}, need("blank", Well))

    assert "8 assets are named, and the protocol takes one Well" in problem


def test_a_list_takes_one_or_several(candidates: Candidates) -> None:
    """A single name is a list of one."""
    plates = need("plates", Plate, many=True)

    assert assets(candidates, {"plates": "plate_02"}, plates) == {"plates": ["plate_02"]}
    assert assets(candidates, {"plates": ["plate_02", "plate_01"]}, plates) == {
        "plates": ["plate_02", "plate_01"]
    }


def test_every_name_of_a_list_is_checked(candidates: Candidates) -> None:
    """Three mistakes in one list are three problems."""
    found = problems(
        candidates,
        {"plates": ["plate_01", "plate_01", "plate_99", "tips_01"]},
        need("plates", Plate, many=True),
    )

    assert [problem.split(" (")[0] for problem in found] == [
        "assets.plates: plate_01 is already used as plates",
        "assets.plates: the workcell has nothing called 'plate_99'",
        "assets.plates: tips_01 is a TipRack, and a Plate is needed",
    ]


@pytest.mark.parametrize("choice", [3, None, [], {"a": 1}, True])
def test_a_choice_that_is_no_name_is_told(candidates: Candidates, choice: object) -> None:
    """A number from a form is answered, not raised."""
    (problem,) = problems(candidates, {"plate": choice}, need("plate", Plate))

    assert "is not the name of a Plate (these would do: plate_01, plate_02)" in problem


def test_an_optional_asset_may_be_missing(candidates: Candidates) -> None:
    """It is left out of the binding, so that the protocol's default None holds."""
    assert assets(candidates, {}, need("lid", Lid, optional=True)) == {}


def test_an_optional_asset_is_filled_in_last(candidates: Candidates) -> None:
    """What is required comes first, whatever the order of the parameters."""
    few = {"plate_01": candidates["plate_01"]}

    bound = assets(few, {}, need("spare", Plate, optional=True), need("plate", Plate))

    assert bound == {"plate": "plate_01"}


def test_an_optional_asset_can_be_refused(candidates: Candidates) -> None:
    """None means without it, even where only one would fit."""
    reader = need("plate_reader", PlateReader, optional=True)

    assert assets(candidates, {}, reader) == {"plate_reader": "reader"}
    assert assets(candidates, {"plate_reader": None}, reader) == {}


def test_an_optional_asset_that_several_fit_stays_unbound(candidates: Candidates) -> None:
    """Which of them would be a guess, and the protocol does without."""
    assert assets(candidates, {}, need("plate", Plate, optional=True)) == {}


def test_all_problems_come_in_one_refusal(candidates: Candidates) -> None:
    """A person corrects them together."""

    @protocol
    async def wash(lh: LiquidHandler, source: Plate, target: Plate, store: Incubator) -> None: ...

    with pytest.raises(RunRefused) as caught:
        bind(
            define(wash),
            candidates,
            {"lh": "reader", "source": "plate_9", "traget": "plate_01"},
            workcell="bench 3",
        )

    message = str(caught.value)
    assert "nothing has moved" in message
    assert "bench 3" in message
    assert caught.value.details["count"] == 5
    for words in ("assets.lh", "assets.source", "assets.target", "assets.traget", "assets.store"):
        assert words in message


def test_labware_whose_part_is_bound_belongs_to_the_run(candidates: Candidates) -> None:
    """The whole plate is what has to be locked when one of its wells is used."""
    result = match([need("blank", Well)], candidates, {"blank": "plate_02[B3]"})

    assert result.wholes == ("plate_02",)
