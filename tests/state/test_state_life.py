"""The life of a run's state: attempts, the end, the archive, the next run."""

from __future__ import annotations

from collections.abc import Callable
from uuid import UUID, uuid4

import pytest
import redis
from pydantic import SecretStr

from praxis_core import redis_keys
from praxis_core.errors import (
    RunNotFound,
    ServiceUnreachable,
    StateCorrupted,
    StateEnded,
    StateLost,
    StateSuperseded,
)
from praxis_core.settings import PraxisSettings
from praxis_core.state import PraxisState

DAY_MS = 24 * 60 * 60 * 1000


@pytest.fixture
def settings(redis_url: str, database_url: str) -> PraxisSettings:
    """The settings of an installation with the test's own Redis and Postgres."""
    return PraxisSettings(redis_url=SecretStr(redis_url), database_url=SecretStr(database_url))


@pytest.fixture
def lives(client: redis.Redis, run_id: UUID) -> Callable[[], list[int]]:
    """Milliseconds that the two keys of the state have left; -1: no expiry."""
    keys = (redis_keys.run_state(run_id), redis_keys.run_state_meta(run_id))
    return lambda: [client.pttl(key) for key in keys]


def _write_everything(state: PraxisState) -> list[Callable[[], object]]:
    return [
        lambda: state.__setitem__("a", 2),
        lambda: state.update(a=2),
        lambda: state.setdefault("b", 2),
        lambda: state.increment("a"),
        lambda: state.pop("a"),
        lambda: state.__delitem__("a"),
        state.clear,
        lambda: state.carry_from(state),
        lambda: state.edit("plan").__enter__().append(1),
    ]


def test_nothing_expires_while_the_run_lives(
    state: PraxisState, lives: Callable[[], list[int]]
) -> None:
    """However it is written."""
    state.begin()
    state.update(a=1, plan=[])
    state.increment("a")

    assert lives() == [-1, -1]


def test_after_the_end_the_state_is_read_only(
    state: PraxisState, open_state: Callable[[], PraxisState]
) -> None:
    """For every handle, also for one that did not hear of the end: Redis decides."""
    other = open_state()
    state.update(a=1, plan=[])
    other["a"] = 1
    state.end(retention_days=1)

    for handle in (state, other, open_state()):
        for write in _write_everything(handle)[:-1]:
            with pytest.raises(StateEnded):
                write()
        with pytest.raises(StateEnded), handle.edit("plan") as plan:
            plan.append(1)
        assert handle.ended
        assert dict(handle) == {"a": 1, "plan": []}


def test_archiving_ends_the_run_and_keeps_the_content_until_it_is_stored(
    state: PraxisState, lives: Callable[[], list[int]]
) -> None:
    """A process that dies between the two steps has lost nothing, and the next one goes on."""
    state.update(a=1, plan=["A1"])
    archived = state.archive()

    assert archived == {"a": 1, "plan": ["A1"]}
    assert state.ended
    assert lives() == [-1, -1]
    assert state.archive() == archived
    state.end(retention_days=2)
    assert all(DAY_MS < left <= 2 * DAY_MS for left in lives())
    assert state.archive() == archived


def test_ending_archives_first_and_lets_expire_last(
    state: PraxisState, lives: Callable[[], list[int]]
) -> None:
    """When storing the archive fails, nothing expires."""
    state["a"] = 1
    with pytest.raises(ZeroDivisionError), state.ending(1):
        raise ZeroDivisionError

    assert state.ended
    assert lives() == [-1, -1]
    with state.ending(1) as archived:
        assert archived == {"a": 1}
    assert all(0 < left <= DAY_MS for left in lives())


def test_a_state_that_nobody_wrote_can_end(
    state: PraxisState, lives: Callable[[], list[int]]
) -> None:
    """An empty archive, and later writes are refused as well."""
    with state.ending(1) as archived:
        assert archived == {}

    assert lives()[0] == -2
    assert 0 < lives()[1] <= DAY_MS
    with pytest.raises(StateEnded):
        state["a"] = 1


