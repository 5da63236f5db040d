"""What a PraxisState takes, what it refuses, and what reading it gives."""

from __future__ import annotations

import copy
import json
import pickle
from collections.abc import Callable
from decimal import Decimal
from enum import StrEnum
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pylabrobot.resources import Resource, cor_96_wellplate_360uL_Fb

from praxis_core.errors import StateValueFrozen, StateValueRefused
from praxis_core.state import PraxisState
from praxis_core.state.frozen import FrozenDict, FrozenList
from praxis_core.state.values import to_frozen, to_plain, to_text

_TEXT = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"))
_KEYS = _TEXT.filter(lambda key: not key.startswith("$"))
JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False, allow_infinity=False)
    | _TEXT,
    lambda inner: st.lists(inner) | st.dictionaries(_KEYS, inner),
)


@given(JSON)
def test_json_is_read_as_it_was_written(value: Any) -> None:
    """The same value and the same types, to the last bit of every number."""
    text = to_text(value, "state['k']")

    assert repr(to_plain(text, None)) == repr(value)
    assert repr(to_frozen(text, "k", None)) == repr(value)


def _cycle() -> list[Any]:
    cycle: list[Any] = []
    cycle.append(cycle)
    return cycle


class Reading(float):
    """A number that is more than a number, as NumPy's are."""


class Colour(StrEnum):
    """Text that is more than text."""

    RED = "red"


@pytest.mark.parametrize(
    ("value", "path", "reason"),
    [
        ([1, 2, 3, {"well": {1, 2}}], "state['k'][3]['well']", "type set"),
        ({"a": [0.5, float("nan")]}, "state['k']['a'][1]", "nan"),
        (float("-inf"), "state['k']", "-inf"),
        ((1, 2), "state['k']", "tuple"),
        ([[], [(1, 2)]], "state['k'][1][0]", "tuple"),
        ({"a": {1: 2}}, "state['k']['a'][1]", "the key is of type int"),
        ({None: 1}, "state['k'][None]", "the key is of type NoneType"),
        ({"a": {"$praxis": "resource"}}, "state['k']['a']['$praxis']", "reserved"),
        (["fine", "not\0fine"], "state['k'][1]", "NUL"),
        ({"a\0": 1}, "state['k']['a\\x00']", "NUL"),
        ("\ud800", "state['k']", "surrogate"),
        (b"bytes", "state['k']", "type bytes"),
        ({"a": Decimal("0.1")}, "state['k']['a']", "type decimal.Decimal"),
        ([lambda: None], "state['k'][0]", "type function"),
        (_cycle(), "state['k']", "contains itself"),
        ([10**5000], "state['k'][0]", "digits"),
    ],
)
def test_what_is_not_json_is_refused_with_the_path_to_it(
    state: PraxisState, value: Any, path: str, reason: str
) -> None:
    """Nothing is written, of the other keys of the same update neither, and later writes work."""
    state["k"] = "before"

    with pytest.raises(StateValueRefused) as refused:
        state.update(other=1, k=value)
    assert refused.value.details["path"] == path
    assert reason in str(refused.value)
    assert dict(state) == {"k": "before"}
    with pytest.raises(StateValueRefused):
        state["k"] = value
    with pytest.raises(StateValueRefused):
        state.setdefault("new", value)
    state["k"] = "after"
    assert dict(state) == {"k": "after"}


@pytest.mark.parametrize("key", [1, None, ("a",), "a\0b", "\ud800"])
def test_keys_that_are_no_storable_text_are_refused(state: PraxisState, key: Any) -> None:
    """Wherever a key is written."""
    with pytest.raises(StateValueRefused):
        state[key] = 1
    with pytest.raises(StateValueRefused):
        state.update({"good": 1, key: 2})
    with pytest.raises(StateValueRefused):
        state.increment(key)

    assert len(state) == 0


@pytest.mark.parametrize("by", [float("nan"), float("inf"), True, "1", None])
def test_only_finite_numbers_are_added(state: PraxisState, by: Any) -> None:
    """What is no number of JSON cannot be added."""
    with pytest.raises(StateValueRefused):
        state.increment("n", by)

    assert "n" not in state


def test_numbers_and_text_of_subclasses_are_what_they_are(state: PraxisState) -> None:
    """A float of another library and a text of an enum are a float and a text."""
    state["values"] = [Reading(0.1), Colour.RED, "$5"]

    assert state["values"] == [0.1, "red", "$5"]


