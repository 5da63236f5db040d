"""A reader whose wells are known."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from pylabrobot.plate_reading import PlateReader

from praxis_core.assets.manager import AssetManager
from praxis_core.assets.state import AssetManagerState, ContainerContents
from praxis_core.labware.factories import make
from praxis_core.labware.inventory import inventory
from praxis_core.simulator.reader import SimulatedPlateReaderBackend

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
