"""Whose turn it is: the order of asking, priorities, who lets others pass, and what is told."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Sequence
from itertools import pairwise

import pytest
import redis

from praxis_core import redis_keys
from praxis_core.errors import AssetsLocked
from praxis_core.locks import AssetLockManager, Lease, Request, Wait, WaitState


async def _lined_up(locks: AssetLockManager, *wanted: tuple[str, list[str]]) -> list[Request]:
    """Let several ask in this order; all have to wait."""
    requests = [locks.ask(assets, holder) for holder, assets in wanted]
    for request in requests:
        assert await request.look() is None
    return requests


async def _lease(request: Request) -> Lease:
    lease = await request.look()
    assert lease is not None
    return lease


def _edges(waits: Sequence[Wait]) -> set[tuple[str, str, str]]:
    return {(wait.asset, wait.held_by, str(wait.state)) for wait in waits}


async def test_who_asked_first_is_served_first(locks: AssetLockManager) -> None:
    """Whoever looks first after a release; also one who does not wait respects the queue."""
    lease = await locks.acquire(["a"], "run-0")
    requests = await _lined_up(locks, ("run-1", ["a"]), ("run-2", ["a"]), ("run-3", ["a"]))
    await locks.release(lease)
    with pytest.raises(AssetsLocked, match="a is wanted by run-1, who asked at 20"):
        await locks.acquire(["a"], "run-4")
    for turn, after in pairwise(requests):
        assert await after.look() is None
        await locks.release(await _lease(turn))

    await _lease(requests[-1])


async def test_a_large_request_is_not_starved_by_small_ones(locks: AssetLockManager) -> None:
    """What it waits for is kept free for it, and nothing else is."""
    lease = await locks.acquire(["a"], "run-0")
    (large,) = await _lined_up(locks, ("large", ["a", "b", "c"]))
    with pytest.raises(AssetsLocked, match="b is wanted by large"):
        await locks.acquire(["b"], "small")
    await locks.acquire(["d"], "small")
    await locks.release(lease)

    await _lease(large)


async def test_the_greater_priority_goes_first(locks: AssetLockManager) -> None:
    """Among the same, the order of asking."""
    lease = await locks.acquire(["a"], "run-0")
    low, also_low = await _lined_up(locks, ("run-1", ["a"]), ("run-2", ["a"]))
    urgent = locks.ask(["a"], "urgent", priority=1)
    assert await urgent.look() is None
    await locks.release(lease)
    assert await low.look() is None
    await locks.release(await _lease(urgent))
    assert await also_low.look() is None

    await _lease(low)


async def test_who_waits_for_a_reservation_lets_others_pass(locks: AssetLockManager) -> None:
    """One run that failed does not stop those that can do without its plate."""
    failed = await locks.acquire(["plate", "star"], "failed")
    await locks.reserve(failed, ["plate"])
    await locks.release(failed)
    (waiting,) = await _lined_up(locks, ("run-1", ["plate", "star"]))
    passing = await locks.acquire(["star"], "run-2")

    assert _edges(await locks.why("run-1")) == {
        ("plate", "failed", "reserved"),
        ("star", "run-2", "leased"),
    }
    await locks.free("failed", ["plate"])
    with pytest.raises(AssetsLocked, match="star is held by run-2"):
        await locks.acquire(["star"], "run-3")
    await locks.release(passing)
    with pytest.raises(AssetsLocked, match="star is wanted by run-1"):
        await locks.acquire(["star"], "run-3")
    await _lease(waiting)


async def test_a_resumed_run_does_not_wait_for_those_who_wait_for_it(
    locks: AssetLockManager,
) -> None:
    """What is reserved for a run brings it before everybody, whatever their priority."""
    failed = await locks.acquire(["plate", "star"], "failed", attempt=1)
    await locks.reserve(failed, ["plate"])
    await locks.release(failed)
    busy = await locks.acquire(["star"], "busy")
    await _lined_up(locks, ("run-1", ["plate", "star"]), ("run-2", ["star"]))
    resumed = locks.ask(["plate", "star"], "failed", attempt=2)
    assert await resumed.look() is None
    assert _edges(resumed.waits) == {("star", "busy", "leased")}
    await locks.release(busy)
    lease = await _lease(resumed)
    await locks.release(lease)

    # Its end is the end of the reservation, too.
    assert _edges(await locks.why("run-1")) == set()


async def test_a_newer_attempt_takes_over_past_those_who_wait(locks: AssetLockManager) -> None:
    """Otherwise they would wait for the older one, and it for them."""
    await locks.acquire(["a", "b"], "run-1", attempt=1)
    await _lined_up(locks, ("run-2", ["b", "c"]), ("run-3", ["c"]))

    lease = await locks.acquire(["a", "b", "c"], "run-1", attempt=2)
    assert lease.assets == ("a", "b", "c")


async def test_who_waits_is_told_for_what(locks: AssetLockManager) -> None:
    """At once, and again when that changes; not at every look."""
    first = await locks.acquire(["a"], "run-0")
    (before,) = await _lined_up(locks, ("run-1", ["a", "b"]))
    told: asyncio.Queue[set[tuple[str, str, str]]] = asyncio.Queue()

    async def on_wait(waits: Sequence[Wait]) -> None:
        told.put_nowait(_edges(waits))

    waiting = asyncio.create_task(locks.acquire(["a"], "run-2", 60, on_wait=on_wait))
    assert await told.get() == {("a", "run-0", "leased"), ("a", "run-1", "asked before")}
    await locks.release(first)
    assert await told.get() == {("a", "run-1", "asked before")}
    second = await _lease(before)
    assert await told.get() == {("a", "run-1", "leased")}
    await locks.renew(second)
    await locks.release(second)

    assert (await waiting).holder == "run-2"
    assert told.empty()


async def test_waits_have_words(locks: AssetLockManager) -> None:
    """With the times that matter."""
    first = await locks.acquire(["a", "b"], "run-0")
    await locks.reserve(first, ["b"])
    await locks.release(first)
    await locks.acquire(["a"], "run-1")
    await _lined_up(locks, ("run-2", ["a", "b"]), ("run-3", ["a"]))

    [held, reserved] = await locks.why("run-2")
    assert str(held).startswith("a is held by run-1 until 20")
    assert str(reserved).startswith("b has been reserved for run-0 since 20")
    assert {wait.state for wait in await locks.why("run-3")} == {WaitState.LEASED}
    assert await locks.why("run-0") == []


async def test_one_who_is_killed_while_he_waits_is_forgotten(
    locks: AssetLockManager, client: redis.Redis
) -> None:
    """After the time for which a turn is kept; if he was only stopped, he has it again."""
    lease = await locks.acquire(["a"], "run-0")
    stopped, next_one = await _lined_up(locks, ("run-1", ["a"]), ("run-2", ["a"]))
    field = stopped.asking.request
    entry = json.loads(str(client.hget(redis_keys.lock_waiting(), field), "utf-8"))  # type: ignore[arg-type]  # bytes
    client.hset(redis_keys.lock_waiting(), field, json.dumps({**entry, "until": "0"}))
    assert _edges(await locks.why("run-2")) == {("a", "run-0", "leased")}
    assert await locks.why("run-1") == []

    assert await stopped.look() is None
    await locks.release(lease)
    assert await next_one.look() is None
    await _lease(stopped)


async def test_the_order_survives_a_redis_without_its_data(
    locks: AssetLockManager, client: redis.Redis
) -> None:
    """Whoever asks again shows when he asked first."""
    await locks.acquire(["a"], "run-0")
    first, second = await _lined_up(locks, ("run-1", ["a"]), ("run-2", ["a"]))
    client.flushdb()
    lease = await locks.acquire(["a"], "run-3")
    assert await second.look() is None
    assert await first.look() is None
    await locks.release(lease)

    assert await second.look() is None
    await _lease(first)


@pytest.mark.parametrize("how", ["cancelled", "on_wait fails"])
async def test_who_gives_up_waiting_stands_in_nobodys_way(
    locks: AssetLockManager, how: str, client: redis.Redis
) -> None:
    """At once, not when his turn would have been forgotten."""
    lease = await locks.acquire(["a"], "run-0")
    reached = asyncio.Event()

    async def on_wait(_: Sequence[Wait]) -> None:
        reached.set()
        if how == "on_wait fails":
            raise ZeroDivisionError

    waiting = asyncio.create_task(locks.acquire(["a", "b"], "run-1", 60, on_wait=on_wait))
    await reached.wait()
    if how == "cancelled":
        waiting.cancel()
    with pytest.raises((asyncio.CancelledError, ZeroDivisionError)):
        await waiting

    assert not client.exists(redis_keys.lock_waiting())
    await locks.acquire(["b"], "run-2")
    with pytest.raises(AssetsLocked):
        await locks.acquire(["a"], "run-2", 0.01)
    assert not client.exists(redis_keys.lock_waiting())
    await locks.release(lease)
    await locks.acquire(["a"], "run-2")
