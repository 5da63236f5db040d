"""Taking, renewing and giving back leases on assets."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import replace
from typing import Any, Protocol

import pytest
import redis
import redis.asyncio

from praxis_core import redis_keys
from praxis_core.errors import AssetsLocked, LeaseLost, LockError, ServiceUnreachable
from praxis_core.locks import AssetLockManager, Lease
from praxis_core.redis_connection import connect_async


class LossyRedis(Protocol):
    """Stands before a Redis; see the fixture ``lossy_redis``."""

    url: str
    lost: int

    def lose_answers(self, count: int) -> None:
        """Let the next scripts be carried out and their answers be lost."""


async def test_a_lease_is_on_all_its_assets(
    locks: AssetLockManager, client: redis.Redis, told: Callable[[str], dict[str, Any]]
) -> None:
    """Under one token, each expiring by itself."""
    lease = await locks.acquire(["star", "plate_01", "star"], "run-1")

    assert lease == Lease(("plate_01", "star"), "run-1", lease.token, 0, lease.request)
    for asset in ("star", "plate_01"):
        assert told(asset)["holder"] == "run-1"
        assert told(asset)["token"] == str(lease.token)
        assert 0 < client.pttl(redis_keys.asset_lock(asset)) <= 30_000


async def test_what_is_held_is_refused_and_named(locks: AssetLockManager) -> None:
    """With its holder, and until when."""
    await locks.acquire(["reader"], "run-1")

    with pytest.raises(AssetsLocked, match="reader is held by run-1 until 20"):
        await locks.acquire(["reader"], "run-2")


async def test_all_or_nothing(locks: AssetLockManager, client: redis.Redis) -> None:
    """A request of which one asset is held takes none of the others."""
    await locks.acquire(["b"], "run-1")
    with pytest.raises(AssetsLocked):
        await locks.acquire(["a", "b", "c"], "run-2")

    assert not client.exists(redis_keys.asset_lock("a"), redis_keys.asset_lock("c"))
    await locks.acquire(["a", "c"], "run-3")


async def test_the_same_holder_twice_is_two_leases(locks: AssetLockManager) -> None:
    """The token tells who holds, not the name."""
    await locks.acquire(["a"], "run-1")

    with pytest.raises(AssetsLocked):
        await locks.acquire(["a"], "run-1")


async def test_a_newer_attempt_takes_over_at_once(locks: AssetLockManager) -> None:
    """The older one's lease is lost, and it neither renews nor gives back nor takes again."""
    older = await locks.acquire(["a", "b"], "run-1", attempt=1)
    newer = await locks.acquire(["b", "c"], "run-1", attempt=2)

    assert newer.token > older.token
    for act in (locks.renew, locks.release):
        with pytest.raises(LeaseLost, match="lease on b "):
            await act(older)
    await locks.renew(newer)
    for attempt in (0, 1, 2):
        with pytest.raises(AssetsLocked):
            await locks.acquire(["b"], "run-1", attempt=attempt)


async def test_an_attempt_takes_over_from_its_own_run_only(
    locks: AssetLockManager, told: Callable[[str], dict[str, Any]]
) -> None:
    """All or nothing: where another run holds one asset, the earlier attempt keeps the others."""
    older = await locks.acquire(["a"], "run-1", attempt=1)
    await locks.acquire(["b"], "run-2", attempt=1)
    for wanted, holder in ((["a", "b"], "run-1"), (["a"], "run-2")):
        with pytest.raises(AssetsLocked):
            await locks.acquire(wanted, holder, attempt=5)

    await locks.renew(older)
    assert told("a")["attempt"] == 1


async def test_a_takeover_whose_answer_is_lost_is_one(lossy_redis: LossyRedis) -> None:
    """Asked again, it is the same lease."""
    async with connect_async(lossy_redis.url) as client:
        locks = AssetLockManager(client)
        await locks.acquire(["a"], "run-1", attempt=1)
        lossy_redis.lose_answers(1)
        lease = await locks.acquire(["a"], "run-1", attempt=2)
        assert lossy_redis.lost == 1
        await locks.release(lease)
        await locks.acquire(["a"], "run-2")


async def test_a_released_asset_is_free(locks: AssetLockManager) -> None:
    """For the next, under a greater token."""
    first = await locks.acquire(["a"], "run-1")
    await locks.release(first)
    second = await locks.acquire(["a"], "run-2")

    assert second.token > first.token


async def test_waiting_ends_when_the_asset_is_released(locks: AssetLockManager) -> None:
    """Whoever waits gets it."""
    first = await locks.acquire(["a"], "run-1")
    waiting = asyncio.create_task(locks.acquire(["a"], "run-2", wait_seconds=10))
    await asyncio.sleep(0)
    await locks.release(first)

    assert (await waiting).holder == "run-2"


