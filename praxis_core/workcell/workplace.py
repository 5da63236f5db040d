"""What all that works for the runs of a workcell works with."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import Self

from praxis_core.journal.record import Journal
from praxis_core.workcell.attending import AttendedRuns
from praxis_core.workcell.bookkeeping import Bookkeeping
from praxis_core.workcell.clock import Clock
from praxis_core.workcell.definition import WorkcellDefinition
from praxis_core.workcell.device import Device
from praxis_core.workcell.devices import Devices
from praxis_core.workcell.in_flight import CommandsInFlight
from praxis_core.workcell.knowledge import Knowledge
from praxis_core.workcell.model import WorkcellModel, build
from praxis_core.workcell.reach import Reach
from praxis_core.workcell.safekeeping import Safekeeping
from praxis_core.workcell.stock import Stock


@dataclass(frozen=True, slots=True)
class Workplace:
    """A workcell with its devices, the runs that are there, and what is known of all of it."""

    definition: WorkcellDefinition
    model: WorkcellModel
    devices: Devices
    reach: Reach
    """The lines to the devices."""
    clock: Clock
    """Where times come from."""
    journal: Journal | None
    """Where commands are recorded; None: nowhere."""
    runs: AttendedRuns
    in_flight: CommandsInFlight
    """Their commands under way."""
    books: Bookkeeping
    """What is where, and how much of it."""
    safekeeping: Safekeeping
    """What the devices are set to, and what makes them safe."""

    @classmethod
    def of(
        cls,
        definition: WorkcellDefinition,
        reach: Reach,
        clock: Clock,
        journal: Journal | None,
        *,
        tells: bool,
    ) -> Self:
        """Build a workcell as its definition says; nothing is connected yet.

        Args:
            definition: The workcell.
            reach: The lines to the devices.
            clock: Where times come from.
            journal: Where commands are recorded; None: nowhere.
            tells: Whether the catalogue of assets is told what happens.

        Raises:
            WorkcellFaults: it cannot be built.
        """
        model = build(definition, reach.backend)
        devices = Devices(
            definition.name,
            {
                name: Device(name, machine, model.resources, clock, partial(reach.written, name))
                for name, machine in model.devices.items()
            },
        )
        knowledge = Knowledge(model, devices, clock)
        stock = None
        if journal is not None:
            stock = Stock(model, knowledge.initial, journal, clock, tells=tells)
        return cls(
            definition,
            model,
            devices,
            reach,
            clock,
            journal,
            runs=AttendedRuns(),
            in_flight=CommandsInFlight(),
            books=Bookkeeping(knowledge, stock),
            safekeeping=Safekeeping(definition, devices, journal),
        )

    @property
    def inside(self) -> bool:
        """Whether the devices are in this process: they know only what they are told."""
        return not self.reach.can_sense
