"""Locks in a Redis database of their own, and a guard that nothing is left in it for ever."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Callable, Iterator
from typing import Any

import pytest
import redis
import redis.asyncio

from praxis_core import redis_keys
from praxis_core.journal.database import Database
from praxis_core.journal.record import Journal
from praxis_core.locks import AssetLockManager
from praxis_core.redis_connection import connect, connect_async


@pytest.fixture
def client(redis_url: str) -> Iterator[redis.Redis]:
    """A client to look at the test's own Redis database."""
    with connect(redis_url) as client:
        yield client


@pytest.fixture(autouse=True)
def nothing_stays_for_ever(client: redis.Redis) -> Iterator[None]:
    """Every key expires, but the few permanent ones."""
    yield
    names = {name.decode() for name in client.scan_iter() if client.ttl(name) == -1}

    assert not names - redis_keys.PERMANENT


@pytest.fixture
async def aclient(redis_url: str) -> AsyncIterator[redis.asyncio.Redis]:
    """A client for the locks."""
    async with connect_async(redis_url) as client:
        yield client


@pytest.fixture
def locks(aclient: redis.asyncio.Redis) -> AssetLockManager:
    """A lock manager as one run has it."""
    return AssetLockManager(aclient)


@pytest.fixture
async def journal(database_url: str) -> AsyncIterator[Journal]:
    """A journal that knows nothing yet."""
    async with Database(database_url) as database:
        yield Journal(database)


@pytest.fixture
def told(client: redis.Redis) -> Callable[[str], dict[str, Any]]:
    """What Redis says of the lease on an asset."""

    def told(asset: str) -> dict[str, Any]:
        return dict(json.loads(client.get(redis_keys.asset_lock(asset)) or "{}"))

    return told


@pytest.fixture
def expire(client: redis.Redis) -> Callable[..., None]:
    """Lets the leases on assets expire now."""

    def expire(*assets: str) -> None:
        for asset in assets:
            assert client.pexpire(redis_keys.asset_lock(asset), 0)

    return expire
