"""What outlives a process: claims in Postgres, and their copy in Redis."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import Callable, Coroutine, Generator
from functools import partial
from typing import Any, Protocol, cast
from uuid import UUID, uuid4

import pytest
import redis
import redis.asyncio

from praxis_core import redis_keys
from praxis_core.errors import AssetsLocked, JournalError, LeaseLost, LockError
from praxis_core.journal.record import Journal
from praxis_core.journal.records import AttemptRequest
from praxis_core.locks import AssetLockManager, Lease, WaitState, holder_of
from praxis_core.protocol.lifecycle import RunStatus
from praxis_core.redis_connection import connect_async

PLATE, STAR = "star/plate_01", "star/star"


class LossyRedis(Protocol):
    """Stands before a Redis; see the fixture ``lossy_redis``."""

    url: str
    lost: int

    def lose_answers(self, count: int) -> None:
        """Let the next scripts be carried out and their answers be lost."""


class NewRun(Protocol):
    """See the fixture ``again``."""

    async def __call__(self, run_id: UUID | None = None) -> UUID:
        """Begin a run, or another attempt of one."""


@pytest.fixture
def locks(aclient: redis.asyncio.Redis, journal: Journal) -> AssetLockManager:
    """A lock manager whose truth is in Postgres."""
    return AssetLockManager(aclient, journal=journal)


@pytest.fixture
def again(journal: Journal) -> NewRun:
    """Begins a run, or another attempt of one."""

    async def again(run_id: UUID | None = None) -> UUID:
        workcell = await journal.store_workcell("star", {"mode": "simulated", "devices": {}})
        protocol = await journal.store_protocol(
            name="dilution",
            version="1.0.0",
            entrypoint="flows.dilution:dilution",
            source_hash="a" * 64,
            content_hash="b" * 64,
            definition={},
        )
        request = AttemptRequest(
            run_id=run_id or uuid4(),
            run_name="dilution on star",
            protocol_id=protocol.id,
            workcell_id=workcell.id,
            parameters={},
            assets={},
            simulated=True,
        )
        await journal.begin_attempt(request)
        return request.run_id

    return again


async def _claimed(journal: Journal) -> dict[str, tuple[UUID, int]]:
    return {one.asset: (one.run_id, one.token) for one in await journal.claims("star")}


async def test_a_lease_carries_the_token_of_its_claims(
    locks: AssetLockManager, journal: Journal, again: NewRun, told: Callable[[str], dict[str, Any]]
) -> None:
    """Redis has a copy; the release ends both."""
    run_id = await again()
    lease = await locks.acquire([PLATE, STAR], holder_of(run_id), attempt=1)

    assert await _claimed(journal) == {
        "plate_01": (run_id, lease.token),
        "star": (run_id, lease.token),
    }
    assert told(PLATE)["token"] == str(lease.token)
    await locks.release(lease)
    assert await _claimed(journal) == {}
    with pytest.raises(LeaseLost):
        await locks.release(lease)
    other = await again()
    assert (await locks.acquire([PLATE], holder_of(other), attempt=1)).token > lease.token


async def test_with_redis_wiped_nobody_else_gets_it(
    locks: AssetLockManager, journal: Journal, again: NewRun, client: redis.Redis
) -> None:
    """Redis learns from Postgres whose it is; who has it goes on, with the same token."""
    run_id, other = await again(), await again()
    lease = await locks.acquire([PLATE, STAR], holder_of(run_id), attempt=1)
    client.flushdb()
    with pytest.raises(AssetsLocked, match=f"reserved for run {run_id}"):
        await locks.acquire([PLATE], holder_of(other), attempt=1)
    await locks.renew(lease)
    with pytest.raises(AssetsLocked, match=f"held by run {run_id}"):
        await locks.acquire([PLATE], holder_of(other), attempt=1)
    client.flushdb()
    await locks.release(lease)

    assert await _claimed(journal) == {}
    await locks.acquire([PLATE, STAR], holder_of(other), attempt=1)


async def test_redis_does_not_outvote_postgres(
    locks: AssetLockManager,
    aclient: redis.asyncio.Redis,
    again: NewRun,
    client: redis.Redis,
    told: Callable[[str], dict[str, Any]],
) -> None:
    """Somebody who will be refused has a lease in Redis for a moment: who has the claim goes on."""
    run_id = await again()
    lease = await locks.acquire([PLATE, STAR], holder_of(run_id), attempt=1)
    client.flushdb()
    foreign = await AssetLockManager(aclient).acquire([STAR], "somebody")
    await locks.renew(lease)
    assert told(STAR)["holder"] == "somebody"
    assert told(PLATE) == {}
    await AssetLockManager(aclient).release(foreign)
    await locks.renew(lease)

    assert {told(asset)["token"] for asset in (PLATE, STAR)} == {str(lease.token)}


async def test_lost_answers_change_nothing(
    lossy_redis: LossyRedis, journal: Journal, again: NewRun
) -> None:
    """Whichever answer of Redis it is: one lease, one claim, and nothing is left."""
    run_id = await again()
    async with connect_async(lossy_redis.url) as aclient:
        locks = AssetLockManager(aclient, journal=journal)
        lossy_redis.lose_answers(2)
        lease = await locks.acquire([PLATE], holder_of(run_id), attempt=1)
        assert await _claimed(journal) == {"plate_01": (run_id, lease.token)}
        lossy_redis.lose_answers(1)
        await locks.reserve(lease, [PLATE])
        lossy_redis.lose_answers(1)
        await locks.release(lease)
        assert set(await _claimed(journal)) == {"plate_01"}
        lossy_redis.lose_answers(1)
        await locks.free(holder_of(run_id), [PLATE])

    assert lossy_redis.lost == 5
    assert await _claimed(journal) == {}


async def test_what_expired_stays_reserved(
    locks: AssetLockManager, again: NewRun, expire: Callable[..., None]
) -> None:
    """Its process may have been stopped, and go on; or its run is taken up by a later attempt."""
    run_id, other = await again(), await again()
    lease = await locks.acquire([PLATE, STAR], holder_of(run_id), attempt=1)
    expire(PLATE)
    with pytest.raises(AssetsLocked, match="reserved"):
        await locks.acquire([PLATE], holder_of(other), attempt=1)
    await locks.renew(lease)
    expire(PLATE, STAR)
    await again(run_id)
    resumed = await locks.acquire([PLATE, STAR], holder_of(run_id), attempt=2)

    assert resumed.token > lease.token
    for act in (locks.renew, locks.release):
        with pytest.raises(LeaseLost):
            await act(lease)
    await locks.release(resumed)
    await locks.acquire([PLATE], holder_of(other), attempt=1)


@pytest.mark.parametrize("wiped", [False, True])
async def test_who_ends_after_its_lease_is_over_leaves_nothing_reserved(
    locks: AssetLockManager,
    again: NewRun,
    client: redis.Redis,
    expire: Callable[..., None],
    *,
    wiped: bool,
) -> None:
    """But what it keeps: it was stopped for long, seemed dead, woke and ended as it should."""
    run_id, other = await again(), await again()
    lease = await locks.acquire([PLATE, STAR], holder_of(run_id), attempt=1)
    await locks.reserve(lease, [PLATE])
    if wiped:
        client.flushdb()
    else:
        expire(PLATE, STAR)
    waiting = locks.ask([PLATE, STAR], holder_of(other), attempt=1)
    assert await waiting.look() is None
    assert [wait.asset for wait in await locks.why(holder_of(other))] == [PLATE, STAR]
    await locks.release(lease)
    # Who waits does not look again: what Postgres knows is not asked for.
    [wait] = await locks.why(holder_of(other))

    assert (wait.asset, wait.held_by, wait.state) == (PLATE, holder_of(run_id), WaitState.RESERVED)


async def test_a_failed_run_keeps_what_it_reserved(
    locks: AssetLockManager, journal: Journal, again: NewRun, client: redis.Redis
) -> None:
    """Its device is free at once, its plate after somebody freed it, whatever happens to Redis."""
    run_id, other = await again(), await again()
    lease = await locks.acquire([PLATE, STAR], holder_of(run_id), attempt=1)
    await locks.reserve(lease, [PLATE])
    await journal.set_status(run_id, RunStatus.FAILED)
    with pytest.raises(AssetsLocked, match="held by"):
        await locks.free(holder_of(run_id), [PLATE])
    await locks.release(lease)
    client.flushdb()
    with pytest.raises(AssetsLocked, match="praxis run abandon"):
        await locks.acquire([PLATE, STAR], holder_of(other), attempt=1)
    await locks.release(await locks.acquire([STAR], holder_of(other), attempt=1))
    await locks.free(holder_of(run_id), [PLATE])

    await locks.acquire([PLATE, STAR], holder_of(other), attempt=1)


async def test_a_reservation_is_freed_by_whoever_writes_to_postgres(
    locks: AssetLockManager, journal: Journal, again: NewRun
) -> None:
    """Whoever waits asks Postgres, and does not believe Redis for ever."""
    run_id, other = await again(), await again()
    lease = await locks.acquire([PLATE], holder_of(run_id), attempt=1)
    await locks.reserve(lease, [PLATE])
    await locks.release(lease)
    waits: asyncio.Queue[Any] = asyncio.Queue()
    acquire = locks.acquire([PLATE], holder_of(other), 60, attempt=1, on_wait=waits.put)
    waiting = asyncio.create_task(acquire)
    [wait] = await waits.get()
    assert (wait.held_by, str(wait.state)) == (holder_of(run_id), "reserved")
    await journal.release_claims(run_id)

    assert (await waiting).holder == holder_of(other)


async def test_a_stopped_run_gives_way_where_that_is_allowed(
    locks: AssetLockManager, journal: Journal, again: NewRun, expire: Callable[..., None]
) -> None:
    """On a simulated workcell; the older one's lease is lost."""
    run_id, other = await again(), await again()
    lease = await locks.acquire([PLATE], holder_of(run_id), attempt=1)
    expire(PLATE)
    await journal.set_status(run_id, RunStatus.RUNNING)
    await journal.set_status(run_id, RunStatus.INTERRUPTED)
    with pytest.raises(AssetsLocked, match="reserved"):
        await locks.acquire([PLATE], holder_of(other), attempt=1)
    await locks.acquire([PLATE], holder_of(other), attempt=1, take_over=True)

    with pytest.raises(LeaseLost):
        await locks.renew(lease)


