"""Protocols that are made to be disturbed."""

from __future__ import annotations

from collections.abc import Awaitable
from typing import Any

from pylabrobot.heating_shaking import HeaterShaker
from pylabrobot.liquid_handling import LiquidHandler
from pylabrobot.plate_reading import PlateReader
from pylabrobot.resources import Plate, TipRack, Trough

from praxis_core.protocol import protocol, run, step
from praxis_core.state import PraxisState

COLUMNS = 3
PAUSE = 1800.0
"""Seconds."""


@step("Fill column {column}")
async def fill(
    lh: LiquidHandler, tips: TipRack, diluent: Trough, plate: Plate, *, column: int
) -> None:
    """Tips are thrown away in any case, as people write it."""
    rows = f"A{column}:D{column}"
    await lh.pick_up_tips(tips[rows])
    try:
        await lh.aspirate([diluent] * 4, vols=[60.0, 50.0, 40.0, 30.0])
        await lh.dispense(plate[rows], vols=[40.0, 30.0, 20.0, 10.0])
        await lh.aspirate(plate[rows], vols=[5.0] * 4)
        await lh.dispense(plate[rows], vols=[25.0] * 4)
    finally:
        await lh.discard_tips()


@step("Warm and shake")
async def shake(lh: LiquidHandler, shaker: HeaterShaker, plate: Plate) -> None:
    """On the heater-shaker, and back to where it stood."""
    home = plate.parent
    await lh.move_plate(plate, shaker)
    await shaker.set_temperature(37.0)
    await shaker.lock_plate()
    await shaker.shake(speed=300, duration=5)
    await shaker.unlock_plate()
    await shaker.deactivate()
    await lh.move_plate(plate, home)


@step("Read")
async def read(lh: LiquidHandler, reader: PlateReader, plate: Plate) -> None:
    """In the reader, and back to where it stood."""
    home = plate.parent
    await reader.open()
    await lh.move_plate(plate, reader)
    await reader.close()
    await reader.read_absorbance(wavelength=427)
    await reader.open()
    await lh.move_plate(plate, home)
    await reader.close()


@protocol(name="chaos-failing", version="1.0.0")
async def failing(  # noqa: PLR0913, PLR0917  # what it uses
    lh: LiquidHandler,
    shaker: HeaterShaker,
    reader: PlateReader,
    tips: TipRack,
    plate: Plate,
    diluent: Trough,
    careful: bool = False,
) -> list[str]:
    """Use every device; something is going to fail.

    Args:
        lh: Pipettes and carries.
        shaker: Warms and shakes.
        reader: Reads.
        tips: Tips.
        plate: An empty plate.
        diluent: A trough.
        careful: Go on after whatever fails.

    Returns:
        What failed.
    """
    told: list[str] = []

    async def tried(work: Awaitable[Any]) -> None:
        try:
            await work
        except Exception as error:
            if not careful:
                raise
            told.append(type(error).__name__)

    await tried(fill(lh, tips, diluent, plate, column=1))
    await tried(fill(lh, tips, diluent, plate, column=2))
    await tried(shake(lh, shaker, plate))
    await tried(read(lh, reader, plate))
    await tried(fill(lh, tips, diluent, plate, column=3))
    return told


@step("Pour what is said into column {column}")
async def pour(
    lh: LiquidHandler, diluent: Trough, plate: Plate, state: PraxisState, *, column: int
) -> int:
    """How much that is depends on a number that another program writes again and again.

    Returns:
        The number.
    """
    said: int = state.get("said", 0)
    vols = [float(20 + said % 7)] * 2
    await lh.aspirate([diluent] * 2, vols=vols)
    await lh.dispense(plate[f"A{column}:B{column}"], vols=vols)
    state.increment("columns")
    return said


@protocol(name="chaos-learning", version="1.0.0")
async def learning(
    lh: LiquidHandler, tips: TipRack, plate: Plate, diluent: Trough, state: PraxisState
) -> float:
    """Count columns, do what another program says, and wait for half an hour.

    Args:
        lh: Pipettes.
        tips: Tips.
        plate: An empty plate.
        diluent: A trough.
        state: Where it counts, and what it is told.

    Returns:
        How long the protocol waited, s.
    """
    await lh.pick_up_tips(tips["A1:B1"])
    seen = [await pour(lh, diluent, plate, state, column=1)]
    began = run.now()
    await run.sleep(PAUSE)
    waited = (run.now() - began).total_seconds()
    seen += [await pour(lh, diluent, plate, state, column=n) for n in range(2, COLUMNS + 1)]
    state["seen"] = seen
    await lh.return_tips()
    return waited
