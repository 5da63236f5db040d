"""The asset locks as they are in Redis: one method per script."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any
from uuid import uuid4

import redis.asyncio
from redis.commands.core import AsyncScript
from redis.exceptions import ConnectionError as RedisConnectionError
from redis.exceptions import ResponseError
from redis.exceptions import TimeoutError as RedisTimeoutError

from praxis_core import redis_keys
from praxis_core.errors import ServiceError
from praxis_core.locks import scripts
from praxis_core.locks.lease import Lease, Wait, WaitState
from praxis_core.redis_connection import unreachable

_PREFIX = redis_keys.asset_lock("")
_RESERVED = redis_keys.lock_reserved()
_WAITING = redis_keys.lock_waiting()
_COUNTER = redis_keys.lock_counter()

_LONGEST_SILENCE = 10.0
"""Seconds for which a request that waits keeps its turn without asking again."""

_WALKED = 1000
"""Keys that Redis looks at in one go."""


@dataclass(slots=True)
class Asking:
    """One request for assets, as Redis has to know it."""

    assets: tuple[str, ...]
    holder: str
    attempt: int
    priority: int
    request: str
    ticket: str = ""
    """Its place among those who wait. Whoever asks shows it, so that a Redis that lost its data
    learns the order anew."""
    since: str = ""


def fresh(assets: tuple[str, ...], holder: str, *, attempt: int, priority: int) -> Asking:
    """Make a request that nobody has made before."""
    return Asking(assets, holder, attempt, priority, uuid4().hex)


class LockStore:
    """Every act on the locks in Redis.

    Every method raises ``ServiceUnreachable`` when Redis does not answer for several seconds.

    Args:
        client: Redis.
        lease_seconds: Life of a lease that is not renewed.
        mint: Whether Redis gives the tokens, and not Postgres.
    """

    def __init__(self, client: redis.asyncio.Redis, lease_seconds: float, *, mint: bool) -> None:
        self._client = client
        self._lease = round(lease_seconds * 1000)
        self._silence = round(min(lease_seconds, _LONGEST_SILENCE) * 1000)
        self._mint = "mint" if mint else ""
        self._acquire = client.register_script(scripts.ACQUIRE)
        self._waiting = client.register_script(scripts.WAITING)
        self._leave = client.register_script(scripts.LEAVE)
        self._renew = client.register_script(scripts.RENEW)
        self._release = client.register_script(scripts.RELEASE)
        self._assert = client.register_script(scripts.ASSERT)
        self._reserve = client.register_script(scripts.RESERVE)
        self._free = client.register_script(scripts.FREE)
        self._mirror = client.register_script(scripts.MIRROR)

    async def acquire(self, asking: Asking, *, waits: bool) -> Lease | list[Wait]:
        """Take all, or say what is in the way.

        Args:
            asking: The request; gets its place in the queue.
            waits: Whether it is to be remembered as waiting.

        Returns:
            The lease, with the token 0 where Postgres has yet to give it.
        """
        answer = await self._call(
            self._acquire,
            [_COUNTER, _WAITING, _RESERVED, *_locks(asking.assets)],
            _PREFIX,
            asking.request,
            asking.holder,
            asking.attempt,
            self._lease,
            asking.priority,
            asking.ticket,
            asking.since,
            self._silence if waits else 0,
            self._mint,
        )
        if answer[0]:
            return Lease(
                asking.assets, asking.holder, int(answer[1]), asking.attempt, asking.request
            )
        asking.ticket, asking.since = answer[1].decode(), answer[2].decode()
        return [_wait(asking.holder, row) for row in answer[3:]]

    async def leave(self, asking: Asking) -> None:
        """Wait no more."""
        await self._call(self._leave, [_WAITING], asking.request)

    async def leased(self) -> list[str]:
        """Name the assets that are leased, sorted; a walk over the keys, which stops nobody."""
        found = self._client.scan_iter(match=f"{_PREFIX}*", count=_WALKED)
        try:
            return sorted({key.decode().removeprefix(_PREFIX) async for key in found})
        except (RedisConnectionError, RedisTimeoutError) as error:
            raise unreachable(self._client, error) from error

    async def waiting(self) -> list[Wait]:
        """Tell who waits for whom, in the order in which they will be served."""
        rows = await self._call(self._waiting, [_WAITING, _RESERVED], _PREFIX)
        return [_wait(holder.decode(), row) for holder, *blocks in rows for row in blocks]

    async def renew(self, lease: Lease) -> str | None:
        """Begin a lease's time anew; give an asset that is lost."""
        lost = await self._call(self._renew, _locks(lease.assets), *_identity(lease), self._lease)
        return lease.assets[lost - 1] if lost else None

    async def release(self, lease: Lease, stay: Collection[str] = ()) -> str | None:
        """Give a lease back, and what was reserved before but for ``stay``; give a lost asset."""
        keys = [redis_keys.lock_released(lease.request), _RESERVED, *_locks(lease.assets)]
        lost = await self._call(
            self._release, keys, *_identity(lease), self._lease, _PREFIX, *sorted(stay)
        )
        return lease.assets[lost - 1] if lost else None

    async def insist(self, lease: Lease) -> str | None:
        """Make Redis say of a lease what Postgres says; give an asset that a newer attempt has."""
        index = await self._call(
            self._assert,
            [_RESERVED, *_locks(lease.assets)],
            lease.request,
            lease.holder,
            lease.attempt,
            lease.token,
            self._lease,
            _PREFIX,
        )
        return lease.assets[index - 1] if index > 0 else None

    async def reserve(self, lease: Lease, assets: tuple[str, ...]) -> str | None:
        """Let assets of a lease outlive it; give an asset that is lost."""
        lost = await self._call(
            self._reserve, [_RESERVED, *_locks(assets)], *_identity(lease), _PREFIX
        )
        return assets[lost - 1] if lost else None

    async def free(
        self, holder: str, assets: tuple[str, ...], *, look: bool = False
    ) -> Wait | None:
        """End a holder's reservations; give the lease that he still has on one of the assets.

        Args:
            holder: Whose reservations.
            assets: On what.
            look: Change nothing.
        """
        answer = await self._call(
            self._free, [_RESERVED, *_locks(assets)], holder, _PREFIX, "look" if look else ""
        )
        if not answer[0]:
            return None
        now = datetime.now(UTC)
        until = datetime.fromtimestamp(now.timestamp() + answer[1] / 1000, UTC)
        return Wait(holder, assets[answer[0] - 1], holder, WaitState.LEASED, now, until)

    async def mirror(self, claims: Mapping[str, tuple[str, datetime] | None]) -> bool:
        """Write down for each asset whose it is by Postgres and since when; None: nobody's.

        Returns:
            Whether Redis had another opinion.
        """
        args: list[str] = []
        for asset, claim in claims.items():
            holder, since = claim or ("", None)
            args += [asset, holder, str(round(since.timestamp() * 1e6)) if since else ""]
        return bool(await self._call(self._mirror, [_RESERVED], *args))

    async def _call(self, script: AsyncScript, keys: list[str], *args: str | int) -> Any:
        try:
            return await script(keys=keys, args=args)
        except ResponseError as error:
            raise ServiceError(service="Redis", what=str(error)) from error
        except (RedisConnectionError, RedisTimeoutError) as error:
            raise unreachable(self._client, error) from error


def _locks(assets: Iterable[str]) -> list[str]:
    return [_PREFIX + asset for asset in assets]


def _identity(lease: Lease) -> tuple[str, str, str]:
    return lease.request, lease.holder, str(lease.token)


def _wait(holder: str, row: list[bytes]) -> Wait:
    asset, held_by, state, since, until = (part.decode() for part in row)
    return Wait(
        holder, asset, held_by, WaitState(state), _time(since), _time(until) if until else None
    )


def _time(microseconds: str) -> datetime:
    return datetime.fromtimestamp(int(microseconds) / 1e6, UTC)
