"""Who may touch what now: leases on assets, in Redis."""

from __future__ import annotations

import asyncio
import logging
import random
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Sequence
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any
from uuid import uuid4

import redis.asyncio

from praxis_core.errors import AssetsLocked, LeaseLost, LockError, ServiceError
from praxis_core.locks.lease import Lease, Wait, WaitState
from praxis_core.locks.request import Request
from praxis_core.locks.reservations import Reservations
from praxis_core.locks.store import LockStore, fresh
from praxis_core.to_the_end import to_the_end

if TYPE_CHECKING:
    from praxis_core.journal.record import Journal

_log = logging.getLogger(__name__)

_POLL_SECONDS = (0.05, 0.25)
"""Between two looks of one who waits: at random, so that several do not look in step."""

_RENEWALS_PER_LEASE = 3
"""A renewal that fails twice in a row still leaves the lease in force."""

OnWait = Callable[[Sequence[Wait]], Awaitable[None]]
"""Is told whom a request waits for: at first, and whenever that has changed."""

_MEND = {
    WaitState.LEASED: "Wait for that run, or cancel it.",
    WaitState.RESERVED: "Resume that run (praxis run resume), or abandon it (praxis run abandon).",
    WaitState.ASKED_BEFORE: "Wait longer, or ask with a higher priority.",
}


