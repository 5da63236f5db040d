"""A recorded state: a protocol that runs again finds what it found before, and adds nothing."""

from __future__ import annotations

import itertools
import json
from collections.abc import Callable, Iterator
from typing import Any
from uuid import UUID, uuid4

import pytest
import redis
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from praxis_core import redis_keys
from praxis_core.errors import (
    StateConflict,
    StateDivergence,
    StateEnded,
    StateLost,
    StateSuperseded,
    StateWrongKind,
)
from praxis_core.redis_connection import connect
from praxis_core.state import PraxisState


def _counting(branch: str = "0") -> Callable[[], tuple[str, int]]:
    numbers = itertools.count()
    return lambda: (branch, next(numbers))


@pytest.fixture
def attempt(open_state: Callable[[], PraxisState]) -> Callable[[], PraxisState]:
    """Begins an attempt, and gives the state as its protocol has it."""
    first = iter([False])

    def begin() -> PraxisState:
        state = open_state()
        state.begin(resuming=next(first, True))
        return state.recorded(_counting())

    return begin


def _everything(state: PraxisState) -> list[object]:
    """Do everything that can be done with a state, and collect what a protocol sees of it."""

    def refused(act: Callable[[], object]) -> str:
        with pytest.raises((KeyError, StateWrongKind, StateConflict, AttributeError)) as error:
            act()
        return f"{error.type.__name__}: {error.value}"

    def edited() -> list[str]:
        with state.edit("plan") as plan:
            plan.append("C1")
        return list(plan)

    state["plan"] = ["A1"]
    state.title = "ä ✓"
    state.update(count=1, ratio=0.5)
    seen: list[object] = [
        state["plan"], state.title, state.get("none"), "plan" in state, "none" in state,
        len(state), list(state), dict(state.items()), list(state.values()),
        state.increment("count"), state.increment("ratio", 0.25), state.increment("new"),
        state.setdefault("plan", 7), state.setdefault("leader", "me"),
        edited(), state.pop("leader"), state.pop("leader", None), state.popitem(),
        refused(lambda: state["gone"]), refused(lambda: state.gone),
        refused(lambda: state.pop("gone")), refused(lambda: state.__delitem__("gone")),
        refused(lambda: state.increment("plan")),
        refused(lambda: state.increment("ratio", 1e308) + state.increment("ratio", 1e308)),
    ]  # fmt: skip
    state.clear()
    seen += [len(state), dict(state)]
    state["last"] = 1
    return [*seen, dict(state)]


def test_whatever_is_asked_again_gives_the_same_and_writes_nothing(
    attempt: Callable[[], PraxisState], open_state: Callable[[], PraxisState]
) -> None:
    """Values, missing keys and refusals; also when another program has changed everything since."""
    before = _everything(attempt())
    assert dict(open_state()) == {"last": 1}
    other = open_state()
    other.clear()
    other.update(plan=5, gone="here", ratio="text")
    again = attempt()

    assert _everything(again) == before
    assert dict(other) == {"plan": 5, "gone": "here", "ratio": "text"}
    again["live"] = True
    assert dict(other) == {"plan": 5, "gone": "here", "ratio": "text", "live": True}


def test_a_conflict_that_was_met_is_met_again(
    attempt: Callable[[], PraxisState], open_state: Callable[[], PraxisState]
) -> None:
    """And what another program wrote stays."""

    def edit(state: PraxisState, *, meanwhile: bool) -> None:
        with state.edit("plan") as plan:
            plan.append("mine")
            if meanwhile:
                open_state()["plan"] = ["theirs"]

    open_state()["plan"] = []
    for meanwhile in (True, False):
        state = attempt()
        with pytest.raises(StateConflict):
            edit(state, meanwhile=meanwhile)
    edit(state, meanwhile=False)

    assert open_state()["plan"] == ["theirs", "mine"]


def test_a_read_of_the_past_is_not_changed_by_what_others_write(
    attempt: Callable[[], PraxisState], open_state: Callable[[], PraxisState]
) -> None:
    """It is what the protocol decided on; what it reads anew is new."""
    open_state()["speed"] = "slow"
    assert attempt()["speed"] == "slow"
    open_state()["speed"] = "fast"
    again = attempt()

    assert again["speed"] == "slow"
    assert again["speed"] == "fast"