class _CancelledAt:
    """Does what is awaited, and cancels the task that does so at one of its waits."""

    def __init__(self, work: Coroutine[Any, Any, Lease], number: int) -> None:
        self._work = work
        self.left = number

    def __await__(self) -> Generator[Any, Any, Lease]:
        """Do it."""
        task = asyncio.current_task()
        assert task is not None
        steps = self._work.__await__()
        go_on: Callable[[], Any] = partial(next, steps)
        while True:
            try:
                waiting = go_on()
            except StopIteration as end:
                return cast("Lease", end.value)
            self.left -= 1
            if self.left == 0:
                task.cancel()
            try:
                yield waiting
            except asyncio.CancelledError as cancelled:
                go_on = partial(steps.throw, cancelled)
            else:
                go_on = partial(next, steps)


@pytest.mark.parametrize("reserved", [False, True])
async def test_who_is_cancelled_anywhere_leaves_nothing_behind(
    locks: AssetLockManager, journal: Journal, again: NewRun, client: redis.Redis, *, reserved: bool
) -> None:
    """But what was reserved for the run before."""
    run_id = await again()
    lease = await locks.acquire([PLATE, STAR], holder_of(run_id), attempt=1)
    if reserved:
        await locks.reserve(lease, [PLATE])
    await locks.release(lease)
    for number in itertools.count(1):
        work = locks.acquire([PLATE, STAR], holder_of(run_id), attempt=1)
        cancelling = _CancelledAt(work, number)
        task = asyncio.ensure_future(cancelling)
        await asyncio.wait([task])
        if cancelling.left > 0:
            break
        assert task.cancelled(), number
        assert set(await _claimed(journal)) == ({"plate_01"} if reserved else set()), number
        assert not list(client.scan_iter(redis_keys.asset_lock("*"))), number
        kept = {PLATE.encode()} if reserved else set()
        assert set(client.hkeys(redis_keys.lock_reserved())) == kept, number
    await locks.release(await task)

    assert number > 7


