"""The things of a small workcell: real PyLabRobot devices and labware on a real deck."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import cache
from typing import Any
from uuid import uuid4

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

from praxis_core.assets.state import AssetManagerState
from praxis_core.planning.plan import Plan
from praxis_core.planning.planner import plan
from praxis_core.protocol import ProtocolDefinition, define
from praxis_core.protocol.command import Command, Outcome
from praxis_core.workcell.definition import WorkcellDefinition
from praxis_core.workcell.initial_state import initial_assets
from praxis_core.workcell.replica import Replica


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


@pytest.fixture(scope="session")
def small() -> WorkcellDefinition:
    """A STARlet with two racks, two plates, a trough, a reader and a shaker."""
    tips, plate = "hamilton_96_tiprack_300uL_filter", "cor_96_wellplate_360uL_Fb"
    placed = {"size_x": 150, "size_y": 110, "size_z": 100}
    document: dict[str, Any] = {
        "name": "small",
        "decks": {"deck": {"factory": "STARLetDeck"}},
        "devices": {
            "star": {
                "frontend": "pylabrobot.liquid_handling:LiquidHandler",
                "deck": "deck",
                "backend": "pylabrobot.liquid_handling.backends:STARBackend",
                "simulated_backend": "pylabrobot.liquid_handling.backends.hamilton."
                "STAR_chatterbox:STARChatterboxBackend",
            },
            "reader": {
                "frontend": "pylabrobot.plate_reading:PlateReader",
                "config": placed,
                "at": "deck at 600, 300, 120",
                "backend": "praxis_core.simulator.reader:SimulatedPlateReaderBackend",
                "simulated_backend": "praxis_core.simulator.reader:SimulatedPlateReaderBackend",
                "simulated_config": {
                    "spectra": {"dye": {"epsilon": 9e3, "peak_nm": 427, "width_nm": 90}}
                },
            },
        },
        "labware": [
            {"name": "tip_carrier", "factory": "TIP_CAR_480_A00", "at": "deck rails 1"},
            {"name": "tips_01", "factory": tips, "at": "tip_carrier[0]"},
            {"name": "tips_02", "factory": tips, "at": "tip_carrier[1]"},
            {"name": "plate_carrier", "factory": "PLT_CAR_L5AC_A00", "at": "deck rails 8"},
            {"name": "plate_01", "factory": plate, "at": "plate_carrier[0]"},
            {"name": "plate_02", "factory": plate, "at": "plate_carrier[1]"},
            {"name": "trough_carrier", "factory": "Trough_CAR_4R200_A00", "at": "deck rails 15"},
            {
                "name": "buffer",
                "factory": "hamilton_1_trough_200mL_Vb",
                "at": "trough_carrier[0]",
                "contents": [{"volume": 5000, "solutes": {"dye": 100}}],
            },
        ],
        "places": {"spare": "plate_carrier[4]", "reader": "reader"},
    }
    return WorkcellDefinition.model_validate(document)


@pytest.fixture(scope="session")
def replica(small: WorkcellDefinition) -> Replica:
    """The small workcell, built once: each plan leaves it as it was."""

    async def nobody(command: Command) -> Outcome:
        raise AssertionError(command)

    return Replica(small, nobody, run_id=uuid4(), simulate=True)


@pytest.fixture
def state(replica: Replica) -> AssetManagerState:
    """What the small workcell holds; each test may change its own."""
    return initial_assets(replica.model)


@pytest.fixture
def planned(replica: Replica) -> Callable[..., Plan]:
    """Plan a protocol on the small workcell: ``planned(protocol, state, assets, **parameters)``."""

    def make(
        function: Callable[..., Any],
        state: AssetManagerState | None = None,
        assets: Mapping[str, object] | None = None,
        **options: Any,
    ) -> Plan:
        definition = _defined(function)
        known = {"durations", "limits", "facts"}
        parameters = {name: value for name, value in options.items() if name not in known}
        rest = {name: value for name, value in options.items() if name in known}
        return plan(
            function,
            definition,
            replica.definition,
            parameters,
            _usual(definition) if assets is None else assets,
            state,
            replica=replica,
            **rest,
        )

    return make


_defined = cache(define)


def _usual(definition: ProtocolDefinition) -> dict[str, object]:
    usual = {"tips": "tips_01", "plate": "plate_01"}
    asked = {asset.name for asset in definition.assets}
    return {name: thing for name, thing in usual.items() if name in asked}