@pytest.mark.parametrize(
    ("act", "now"),
    [
        (lambda state: state.increment("plates"), 'increment "plates"'),
        (lambda state: state["wells"], 'get "wells"'),
        (lambda state: state.update(count=1, plates=2), 'update "count", "plates"'),
        (lambda state: state.clear(), "clear"),
    ],
)
def test_something_else_in_the_same_place_is_refused(
    attempt: Callable[[], PraxisState],
    open_state: Callable[[], PraxisState],
    act: Callable[[PraxisState], object],
    now: str,
) -> None:
    """Another act or another key; both are named, and nothing is written."""
    attempt().increment("wells")
    again = attempt()

    with pytest.raises(StateDivergence) as divergence:
        act(again)
    assert f'asks for {now}, and increment "wells" was done' in str(divergence.value)
    assert dict(open_state()) == {"wells": 1}


def test_each_branch_has_its_own_accesses(open_state: Callable[[], PraxisState]) -> None:
    """In whatever order branches come, one does not get what belongs to another."""
    state = open_state()
    state.begin()
    left, right = state.recorded(_counting("0.1")), state.recorded(_counting("0.2"))
    assert [left.increment("n"), right.increment("n"), left.increment("n")] == [1, 2, 3]
    state.begin(resuming=True)
    left, right = state.recorded(_counting("0.1")), state.recorded(_counting("0.2"))

    assert [right.increment("n"), left.increment("n"), left.increment("n")] == [2, 1, 3]
    assert state["n"] == 3


def test_a_newer_attempt_shuts_the_older_one_out(
    attempt: Callable[[], PraxisState], open_state: Callable[[], PraxisState]
) -> None:
    """Reading as well: what it would learn, nobody would know."""
    older = attempt()
    older["a"] = 1
    newer = attempt()

    for use in (lambda: older["a"], lambda: older.update(b=1)):
        with pytest.raises(StateSuperseded):
            use()
    newer["a"] = 1
    newer["b"] = 2
    assert dict(open_state()) == {"a": 1, "b": 2}


@pytest.mark.parametrize("lost", ["everything", "state", "meta", "record"])
@pytest.mark.parametrize("act", [lambda s: s.get("a"), lambda s: s.increment("b"), len, dict])
def test_what_redis_lost_is_an_error_and_never_empty(
    attempt: Callable[[], PraxisState],
    client: redis.Redis,
    run_id: UUID,
    lost: str,
    act: Callable[[PraxisState], object],
) -> None:
    """Each of the hashes alone, too: within an attempt, and for the next one."""
    state = attempt()
    state.update(a=1)
    _lose(client, run_id, lost)
    left = sorted(client.scan_iter())

    with pytest.raises(StateLost):
        act(state)
    with pytest.raises(StateLost):
        act(attempt())
    assert sorted(client.scan_iter()) == left


def test_what_others_write_after_a_loss_is_not_taken_for_the_state(
    attempt: Callable[[], PraxisState],
    client: redis.Redis,
    open_state: Callable[[], PraxisState],
) -> None:
    """Neither what they write into the lost one, nor the second time that an attempt begins."""
    attempt().update(a=1)
    client.flushdb()
    open_state()["flag"] = True

    for _ in range(2):
        with pytest.raises(StateLost):
            open_state().begin(resuming=True)


def _lose(client: redis.Redis, run_id: UUID, what: str) -> None:
    keys = {
        "state": redis_keys.run_state(run_id),
        "meta": redis_keys.run_state_meta(run_id),
        "record": redis_keys.run_state_record(run_id),
    }
    assert client.flushdb() if what == "everything" else client.delete(keys[what])


def test_a_state_that_was_emptied_is_empty(
    attempt: Callable[[], PraxisState], open_state: Callable[[], PraxisState]
) -> None:
    """Redis forgets an empty hash: whoever emptied it, that is no loss."""
    state = attempt()
    assert len(state) == 0
    state["a"] = 1
    open_state().pop("a")
    assert dict(state.items()) == {}
    state["a"] = 1
    open_state().clear()
    assert dict(state.items()) == {}
    again = attempt()
    assert len(again) == 0