async def test_an_ended_attempt_gets_nothing(
    locks: AssetLockManager, again: NewRun, client: redis.Redis
) -> None:
    """And what it took in Redis is left to expire."""
    run_id = await again()
    await again(run_id)
    with pytest.raises(JournalError, match="has ended"):
        await locks.acquire([PLATE], holder_of(run_id), attempt=1)

    assert not client.exists(redis_keys.asset_lock(PLATE))


@pytest.mark.parametrize(
    ("assets", "holder", "what"),
    [
        (["plate"], holder_of(UUID(int=1)), "of one workcell"),
        (["star/plate", "vantage/plate"], holder_of(UUID(int=1)), "of one workcell"),
        (["star/plate"], "somebody", "is no run"),
    ],
)
async def test_only_runs_have_claims(
    locks: AssetLockManager, assets: list[str], holder: str, what: str, client: redis.Redis
) -> None:
    """On assets of one workcell; anything else is a mistake, and takes nothing."""
    with pytest.raises(LockError, match=what):
        await locks.acquire(assets, holder)

    assert not client.exists(*map(redis_keys.asset_lock, assets))


async def test_only_what_is_held_can_be_reserved(locks: AssetLockManager, again: NewRun) -> None:
    """Not something else, and not what was lost."""
    run_id = await again()
    lease = await locks.acquire([PLATE], holder_of(run_id), attempt=1)
    with pytest.raises(LockError, match="which has not"):
        await locks.reserve(lease, [STAR])
    await locks.release(lease)
    with pytest.raises(LeaseLost):
        await locks.reserve(lease, [PLATE])


async def test_what_a_living_process_has_is_taken_away(
    locks: AssetLockManager, again: NewRun, journal: Journal
) -> None:
    """Its block ends, nothing is left of it, and what others have is left alone."""
    given_up, other = await again(), await again()
    mine = await locks.acquire([PLATE], holder_of(given_up), attempt=1)
    theirs = await locks.acquire([STAR], holder_of(other), attempt=1)

    await locks.take_away(holder_of(given_up), [PLATE, STAR], attempt=1)

    with pytest.raises(LeaseLost):
        await locks.renew(mine)
    await locks.renew(theirs)
    assert {one.asset for one in await journal.claims("star")} == {"star"}
    assert await locks.acquire([PLATE], holder_of(other), attempt=1)