async def test_waiting_ends_when_the_time_is_over(locks: AssetLockManager) -> None:
    """And the error says for how long it was waited."""
    await locks.acquire(["a"], "run-1")

    with pytest.raises(AssetsLocked, match=r"0\.[1-9] s were waited"):
        await locks.acquire(["a"], "run-2", wait_seconds=0.1)


async def test_an_expired_lease_can_do_nothing(
    locks: AssetLockManager, expire: Callable[..., None]
) -> None:
    """Neither renew nor release, and it does not touch the lease that came after it."""
    late = await locks.acquire(["a"], "run-1")
    expire("a")
    with pytest.raises(LeaseLost, match="a "):
        await locks.renew(late)
    await locks.acquire(["a"], "run-1")
    for act in (locks.renew, locks.release):
        with pytest.raises(LeaseLost, match=f"token {late.token}"):
            await act(late)

    with pytest.raises(AssetsLocked):
        await locks.acquire(["a"], "run-3")


@pytest.mark.parametrize(
    "forge",
    [
        lambda lease: replace(lease, holder="somebody"),
        lambda lease: replace(lease, token=lease.token - 1),
        lambda lease: replace(lease, request="another"),
        lambda lease: replace(lease, assets=("a", "b", "c")),
    ],
)
async def test_only_the_holder_with_its_token_renews(
    locks: AssetLockManager, forge: Callable[[Lease], Lease], client: redis.Redis
) -> None:
    """Not another holder, not an older token, not for an asset that it does not hold."""
    lease = await locks.acquire(["a", "b"], "run-1")
    client.pexpire(redis_keys.asset_lock("a"), 1000)

    with pytest.raises(LeaseLost):
        await locks.renew(forge(lease))
    assert client.pttl(redis_keys.asset_lock("a")) <= 1000
    await locks.renew(lease)
    assert client.pttl(redis_keys.asset_lock("a")) > 1000


async def test_releasing_a_half_lost_lease_frees_the_other_half(
    locks: AssetLockManager, expire: Callable[..., None]
) -> None:
    """And says which half was lost."""
    lease = await locks.acquire(["a", "b"], "run-1")
    expire("a")
    with pytest.raises(LeaseLost, match="lease on a "):
        await locks.release(lease)

    await locks.acquire(["a", "b"], "run-2")


async def test_tokens_never_go_back(locks: AssetLockManager, client: redis.Redis) -> None:
    """Not even when Redis comes up again without its data."""
    before = await locks.acquire(["a"], "run-1")
    client.flushdb()
    after = await locks.acquire(["a"], "run-2")

    assert after.token > before.token


async def test_lost_answers_change_nothing(
    lossy_redis: LossyRedis, locks: AssetLockManager
) -> None:
    """Each act is repeated and means the same: nobody locks himself out, nothing is lost by it."""
    async with connect_async(lossy_redis.url) as client:
        unlucky = AssetLockManager(client)
        lossy_redis.lose_answers(2)
        lease = await unlucky.acquire(["a", "b"], "run-1")
        lossy_redis.lose_answers(1)
        await unlucky.renew(lease)
        with pytest.raises(AssetsLocked):
            await locks.acquire(["b"], "run-2")
        lossy_redis.lose_answers(1)
        await unlucky.release(lease)

    assert lossy_redis.lost == 4
    await locks.acquire(["a", "b"], "run-2")


async def test_a_lock_called_counter_is_a_lock(locks: AssetLockManager) -> None:
    """No asset's name reaches the counter."""
    first = await locks.acquire(["counter", "asset:counter"], "run-1")
    second = await locks.acquire(["other"], "run-1")

    assert second.token > first.token


@pytest.mark.parametrize("assets", [[], "star"])
async def test_a_request_names_assets(locks: AssetLockManager, assets: list[str]) -> None:
    """Nothing, or the letters of a name, is a mistake."""
    with pytest.raises(LockError, match="at least one asset"):
        await locks.acquire(assets, "run-1")


async def test_many_at_once_are_one_after_the_other(aclient: redis.asyncio.Redis) -> None:
    """Of ten that want the same two assets, in any order, one at a time has them."""
    locks = AssetLockManager(aclient)
    inside = 0
    order: list[int] = []

    async def work(number: int) -> None:
        nonlocal inside
        wanted = ["a", "b"] if number % 2 else ["b", "a"]
        async with locks.hold(wanted, f"run-{number}", wait_seconds=30) as lease:
            inside += 1
            assert inside == 1
            order.append(lease.token)
            await asyncio.sleep(0)
            inside -= 1

    await asyncio.gather(*map(work, range(10)))

    assert len(order) == 10
    assert order == sorted(order)


async def test_without_redis_the_error_names_its_setting() -> None:
    """As for the state."""
    async with redis.asyncio.Redis(port=1, retry=None) as client:  # type: ignore[arg-type]
        with pytest.raises(ServiceUnreachable, match="PRAXIS_REDIS_URL"):
            await AssetLockManager(client).acquire(["a"], "run-1")
