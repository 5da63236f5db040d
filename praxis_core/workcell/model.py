"""The PyLabRobot objects of a workcell, built from its definition.

The runtime and each run build one each: the same tree of resources, with other backends.
"""

from __future__ import annotations

import inspect
import typing
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from difflib import get_close_matches
from importlib import import_module
from typing import Any

from pydantic import JsonValue
from pylabrobot.machines.backend import MachineBackend
from pylabrobot.machines.machine import Machine
from pylabrobot.pumps.backend import PumpBackend
from pylabrobot.pumps.calibration import PumpCalibration
from pylabrobot.resources import Coordinate, Deck, Resource

from praxis_core.errors import PraxisError, Problem, WorkcellFaults
from praxis_core.labware.encoding import decode
from praxis_core.labware.factories import make
from praxis_core.workcell.boundary import coroutine_methods
from praxis_core.workcell.contents import fill
from praxis_core.workcell.definition import (
    DeviceDefinition,
    Fault,
    Refill,
    WorkcellDefinition,
    WorkcellMode,
)
from praxis_core.workcell.kinds import LIFECYCLE
from praxis_core.workcell.positions import NoSuchPositionError, parse_position, place_of, stand
from praxis_core.workcell.resource_index import ResourceIndex
from praxis_core.workcell.yaml_lines import Location

BackendFor = Callable[[str, DeviceDefinition], MachineBackend]
"""Makes the backend of a device, by its name and definition."""

NOWHERE: ResourceIndex = ResourceIndex()
"""Resolves nothing: configurations name no resources."""


@dataclass
class WorkcellModel:
    """The live objects of one workcell in one process."""

    definition: WorkcellDefinition
    devices: dict[str, Machine] = field(default_factory=dict)
    resources: ResourceIndex = field(default_factory=ResourceIndex)
    places: dict[str, Resource] = field(default_factory=dict)

    def roots(self) -> Iterator[Resource]:
        """Give the resources that stand on nothing: liquid handlers and free-standing devices."""
        for device in self.devices.values():
            if isinstance(device, Resource) and device.parent is None:
                yield device


def simulated_backend(_name: str, device: DeviceDefinition) -> MachineBackend:
    """Make the simulated backend of a device."""
    return _constructed(device.simulated_backend, device.simulated_config)


def real_backend(_name: str, device: DeviceDefinition) -> MachineBackend:
    """Make the backend that would drive the hardware; nothing is connected yet."""
    return _constructed(device.backend, device.backend_config)


def build(definition: WorkcellDefinition, backend_for: BackendFor) -> WorkcellModel:
    """Build the PyLabRobot objects of a workcell.

    Args:
        definition: What to build.
        backend_for: Makes the backend of each device.

    Raises:
        WorkcellFaults: with everything in the definition that PyLabRobot does not accept.
    """
    model, faults = assemble(definition, backend_for)
    if faults:
        problems = [Problem(fault.path, fault.what) for fault in faults]
        raise WorkcellFaults(name=definition.name, count=len(problems), problems=problems)
    return model


def assemble(
    definition: WorkcellDefinition,
    backend_for: BackendFor = simulated_backend,
    broken: Iterable[str] = (),
) -> tuple[WorkcellModel, list[Fault]]:
    """Build what can be built of a workcell, and say what cannot.

    Args:
        definition: What to build.
        backend_for: Makes the backend of each device.
        broken: Names of things that were left out of the definition, because they have faults.
    """
    assembly = _Assembly(definition, broken)
    assembly.look_at_refill()
    assembly.make_decks()
    assembly.make_devices(backend_for)
    assembly.make_labware()
    assembly.place()
    assembly.fill()
    assembly.name_places()
    return assembly.model, assembly.faults