def test_the_record_lives_as_long_as_the_state(
    attempt: Callable[[], PraxisState],
    open_state: Callable[[], PraxisState],
    client: redis.Redis,
    run_id: UUID,
) -> None:
    """After the end it expires with it; an attempt before that goes on with both."""
    record = redis_keys.run_state_record(run_id)
    attempt()["a"] = 1
    assert client.ttl(record) == -1
    open_state().end(retention_days=1)
    assert 0 < client.ttl(record) <= 24 * 60 * 60
    again = attempt()
    assert client.ttl(record) == -1
    again["a"] = 1
    again["b"] = 2
    open_state().end(retention_days=1)

    assert dict(open_state()) == {"a": 1, "b": 2}


def test_after_the_end_it_is_read_only_like_any_state(
    attempt: Callable[[], PraxisState], open_state: Callable[[], PraxisState]
) -> None:
    """And reading leaves no record."""
    state = attempt()
    state["a"] = 1
    open_state().archive()

    with pytest.raises(StateEnded):
        state["a"] = 2
    assert state["a"] == 1
    again = attempt()
    again["a"] = 1
    again["c"] = 3
    assert dict(open_state()) == {"a": 1, "c": 3}


def test_a_write_whose_answer_is_lost_happens_once(
    run_id: UUID, open_state: Callable[[], PraxisState], lossy_redis: Any
) -> None:
    """The client asks again under the same identity."""
    with connect(lossy_redis.url) as client:
        state = PraxisState(run_id, client).recorded(_counting())
        for _ in range(3):
            lossy_redis.lose_answers(1)
            state.increment("n")

    assert lossy_redis.lost == 3
    assert open_state()["n"] == 3


def test_a_run_begins_with_a_copy_of_another_once(
    attempt: Callable[[], PraxisState], client: redis.Redis
) -> None:
    """Also when a protocol asks for it."""
    other = PraxisState(uuid4(), client)
    other.update(a=1, b=2)
    attempt().carry_from(other)
    other["a"] = 5
    again = attempt()
    again.carry_from(other)

    assert dict(again.items()) == {"a": 1, "b": 2}


KEYS = st.sampled_from(["a", "b", "total"])
VALUES = st.integers(-9, 9) | st.floats(-9, 9) | st.lists(st.integers(0, 3), max_size=2)
ACTS = st.one_of(
    st.tuples(st.sampled_from(["get", "has", "pop", "increment"]), KEYS),
    st.tuples(st.sampled_from(["set", "setdefault", "edit"]), KEYS, VALUES),
    st.tuples(st.just("update"), KEYS, KEYS, VALUES),
    st.tuples(st.sampled_from(["all", "count", "keys", "clear"])),
)
PROGRAMS = st.lists(st.tuples(st.sampled_from(["0", "0.1", "0.2"]), ACTS), max_size=14)


def _do(state: Any, act: tuple[Any, ...]) -> str:
    """Carry out one act on a state or on a dictionary, and write down what came out."""
    try:
        return json.dumps(_result(state, act))
    except (KeyError, StateWrongKind):
        return "refused"


def _result(state: Any, act: tuple[Any, ...]) -> Any:  # noqa: C901, PLR0911 (one case each)
    match act:
        case ("get", key):
            return state.get(key, "none")
        case ("has", key):
            return key in state
        case ("pop", key):
            return state.pop(key)
        case ("increment", key):
            return _add(state, key)
        case ("set", key, value):
            state[key] = value
        case ("setdefault", key, value):
            return state.setdefault(key, value)
        case ("edit", key, value):
            _append(state, key, value)
        case ("update", key, other, value):
            state.update({key: value, other: 1})
        case ("all",):
            return dict(sorted(state.items()))
        case ("count",):
            return len(state)
        case ("keys",):
            return sorted(state)
        case ("clear",):
            state.clear()
    return None


def _add(state: Any, key: str) -> Any:
    if isinstance(state, PraxisState):
        return state.increment(key)
    if not isinstance(state.get(key, 0), (int, float)):
        raise StateWrongKind(key=key, what="")
    state[key] = state.get(key, 0) + 1
    return state[key]


def _append(state: Any, key: str, value: Any) -> None:
    if isinstance(state, PraxisState):
        with state.edit(key) as edited:
            edited.append(value)
        return
    if not isinstance(state[key], list):
        raise StateWrongKind(key=key, what="")
    state[key] = [*state[key], value]


