"""Who may touch what now: leases on assets, in Redis."""

from __future__ import annotations

import asyncio
import logging
import random
from collections.abc import AsyncIterator, Callable, Iterable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from typing import Any
from uuid import uuid4

import redis.asyncio
from redis.commands.core import AsyncScript
from redis.exceptions import ConnectionError as RedisConnectionError
from redis.exceptions import ResponseError
from redis.exceptions import TimeoutError as RedisTimeoutError

from praxis_core import redis_keys
from praxis_core.errors import AssetsLocked, LeaseLost, LockError, ServiceError
from praxis_core.locks import scripts
from praxis_core.redis_connection import unreachable
from praxis_core.to_the_end import to_the_end

_log = logging.getLogger(__name__)

_POLL_SECONDS = (0.05, 0.25)
"""Between two looks at a held asset: at random, so that several that wait do not look in step."""

_RENEWALS_PER_LEASE = 3
"""A renewal that fails twice in a row still leaves the lease in force."""


@dataclass(frozen=True, slots=True)
class Lease:
    """Assets that are held by one holder until the lease expires or is released."""

    assets: tuple[str, ...]
    """Sorted, each once."""
    holder: str
    token: int
    """Greater than that of every lease before it, on any asset: whoever acts for a lease shows it,
    and whoever has seen a greater one refuses."""