class _Assembly:
    """One building of a workcell; goes on after a fault, so that all of them are found."""

    def __init__(self, definition: WorkcellDefinition, broken: Iterable[str]) -> None:
        self.definition = definition
        self.model = WorkcellModel(definition)
        self.faults: list[Fault] = []
        self.things: dict[str, Resource] = {}
        self._labware: dict[int, Resource] = {}
        self._broken = set(broken)
        """Things that could not be made: what refers to them is no fault of its own."""

    def fault(self, where: Location, error: object, broken: str | None = None) -> None:
        self.faults.append(Fault(where, str(error)))
        if broken is not None:
            self._broken.add(broken)

    def look_at_refill(self) -> None:
        real = self.definition.mode is WorkcellMode.REAL
        if real and self.definition.refill is Refill.EVERY_RUN:
            name = self.definition.name
            what = f"refill: every_run sets back pretend decks only, and workcell {name} is real"
            mend = "write refill: by_hand, and say what you bring: praxis assets refill, or replace"
            self.fault(("refill",), f"{what} ({mend})")

    def make_decks(self) -> None:
        for name, deck in self.definition.decks.items():
            where = ("decks", name)
            try:
                made = make(deck.factory, name, **_decoded(deck.config))
            except (PraxisError, TypeError, ValueError) as error:
                self.fault((*where, "factory"), error, name)
                continue
            if isinstance(made, Deck):
                self.things[name] = made
            else:
                self.fault((*where, "factory"), f"{deck.factory!r} makes no deck", name)

    def make_devices(self, backend_for: BackendFor) -> None:
        if not self.definition.devices and not self._broken:
            self.fault(("devices",), "a workcell needs at least one device")
        for name, device in self.definition.devices.items():
            where = ("devices", name)
            if not self._is_right(where, device) or device.deck in self._broken:
                self._broken.add(name)
                continue
            try:
                machine = self._frontend(name, device, backend_for(name, device))
            except (PraxisError, TypeError, ValueError) as error:
                self.fault(where, error, name)
                continue
            self.model.devices[name] = machine
            if isinstance(machine, Resource):
                self._add(where, name, machine)

    def _is_right(self, where: Location, device: DeviceDefinition) -> bool:
        wanted: dict[str, type[Any]] = {
            "frontend": Machine,
            "backend": MachineBackend,
            "simulated_backend": MachineBackend,
        }
        before = len(self.faults)
        if device.deck is not None and device.deck not in {*self.things, *self._broken}:
            self.fault((*where, "deck"), f"no deck is called {device.deck!r}")
        for part, base in wanted.items():
            path: str = getattr(device, part)
            try:
                cls = class_of(path)
            except (ImportError, AttributeError, TypeError) as error:
                self.fault((*where, part), f"{path!r} cannot be imported: {error}")
                continue
            if not issubclass(cls, base):
                self.fault((*where, part), f"{path!r} is no {base.__name__}")
            elif issubclass(cls, PumpBackend):
                what = "PyLabRobot's Pump calls its backend without waiting for it; use a PumpArray"
                self.fault((*where, part), what)
        if len(self.faults) == before:
            self._look_at_methods(where, device)
        return len(self.faults) == before

    def _look_at_methods(self, where: Location, device: DeviceDefinition) -> None:
        backends = {class_of(device.backend), class_of(device.simulated_backend)}
        known = {name for backend in backends for name in coroutine_methods(backend)}
        named: list[tuple[Location, str]] = [
            *((("retries", method), method) for method in device.retries),
            *((("on_error", n), one.method) for n, one in enumerate(device.on_error) if one.method),
        ]
        for place, method in named:
            if method not in known - LIFECYCLE:
                closest = ", ".join(get_close_matches(method, known, n=3)) or "none"
                what = f"no backend of it has a command {method!r}. Closest: {closest}"
                self.fault((*where, *place), what)

    def _frontend(self, name: str, device: DeviceDefinition, backend: MachineBackend) -> Machine:
        cls = class_of(device.frontend)
        config = _frontend_config(cls, device.config)
        if "name" in inspect.signature(cls).parameters:
            config["name"] = name
        if device.deck is not None:
            config["deck"] = self.things[device.deck]
        machine: Machine = cls(backend=backend, **config)
        return machine

    def make_labware(self) -> None:
        for number, labware in enumerate(self.definition.labware):
            where = ("labware", number)
            try:
                made = make(labware.factory, labware.name, **_decoded(labware.config))
            except (PraxisError, TypeError, ValueError) as error:
                self.fault((*where, "factory"), error, labware.name)
                continue
            if self._add((*where, "name"), labware.name, made):
                self._labware[number] = made

    def _add(self, where: Location, name: str, thing: Resource) -> bool:
        if name in self.things:
            self.fault(where, f"two things are called {name!r}")
            return False
        self.things[name] = thing
        return True

    def place(self) -> None:
        for name, device in self.definition.devices.items():
            if device.at is not None and name in self.things:
                self._stand(("devices", name, "at"), self.things[name], device.at)
        for number, made in self._labware.items():
            self._stand(("labware", number, "at"), made, self.definition.labware[number].at)
        for root in self.model.roots():
            for clash in self.model.resources.add(root):
                self.fault(("decks",), f"two resources are called {clash!r}")

    def _stand(self, where: Location, thing: Resource, at: str) -> None:
        try:
            position = parse_position(at)
            if position.owner not in self._broken:
                stand(thing, position, self.things)
        except NoSuchPositionError as error:
            self.fault(where, error)

    def fill(self) -> None:
        for number, made in self._labware.items():
            for where, what in fill(made, self.definition.labware[number]):
                self.fault(("labware", number, *where), what)

    def name_places(self) -> None:
        for place, target in self.definition.places.items():
            try:
                position = parse_position(target)
                if position.owner not in self._broken:
                    self.model.places[place] = place_of(position, self.things)
            except NoSuchPositionError as error:
                self.fault(("places", place), error)


