"""Runs that want the same things, on workcells where what was used stays used."""

from __future__ import annotations

from dataclasses import dataclass

from pylabrobot.liquid_handling import LiquidHandler
from pylabrobot.resources import Plate, TipRack, Trough

from praxis_core.protocol import protocol
from praxis_core.workcell.definition import Refill, WorkcellDefinition
from tests.chaos.stories import Story


@protocol(name="chaos-sharing", version="1.0.0")
async def sharing(
    lh: LiquidHandler, tips: TipRack, diluent: Trough, plate: Plate, columns: list[int]
) -> None:
    """Pour into some columns of a plate, with fresh tips for each.

    Args:
        lh: Pipettes.
        tips: As many columns of tips.
        diluent: A trough.
        plate: A plate that others use, too.
        columns: Of the plate, and of the tips.
    """
    for column in columns:
        wells = f"A{column}:B{column}"
        await lh.pick_up_tips(tips[wells])
        await lh.aspirate([diluent] * 2, vols=[20.0] * 2)
        await lh.dispense(plate[wells], vols=[20.0] * 2)
        await lh.discard_tips()


@dataclass(frozen=True)
class ByHand(Story):
    """One on a workcell that people refill."""

    def workcell(self, number: int = 1) -> WorkcellDefinition:
        """Give the workcell; nothing is set back there before a run."""
        return super().workcell(number).model_copy(update={"refill": Refill.BY_HAND})


SHARING = ByHand(
    name="sharing",
    spec="tests.chaos.sharing:sharing",
    assets={"tips": "tips_300_01", "diluent": "diluent", "plate": "plate_01"},
    labware=frozenset(
        [
            "carrier_tips",
            "tips_300_01",
            "tips_300_02",
            "carrier_plates",
            "plate_01",
            "carrier_troughs",
            "diluent",
        ]
    ),
)
"""A plate that several runs want."""
