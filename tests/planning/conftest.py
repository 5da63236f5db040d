"""The things of a small workcell: real PyLabRobot devices and labware on a real deck."""

from __future__ import annotations

import pytest
from pylabrobot.heating_shaking import HeaterShaker, HeaterShakerChatterboxBackend
from pylabrobot.liquid_handling import LiquidHandler, LiquidHandlerChatterboxBackend
from pylabrobot.plate_reading import PlateReader, PlateReaderChatterboxBackend
from pylabrobot.pumps import Pump
from pylabrobot.pumps.chatterbox import PumpChatterboxBackend
from pylabrobot.resources import (
    PLT_CAR_L5AC_A00,
    TIP_CAR_480_A00,
    Coordinate,
    cor_96_wellplate_360uL_Fb,
    hamilton_1_trough_60mL_Vb,
    hamilton_96_tiprack_1000uL_filter,
)
from pylabrobot.resources.hamilton import STARLetDeck


@pytest.fixture(scope="session")
def candidates() -> dict[str, object]:
    """Two plates, one tip rack, one trough, four devices; nothing changes them."""
    deck = STARLetDeck()
    lh = LiquidHandler(LiquidHandlerChatterboxBackend(), deck=deck)
    tips = hamilton_96_tiprack_1000uL_filter("tips_01")
    plates = [cor_96_wellplate_360uL_Fb(f"plate_0{number}") for number in (1, 2)]
    tip_carrier = TIP_CAR_480_A00("tip_carrier")
    tip_carrier[0] = tips
    plate_carrier = PLT_CAR_L5AC_A00("plate_carrier")
    plate_carrier[0], plate_carrier[1] = plates
    deck.assign_child_resource(tip_carrier, rails=1)
    deck.assign_child_resource(plate_carrier, rails=10)
    reader = PlateReader("reader", 100, 100, 100, PlateReaderChatterboxBackend())
    shaker = HeaterShaker(
        "shaker", 100, 100, 100, HeaterShakerChatterboxBackend(), Coordinate.zero()
    )
    return {
        "star": lh,
        "reader": reader,
        "shaker": shaker,
        "pump": Pump(PumpChatterboxBackend()),
        "tips_01": tips,
        "plate_01": plates[0],
        "plate_02": plates[1],
        "diluent": hamilton_1_trough_60mL_Vb("diluent"),
    }
