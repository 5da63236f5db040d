"""PraxisState as a dictionary, and as an object with attributes."""

from __future__ import annotations

import copy
import pickle
from collections.abc import Callable
from typing import Any
from uuid import uuid4

import pytest
import redis

from praxis_core import redis_keys
from praxis_core.errors import (
    SettingsError,
    StateCorrupted,
    StateNameReserved,
    StateWrongKind,
)
from praxis_core.state import PraxisState


def test_what_is_written_is_read_by_item_and_by_attribute(state: PraxisState) -> None:
    """``state["k"]`` and ``state.k`` are the same key."""
    state["sample"] = "S-1"
    state.volume = 12.5

    assert state.sample == "S-1"
    assert state["volume"] == 12.5


def test_another_handle_of_the_run_reads_the_same(
    state: PraxisState, open_state: Callable[[], PraxisState]
) -> None:
    """The content belongs to the run, not to the object."""
    state["sample"] = "S-1"

    assert open_state()["sample"] == "S-1"


def test_runs_do_not_see_each_other(state: PraxisState, client: redis.Redis) -> None:
    """The same key of two runs is two keys."""
    state["sample"] = "S-1"

    assert "sample" not in PraxisState(uuid4(), client)


def test_a_missing_key_is_a_key_error_and_a_missing_attribute_an_attribute_error(
    state: PraxisState,
) -> None:
    """Both spellings fail as Python programmers expect, so ``get`` and ``hasattr`` work."""
    with pytest.raises(KeyError, match="sample"):
        _ = state["sample"]
    with pytest.raises(AttributeError, match="no key 'sample'"):
        _ = state.sample

    assert state.get("sample") is None
    assert state.get("sample", 5) == 5
    assert not hasattr(state, "sample")


def test_only_text_is_a_key_of_the_state(state: PraxisState) -> None:
    """Other keys are not there, as in a dictionary that does not have them."""
    assert 1 not in state  # type: ignore[comparison-overlap]
    with pytest.raises(KeyError):
        _ = state[1]


def test_names_of_methods_stay_methods(state: PraxisState) -> None:
    """``state.update = 1`` is refused and says how to write it; ``state["update"]`` is a key."""
    with pytest.raises(StateNameReserved, match=r"state\['update'\]"):
        state.update = 1  # type: ignore[assignment,method-assign]
    state["update"] = 1
    state.update(other=2)

    assert dict(state) == {"other": 2, "update": 1}


@pytest.mark.parametrize("name", ["_private", "__dunder__", "_store", "run_id", "ended"])
def test_names_of_the_object_itself_are_refused_as_attributes(
    state: PraxisState, name: str
) -> None:
    """A slip never lands in the content, and never in the object."""
    with pytest.raises(AttributeError, match="Write state"):
        setattr(state, name, 1)

    assert len(state) == 0


def test_deleting_by_item_and_by_attribute(state: PraxisState) -> None:
    """A deleted key is gone; deleting it again is an error."""
    state.update(a=1, b=2)
    del state["a"]
    del state.b

    assert len(state) == 0
    with pytest.raises(KeyError):
        del state["a"]
    with pytest.raises(AttributeError):
        del state.b


def test_iteration_is_sorted(state: PraxisState) -> None:
    """Redis has no order that lasts, so a protocol that goes through its state gets its own."""
    state.update(c=3, a=1, b=2)

    assert list(state) == list(state.keys()) == ["a", "b", "c"]
    assert list(state.values()) == [1, 2, 3]
    assert list(state.items()) == [("a", 1), ("b", 2), ("c", 3)]


def test_update_takes_what_a_dictionary_takes(state: PraxisState) -> None:
    """A mapping, pairs, keywords."""
    state.update({"a": 1}, b=2)
    state.update([("b", 3), ("c", 4)])
    state.update()

    assert dict(state) == {"a": 1, "b": 3, "c": 4}


def test_thousands_of_keys_are_written_at_once(state: PraxisState) -> None:
    """One update has no limit that a Lua stack would set."""
    many = {f"key_{number:05}": number for number in range(20_000)}
    state.update(many)

    assert dict(state.items()) == many


def test_setdefault_writes_only_what_is_missing(state: PraxisState) -> None:
    """The value that the key has now is returned either way."""
    assert state.setdefault("plan", ["A1"]) == ["A1"]
    assert state.setdefault("plan", ["B1"]) == ["A1"]
    assert state.setdefault("nothing") is None
    assert "nothing" in state


def test_pop_takes_a_key_out(state: PraxisState) -> None:
    """As a dictionary's, with and without a default; ``popitem`` takes any."""
    state["plan"] = ["A1"]

    assert state.pop("plan") == ["A1"]
    assert state.pop("plan", 7) == 7
    with pytest.raises(KeyError, match="plan"):
        state.pop("plan")
    state["last"] = 1
    assert state.popitem() == ("last", 1)
    with pytest.raises(KeyError):
        state.popitem()


