"""What goes wrong on request goes wrong in just that way."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from pylabrobot.liquid_handling.errors import ChannelizedError

from praxis_core.errors import DeviceLinkLost, LabRefused
from praxis_core.protocol.lifecycle import Sent


async def _drawn(host: Any) -> None:
    """Take eight tips, and draw 20 µL from the first column."""
    await host.star.pick_up_tips(host.column("tips", 1))
    await host.star.aspirate(host.column("plate", 1), [20] * 8)


async def test_an_error_before_leaves_everything_as_it_was(host: Any) -> None:
    """The device answered, so something was sent; nothing happened all the same."""
    host.control.fail("star", method="aspirate", how="before")
    written = host.link.written("star")
    with pytest.raises(RuntimeError, match="fault on request: before"):
        await _drawn(host)
    assert host.link.written("star") == written + 2
    assert host.effects() == ["pick_up_tips"]
    assert host.volume("plate[A1]") == 200
    assert [r["kind"] for r in host.records() if r.get("fault")] == ["failed"]


async def test_an_error_afterwards_has_happened(host: Any) -> None:
    """As a connection that times out while the robot works."""
    host.control.fail("star", method="aspirate", how="after", error=TimeoutError("no answer"))
    with pytest.raises(TimeoutError, match="no answer"):
        await _drawn(host)
    assert host.effects() == ["pick_up_tips", "aspirate"]
    assert host.volume("plate[A1]") == 180


async def test_half_of_the_channels_fail(host: Any) -> None:
    """The error names those that did nothing."""
    host.control.fail("star", method="aspirate", how="half")
    with pytest.raises(ChannelizedError) as raised:
        await _drawn(host)
    assert sorted(raised.value.errors) == [4, 5, 6, 7]
    assert [host.volume(f"plate[{row}1]") for row in "ABCDEFGH"] == [180] * 4 + [200] * 4


@pytest.mark.parametrize(("how", "left"), [("before", 200), ("after", 180)])
async def test_chosen_channels_fail(host: Any, how: str, left: float) -> None:
    """With an error for each, whether they did something or not."""
    host.control.fail("star", method="aspirate", how=how, channels=[2, 5])
    with pytest.raises(ChannelizedError) as raised:
        await _drawn(host)
    assert sorted(raised.value.errors) == [2, 5]
    assert (host.volume("plate[C1]"), host.volume("plate[D1]")) == (left, 180)


async def test_the_third_call_fails_and_no_other(host: Any) -> None:
    """Calls of other methods do not count."""
    host.control.fail("star", method="aspirate", how="before", nth=3)
    await _drawn(host)
    await host.star.dispense(host.column("other", 1), [20] * 8)
    await host.star.aspirate(host.column("plate", 1), [20] * 8)
    with pytest.raises(RuntimeError):
        await host.star.aspirate(host.column("plate", 1), [20] * 8)
    await host.star.aspirate(host.column("plate", 1), [20] * 8)
    assert host.volume("plate[A1]") == 140


@pytest.mark.parametrize(("how", "happened"), [("hang", []), ("hang_after", ["start_shaking"])])
async def test_a_device_hangs_until_it_is_released(
    host: Any, how: str, happened: list[str]
) -> None:
    """Other devices go on meanwhile."""
    host.control.fail("shaker", how=how)
    shaking = asyncio.create_task(host.shaker.backend.start_shaking(300))
    await host.reader.open()
    assert not shaking.done()
    assert host.effects("shaker") == happened
    host.control.release("shaker")
    await shaking
    assert host.effects("shaker") == ["start_shaking"]


@pytest.mark.parametrize(
    ("how", "effects"),
    [("drop", ["pick_up_tips", "aspirate"]), ("drop_before", ["pick_up_tips"])],
)
async def test_the_connection_breaks(host: Any, how: str, effects: list[str]) -> None:
    """What was sent, nobody knows on this side; the same host may connect again."""
    host.control.fail("star", method="aspirate", how=how)
    with pytest.raises(DeviceLinkLost, match="after it was sent") as lost:
        await _drawn(host)
    assert lost.value.details["sent"] == Sent.UNKNOWN
    written = host.link.written("star")
    with pytest.raises(DeviceLinkLost, match="before the call was sent") as lost:
        await host.star.backend.request_tip_presence()
    assert lost.value.details["sent"] == Sent.NONE
    assert host.link.written("star") == written
    await host.link.reconnect("star")
    assert await host.star.backend.request_tip_presence() == [True] * 8
    assert host.effects() == effects


async def test_somebody_pulls_the_cable(host: Any) -> None:
    """Between two calls nothing is in doubt; of one under way nobody knows."""
    assert host.control.hang_up("star")
    assert not host.control.hang_up("star")
    await host.reader.open()
    with pytest.raises(DeviceLinkLost, match="before the call was sent"):
        await host.star.backend.request_tip_presence()

    host.control.fail("shaker", how="hang_after")
    shaking = asyncio.create_task(host.shaker.backend.start_shaking(300))
    await host.reader.open()
    assert host.effects("shaker") == ["start_shaking"]
    assert host.control.hang_up("shaker")
    with pytest.raises(DeviceLinkLost, match="after it was sent"):
        await shaking
    host.control.release("shaker")


async def test_a_reading_is_wrong(host: Any) -> None:
    """Other numbers, or those that were asked for; what happened happened."""
    host.control.fail("star", method="request_tip_presence", how="wrong_reading")
    assert await host.star.backend.request_tip_presence() == [True] * 8
    host.control.fail("shaker", method="get_current_temperature", how="wrong_reading", value=-4.0)
    assert await host.shaker.get_temperature() == -4.0
    assert await host.star.backend.request_tip_presence() == [False] * 8


async def test_what_the_driver_refuses_was_not_sent(host: Any) -> None:
    """The lab knows it, so its link may say so."""
    written = host.link.written("star")
    with pytest.raises(ValueError, match="channel_idx"):
        await host.star.backend.channel_request_y_minimum_spacing(99)
    assert host.link.written("star") == written


async def test_calls_take_the_time_they_are_given(host: Any) -> None:
    """The most exact wish counts."""
    host.control.set_time(30)
    host.control.set_time(0, device="shaker")
    host.control.set_time(0.1, device="shaker", method="lock_plate")
    begun = asyncio.get_running_loop().time()
    await host.shaker.backend.start_shaking(100)
    await host.shaker.backend.lock_plate()
    assert 0.1 <= asyncio.get_running_loop().time() - begun < 20


@pytest.mark.parametrize(
    ("asked", "said"),
    [
        ({"device": "stra", "how": "before"}, "no such device; it has star, reader, shaker"),
        ({"device": "star", "how": "slowly"}, "'slowly' is not a valid How"),
    ],
)
async def test_what_cannot_fail_so_is_refused(host: Any, asked: dict[str, Any], said: str) -> None:
    """And the lab goes on."""
    with pytest.raises(LabRefused, match=said):
        host.control.fail(**asked)
    with pytest.raises(LabRefused, match="it knows time, fail"):
        host.control.ask("explode")
    assert host.control.effects("star", after=host.began + 3) == []
