"""PraxisState against a plain dictionary, in any order of acts."""

from __future__ import annotations

import copy
import json
from typing import Any
from uuid import uuid4

import pytest
import redis
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule, run_state_machine_as_test

from praxis_core.errors import StateConflict, StateEnded, StateValueRefused, StateWrongKind
from praxis_core.state import PraxisState

KEYS = st.sampled_from(["a", "b", "ключ", "with space", "update"])
NAMES = st.sampled_from(["alpha", "beta"])
NUMBERS = st.integers(-(2**40), 2**40) | st.floats(-1e9, 1e9)
VALUES = st.recursive(
    st.none() | st.booleans() | NUMBERS | st.sampled_from(["", "text", "$5", 'quo"te']),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.sampled_from(["x", "y", ""]), inner, max_size=2)
    ),
    max_leaves=6,
)
BAD = st.sampled_from([(1, 2), {1: 2}, float("nan"), {1}, ["deep", {"x": (0,)}]])


def _is_number(value: object) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool)


class Model(RuleBasedStateMachine):
    """Two handles of one run, and the dictionary they should be."""

    client: redis.Redis

    def __init__(self) -> None:
        super().__init__()
        self.run_id = uuid4()
        self.state = PraxisState(self.run_id, self.client)
        self.other = PraxisState(self.run_id, self.client)
        self.model: dict[str, Any] = {}
        self.ended = False

    def teardown(self) -> None:
        """Leave nothing behind."""
        self.state.end(1)

    def writes(self, write: Any, model: Any) -> Any:
        """Do the same to both; once the run has ended, to neither."""
        if self.ended:
            with pytest.raises(StateEnded):
                write()
            return None
        result = write()
        assert result == model()
        return result

    @rule(key=KEYS, value=VALUES)
    def set_item(self, key: str, value: Any) -> None:
        """``state[key] = value``."""
        self.writes(
            lambda: self.state.__setitem__(key, value), lambda: self.model.update({key: value})
        )

    @rule(name=NAMES, value=VALUES)
    def set_attribute(self, name: str, value: Any) -> None:
        """``state.name = value``, by the other handle."""
        self.writes(
            lambda: setattr(self.other, name, value), lambda: self.model.update({name: value})
        )

    @rule(values=st.dictionaries(KEYS, VALUES, min_size=1))
    def update(self, values: dict[str, Any]) -> None:
        """``state.update(values)``."""
        self.writes(lambda: self.state.update(values), lambda: self.model.update(values))

    @rule(values=st.dictionaries(KEYS, VALUES), key=KEYS, bad=BAD)
    def update_refused(self, values: dict[str, Any], key: str, bad: Any) -> None:
        """One value that is not JSON, and nothing is written."""
        with pytest.raises(StateValueRefused):
            self.state.update({**values, key: bad})

    @rule(key=KEYS, value=VALUES)
    def setdefault(self, key: str, value: Any) -> None:
        """``state.setdefault(key, value)``."""
        self.writes(
            lambda: self.state.setdefault(key, value), lambda: self.model.setdefault(key, value)
        )

    @rule(key=KEYS)
    def pop(self, key: str) -> None:
        """``state.pop(key, None)``."""
        self.writes(lambda: self.other.pop(key, None), lambda: self.model.pop(key, None))

    @rule(key=KEYS, by=NUMBERS)
    def increment(self, key: str, by: float) -> None:
        """``state.increment(key, by)``."""
        if not self.ended and not _is_number(self.model.get(key, 0)):
            with pytest.raises(StateWrongKind):
                self.state.increment(key, by)
            return

        def add() -> float:
            total: float = self.model.get(key, 0) + by
            self.model[key] = total
            return total

        self.writes(lambda: self.state.increment(key, by), add)

    @rule(key=KEYS, value=VALUES)
    def edit(self, key: str, value: Any) -> None:
        """A change inside a list or dictionary."""
        if self.ended or not isinstance(self.model.get(key), (list, dict)):
            return
        with self.state.edit(key) as edited:
            for target in (edited, self.model[key]):
                if isinstance(target, list):
                    target.append(copy.deepcopy(value))
                else:
                    target["x"] = copy.deepcopy(value)

    @rule(key=KEYS)
    def edit_in_conflict(self, key: str) -> None:
        """The other handle writes during an edit: its value stays."""
        if self.ended or not isinstance(self.model.get(key), (list, dict)):
            return
        with pytest.raises(StateConflict), self.state.edit(key) as edited:  # noqa: PT012 (the whole block is what raises)
            self.other[key] = self.model[key] = "theirs"
            edited.clear()
            if isinstance(edited, list):
                edited.append("mine")
            else:
                edited["mine"] = 1

    @rule()
    def clear(self) -> None:
        """``state.clear()``."""
        self.writes(self.state.clear, self.model.clear)

    @rule()
    def reopen(self) -> None:
        """Another process opens the run."""
        self.other = PraxisState(self.run_id, self.client)

    @rule()
    def end(self) -> None:
        """The run ends, and its archive is its content."""
        assert self.state.archive() == self.model
        self.ended = True

    @rule()
    def begin(self) -> None:
        """A new attempt goes on with the content."""
        self.state.begin()
        self.other = PraxisState(self.run_id, self.client)
        self.ended = False

    @invariant()
    def they_agree(self) -> None:
        """Content to the last type, keys and length."""
        assert _canonical(dict(self.state.items())) == _canonical(self.model)
        assert list(self.other) == sorted(self.model)
        assert len(self.other) == len(self.model)
        assert [key for key in ("a", "alpha") if key in self.state] == [
            key for key in ("a", "alpha") if key in self.model
        ]


def _canonical(content: dict[str, Any]) -> str:
    return json.dumps(dict(sorted(content.items())))


def test_a_state_is_a_dictionary_in_any_order_of_acts(client: redis.Redis) -> None:
    """Two handles, edits, conflicts, ends and new attempts, against a plain dictionary."""

    class Connected(Model):
        pass

    Connected.client = client
    run_state_machine_as_test(
        Connected,
        settings=settings(
            max_examples=40,
            stateful_step_count=25,
            deadline=None,
            suppress_health_check=[HealthCheck.too_slow],
        ),
    )