def test_deep_values_are_read_back(state: PraxisState) -> None:
    """As deep as JSON itself goes in Python."""
    deep: list[Any] = []
    for _ in range(400):
        deep = [deep]
    state["deep"] = deep

    assert state["deep"] == deep


@pytest.mark.parametrize(
    "change",
    [
        lambda value: value["wells"].append("C1"),
        lambda value: value["wells"].__setitem__(0, "C1"),
        lambda value: value["wells"].__delitem__(0),
        lambda value: value["wells"].__iadd__(["C1"]),
        lambda value: value["wells"].__imul__(2),
        lambda value: value["wells"].extend(["C1"]),
        lambda value: value["wells"].insert(0, "C1"),
        lambda value: value["wells"].remove("A1"),
        lambda value: value["wells"].pop(),
        lambda value: value["wells"].clear(),
        lambda value: value["wells"].sort(),
        lambda value: value["wells"].reverse(),
        lambda value: value.__setitem__("wells", []),
        lambda value: value.__delitem__("wells"),
        lambda value: value.__ior__({"a": 1}),
        lambda value: value.update(a=1),
        lambda value: value.setdefault("a", 1),
        lambda value: value.pop("wells"),
        lambda value: value.popitem(),
        lambda value: value.clear(),
    ],
)
def test_a_change_inside_what_was_read_is_refused(
    state: PraxisState, change: Callable[[Any], object]
) -> None:
    """It would change a copy and be lost; the error says how to write it."""
    state["plan"] = {"wells": ["A1", "B1"]}
    plan = state["plan"]

    with pytest.raises(StateValueFrozen, match=r"with state.edit\('plan'\)"):
        change(plan)
    assert plan == state["plan"] == {"wells": ["A1", "B1"]}


def test_every_way_to_change_a_list_or_a_dictionary_is_closed() -> None:
    """A method that a later Python adds is looked at here first."""
    harmless = {"copy", "count", "index", "get", "items", "keys", "values", "fromkeys"}
    changing = {"__setitem__", "__delitem__", "__iadd__", "__imul__", "__ior__"}
    for frozen in (FrozenList, FrozenDict):
        base = frozen.__mro__[1]
        public = {name for name in vars(base) if not name.startswith("_")} - harmless
        closed = public | (changing & set(vars(base)))

        assert closed <= set(vars(frozen))


def test_what_was_read_serves_as_the_plain_value(state: PraxisState) -> None:
    """It compares, dumps, copies, pickles and is stored again like the list or dictionary it is."""
    value = {"wells": ["A1", {"volume": 5.0}]}
    state["plan"] = value
    read = state["plan"]

    assert read == value
    assert json.loads(json.dumps(read)) == value
    for copied in (copy.deepcopy(read), pickle.loads(pickle.dumps(read))):  # noqa: S301 (our own)
        assert copied == value
        assert type(copied) is dict
        copied["wells"][1]["volume"] = 6.0
        copied["wells"].append("B1")
    assert type(copy.copy(read)) is dict
    assert type(read["wells"] + ["B1"]) is list
    state["copy"] = read
    assert state["copy"] == read == value


def test_a_resource_is_read_as_the_live_object(state: PraxisState) -> None:
    """Wherever it stands in a value, the run gets its own plate back, not a copy."""
    plate = cor_96_wellplate_360uL_Fb(name="plate_01")
    deck: dict[str, Resource] = {"plate_01": plate, "plate_01_well_A1": plate.get_well("A1")}
    state = state.resolving(deck.__getitem__)
    state.plate = plate
    state.plan = [{"source": plate.get_well("A1"), "volume": 5}]

    assert state.plate is plate
    assert state.plan[0]["source"] is plate.get_well("A1")
    with state.edit("plan") as plan:
        plan[0]["volume"] = 6
    assert state.plan[0]["source"] is plate.get_well("A1")
    assert dict(state.items())["plate"] is plate


def test_another_program_gets_a_resource_as_it_was(
    state: PraxisState, open_state: Callable[[], PraxisState]
) -> None:
    """Without a deck the plate is rebuilt, with what was in it when it was stored."""
    plate = cor_96_wellplate_360uL_Fb(name="plate_01")
    plate.get_well("A1").tracker.set_volume(120)
    state.plate = plate
    read = open_state().plate

    assert read is not plate
    assert read.name == "plate_01"
    assert read.get_well("A1").tracker.get_used_volume() == 120