class _Program:
    """Acts of several branches of one run, killed and begun again."""

    def __init__(self, client: redis.Redis, acts: list[tuple[str, tuple[Any, ...]]]) -> None:
        self.run_id = uuid4()
        self.client = client
        self.acts = acts
        self.seen: dict[int, str] = {}

    def attempt(
        self, begun: int, *, resuming: bool, swapped: bool
    ) -> Iterator[tuple[int, Callable[[], None]]]:
        """Give each act with what does it; what was begun before comes first, in another order."""
        state = PraxisState(self.run_id, self.client)
        state.begin(resuming=resuming)
        own = {branch: state.recorded(_counting(branch)) for branch, _ in self.acts}
        numbers = list(range(len(self.acts)))
        if swapped:
            numbers[:begun] = sorted(numbers[:begun], key=lambda number: self.acts[number][0])
        for number in numbers:
            yield number, lambda number=number: self._do(own, number)

    def _do(self, own: dict[str, PraxisState], number: int) -> None:
        branch, act = self.acts[number]
        self.seen[number] = _do(own[branch], act)


@settings(
    deadline=None, max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(
    acts=PROGRAMS,
    others=st.dictionaries(st.integers(0, 13), ACTS, max_size=4),
    kills=st.lists(st.tuples(st.integers(0, 14), st.booleans(), st.booleans()), max_size=3),
)
def test_a_program_that_is_killed_anywhere_sees_and_leaves_what_an_unharmed_one_does(
    client: redis.Redis,
    acts: list[tuple[str, tuple[Any, ...]]],
    others: dict[int, tuple[Any, ...]],
    kills: list[tuple[int, bool, bool]],
) -> None:
    """With another program that writes between; the kill may come before an answer is heard."""
    model: dict[str, Any] = {}
    expected = {}
    for number, (_, act) in enumerate(acts):
        expected[number] = _do(model, act)
        if number in others:
            _do(model, others[number])

    program = _Program(client, acts)
    other = PraxisState(program.run_id, client)
    frontier, heard_of = 0, set[int]()
    for turn, (kill, unheard, swapped) in enumerate([*kills, (len(acts), False, True)]):
        program.seen.clear()
        other = PraxisState(program.run_id, client)
        for done, (number, do) in enumerate(
            program.attempt(frontier, resuming=turn > 0, swapped=swapped)
        ):
            if done >= frontier and number >= kill and not unheard:
                break
            do()
            if number in others and number not in heard_of:
                other = PraxisState(program.run_id, client)
                _do(other, others[number])
                heard_of.add(number)
            frontier = max(frontier, done + 1)
            if done + 1 >= frontier and number >= kill:
                break

    assert program.seen == expected
    assert json.dumps(dict(sorted(other.items()))) == json.dumps(dict(sorted(model.items())))
    other.end(1)


@settings(
    deadline=None, max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(acts=PROGRAMS, cut=st.integers(0, 14))
@example(acts=[("0", ("set", "b", [])), ("0", ("increment", "b"))], cut=0)
def test_what_is_taken_back_never_happened(
    client: redis.Redis, acts: list[tuple[str, tuple[Any, ...]]], cut: int
) -> None:
    """The state is what it was, and the same accesses may be something else."""
    program = _Program(client, acts)
    state = PraxisState(program.run_id, client)
    state.begin()
    own = state.recorded(_counting())
    model: dict[str, Any] = {}
    for _, act in acts[:cut]:
        assert _do(own, act) == _do(model, act)
    then = own.last_recorded
    for _, act in acts[cut:]:
        _do(own, act)
    made = own.last_recorded - then

    assert state.take_back(then) == made
    assert state.take_back(then) == 0
    assert json.dumps(dict(state.items())) == json.dumps(dict(sorted(model.items())))
    again = state.recorded(_counting())
    for _, act in acts[:cut]:
        _do(again, act)
    assert again.last_recorded == then
    again["something else"] = 1
    state.end(1)


def test_what_others_wrote_stays_when_something_is_taken_back(
    attempt: Callable[[], PraxisState], open_state: Callable[[], PraxisState]
) -> None:
    """Their values, and what they added."""
    state = attempt()
    state.update(count=10, ratio=1.5, plan=["A1"], mine=1)
    then = state.last_recorded
    state.increment("count", 5)
    state.increment("ratio", 0.25)
    state["plan"] = ["mine"]
    state["mine"] = 2
    other = open_state()
    other.increment("count", 100)
    other.increment("ratio", 1)
    other["plan"] = ["theirs"]
    state.take_back(then)

    assert dict(other) == {"count": 110, "mine": 1, "plan": ["theirs"], "ratio": 2.5}
