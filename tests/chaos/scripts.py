"""Scripts as other people write them, unchanged, as runs of their own."""

from __future__ import annotations

from pydantic import JsonValue
from pylabrobot.heating_shaking import HeaterShaker
from pylabrobot.liquid_handling import LiquidHandler
from pylabrobot.plate_reading import PlateReader
from pylabrobot.resources import Plate, TipRack, Trough

from praxis_core.protocol import protocol
from tests.workcell import test_scripts_of_others

NAMES = tuple(each.__name__ for each in test_scripts_of_others.SCRIPTS)


@protocol(name="chaos-script", version="1.0.0")
async def script(  # noqa: PLR0913, PLR0917  # what such scripts use
    star: LiquidHandler,
    reader: PlateReader,
    shaker: HeaterShaker,
    tips_300_01: TipRack,
    tips_300_02: TipRack,
    tips_1000_01: TipRack,
    plate_01: Plate,
    plate_02: Plate,
    diluent: Trough,
    substrate: Plate,
    name: str,
) -> JsonValue:
    """Give a script all that there is.

    Args:
        star: Pipettes and carries.
        reader: Reads.
        shaker: Warms and shakes.
        tips_300_01: Tips.
        tips_300_02: Tips.
        tips_1000_01: Tips.
        plate_01: An empty plate.
        plate_02: An empty plate.
        diluent: A trough.
        substrate: A trough as wide as a plate.
        name: Which script.

    Returns:
        What the script returns.
    """
    things = (
        star,
        reader,
        shaker,
        tips_300_01,
        tips_300_02,
        tips_1000_01,
        plate_01,
        plate_02,
        diluent,
        substrate,
    )
    function = getattr(test_scripts_of_others, name)
    result: JsonValue = await function({thing.name: thing for thing in things})
    return result
