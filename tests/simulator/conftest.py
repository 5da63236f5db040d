"""A reader whose wells are known, and a pretend lab in a process of its own."""

from __future__ import annotations

import itertools
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pytest
from pylabrobot.plate_reading import PlateReader

from praxis_core.assets.manager import AssetManager
from praxis_core.assets.state import AssetManagerState, ContainerContents
from praxis_core.labware.factories import make
from praxis_core.labware.inventory import inventory
from praxis_core.simulator.lab_control import LabControl
from praxis_core.simulator.lab_link import LabLink, lab_backend
from praxis_core.simulator.lab_process import LabProcess
from praxis_core.simulator.reader import SimulatedPlateReaderBackend
from praxis_core.workcell.definition import WorkcellDefinition
from praxis_core.workcell.model import WorkcellModel, build
from praxis_core.workcell.moves import name_destinations

START = datetime(2026, 1, 1, 12, 0, tzinfo=UTC)


@dataclass
class Bay:
    """A plate in a simulated reader, at a time that the test sets."""

    plate: Any
    now: datetime = START
    wells: dict[str, ContainerContents] = field(default_factory=dict)

    def fill(
        self,
        well: str,
        volume: float,
        since: Mapping[str, datetime] | None = None,
        **micromolar: float,
    ) -> None:
        """Put a solution into a well: µL, and µM of each solute."""
        name = self.plate.get_item(well).name
        amounts = {solute: value * volume for solute, value in micromolar.items()}
        self.wells[name] = ContainerContents(
            volume=volume, amounts=amounts, since=dict(since or {})
        )

    def wait(self, seconds: float) -> None:
        """Let time pass."""
        self.now += timedelta(seconds=seconds)

    async def reader(self, **config: Any) -> PlateReader:
        """Put the plate into a reader of this configuration."""
        backend = SimulatedPlateReaderBackend(**config)
        state = AssetManagerState.model_validate(inventory(self.plate))
        state.containers |= self.wells
        backend.use_contents(AssetManager(state), lambda: self.now)
        reader = PlateReader("reader", 1, 1, 1, backend=backend)
        self.plate.unassign()
        reader.assign_child_resource(self.plate)
        await reader.setup()
        return reader


@pytest.fixture
def bay() -> Callable[[str | Callable[[], Any]], Bay]:
    """Make a bay for a plate, by the name of its factory or by a function of the test."""
    return lambda factory: Bay(make(factory, "plate") if isinstance(factory, str) else factory())


SMALL: dict[str, Any] = {
    "name": "small",
    "decks": {"deck": {"factory": "STARDeck"}},
    "devices": {
        "star": {
            "frontend": "pylabrobot.liquid_handling:LiquidHandler",
            "deck": "deck",
            "backend": "pylabrobot.liquid_handling.backends:STARBackend",
            "simulated_backend": "pylabrobot.liquid_handling.backends.hamilton.STAR_chatterbox"
            ":STARChatterboxBackend",
        },
        "reader": {
            "frontend": "pylabrobot.plate_reading:PlateReader",
            "config": {"size_x": 150, "size_y": 110, "size_z": 100},
            "at": "deck at 1000, 300, 120",
            "backend": "pylabrobot.plate_reading.bmg_labtech.clario_star_backend:CLARIOstarBackend",
            "simulated_backend": "praxis_core.simulator.reader:SimulatedPlateReaderBackend",
            "simulated_config": {
                "spectra": {"dye": {"epsilon": 20000, "peak_nm": 500, "width_nm": 40}},
                "noise": 0.0,
            },
        },
        "shaker": {
            "frontend": "pylabrobot.heating_shaking:HeaterShaker",
            "config": {"size_x": 146, "size_y": 104, "size_z": 75, "child_location": [9, 9, 75]},
            "at": "deck at 720, 300, 100",
            "backend": "pylabrobot.heating_shaking.bioshake_backend:BioShake",
            "backend_config": {"port": "/dev/ttyUSB0"},
            "simulated_backend": "pylabrobot.heating_shaking.chatterbox"
            ":HeaterShakerChatterboxBackend",
            "simulated_config": {"dummy_temperature": 22.0},
        },
    },
    "labware": [
        {"name": "carrier_tips", "factory": "TIP_CAR_480_A00", "at": "deck rails 3"},
        {
            "name": "tips",
            "factory": "hamilton_96_tiprack_300uL_filter",
            "at": "carrier_tips[0]",
            "used_tips": "A12:H12",
        },
        {"name": "carrier_plates", "factory": "PLT_CAR_L5AC_A00", "at": "deck rails 9"},
        {
            "name": "plate",
            "factory": "cor_96_wellplate_360uL_Fb",
            "at": "carrier_plates[0]",
            "contents": [
                {"wells": "A1:H1", "volume": 200, "solutes": {"dye": 50}},
                {"wells": "A2:H2", "volume": 350},
            ],
        },
        {"name": "other", "factory": "cor_96_wellplate_360uL_Fb", "at": "carrier_plates[1]"},
    ],
    "places": {"site 3": "carrier_plates[2]"},
}
"""A liquid handler with one rack of tips and two plates, a reader and a heater-shaker."""

