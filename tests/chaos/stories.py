"""The protocols of the library, each on the part of the STAR workcell that it needs."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from praxis_core.protocol.lifecycle import OnError
from praxis_core.workcell.definition import Refill, WorkcellDefinition, load_definition

STAR = Path(__file__).parents[2] / "flows" / "workcells" / "star.yaml"


@dataclass(frozen=True)
class Story:
    """What to run: a protocol with what it is given, and the labware that it needs."""

    name: str
    spec: str
    assets: dict[str, str] = field(hash=False)
    labware: frozenset[str]
    parameters: dict[str, Any] = field(default_factory=dict, hash=False)
    adopts: bool = True
    """Whether the devices are taken up as they are after a crash; others are set up anew."""
    on_error: OnError = OnError.RAISE
    """What becomes of a run when a command fails."""

    def told(self, **parameters: Any) -> Story:
        """Give the same one with other parameters."""
        return replace(self, parameters={**self.parameters, **parameters})

    def asking(self) -> Story:
        """Give the same one where people are asked about whatever fails."""
        return replace(self, name=f"{self.name}-asking", on_error=OnError.ASK)

    def set_up_anew(self) -> Story:
        """Give the same one on devices that cannot be taken up as they are."""
        return replace(self, name=f"{self.name}-anew", adopts=False)

    def workcell(self, number: int = 1) -> WorkcellDefinition:
        """Give a workcell of this story's name: building a whole deck takes PyLabRobot a second.

        Args:
            number: Of this one, where there are several.
        """
        whole = load_definition(STAR)
        labware = tuple(one for one in whole.labware if one.name in self.labware)
        places = {
            name: at for name, at in whole.places.items() if at.partition("[")[0] in self.labware
        }
        name = self.name if number == 1 else f"{self.name}-{number}"
        devices = {
            device: one.model_copy(update={"adopts": self.adopts})
            for device, one in whole.devices.items()
        }
        return whole.model_copy(
            update={
                "name": name,
                "on_error": self.on_error,
                "refill": Refill.EVERY_RUN,  # each run finds what the undisturbed one found
                "labware": labware,
                "places": places,
                "devices": devices,
            }
        )


DILUTION = Story(
    name="dilution",
    spec="flows.serial_dilution:serial_dilution",
    assets={
        "tips": "tips_300_01",
        "plate": "plate_01",
        "stock": "dye_stock",
        "diluent": "diluent",
    },
    labware=frozenset(
        [
            "carrier_tips",
            "tips_300_01",
            "carrier_plates",
            "plate_01",
            "carrier_troughs",
            "diluent",
            "dye_stock",
        ]
    ),
)
"""Eight channels, an arm and a reader: tips full of liquid, a plate in the gripper."""

DOSES = Story(
    name="doses",
    spec="flows.dose_response:dose_response",
    assets={
        "compound_tips": "tips_300_01",
        "enzyme_tips": "tips_300_02",
        "substrate_tips": "tips_300_03",
        "doses": "dose_plate",
        "assay": "plate_01",
        "enzyme": "enzyme",
        "substrate": "substrate",
    },
    labware=frozenset(
        [
            "carrier_tips",
            "tips_300_01",
            "tips_300_02",
            "tips_300_03",
            "carrier_plates",
            "plate_01",
            "dose_plate",
            "carrier_reservoirs",
            "enzyme",
            "substrate",
        ]
    ),
)
"""The 96-head, and a heater-shaker that is on for a while."""

_SMALL = frozenset(
    ["carrier_tips", "tips_300_01", "carrier_plates", "plate_01", "carrier_troughs", "diluent"]
)

FAILING = Story(
    name="failing",
    spec="tests.chaos.protocols:failing",
    assets={"tips": "tips_300_01", "plate": "plate_01", "diluent": "diluent"},
    labware=_SMALL,
)
"""Every device, and tips that are thrown away in a ``finally``."""

LEARNING = Story(
    name="learning",
    spec="tests.chaos.protocols:learning",
    assets={"tips": "tips_300_01", "plate": "plate_01", "diluent": "diluent"},
    labware=_SMALL,
)
"""A counter, what another program writes, and a pause."""

RANDOM = Story(
    name="random",
    spec="tests.chaos.random_protocols:made_up",
    assets={
        "tips": "tips_300_01",
        "plate": "plate_01",
        "other": "plate_02",
        "diluent": "diluent",
    },
    labware=_SMALL | {"plate_02"},
)
"""Whatever the parameter ``program`` says."""

_SPARE = frozenset(["tips_300_03", "tips_300_04", "dose_plate", "dye_stock", "enzyme"])

SCRIPTS = Story(
    name="scripts",
    spec="tests.chaos.scripts:script",
    assets={
        name: name
        for name in (
            "tips_300_01",
            "tips_300_02",
            "tips_1000_01",
            "plate_01",
            "plate_02",
            "diluent",
            "substrate",
        )
    },
    labware=frozenset(one.name for one in load_definition(STAR).labware) - _SPARE,
)
"""Scripts that were not written for Praxis; the parameter ``name`` says which."""

LIBRARY = (DILUTION, DOSES)
