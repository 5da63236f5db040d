"""Holding assets for the time of a block."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import replace
from typing import Any, Protocol

import pytest
import redis
import redis.asyncio

from praxis_core import redis_keys
from praxis_core.errors import AssetsLocked, LeaseLost
from praxis_core.locks import AssetLockManager
from praxis_core.redis_connection import connect_async


class LossyRedis(Protocol):
    """Stands before a Redis; see the fixture ``lossy_redis``."""

    url: str

    def lose_answers(self, count: int) -> None:
        """Let the next scripts be carried out and their answers be lost."""


@pytest.fixture
def brief(aclient: redis.asyncio.Redis) -> AssetLockManager:
    """Locks whose leases are short, so that a test sees several renewals."""
    return AssetLockManager(aclient, lease_seconds=1)


def _held(client: redis.Redis, asset: str) -> bool:
    return bool(client.exists(redis_keys.asset_lock(asset)))


async def test_the_assets_are_held_inside_and_free_after(
    locks: AssetLockManager, client: redis.Redis
) -> None:
    """Also when the block raises."""
    async with locks.hold(["a"], "run-1") as lease:
        assert lease.assets == ("a",)
        with pytest.raises(AssetsLocked):
            await locks.acquire(["a"], "run-2")
    assert not _held(client, "a")
    with pytest.raises(ZeroDivisionError):
        async with locks.hold(["a"], "run-1"):
            raise ZeroDivisionError

    assert not _held(client, "a")


async def test_a_long_block_outlives_its_lease(brief: AssetLockManager) -> None:
    """The lease is renewed for as long as the block takes."""
    loop = asyncio.get_running_loop()
    end = loop.time() + 1.6
    async with brief.hold(["a"], "run-1") as lease:
        while loop.time() < end:
            with pytest.raises(AssetsLocked):
                await brief.acquire(["a"], "run-2", wait_seconds=0.05)
        await brief.renew(lease)


async def test_a_block_whose_lease_is_lost_is_stopped(
    brief: AssetLockManager, expire: Callable[..., None]
) -> None:
    """It is told at its next await, and the error is no cancellation."""
    reached = False
    with pytest.raises(LeaseLost, match="lease on a"):  # noqa: PT012 (the whole block is what raises)
        async with brief.hold(["a", "b"], "run-1"):
            expire("a")
            await asyncio.Event().wait()
            reached = True

    assert not reached
    task = asyncio.current_task()
    assert task is not None
    assert task.cancelling() == 0
    async with brief.hold(["a", "b"], "run-2"):
        pass


async def test_a_block_is_stopped_when_a_newer_attempt_takes_over(
    brief: AssetLockManager, told: Callable[[str], dict[str, Any]]
) -> None:
    """Within a third of the lease; what it gives back is not the newer one's."""
    async with brief.hold(["a"], "run-1", attempt=1):
        pass
    with pytest.raises(LeaseLost, match="lease on a"):  # noqa: PT012 (the whole block is what raises)
        async with brief.hold(["a"], "run-1", attempt=1):
            newer = await brief.acquire(["a"], "run-1", attempt=2)
            await asyncio.Event().wait()

    assert int(told("a")["token"]) == newer.token


async def test_a_loss_that_the_end_of_the_block_discovers_is_told(
    locks: AssetLockManager, expire: Callable[..., None]
) -> None:
    """A block that succeeded was not alone with its assets; one that failed has its own error."""
    with pytest.raises(LeaseLost):
        async with locks.hold(["a"], "run-1"):
            expire("a")
    with pytest.raises(ZeroDivisionError):  # noqa: PT012 (the whole block is what raises)
        async with locks.hold(["a"], "run-1"):
            expire("a")
            raise ZeroDivisionError


async def test_a_cancelled_block_gives_its_assets_back(
    locks: AssetLockManager, client: redis.Redis
) -> None:
    """Cancelling a run is a cancellation, not a lost lease."""
    inside = asyncio.Event()

    async def work() -> None:
        async with locks.hold(["a"], "run-1"):
            inside.set()
            await asyncio.Event().wait()

    task = asyncio.create_task(work())
    await inside.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task

    assert not _held(client, "a")


async def test_a_block_that_is_cancelled_and_loses_its_lease_is_cancelled(
    brief: AssetLockManager, expire: Callable[..., None]
) -> None:
    """The lost lease does not swallow the cancellation that came from outside."""
    inside = asyncio.Event()

    async def work() -> None:
        async with brief.hold(["a"], "run-1"):
            inside.set()
            try:
                await asyncio.Event().wait()
            finally:
                # The lease is lost while the block cleans up after its cancellation.
                expire("a")
                await asyncio.Event().wait()

    task = asyncio.create_task(work())
    await inside.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task


async def test_without_redis_a_block_ends_when_its_lease_does(
    lossy_redis: LossyRedis, caplog: pytest.LogCaptureFixture
) -> None:
    """A lease that cannot be renewed is taken for lost when its time is over, not before."""
    loop = asyncio.get_running_loop()
    async with connect_async(lossy_redis.url) as client:
        locks = AssetLockManager(client, lease_seconds=0.5)
        began = loop.time()
        with pytest.raises(LeaseLost):  # noqa: PT012 (the whole block is what raises)
            async with locks.hold(["a"], "run-1"):
                lossy_redis.lose_answers(1_000_000)
                await asyncio.Event().wait()
        lossy_redis.lose_answers(0)

    assert loop.time() - began >= 0.5
    assert "is not renewed" in caplog.text
    # Giving back is not waited for longer than the lease could last either.
    assert "is left to expire: no answer in time" in caplog.text


async def test_a_failed_renewal_does_not_outwait_the_lease(
    redis_url: str, client: redis.Redis
) -> None:
    """When Redis refuses the last renewal before the end, the block ends with the lease."""
    lease_seconds = 3.0
    loop = asyncio.get_running_loop()
    async with connect_async(redis_url) as aclient:
        locks = AssetLockManager(aclient, lease_seconds=lease_seconds)
        lease = await locks.acquire(["a"], "run-1")
        client.hset(redis_keys.asset_lock("b"), "no", "string, so that Redis refuses")
        client.expire(redis_keys.asset_lock("b"), 60)
        refused = replace(lease, assets=("b",))
        end = loop.time() + 0.2
        lost = await locks._keep(refused, end)  # noqa: SLF001 (its end cannot be set from outside)
        waited_past_the_end = loop.time() - end
        await locks.release(lease)

    assert isinstance(lost, LeaseLost)
    assert waited_past_the_end < lease_seconds / 3 - 0.2


async def test_a_block_ends_at_any_moment_of_a_renewal(aclient: redis.asyncio.Redis) -> None:
    """Although redis-py swallows that its caller is cancelled, at some of them."""
    locks = AssetLockManager(aclient, lease_seconds=0.09)
    loop = asyncio.get_running_loop()
    for turns in range(60):
        async with asyncio.timeout(5), locks.hold(["a"], "run-1"):
            end = loop.time() + 0.03  # then the first renewal begins
            await asyncio.sleep(end - loop.time())
            for _ in range(turns % 20):
                await asyncio.sleep(0)
