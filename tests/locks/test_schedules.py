"""Random schedules: six runs that want some of eight assets, again and again, all complete."""

from __future__ import annotations

import asyncio
from random import Random

import pytest
import redis

from praxis_core import redis_keys
from praxis_core.locks import AssetLockManager
from praxis_core.redis_connection import connect_async

ASSETS = 8
RUNS = 6
AT_ONCE = 20
"""Schedules beside one another, each on assets of its own: most of the time is waiting."""
PATIENCE_SECONDS = 120.0


async def _schedule(locks: AssetLockManager, number: int) -> None:
    """Let every run hold what it wants one to three times; two never hold the same."""
    random = Random(number)  # noqa: S311 (the same schedules every time)
    held: set[str] = set()

    async def run(name: str, wanted: list[list[str]], priority: int) -> int:
        for assets in wanted:
            async with locks.hold(assets, name, PATIENCE_SECONDS, priority=priority):
                assert not held & set(assets)
                held.update(assets)
                for _ in range(random.randrange(5)):
                    await asyncio.sleep(0)
                held.difference_update(assets)
        return len(wanted)

    names = [f"{number}/asset_{one}" for one in range(ASSETS)]
    plans = [
        [random.sample(names, random.randint(1, ASSETS)) for _ in range(random.randint(1, 3))]
        for _ in range(RUNS)
    ]
    works = (
        run(f"{number}/run_{one}", plan, random.choice([0, 0, 1])) for one, plan in enumerate(plans)
    )
    done = await asyncio.gather(*works)
    assert done == [len(plan) for plan in plans]


@pytest.mark.parametrize("schedules", [40, pytest.param(1000, marks=pytest.mark.chaos)])
async def test_random_schedules_complete(
    redis_url: str, client: redis.Redis, schedules: int
) -> None:
    """No deadlock, nobody is forgotten, and nothing is left."""
    places = asyncio.Semaphore(AT_ONCE)

    async def one(number: int) -> None:
        async with places, connect_async(redis_url) as aclient:
            await _schedule(AssetLockManager(aclient), number)

    await asyncio.gather(*(one(number) for number in range(schedules)))

    assert not list(client.scan_iter(redis_keys.asset_lock("*")))
    assert not client.exists(redis_keys.lock_waiting())
