"""Connections to the Redis of Praxis: how long an outage is bridged, what is said when it lasts."""

from __future__ import annotations

import redis
import redis.asyncio
import redis.asyncio.retry
from redis.backoff import ExponentialBackoff
from redis.exceptions import RedisError
from redis.retry import Retry

from praxis_core.errors import ServiceUnreachable

SETTING = "PRAXIS_REDIS_URL"

_RETRIES = 14
"""With the waits below about 5.5 s: longer than an embedded Valkey takes to come back."""
_FIRST_WAIT = 0.02
_LONGEST_WAIT = 0.5


def connect(url: str) -> redis.Redis:
    """Make a client that bridges a restart of Redis; it connects at its first command.

    Args:
        url: ``redis://``, ``rediss://`` or ``unix://`` with the database, e.g.
            ``unix:///run/valkey.sock?db=1``.
    """
    return redis.Redis.from_url(
        url, retry=Retry(ExponentialBackoff(cap=_LONGEST_WAIT, base=_FIRST_WAIT), _RETRIES)
    )


def connect_async(url: str) -> redis.asyncio.Redis:
    """Make the same client for asyncio; it belongs to the loop that uses it first."""
    return redis.asyncio.Redis.from_url(
        url,
        retry=redis.asyncio.retry.Retry(
            ExponentialBackoff(cap=_LONGEST_WAIT, base=_FIRST_WAIT), _RETRIES
        ),
    )


def unreachable(client: redis.Redis | redis.asyncio.Redis, error: RedisError) -> ServiceUnreachable:
    """Say that Redis does not answer, where, and which setting names the place; no password."""
    known = client.connection_pool.connection_kwargs
    place = known.get("path") or f"{known.get('host')}:{known.get('port')}"
    return ServiceUnreachable(
        service="Redis",
        address=f"{place} (database {known.get('db', 0)})",
        setting=SETTING,
        what=str(error),
    )
