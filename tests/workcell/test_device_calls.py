"""One device carries out one command at a time; a call that began is never broken off."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextlib import suppress
from typing import Any

import pytest

from praxis_core.errors import DeviceNotConnected


async def until(condition: Callable[[], bool]) -> None:
    """Give other tasks their turns until the condition holds."""
    async with asyncio.timeout(5):
        while not condition():  # noqa: ASYNC110  # devices have no event for every state
            await asyncio.sleep(0)


async def test_two_devices_work_at_the_same_time(
    shakers: Any, connect: Any, protocol_code: Any
) -> None:
    """Branches of a gather that use different devices do not wait for each other."""
    runtime, replica = await connect(shakers(left="GatedShaker", right="GatedShaker"))
    left, right = (runtime.model.devices[name].backend for name in ("left", "right"))
    left.gate.clear()
    right.gate.clear()

    with protocol_code():
        both = asyncio.gather(*(replica.asset(name).shake(300) for name in ("left", "right")))
        await until(lambda: left.began == right.began == [300])

    assert {status.doing for status in runtime.status().values()} == {"start_shaking"}
    left.gate.set()
    right.gate.set()
    await both


async def test_one_device_carries_out_commands_in_the_order_they_were_issued(
    shakers: Any, connect: Any, protocol_code: Any
) -> None:
    """The second command of one device begins only when the first has ended."""
    runtime, replica = await connect(shakers(left="GatedShaker"))
    left = runtime.model.devices["left"].backend
    left.gate.clear()

    with protocol_code():
        shaking = asyncio.gather(*(replica.asset("left").shake(speed) for speed in (1, 2, 3)))
        await until(lambda: left.began == [1])
        await asyncio.sleep(0)

    assert left.began == [1]
    left.gate.set()
    await shaking
    assert left.began == left.ended == [1, 2, 3]


async def test_a_cancelled_run_lets_the_call_under_way_end(
    shakers: Any, connect: Any, protocol_code: Any
) -> None:
    """Cancelling reaches the protocol only after the device has finished and is idle again."""
    runtime, replica = await connect(shakers(left="GatedShaker"))
    left = runtime.model.devices["left"].backend
    left.gate.clear()

    with protocol_code():
        running = asyncio.create_task(replica.asset("left").shake(300))
        await until(lambda: left.began == [300])
        running.cancel()
        running.cancel()
        await asyncio.sleep(0)
        assert not running.done()
        left.gate.set()
        with suppress(asyncio.CancelledError):
            await running

    assert running.cancelled()
    assert left.ended == [300]
    assert runtime.status()["left"].state == "idle"


async def test_a_command_that_waits_for_its_device_can_be_cancelled(
    shakers: Any, connect: Any, protocol_code: Any
) -> None:
    """What has not reached the device never does."""
    runtime, replica = await connect(shakers(left="GatedShaker"))
    left = runtime.model.devices["left"].backend
    left.gate.clear()

    with protocol_code():
        first, second = (
            asyncio.create_task(replica.asset("left").shake(speed)) for speed in (1, 2)
        )
        await until(lambda: left.began == [1])
        second.cancel()
        with pytest.raises(asyncio.CancelledError):
            await second
        left.gate.set()
        await first

    assert left.began == [1]


async def test_a_command_that_waits_is_not_carried_out_after_the_device_was_let_go_of(
    shakers: Any, connect: Any, protocol_code: Any
) -> None:
    """A run that ends lets the call under way end; what comes behind it is refused."""
    runtime, replica = await connect(shakers(left="GatedShaker"))
    left = runtime.model.devices["left"].backend
    left.gate.clear()

    with protocol_code():
        first = asyncio.create_task(replica.asset("left").shake(1))
        await until(lambda: left.began == [1])
        leaving = asyncio.create_task(runtime.disconnect())
        for _ in range(10):  # until it waits for the call under way
            await asyncio.sleep(0)
        second = asyncio.create_task(replica.asset("left").shake(2))
        await asyncio.sleep(0)
        left.gate.set()
        await asyncio.gather(first, leaving)
        with pytest.raises(DeviceNotConnected):
            await second

    assert left.ended == [1]
    await runtime.connect()