class AssetLockManager:
    """Leases on assets: all or none of a request, for a limited time, with a fencing token.

    A request is granted when nobody else has one of its assets and no request before it wants one
    of them. The order is: requests of a holder who has some of it already (a newer attempt, a
    resumed run), then the greater priority, then who asked first. A request that waits for a
    reservation lets others pass meanwhile, and keeps its place: one run that failed at night does
    not stop those that can do without its plates. Since nobody holds something while he waits for
    more, but what is reserved for him, there is no deadlock.

    A lease ends with its process. With a journal, what a lease is on is claimed in Postgres as
    well, and that outlives the process: it stays *reserved* until the lease is released, its run
    takes it up again (``acquire`` with a later attempt) or somebody frees it (``free``). Postgres
    decides; Redis has a copy, which is made good when it turns out to be wrong.

    Every method raises ``ServiceUnreachable`` when Redis or Postgres does not answer for several
    seconds.

    Args:
        client: Redis, e.g. from ``redis_connection.connect_async``.
        lease_seconds: Life of a lease that is not renewed.
        journal: Where claims are; then a holder is ``holder_of(run_id)``, and assets are
            ``workcell/name`` of one workcell. None: Redis alone decides, and gives the tokens.
    """

    def __init__(
        self,
        client: redis.asyncio.Redis,
        *,
        lease_seconds: float = 30,
        journal: Journal | None = None,
    ) -> None:
        self._seconds = lease_seconds
        self._store = LockStore(client, lease_seconds, mint=journal is None)
        self._reservations = Reservations(journal) if journal is not None else None
        self._reserved: dict[str, set[str]] = {}

    async def acquire(  # noqa: PLR0913  # what is wanted, by whom, and how it waits
        self,
        assets: Iterable[str],
        holder: str,
        wait_seconds: float = 0,
        *,
        attempt: int = 0,
        priority: int = 0,
        take_over: bool = False,
        on_wait: OnWait | None = None,
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
            priority: The greater is served first.
            take_over: Whether claims of runs that stopped, failed or were cancelled give way.
            on_wait: Is told whom this request waits for; what it raises ends the waiting.

        Raises:
            AssetsLocked: one of them is still held when the waiting is over; none was taken.
        """
        request = self.ask(assets, holder, attempt=attempt, priority=priority, take_over=take_over)
        lease, _ = await self._taken(request, wait_seconds, on_wait)
        return lease

    def ask(
        self,
        assets: Iterable[str],
        holder: str,
        *,
        attempt: int = 0,
        priority: int = 0,
        take_over: bool = False,
    ) -> Request:
        """Make a request that is looked after step by step; ``acquire`` does all the steps."""
        asking = fresh(_names(assets), holder, attempt=attempt, priority=priority)
        return Request(asking, self._store, self._reservations, take_over=take_over)

    async def renew(self, lease: Lease) -> None:
        """Begin the lease's time anew.

        With a journal, a lease that Redis lost or let expire is put back while it has its claims.

        Raises:
            LeaseLost: it expired, or somebody else holds one of the assets; nothing was renewed.
        """
        lost = await self._store.renew(lease)
        if lost is not None and not await self._put_back(lease):
            raise _lost(lease, lost)

    async def release(self, lease: Lease) -> None:
        """Give the assets back, but for what was reserved.

        Raises:
            LeaseLost: an asset was no longer held by this lease; the others were given back.
        """
        stay = self._reserved.get(lease.request, set())
        goes = set(lease.assets) - stay
        ended: frozenset[str] = frozenset()
        if self._reservations is not None:
            ended = await self._reservations.give_back(lease, goes)
        lost = await self._store.release(lease, stay)
        if self._reservations is not None:
            if lost is not None and ended:
                # The lease was over before its process ended: Redis took it for a reservation.
                await self._store.free(lease.holder, tuple(sorted(ended)))
            lost = min(goes - ended, default=None)
        self._reserved.pop(lease.request, None)
        if lost is not None:
            raise _lost(lease, lost)

    async def reserve(self, lease: Lease, assets: Iterable[str]) -> None:
        """Let some assets of a lease outlive its release.

        They stay the holder's until one of its later leases is released, or ``free``.

        Raises:
            LockError: the lease is not on one of them.
            LeaseLost: it is no longer; nothing was reserved.
        """
        names = _names(assets)
        if not set(names) <= set(lease.assets):
            raise LockError(assets=", ".join(names), what=f"reserved from {lease}, which has not")
        self._reserved.setdefault(lease.request, set()).update(names)
        lost = await self._store.reserve(lease, names)
        if lost is not None and await self._put_back(lease):
            lost = await self._store.reserve(lease, names)
        if lost is not None:
            self._reserved[lease.request].difference_update(names)
            raise _lost(lease, lost)

    async def free(self, holder: str, assets: Iterable[str]) -> None:
        """End a holder's reservations, as when its run is abandoned; what it has not is left alone.

        Raises:
            AssetsLocked: a process of the holder has a lease on one of them; nothing was changed.
        """
        names = _names(assets)
        leased = await self._store.free(holder, names, look=self._reservations is not None)
        if leased is None and self._reservations is not None:
            await self._reservations.free(holder, names)
            leased = await self._store.free(holder, names)
        if leased is not None:
            raise _locked([leased], 0)

    async def take_away(self, holder: str, assets: Iterable[str], *, attempt: int) -> None:
        """End whatever a holder has of some assets: reservations, and leases of living processes.

        The block that holds such a lease is cancelled when it is to be renewed. What others have is
        left alone.

        Args:
            holder: Whose they are.
            assets: On what.
            attempt: The last one of the holder.
        """
        names = _names(assets)
        if self._reservations is not None:
            await self._reservations.free(holder, names)
        for name in names:
            # As if a later attempt had taken it over, and given it back.
            later = Lease((name,), holder, 0, attempt + 1, uuid4().hex)
            if await self._store.insist(later) is None:
                await self._store.release(later)

    async def leased(self) -> list[str]:
        """Name the assets that some process has now."""
        return await self._store.leased()

    async def waiting(self) -> list[Wait]:
        """Tell who waits for whom, in the order in which they will be served."""
        return await self._store.waiting()

    async def why(self, holder: str) -> list[Wait]:
        """Tell whom a holder waits for, and for what; nobody: it does not wait."""
        return [wait for wait in await self.waiting() if wait.holder == holder]

    @asynccontextmanager
    async def hold(  # noqa: PLR0913  # as acquire
        self,
        assets: Iterable[str],
        holder: str,
        wait_seconds: float = 0,
        *,
        attempt: int = 0,
        priority: int = 0,
        take_over: bool = False,
        on_wait: OnWait | None = None,
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
        request = self.ask(assets, holder, attempt=attempt, priority=priority, take_over=take_over)
        lease, asked = await self._taken(request, wait_seconds, on_wait)
        keeping = asyncio.create_task(self._keep(lease, asked + self._seconds))
        keeping.add_done_callback(lambda task: None if task.cancelled() else body.cancel())
        succeeded = False
        try:
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
        self, request: Request, wait_seconds: float, on_wait: OnWait | None
    ) -> tuple[Lease, float]:
        """Acquire; give also the loop's time from which on the lease counts, at the earliest."""
        clock = asyncio.get_running_loop().time
        began = clock()
        task = _this_task()
        cancelled_before = task.cancelling()
        told: Sequence[Wait] = ()
        try:
            while True:
                asked = clock()
                left = began + wait_seconds - asked
                lease = await request.look(waits=left > 0)
                # redis-py swallows it when it is cancelled while it connects.
                _notice_cancellation(task, cancelled_before)
                if lease is not None:
                    return lease, asked
                if left <= 0:
                    break
                if on_wait is not None and told != request.waits:
                    await on_wait(request.waits)
                    told = request.waits
                await asyncio.sleep(min(left, random.uniform(*_POLL_SECONDS)))  # noqa: S311 (no secret)
        except ServiceError:
            # What was taken, if anything was, is left to expire.
            raise
        except BaseException:
            await to_the_end(self._undo(request))
            raise
        raise _locked(request.waits, clock() - began)

    async def _undo(self, request: Request) -> None:
        try:
            async with asyncio.timeout(self._seconds):
                await request.undo()
        except (ServiceError, TimeoutError) as error:
            names = request.asking.assets
            _log.warning("%s may be left to expire: %s", names, str(error) or "no answer in time")

    async def _put_back(self, lease: Lease) -> bool:
        """Put a lease back that Redis lost, if Postgres says that it is one."""
        if self._reservations is None or not await self._reservations.has(lease):
            return False
        return await self._store.insist(lease) is None

    async def _keep(self, lease: Lease, until: float) -> LeaseLost:
        """Renew the lease until it is lost, and say so. ``until``: its end by the loop's clock."""
        clock, task = asyncio.get_running_loop().time, _this_task()
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
            # redis-py swallows it when it is cancelled while it connects or sends.
            _notice_cancellation(task, 0)
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


def _names(assets: Iterable[str]) -> tuple[str, ...]:
    names = () if isinstance(assets, str) else tuple(sorted(set(assets)))
    if not names:
        raise LockError(assets=repr(assets), what="name at least one asset, in a list")
    return names


def _locked(waits: Sequence[Wait], waited: float) -> AssetsLocked:
    wait = waits[0]
    return AssetsLocked(
        what=str(wait),
        waited=f"{waited:.1f}",
        mend=_MEND[wait.state],
        asset=wait.asset,
        holder=wait.held_by,
    )


def _lost(lease: Lease, asset: str) -> LeaseLost:
    return LeaseLost(asset=asset, token=lease.token, holder=lease.holder)


def _notice_cancellation(task: asyncio.Task[Any], before: int) -> None:
    if task.cancelling() > before:
        raise asyncio.CancelledError


def _this_task() -> asyncio.Task[Any]:
    task = asyncio.current_task()
    if task is None:
        raise LockError(assets="", what="acquire and hold work inside an asyncio task only")
    return task