def test_clear_empties_the_state(state: PraxisState) -> None:
    """And it can be written again."""
    state.update(a=1, b=2)
    state.clear()

    assert dict(state) == {}
    state["a"] = 3
    assert dict(state) == {"a": 3}


@pytest.mark.parametrize(
    ("start", "by", "total"),
    [
        (None, 1, 1),
        (None, 0.5, 0.5),
        (41, 1, 42),
        (2**53, 1, 2**53 + 1),
        (-(2**62), -5, -(2**62) - 5),
        (0.1, 0.2, 0.1 + 0.2),
        (1.5, 0.5, 2.0),
        (1, 0.25, 1.25),
        (1e300, 1e285, 1e300 + 1e285),
        (5e-324, 5e-324, 1e-323),
        (0.1, 2, 2.1),
    ],
)
def test_increment_computes_as_python_does(
    state: PraxisState, start: float | None, by: float, total: float
) -> None:
    """Exact for integers, and the same float, of the same type, to the last bit."""
    if start is not None:
        state["n"] = start

    assert repr(state.increment("n", by)) == repr(total)
    assert repr(state["n"]) == repr(total)


@pytest.mark.parametrize("value", ["1", True, None, [1], {"a": 1}])
def test_only_numbers_are_incremented(state: PraxisState, value: Any) -> None:
    """Anything else is an error, and stays as it was."""
    state["n"] = value

    with pytest.raises(StateWrongKind, match=r"state\['n'\] is no number"):
        state.increment("n")
    assert state["n"] == value


@pytest.mark.parametrize(("start", "by"), [(2**63 - 1, 1), (0, 2**63), (1e308, 1e308), (10**30, 1)])
def test_a_sum_out_of_range_is_refused(state: PraxisState, start: float, by: float) -> None:
    """Never wrapped round, never infinite."""
    state["n"] = start

    with pytest.raises(StateWrongKind, match="range of increment"):
        state.increment("n", by)
    assert state["n"] == start


def test_a_list_is_edited_in_place(state: PraxisState) -> None:
    """The block works on a plain copy, which is written at its end."""
    state["plan"] = [{"well": "A1"}]
    with state.edit("plan") as plan:
        plan.append({"well": "B1"})
        plan[0]["well"] = "C1"

    assert state["plan"] == [{"well": "C1"}, {"well": "B1"}]


def test_an_edit_that_raises_writes_nothing(state: PraxisState) -> None:
    """The value is as before."""
    state["plan"] = ["A1"]
    with pytest.raises(ZeroDivisionError), state.edit("plan") as plan:
        plan.append(1 / 0)

    assert state["plan"] == ["A1"]


@pytest.mark.parametrize("value", [1, "text", None])
def test_what_has_no_inside_cannot_be_edited(state: PraxisState, value: Any) -> None:
    """A new number under the old name would be lost, so ``edit`` says what to do instead."""
    state["n"] = value

    with pytest.raises(StateWrongKind, match="assign a new value"), state.edit("n"):
        pass
    with pytest.raises(KeyError), state.edit("missing"):
        pass


@pytest.mark.parametrize("text", [b"{", b"", b"NaN", b"[1,]", b"\xff", b"{'a': 1}"])
def test_a_corrupt_field_is_an_error_wherever_it_is_read(
    state: PraxisState, client: redis.Redis, text: bytes
) -> None:
    """It is never an empty value, it names the place, and the other keys still work."""
    state["good"] = 1
    client.hset(redis_keys.run_state(state.run_id), "bad", text)

    with pytest.raises(StateCorrupted, match=f"HGET praxis:run:{state.run_id}:state bad"):
        _ = state["bad"]
    with pytest.raises(StateCorrupted):
        _ = state.items()
    with pytest.raises(StateCorrupted), state.edit("bad"):
        pass
    state["good"] = 2
    assert state["good"] == 2


def test_a_key_of_another_kind_in_its_place_is_an_error(
    state: PraxisState, client: redis.Redis
) -> None:
    """What stands under the state's name but is no hash is named, not overwritten."""
    client.set(redis_keys.run_state(state.run_id), "mine")

    with pytest.raises(StateCorrupted, match="no hash"):
        _ = state["a"]
    with pytest.raises(StateCorrupted, match="no hash"):
        state["a"] = 1


def test_a_state_is_opened_in_each_process_not_pickled(state: PraxisState) -> None:
    """The error says how."""
    with pytest.raises(TypeError, match=r"PraxisState.open\(run_id\)"):
        pickle.dumps(state)
    with pytest.raises(TypeError, match=r"PraxisState.open\(run_id\)"):
        copy.copy(state)


def test_a_client_that_decodes_is_refused(redis_url: str) -> None:
    """Text that was decoded by the client could not be compared byte by byte."""
    with (
        redis.Redis.from_url(redis_url, decode_responses=True) as client,
        pytest.raises(SettingsError, match="decode_responses"),
    ):
        PraxisState(uuid4(), client)