def class_of(path: str) -> type[Any]:
    """Import the class that ``module:Class`` names.

    Raises:
        ImportError, AttributeError: there is none.
        TypeError: it is no class.
    """
    module, _, name = path.partition(":")
    found: Any = import_module(module)
    for part in name.split("."):
        found = getattr(found, part)
    if not isinstance(found, type):
        raise TypeError(f"{name} is no class")
    return found


def _constructed(path: str, config: Mapping[str, JsonValue]) -> MachineBackend:
    backend: MachineBackend = class_of(path)(**_decoded(config))
    return backend


def _decoded(config: Mapping[str, JsonValue]) -> dict[str, Any]:
    return {name: decode(value, NOWHERE.get) for name, value in config.items()}


def _frontend_config(frontend: type[Any], config: Mapping[str, JsonValue]) -> dict[str, Any]:
    """Decode a frontend's configuration.

    Where it wants a Coordinate, three numbers become one; so do the fields of a calibration.

    Raises:
        ValueError: a calibration is none.
    """
    hints = typing.get_type_hints(frontend.__init__)
    decoded = _decoded(config)
    for name, value in decoded.items():
        wanted = (hints.get(name), *typing.get_args(hints.get(name)))
        if Coordinate in wanted and isinstance(value, list):
            decoded[name] = Coordinate(*value)
        elif PumpCalibration in wanted and value is not None:
            decoded[name] = _pump_calibration(value)
    return decoded


def calibration_of(device: DeviceDefinition) -> PumpCalibration | None:
    """Give how much pumps give by the definition; None: nobody says.

    Raises:
        ValueError: that is no calibration.
    """
    found: PumpCalibration | None = _frontend_config(class_of(device.frontend), device.config).get(
        "calibration"
    )
    return found


def _pump_calibration(value: Any) -> PumpCalibration:
    """Take what PyLabRobot serialises; a dictionary would fail when something is pumped."""
    match value:
        case PumpCalibration():
            return value
        case {"calibration": list(each), "calibration_mode": str(mode), **others} if not others:
            return PumpCalibration(each, mode)
    example = "{calibration: [12.5], calibration_mode: duration}"
    raise ValueError(f"a calibration is written {example} (volume per s and channel), not {value}")