def test_a_corrupt_field_stops_the_archive_but_not_the_end_of_writing(
    state: PraxisState, client: redis.Redis, lives: Callable[[], list[int]]
) -> None:
    """What cannot be archived stays where it is."""
    state["a"] = 1
    client.hset(redis_keys.run_state(state.run_id), "b", b"{")

    with pytest.raises(StateCorrupted):
        state.archive()
    assert state.ended
    assert lives() == [-1, -1]


def test_a_new_attempt_goes_on_with_the_content(
    state: PraxisState, lives: Callable[[], list[int]]
) -> None:
    """The state is writable again and no longer expires."""
    state["a"] = 1
    state.end(retention_days=1)
    state.begin()
    state["b"] = 2

    assert not state.ended
    assert dict(state) == {"a": 1, "b": 2}
    assert lives() == [-1, -1]


def test_a_writer_of_an_earlier_attempt_is_refused(
    state: PraxisState, open_state: Callable[[], PraxisState]
) -> None:
    """A process believed dead cannot disturb the attempt that took over, nor end it."""
    believed_dead = open_state()
    believed_dead.update(a=1, plan=[])
    state.begin()

    for write in [*_write_everything(believed_dead)[:-1], believed_dead.archive]:
        with pytest.raises(StateSuperseded):
            write()
    with pytest.raises(StateSuperseded):
        believed_dead.end(1)
    assert not state.ended
    assert dict(open_state()) == {"a": 1, "plan": []}


def test_a_state_that_redis_lost_is_an_error_and_never_empty(
    state: PraxisState, client: redis.Redis
) -> None:
    """For reading and for writing; only a new attempt begins from nothing."""
    state["a"] = 1
    client.flushdb()

    for use in (
        lambda: state["a"],
        lambda: state.get("a"),
        lambda: "a" in state,
        lambda: len(state),
        lambda: list(state),
        state.items,
        lambda: state.update(b=1),
        state.archive,
    ):
        with pytest.raises(StateLost):
            use()
    assert client.dbsize() == 0
    state.begin()
    assert dict(state) == {}


def test_a_state_emptied_by_its_writer_is_just_empty(state: PraxisState) -> None:
    """Redis forgets an empty hash; that is no loss."""
    state["a"] = 1
    del state["a"]

    assert len(state) == 0
    assert state.get("a") is None


def test_a_run_starts_with_a_copy_of_another_run(state: PraxisState, client: redis.Redis) -> None:
    """Ended or not; from then on the two are two, and a second time gives the same start."""
    earlier = PraxisState(uuid4(), client)
    earlier.update(plan=["A1"], count=3)
    earlier.end(retention_days=1)
    state["own"] = 1
    state.carry_from(earlier)
    state.increment("count")

    assert dict(state) == {"count": 4, "plan": ["A1"]}
    assert dict(earlier) == {"count": 3, "plan": ["A1"]}
    state.carry_from(earlier)
    assert dict(state) == {"count": 3, "plan": ["A1"]}


def test_open_reads_a_live_run(state: PraxisState, settings: PraxisSettings) -> None:
    """And may write to it."""
    state["a"] = 1
    opened = PraxisState.open(state.run_id, settings)
    opened["b"] = 2

    assert dict(state) == {"a": 1, "b": 2}


def test_open_of_an_unknown_run_says_so(run_id: UUID, settings: PraxisSettings) -> None:
    """It is no empty state."""
    with pytest.raises(RunNotFound, match=str(run_id)):
        PraxisState.open(run_id, settings)


def test_without_redis_the_error_names_its_setting(run_id: UUID) -> None:
    """And the address, without the password in it."""
    with redis.Redis.from_url("redis://user:secret@127.0.0.1:1/3", retry=None) as client:
        state = PraxisState(run_id, client)
        for use in (lambda: state.get("a"), lambda: state.update(a=1), lambda: next(state.watch())):
            with pytest.raises(ServiceUnreachable, match="PRAXIS_REDIS_URL") as unreachable:
                use()
            assert "127.0.0.1:1 (database 3)" in str(unreachable.value)
            assert "secret" not in str(unreachable.value)