class AssetLockManager:
    """Leases on assets: all or none of a request, for a limited time, with a fencing token.

    Nobody is promised a turn: of several that wait, whoever looks first after a release gets it.
    Every method raises ``ServiceUnreachable`` when Redis does not answer for several seconds.

    Args:
        client: Redis, e.g. from ``redis_connection.connect_async``.
        lease_seconds: Life of a lease that is not renewed.
    """

    def __init__(self, client: redis.asyncio.Redis, *, lease_seconds: float = 30) -> None:
        self._client = client
        self._seconds = lease_seconds
        self._milliseconds = round(lease_seconds * 1000)
        self._acquire = client.register_script(scripts.ACQUIRE)
        self._renew = client.register_script(scripts.RENEW)
        self._release = client.register_script(scripts.RELEASE)

    async def acquire(
        self, assets: Iterable[str], holder: str, wait_seconds: float = 0, *, attempt: int = 0
    ) -> Lease:
        """Take all the assets, or none.

        Args:
            assets: Their names, unique over all workcells, e.g. ``"star_1/plate_01"``.
            holder: Who wants them, e.g. ``"run 4f7c…"``. The token is what counts: the same holder
                asking twice waits for itself.
            wait_seconds: How long to wait for assets that are held; 0: not at all.
            attempt: Which attempt of the holder asks. What an earlier attempt of the same holder
                holds is taken over at once: the earlier one's lease is lost, whether it is still
                renewed or not. A later or the same attempt is waited for like anybody.

        Raises:
            AssetsLocked: one of them is still held when the waiting is over; none was taken.
        """
        lease, _ = await self._taken(assets, holder, wait_seconds, attempt)
        return lease

    async def renew(self, lease: Lease) -> None:
        """Begin the lease's time anew.

        Raises:
            LeaseLost: it expired, or somebody else holds one of the assets; nothing was renewed.
        """
        keys = [redis_keys.asset_lock(name) for name in lease.assets]
        lost = await self._call(self._renew, keys, lease.holder, lease.token, self._milliseconds)
        if lost:
            raise _lost(lease, lease.assets[lost - 1])

    async def release(self, lease: Lease) -> None:
        """Give the assets back.

        Raises:
            LeaseLost: an asset was no longer held by this lease; the others were given back.
        """
        mark = redis_keys.lock_released(lease.token)
        keys = [mark, *map(redis_keys.asset_lock, lease.assets)]
        lost = await self._call(self._release, keys, lease.holder, lease.token, self._milliseconds)
        if lost:
            raise _lost(lease, lease.assets[lost - 1])

    @asynccontextmanager
    async def hold(
        self, assets: Iterable[str], holder: str, wait_seconds: float = 0, *, attempt: int = 0
    ) -> AsyncIterator[Lease]:
        """Hold assets for the time of a block; the lease is renewed meanwhile.

        The arguments are those of ``acquire``.

        When the lease is lost, or could not be renewed for as long as it lasts, the block is
        cancelled at its next ``await`` and ``LeaseLost`` raised in its place.

        Raises:
            AssetsLocked: as ``acquire``.
            LeaseLost: the assets were not held to the end of the block.
        """
        body = _this_task()
        cancelled_before = body.cancelling()
        lease, asked = await self._taken(assets, holder, wait_seconds, attempt)
        keeping = asyncio.create_task(self._keep(lease, asked + self._seconds))
        keeping.add_done_callback(lambda task: None if task.cancelled() else body.cancel())
        succeeded = False
        try:
            # redis-py swallows it when it is cancelled while it connects.
            _notice_cancellation(body, cancelled_before)
            yield lease
            succeeded = True
        except asyncio.CancelledError:
            lost = keeping.done() and not keeping.cancelled()
            if lost and body.uncancel() <= cancelled_before:
                raise keeping.result() from None
            raise
        finally:
            keeping.cancel()
            await to_the_end(self._give_back(lease, keeping, tell=succeeded))

    async def _taken(
        self, assets: Iterable[str], holder: str, wait_seconds: float, attempt: int
    ) -> tuple[Lease, float]:
        """Acquire; give also the loop's time from which on the lease counts, at the earliest."""
        names = _names(assets)
        keys = [redis_keys.lock_token(), *map(redis_keys.asset_lock, names)]
        request = uuid4().hex
        clock = asyncio.get_running_loop().time
        began = clock()
        while True:
            asked = clock()
            args = (holder, self._milliseconds, request, attempt)
            ask = partial(self._call, self._acquire, keys, *args)
            try:
                token, *held = await ask()
            except asyncio.CancelledError:
                await to_the_end(self._undo(names, holder, ask))
                raise
            if token:
                return Lease(names, holder, token), asked
            left = began + wait_seconds - clock()
            if left <= 0:
                raise _locked(names, held, clock() - began)
            await asyncio.sleep(min(left, random.uniform(*_POLL_SECONDS)))  # noqa: S311 (no secret)

    async def _undo(self, names: tuple[str, ...], holder: str, ask: Callable[[], Any]) -> None:
        """Give back what was taken if it was: asked again, Redis gives the answer that was lost."""
        try:
            async with asyncio.timeout(self._seconds):
                token, *_ = await ask()
                if token:
                    await self.release(Lease(names, holder, token))
        except (ServiceError, LeaseLost, TimeoutError) as error:
            _log.warning("%s may be left to expire: %s", names, str(error) or "no answer in time")

    async def _keep(self, lease: Lease, until: float) -> LeaseLost:
        """Renew the lease until it is lost, and say so. ``until``: its end by the loop's clock."""
        clock = asyncio.get_running_loop().time
        # No wait goes past the end of the lease: the block must not work on after it.
        while (left := until - clock()) > 0:
            await asyncio.sleep(min(left, self._seconds / _RENEWALS_PER_LEASE))
            asked = clock()
            try:
                async with asyncio.timeout_at(until):
                    await self.renew(lease)
                until = asked + self._seconds
            except LeaseLost as lost:
                return lost
            except (ServiceError, TimeoutError) as error:
                _log.warning("%s is not renewed: %s", lease, str(error) or "no answer in time")
        return _lost(lease, lease.assets[0])

    async def _give_back(
        self, lease: Lease, keeping: asyncio.Task[LeaseLost], *, tell: bool
    ) -> None:
        """Release at the end of a block; ``tell``: whether a loss is news to it."""
        await asyncio.wait([keeping])
        try:
            # After that time there is nothing left to give back.
            async with asyncio.timeout(self._seconds):
                await self.release(lease)
        except LeaseLost:
            if tell:
                raise
        except (ServiceError, TimeoutError) as error:
            # The work is done, and the lease ends by itself: no reason to fail it.
            _log.warning("%s is left to expire: %s", lease, str(error) or "no answer in time")

    async def _call(self, script: AsyncScript, keys: list[str], *args: str | int) -> Any:
        try:
            return await script(keys=keys, args=args)
        except ResponseError as error:
            raise ServiceError(service="Redis", what=str(error)) from error
        except (RedisConnectionError, RedisTimeoutError) as error:
            raise unreachable(self._client, error) from error


def _names(assets: Iterable[str]) -> tuple[str, ...]:
    names = () if isinstance(assets, str) else tuple(sorted(set(assets)))
    if not names:
        raise LockError(assets=repr(assets), what="name at least one asset, in a list")
    return names


def _locked(names: tuple[str, ...], held: list[Any], waited: float) -> AssetsLocked:
    index, holder, left, now = held
    return AssetsLocked(
        asset=names[index - 1],
        holder=holder.decode(),
        until=datetime.fromtimestamp((now + left) / 1000, UTC).isoformat(timespec="seconds"),
        waited=f"{waited:.1f}",
    )


def _lost(lease: Lease, asset: str) -> LeaseLost:
    return LeaseLost(asset=asset, token=lease.token, holder=lease.holder)


def _notice_cancellation(task: asyncio.Task[Any], before: int) -> None:
    if task.cancelling() > before:
        raise asyncio.CancelledError


def _this_task() -> asyncio.Task[Any]:
    task = asyncio.current_task()
    if task is None:
        raise LockError(assets="", what="hold works inside an asyncio task only")
    return task
