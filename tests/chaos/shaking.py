"""A protocol that leaves a device hot and shaking for as long as a file is not there."""

from __future__ import annotations

import asyncio
from pathlib import Path

from pylabrobot.heating_shaking import HeaterShaker
from pylabrobot.plate_reading import PlateReader

from praxis_core.protocol import protocol
from tests.chaos.stories import Story


@protocol(name="chaos-shaking", version="1.0.0")
async def shaking(shaker: HeaterShaker, reader: PlateReader, door: str) -> None:
    """Warm and shake until somebody opens the door.

    Args:
        shaker: A heater-shaker.
        reader: Is asked something meanwhile, which may take long.
        door: A file.
    """
    await shaker.set_temperature(37.0)
    await shaker.lock_plate()
    await shaker.shake(speed=300)
    await reader.open()
    while not Path(door).exists():  # noqa: ASYNC110, ASYNC240  # another process makes it
        await asyncio.sleep(0.01)
    await shaker.stop_shaking()
    await shaker.unlock_plate()
    await shaker.deactivate()


def story(door: Path) -> Story:
    """Give its story."""
    return Story(
        name="shaking",
        spec="tests.chaos.shaking:shaking",
        assets={},
        labware=frozenset(),
        parameters={"door": str(door)},
    )