_epochs = itertools.count(1)


@dataclass
class Host:
    """What a host has: frontends of its own whose backends are in the lab."""

    lab: LabProcess
    control: LabControl
    link: LabLink
    model: WorkcellModel
    began: int

    def __getitem__(self, name: str) -> Any:
        """Give a resource: ``host["plate[A1]"]``."""
        return self.model.resources.get(name)

    @property
    def star(self) -> Any:
        """The liquid handler."""
        return self.model.devices["star"]

    @property
    def reader(self) -> Any:
        """The plate reader."""
        return self.model.devices["reader"]

    @property
    def shaker(self) -> Any:
        """The heater-shaker."""
        return self.model.devices["shaker"]

    def column(self, plate: str, number: int) -> list[Any]:
        """Give the wells or tip spots of a column."""
        items: list[Any] = self[plate][f"A{number}:H{number}"]
        return items

    def records(self) -> list[dict[str, Any]]:
        """Give what the log says since the test began."""
        return self.control.log(after=self.began)

    def effects(self, device: str = "star") -> list[str]:
        """Name what happened since the test began, apart from set-up."""
        effects = self.control.effects(device, after=self.began)
        return [record["method"] for record in effects if record["method"] != "setup"]

    def volume(self, well: str) -> float:
        """Give what is truly in a well, µL."""
        volume: float = self.control.truth()["liquids"][self[well].name]["volume"]
        return volume

    def tip(self, where: str) -> Any:
        """Give the tip that is truly on a channel, or in a spot."""
        return self.control.truth()["tips"].get(where)


@asynccontextmanager
async def host_of(lab: LabProcess) -> AsyncIterator[Host]:
    """Connect a new host to a lab; its devices are adopted where they can be."""
    link = LabLink(lab.socket, next(_epochs))
    model = build(lab.definition, partial(lab_backend, link=link))
    with lab.control() as control:
        began = control.log()[-1]["n"]
        for name, device in model.devices.items():
            await link.connect(name)
            await device.setup()
        name_destinations(model.devices["star"])
        yield Host(lab, control, link, model, began)
        await link.close()


@pytest.fixture(scope="session")
def small() -> WorkcellDefinition:
    """The workcell of the tests of the lab."""
    return WorkcellDefinition.model_validate(SMALL)


@pytest.fixture
def folder() -> Iterator[Path]:
    """A folder whose name is short enough for a socket."""
    with TemporaryDirectory(prefix="lab") as path:
        yield Path(path)


@pytest.fixture(scope="module")
def shared_lab(small: WorkcellDefinition) -> Iterator[LabProcess]:
    """A lab that the tests of a module share, one after the other."""
    with TemporaryDirectory(prefix="lab") as path, LabProcess(small, Path(path)) as lab:
        yield lab


@pytest.fixture
async def host(shared_lab: LabProcess) -> AsyncIterator[Host]:
    """A host at a lab where everything stands as defined, and no fault is waiting."""
    with shared_lab.control() as control:
        control.clear()
        control.stage()
    async with host_of(shared_lab) as host:
        yield host
