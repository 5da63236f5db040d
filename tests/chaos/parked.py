"""Protocols that wait for hours, and may do so without a process."""

from __future__ import annotations

import asyncio

from pylabrobot.heating_shaking import HeaterShaker
from pylabrobot.liquid_handling import LiquidHandler
from pylabrobot.plate_reading import PlateReader
from pylabrobot.resources import TipRack

from praxis_core.protocol import operator, protocol, run, step
from praxis_core.state import PraxisState
from tests.chaos.stories import Story

HOURS = 8 * 3600


@protocol(name="chaos-incubating", version="1.0.0")
async def incubating(
    shaker: HeaterShaker, lh: LiquidHandler, tips: TipRack, state: PraxisState
) -> None:
    """Keep a plate warm for a night, with a tip on a channel, and clean up whatever happens.

    Args:
        shaker: Warms and shakes.
        lh: Has a tip meanwhile.
        tips: Where it is from.
        state: What is shared.
    """
    await lh.pick_up_tips(tips["A1"])
    try:
        await shaker.set_temperature(37.0)
        await shaker.lock_plate()
        await shaker.shake(speed=300)
        await _night(state)
    finally:
        state["cleaned"] = True
        await run.record("cleaned", 1.0, unit="count")
        await shaker.stop_shaking()
        await shaker.unlock_plate()
        await shaker.deactivate()
        await lh.discard_tips()


@step("Wait for the night to be over")
async def _night(state: PraxisState) -> None:
    try:
        await run.sleep(HOURS, park=True)
    except Exception:  # noqa: BLE001  # whoever catches all errors does not stop it
        state["caught"] = True
    finally:
        state["nights"] = state.get("nights", 0) + 1


@protocol(name="chaos-warming", version="1.0.0")
async def warming(shaker: HeaterShaker) -> None:
    """Keep warm for a night.

    Args:
        shaker: Warms.
    """
    await shaker.set_temperature(38.0)
    await run.sleep(HOURS, park=True)
    await shaker.deactivate()


@protocol(name="chaos-asking", version="1.0.0")
async def asking(shaker: HeaterShaker) -> str:
    """Keep warm and shake until somebody answers.

    Args:
        shaker: Warms and shakes.
    """
    await shaker.set_temperature(37.0)
    await shaker.lock_plate()
    await shaker.shake(speed=300)
    try:
        return await operator.choose("Which buffer?", ["PBS", "TBS"], park=True)
    finally:
        await shaker.stop_shaking()
        await shaker.unlock_plate()
        await shaker.deactivate()


@protocol(name="chaos-reading", version="1.0.0")
async def reading(reader: PlateReader) -> None:
    """Keep a reader open for a night.

    Args:
        reader: Opens and closes.
    """
    await reader.open()
    await run.sleep(HOURS, park=True)
    await reader.close()


@protocol(name="chaos-side-by-side", version="1.0.0")
async def side_by_side(shaker: HeaterShaker, reader: PlateReader) -> None:
    """Wait for a night in one branch, and do something in the other.

    Args:
        shaker: Warms.
        reader: Opens and closes.
    """

    async def warm() -> None:
        await shaker.set_temperature(37.0)
        await run.sleep(HOURS, park=True)
        await shaker.deactivate()

    async def read() -> None:
        for _ in range(5):
            await reader.open()
            await asyncio.sleep(0.2)
            await reader.close()

    async with asyncio.TaskGroup() as group:
        group.create_task(warm())
        group.create_task(read())


_TIPS = frozenset(["carrier_tips", "tips_300_01"])


def story(name: str) -> Story:
    """Give the story of one of these."""
    return Story(
        name="parked",
        spec=f"tests.chaos.parked:{name}",
        assets={"tips": "tips_300_01"} if name == "incubating" else {},
        labware=_TIPS,
    )
