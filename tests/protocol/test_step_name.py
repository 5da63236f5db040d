"""Names of steps read well in a run's history and never fail a run."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from enum import Enum
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pylabrobot.resources import cor_96_wellplate_360uL_Fb

from praxis_core.protocol.step_name import StepName


class Speed(Enum):
    """How fast."""

    SLOW = 0.5


def title(template: str, function: Callable[..., Any], *args: object, **kwargs: object) -> str:
    """The name of one call of ``function``."""
    return StepName(template, inspect.signature(function)).title(args, kwargs)


def mix(plate: Any = None, volume: Any = 5.0, columns: Any = (1, 2)) -> None:
    """Stands for the function of a step."""


@pytest.mark.parametrize(
    ("template", "kwargs", "expected"),
    [
        ("Mix", {}, "Mix"),
        ("Mix {volume}", {}, "Mix 5.0"),
        ("Mix {volume:.2f} µL", {"volume": 1.005e2}, "Mix 100.50 µL"),
        ("Mix {columns}", {"columns": [1, 2, 3]}, "Mix 1, 2, 3"),
        ("Mix {volume}", {"volume": Speed.SLOW}, "Mix SLOW"),
        ("Mix {volume}", {"volume": object()}, "Mix object"),
        ("Mix {volume:.1f}", {"volume": "much"}, "Mix much"),
        ("Mix {columns[1]}", {}, "Mix 2"),
        ("Mix {columns[9]}", {}, "Mix {columns[9]}"),
        ("Mix {plate.name}", {}, "Mix {plate.name}"),
        ("Mix {{well}}", {}, "Mix {well}"),
        ("Mix {nothing}", {}, "Mix {nothing}"),
        ("Mix {volume", {}, "Mix {volume"),
    ],
)
def test_fields_are_filled_in(template: str, kwargs: dict[str, Any], expected: str) -> None:
    """Plain values show as written, other things as what they are, mistakes as themselves."""
    assert title(template, mix, **kwargs) == expected


def test_labware_shows_by_its_name() -> None:
    """A person looks for the plate's name, not for its measures."""
    plate = cor_96_wellplate_360uL_Fb("plate_01")

    assert title("Read {plate}", mix, plate) == "Read plate_01"
    assert title("Read {plate.name}", mix, plate) == "Read plate_01"
    assert title("Read {columns}", mix, columns=[plate, plate]) == "Read plate_01, plate_01"


def test_a_call_that_does_not_fit_still_has_a_name() -> None:
    """The call fails by itself and says why; its name is not in the way."""
    assert title("Mix {volume}", mix, nonsense=1) == "Mix {volume}"


@pytest.mark.parametrize(
    "template", ["Mix {column}", "Mix {tips.name}", "Mix {}", "Mix {", "", "  "]
)
def test_what_is_wrong_with_a_name_is_known_before_it_is_used(template: str) -> None:
    """The definition of a protocol reports it."""
    assert StepName(template, inspect.signature(mix)).faults


@settings(deadline=None)
@given(
    st.text(),
    st.one_of(
        st.none(), st.floats(), st.text(), st.binary(), st.dictionaries(st.text(), st.text())
    ),
)
def test_no_template_and_no_value_fails(template: str, value: object) -> None:
    """Whatever was written and whatever is passed: a title of at most 200 characters."""
    assert len(title(template, mix, volume=value)) <= 200
