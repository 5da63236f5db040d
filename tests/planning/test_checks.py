"""A request is checked as a whole: parameters and assets, all problems in one answer."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date
from enum import StrEnum
from typing import Annotated, Any

import pytest
from pydantic import AfterValidator, BaseModel, Field
from pylabrobot.liquid_handling import LiquidHandler
from pylabrobot.resources import Plate, Well

from praxis_core.assets.choosing import Fact
from praxis_core.assets.state import AssetManagerState, Location
from praxis_core.errors import Problem, RunRefused
from praxis_core.planning import CheckedRequest, check_request
from praxis_core.protocol import define, protocol

Candidates = Mapping[str, object]


class Liquid(StrEnum):
    """What is pipetted."""

    WATER = "water"
    DMSO = "dmso"


class Layer(BaseModel):
    """One layer of a gradient."""

    volume: Annotated[float, Field(gt=0, le=200)]


def _even(value: int) -> int:
    if value % 2:
        raise ValueError("columns are filled in pairs")
    return value


@protocol
async def gradient(  # noqa: PLR0913  # one of everything
    lh: LiquidHandler,
    plate: Plate,
    blank: Well | None = None,
    *,
    volume: Annotated[float, Field(gt=0, le=1000, description="Per well, µL.")],
    columns: Annotated[int, AfterValidator(_even)] = 12,
    liquid: Liquid = Liquid.WATER,
    layers: tuple[Layer, ...] = (),
    state: Any = None,
) -> None:
    """Pipette a gradient."""


DEFINITION = define(gradient)


def check(candidates: Candidates, parameters: dict[str, Any], **assets: object) -> CheckedRequest:
    """Check a request for the gradient."""
    return check_request(
        DEFINITION,
        gradient,
        workcell="bench",
        parameters=parameters,
        assets=assets,
        candidates=candidates,
    )


def refusal(candidates: Candidates, parameters: dict[str, Any], **assets: object) -> list[Problem]:
    """The problems of a request that is refused."""
    with pytest.raises(RunRefused) as caught:
        check(candidates, parameters, **assets)
    problems = caught.value.details["problems"]
    assert isinstance(problems, list)
    assert caught.value.details["count"] == len(problems)
    return problems


def test_a_request_that_is_right_is_completed(candidates: Candidates) -> None:
    """Values have the types of the function, defaults and certain assets are filled in."""
    checked = check(
        candidates,
        {"volume": "50", "liquid": "dmso", "layers": [{"volume": 20}]},
        plate="plate_02",
        blank="plate_01[A1]",
    )

    assert checked.parameters == {
        "volume": 50.0,
        "columns": 12,
        "liquid": Liquid.DMSO,
        "layers": (Layer(volume=20),),
    }
    assert checked.assets == {"lh": "star", "plate": "plate_02", "blank": "plate_01[A1]"}
    assert checked.asset_names == ("plate_01", "plate_02", "star")


def test_what_was_named_and_is_on_a_shelf_is_refused(candidates: Candidates) -> None:
    """Whether or not the protocol says what it needs of it."""
    state = AssetManagerState(locations={"plate_02": Location(parent=None, shelf="freezer 2")})

    with pytest.raises(RunRefused, match="plate_02 is not on the workcell, but on shelf freezer 2"):
        check_request(
            DEFINITION,
            gradient,
            workcell="bench",
            parameters={"volume": 50},
            assets={"plate": "plate_02"},
            candidates=candidates,
            state=state,
        )


def test_a_value_out_of_range_is_told_with_its_bound(candidates: Candidates) -> None:
    """The value, the bound, and what the author says about the parameter."""
    (problem,) = refusal(candidates, {"volume": 1500}, plate="plate_01")

    assert str(problem) == (
        "parameters.volume: 1500 is refused: should be less than or equal to 1000 (Per well, µL.)"
    )


def test_a_value_deep_inside_is_told_with_its_path(candidates: Candidates) -> None:
    """Which layer, which field."""
    (problem,) = refusal(
        candidates, {"volume": 1, "layers": [{"volume": 10}, {"volume": 300}]}, plate="plate_01"
    )

    assert problem.where == "parameters.layers[1].volume"
    assert problem.what == "300 is refused: should be less than or equal to 200"


def test_a_missing_value_is_told(candidates: Candidates) -> None:
    """With what it means."""
    (problem,) = refusal(candidates, {}, plate="plate_01")

    assert str(problem) == (
        "parameters.volume: a value is needed, and none was given (Per well, µL.)"
    )


def test_a_choice_that_does_not_exist_is_told(candidates: Candidates) -> None:
    """With the choices that there are."""
    (problem,) = refusal(candidates, {"volume": 1, "liquid": "oil"}, plate="plate_01")

    assert problem.what == "'oil' is refused: should be 'water' or 'dmso'"


def test_the_authors_own_check_speaks_for_itself(candidates: Candidates) -> None:
    """The message of a validator reaches the user."""
    (problem,) = refusal(candidates, {"volume": 1, "columns": 3}, plate="plate_01")

    assert problem.what == "3 is refused: columns are filled in pairs"


@pytest.mark.parametrize(
    ("name", "mend"),
    [
        ("volumes", "did you mean volume?"),
        ("xyz", "it takes: volume, columns, liquid, layers"),
        ("plate", "plate is an asset: name it under assets"),
        ("state", "the run provides its state itself: leave it out"),
    ],
)
def test_an_unknown_parameter_is_told_with_what_may_be_meant(
    candidates: Candidates, name: str, mend: str
) -> None:
    """A misspelt parameter is never dropped."""
    (problem,) = refusal(candidates, {"volume": 1, name: 1}, plate="plate_01")

    assert str(problem) == f"parameters.{name}: there is no parameter {name!r} ({mend})"


def test_everything_wrong_is_told_at_once(candidates: Candidates) -> None:
    """Parameters and assets together: one round of corrections is enough."""
    problems = refusal(
        candidates,
        {"volume": -1, "liquid": "oil", "depth": 3, "layers": [{}]},
        plate="tips_01",
        reader="reader",
    )

    assert [problem.where for problem in problems] == [
        "parameters.volume",
        "parameters.liquid",
        "parameters.layers[0].volume",
        "parameters.depth",
        "assets.reader",
        "assets.plate",
    ]


def test_a_refusal_says_that_nothing_has_moved(candidates: Candidates) -> None:
    """Who reads it stands beside a robot."""
    with pytest.raises(RunRefused, match="nothing has moved"):
        check(candidates, {})


def test_a_long_value_is_shortened(candidates: Candidates) -> None:
    """A pasted file does not fill the screen."""
    (problem,) = refusal(candidates, {"volume": "x" * 10_000}, plate="plate_01")

    assert len(problem.what) < 200


@pytest.mark.parametrize(
    ("fact", "what"),
    [
        (Fact(status="quarantined"), "plate_02 is quarantined"),
        (Fact(expires=date(2020, 1, 31)), "plate_02 expired on 2020-01-31"),
    ],
)
def test_what_was_named_and_is_not_to_be_used_is_refused(
    candidates: Candidates, fact: Fact, what: str
) -> None:
    """Also where the protocol says nothing of what it needs."""
    state = AssetManagerState(locations={"plate_02": Location(parent="plate_carrier-1")})

    with pytest.raises(RunRefused, match=what):
        check_request(
            DEFINITION,
            gradient,
            workcell="bench",
            parameters={"volume": 50},
            assets={"plate": "plate_02"},
            candidates=candidates,
            state=state,
            facts={"plate_02": fact},
        )
