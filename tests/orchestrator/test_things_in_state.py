"""Machines and labware in the state of a run: the live ones within it, copies elsewhere."""

from __future__ import annotations

from dataclasses import replace
from uuid import uuid4

from pydantic import JsonValue
from pylabrobot.liquid_handling import LiquidHandler
from pylabrobot.pumps import PumpArray
from pylabrobot.resources import Plate, PlateCarrier, cor_96_wellplate_360uL_Fb

from praxis_core.journal.record import Journal
from praxis_core.orchestrator import Orchestrator, RunRequest
from praxis_core.protocol import protocol
from praxis_core.state import PraxisState


@protocol(name="pumping", version="1.0.0")
async def pumping(pumps: PumpArray, state: PraxisState) -> bool:
    """Remember the pumps."""
    state["used"] = [pumps]
    return state["used"][0] is pumps


@protocol(name="adding", version="1.0.0")
async def adding(lh: LiquidHandler, carrier: PlateCarrier, state: PraxisState) -> bool:
    """Put a plate of its own on the deck, unless another run did."""
    if "mine" in state:
        plate = state["mine"]
        return isinstance(plate, Plate) and plate.parent is None
    carrier[4] = cor_96_wellplate_360uL_Fb("mine")
    state["mine"] = carrier[4].resource
    return state["mine"] is carrier[4].resource


async def test_a_machine_without_a_name_has_that_of_the_workcell(
    orchestrator: Orchestrator, journal: Journal
) -> None:
    """PyLabRobot gives pumps, fans and sealers none."""
    backend = "pylabrobot.pumps.chatterbox:PumpArrayChatterboxBackend"
    pumps: JsonValue = {
        "frontend": "pylabrobot.pumps:PumpArray",
        "backend": backend,
        "simulated_backend": backend,
        "config": {"calibration": None},
    }
    await journal.store_workcell("pumps", {"name": "pumps", "devices": {"pumps_1": pumps}})

    result = await orchestrator.run(RunRequest(uuid4(), "pump", pumping, "pumps"))

    assert result.summary is True


async def test_labware_that_is_not_on_this_workcell_is_a_copy(orchestrator: Orchestrator) -> None:
    """A plate that another run put on the deck is read from its state all the same."""
    assets = {"carrier": "carrier_plates"}
    first = RunRequest(uuid4(), "add", adding, "star", assets=assets)
    heir = replace(first, run_id=uuid4(), carry_from=first.run_id)

    assert (await orchestrator.run(first)).summary is True
    assert (await orchestrator.run(heir)).summary is True
