"""One who asks for assets, look by look."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import TYPE_CHECKING
from uuid import uuid4

from praxis_core.errors import DeviceClaimed, LeaseLost, ServiceError
from praxis_core.locks.lease import Lease, Wait, WaitState
from praxis_core.to_the_end import to_the_end

if TYPE_CHECKING:
    from praxis_core.locks.reservations import Reservations
    from praxis_core.locks.store import Asking, LockStore

_log = logging.getLogger(__name__)

_LOOKS = 3
"""At once, when what Redis said proved to be out of date."""

_CHECK_SECONDS = 1.0
"""Between two questions of one who waits to Postgres, whether Redis knows what is reserved."""


class Request:
    """A request for assets that keeps its place in the queue from one look to the next.

    Whoever stops looking without a lease calls ``undo``.

    Args:
        asking: What is asked for, and by whom.
        store: Redis.
        reservations: Postgres; None: Redis decides alone.
        take_over: Whether stopped, failed and cancelled runs give way.
    """

    def __init__(
        self,
        asking: Asking,
        store: LockStore,
        reservations: Reservations | None,
        *,
        take_over: bool,
    ) -> None:
        self.asking = asking
        self.waits: Sequence[Wait] = ()
        """Whom it waits for, as of the last look."""
        self._store = store
        self._reservations = reservations
        self._take_over = take_over
        self._before: frozenset[str] | None = None
        self._checked = float("-inf")

    async def look(self, *, waits: bool = True) -> Lease | None:
        """Take the assets if it is this request's turn and all are free.

        Args:
            waits: Whether it is to have a turn: it keeps it by looking again, at the latest after
                the time of a lease or 10 s; False: this was the last look.

        Raises:
            LeaseLost: a newer attempt came in between.
        """
        for _ in range(_LOOKS):
            answer = await self._store.acquire(self.asking, waits=waits)
            if isinstance(answer, Lease):
                lease = await self._claimed(answer)
                if lease is not None:
                    return lease
            else:
                self.waits = answer
                if not await self._out_of_date():
                    break
        return None

    async def undo(self) -> None:
        """Wait no more, and give back what was taken if it was: Redis repeats the lost answer.

        What was reserved for the holder stays so.
        """
        ended: frozenset[str] = frozenset()
        if self._reservations is not None and self._before is not None:
            ended = await self._reservations.undo(self.asking, self._before)
        answer = await self._store.acquire(self.asking, waits=False)
        if isinstance(answer, Lease):
            await self._store.release(answer, answer.assets)
        if ended:
            await self._store.free(self.asking.holder, tuple(sorted(ended)))

    async def _claimed(self, lease: Lease) -> Lease | None:
        """Let Postgres say that the assets are this request's; it gives the token."""
        reservations = self._reservations
        if reservations is None:
            return lease
        self._before = await reservations.of(self.asking)
        try:
            token = await to_the_end(reservations.claim(self.asking, take_over=self._take_over))
        except DeviceClaimed as error:
            await self._refused(lease, error, reservations)
            return None
        lease = Lease(lease.assets, lease.holder, token, lease.attempt, lease.request)
        lost = await self._store.insist(lease)
        if lost is not None:
            raise LeaseLost(asset=lost, token=token, holder=lease.holder)
        return lease

    async def _refused(
        self, lease: Lease, error: DeviceClaimed, reservations: Reservations
    ) -> None:
        """Redis did not know of a reservation: let it know, and wait like anybody."""
        workcell, holder = error.details["workcell"], error.details["holder"]
        asset = f"{workcell}/{error.details['device']}"
        now = datetime.now(UTC)
        self.waits = [Wait(lease.holder, asset, f"run {holder}", WaitState.RESERVED, now)]
        self._before = None
        await self._check(reservations)
        await self._store.release(lease, lease.assets)
        # The old one was given back, and would be taken for that for ever.
        self.asking.request = uuid4().hex

    async def _out_of_date(self) -> bool:
        """Whether Redis had not heard of a reservation that was made or has ended."""
        now = asyncio.get_running_loop().time()
        if self._reservations is None or now < self._checked + _CHECK_SECONDS:
            return False
        self._checked = now
        try:
            return await self._check(self._reservations)
        except ServiceError as error:
            # Redis has seen no reservation end: it can only be too careful.
            _log.warning("what is reserved of %s is not known: %s", self.asking.assets, error)
            return False

    async def _check(self, reservations: Reservations) -> bool:
        """Let Redis know which of the assets are kept, and for whom."""
        kept = await reservations.kept(self.asking, take_over=self._take_over)
        return await self._store.mirror(kept)
