"""A run's state in a Redis database of its own, and a guard that nothing is left in it for ever."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from uuid import UUID, uuid4

import pytest
import redis

from praxis_core import redis_keys
from praxis_core.redis_connection import connect
from praxis_core.state import PraxisState


@pytest.fixture
def client(redis_url: str) -> Iterator[redis.Redis]:
    """A client for the test's own Redis database."""
    with connect(redis_url) as client:
        yield client


@pytest.fixture(autouse=True)
def nothing_stays_for_ever(client: redis.Redis) -> Iterator[None]:
    """Every key expires, but those of runs that are not archived and the few permanent ones."""
    yield
    names = {name.decode() for name in client.scan_iter()}
    lasting = {name for name in names if client.ttl(name) == -1} - redis_keys.PERMANENT
    for name in list(lasting):
        parts = name.split(":")
        run_id = UUID(parts[2])
        meta = redis_keys.run_state_meta(run_id)
        own = {redis_keys.run_state(run_id), meta, redis_keys.run_state_record(run_id)}
        if name in own and not client.hexists(meta, "archived"):
            lasting.discard(name)

    assert not lasting


@pytest.fixture
def run_id() -> UUID:
    """The accession id of a run."""
    return uuid4()


@pytest.fixture
def open_state(client: redis.Redis, run_id: UUID) -> Callable[[], PraxisState]:
    """Opens the run's state once more, as another program would."""
    return lambda: PraxisState(run_id, client)


@pytest.fixture
def state(open_state: Callable[[], PraxisState]) -> PraxisState:
    """The state of a run."""
    return open_state()
