"""Other programs see in Redis what each device of a workcell is doing."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from typing import Any
from uuid import uuid4

import pytest
from redis import Redis as SyncRedis
from redis.asyncio import Redis

from praxis_core import redis_keys
from praxis_core.workcell.branches import Branch, inside_protocol
from praxis_core.workcell.definition import WorkcellDefinition
from praxis_core.workcell.live_status import (
    DeviceState,
    DeviceStatus,
    LiveStatus,
    read_live_status,
)
from praxis_core.workcell.replica import Replica
from praxis_core.workcell.runtime import WorkcellRuntime


@pytest.fixture
async def client(redis_url: str) -> AsyncIterator[Any]:
    """A connection of another program."""
    async with Redis.from_url(redis_url, decode_responses=True) as client:
        yield client


async def status(client: Any, device: str, **expected: object) -> dict[str, Any]:
    """Wait until the published status of a device is as expected, and give it."""
    workcell = redis_keys.workcell_status("shakers")
    async with asyncio.timeout(5), client.pubsub() as changes:
        await changes.subscribe(redis_keys.workcell_changes("shakers"))
        while True:
            found: dict[str, Any] = json.loads(await client.hget(workcell, device) or "{}")
            if found and all(found[key] == value for key, value in expected.items()):
                return found
            await changes.get_message(timeout=1)


async def test_a_device_is_seen_to_work_and_to_rest(
    two_shakers: WorkcellDefinition, client: Any, redis_url: str
) -> None:
    """Status, and what it is doing, follow each command; and expire."""
    live = LiveStatus(client, "shakers")
    runtime = WorkcellRuntime(two_shakers, live=live)
    replica = Replica(two_shakers, runtime.execute, run_id=uuid4())
    await runtime.connect()
    await replica.attach()
    await status(client, "left", state="idle")
    runtime.model.devices["left"].backend.gate.clear()

    with inside_protocol(Branch()):
        shaking = asyncio.create_task(replica.devices["left"].shake(300))
        busy = await status(client, "left", state="busy", doing="start_shaking")
        runtime.model.devices["left"].backend.gate.set()
        await shaking

    idle = await status(client, "left", state="idle", doing=None)
    assert busy["since"] <= idle["since"]
    with SyncRedis.from_url(redis_url) as reader:
        assert read_live_status(reader, "shakers")["left"] == runtime.status()["left"]
    assert 0 < await client.pttl(redis_keys.workcell_status("shakers")) <= 30_000
    await runtime.disconnect()
    assert (await status(client, "right"))["state"] == "disconnected"


async def test_a_redis_that_is_away_stops_no_command(two_shakers: WorkcellDefinition) -> None:
    """The audience may leave; the devices go on."""
    nobody = Redis.from_url("redis://127.0.0.1:1/0", socket_connect_timeout=0.2)
    runtime = WorkcellRuntime(two_shakers, live=LiveStatus(nobody, "shakers"))
    replica = Replica(two_shakers, runtime.execute, run_id=uuid4())
    await runtime.connect()
    await replica.attach()

    await replica.devices["left"].shake(300)

    assert runtime.status()["left"].state == "idle"
    await runtime.disconnect()
    await nobody.aclose()


async def test_the_last_status_is_published_whenever_it_comes(client: Any) -> None:
    """Also while the one before it is on its way: nobody reads of a device that is long gone."""
    live = LiveStatus(client, "shakers")
    now = datetime.now(UTC)
    for turns in range(30):
        live.start()
        live.show("left", lambda: DeviceStatus(DeviceState.IDLE, now))
        for _ in range(turns):
            await asyncio.sleep(0)
        live.show("left", lambda: DeviceStatus(DeviceState.DISCONNECTED, now))
        await live.stop()

        published = json.loads(await client.hget(redis_keys.workcell_status("shakers"), "left"))
        assert published["state"] == "disconnected", turns
