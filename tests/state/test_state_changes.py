"""What other programs hear of a run's state."""

from __future__ import annotations

import json
from collections.abc import Callable

import redis

from praxis_core import redis_keys
from praxis_core.state import ChangeKind, PraxisState, StateChange


def test_every_write_is_announced(
    state: PraxisState, open_state: Callable[[], PraxisState]
) -> None:
    """Which keys, and what became of them; refused and needless writes are not."""
    heard = open_state().watch()

    assert next(heard) == StateChange(ChangeKind.ALL)
    state["a"] = [1]
    state.update(b=2, c=3)
    state.increment("b")
    state.setdefault("d", 'µ/"\\')
    state.setdefault("d", 1)
    with state.edit("a") as value:
        value.append(2)
    with state.edit("a"):
        pass
    del state["c"]
    state.pop("missing", None)
    state.clear()
    state.carry_from(state)
    state.begin()
    state.archive()
    state.end(1)

    assert list(heard) == [
        StateChange(ChangeKind.SET, ("a",)),
        StateChange(ChangeKind.SET, ("b", "c")),
        StateChange(ChangeKind.SET, ("b",)),
        StateChange(ChangeKind.SET, ("d",)),
        StateChange(ChangeKind.SET, ("a",)),
        StateChange(ChangeKind.DELETE, ("c",)),
        StateChange(ChangeKind.CLEAR),
        StateChange(ChangeKind.ALL),
        StateChange(ChangeKind.ALL),
        StateChange(ChangeKind.END),
    ]


def test_watching_a_run_that_has_ended_ends_at_once(state: PraxisState) -> None:
    """There is nothing to wait for."""
    state.end(1)

    assert list(state.watch()) == [StateChange(ChangeKind.END)]


def test_watching_gives_up_when_nothing_happens(state: PraxisState) -> None:
    """If the watcher says for how long it has patience."""
    assert list(state.watch(idle_seconds=0.05)) == [StateChange(ChangeKind.ALL)]


def test_a_watcher_whose_connection_dropped_is_told_to_read_everything(
    state: PraxisState, open_state: Callable[[], PraxisState], client: redis.Redis
) -> None:
    """What was announced meanwhile is gone, so it is not passed over in silence."""
    heard = open_state().watch(idle_seconds=5)
    next(heard)
    client.client_kill_filter(_type="pubsub")
    state["a"] = 1

    assert next(heard) == StateChange(ChangeKind.ALL)
    state["b"] = 1
    assert next(heard) == StateChange(ChangeKind.SET, ("b",))


def test_another_program_needs_nothing_but_redis(state: PraxisState, client: redis.Redis) -> None:
    """The documented layout: one hash, a field per key, JSON; a channel with JSON messages."""
    listener = client.pubsub(ignore_subscribe_messages=True)  # type: ignore[no-untyped-call]
    listener.subscribe(redis_keys.run_state_changes(state.run_id))
    listener.get_message(timeout=5)
    state.sample = {"id": "S-1", "volume": 12.5}
    message = listener.get_message(timeout=5)
    listener.close()

    assert client.hget(f"praxis:run:{state.run_id}:state", "sample") == (
        b'{"id":"S-1","volume":12.5}'
    )
    assert json.loads(message["data"]) == {"op": "set", "keys": ["sample"]}
