"""What makes each device safe when the run that set it, or the host beside it, is gone.

A table over the base classes of PyLabRobot's backends, without any I/O: a switch for each setting
that goes on without its run. Temperatures hold for a while, because a sample at 37 °C must survive
a crash; what moves (shakers, pumps, fans) goes off at once. Nothing is dropped, opened or moved.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any, Protocol

from pydantic import JsonValue
from pylabrobot.arms.backend import SCARABackend
from pylabrobot.barcode_scanners.backend import BarcodeScannerBackend
from pylabrobot.centrifuge.backend import CentrifugeBackend, LoaderBackend
from pylabrobot.liquid_handling.backends import LiquidHandlerBackend
from pylabrobot.machines.backend import MachineBackend
from pylabrobot.only_fans.backend import FanBackend
from pylabrobot.peeling.backend import PeelerBackend
from pylabrobot.plate_reading.backend import ImagerBackend, PlateReaderBackend
from pylabrobot.powder_dispensing.backend import PowderDispenserBackend
from pylabrobot.pumps.backend import PumpArrayBackend, PumpBackend
from pylabrobot.scales.scale_backend import ScaleBackend
from pylabrobot.sealing.backend import SealerBackend
from pylabrobot.shaking.backend import ShakerBackend
from pylabrobot.storage.backend import IncubatorBackend
from pylabrobot.temperature_controlling.backend import TemperatureControllerBackend
from pylabrobot.thermocycling.backend import ThermocyclerBackend
from pylabrobot.tilting.tilter_backend import TilterBackend

from praxis_core.workcell.definition import DeviceDefinition
from praxis_core.workcell.model import class_of

HOLD_MINUTES = 240.0
"""How long a temperature is held for a run that is gone, unless the definition says otherwise."""


class Call(Protocol):
    """What was asked of a device: a :class:`~praxis_core.protocol.command.Command`, for one."""

    @property
    def method(self) -> str:
        """The backend's method."""

    @property
    def args(self) -> Sequence[JsonValue]:
        """Its positional arguments, encoded."""

    @property
    def kwargs(self) -> Mapping[str, JsonValue]:
        """Its keyword arguments, encoded."""


@dataclass(frozen=True, slots=True)
class SafeAction:
    """One thing to be sent to a device, or to be looked at by a person."""

    device: str
    method: str | None
    """The backend's method; None: nothing can be sent, ``why`` says what is left on."""
    why: str
    after_seconds: float = 0.0
    """How long after the loss it is due."""
    args: tuple[JsonValue, ...] = ()
    kwargs: dict[str, JsonValue] = field(default_factory=dict)
    due_at: float | None = None
    """Seconds since 1970 at which it is due, when the device is being held already."""
    parked: bool = False
    """Whether a parked run wants it left: the end of all processes does not send it, either."""

    @property
    def key(self) -> tuple[str, str]:
        """What it is called, whenever it is due: two that send the same are one."""
        return self.device, self.method or self.why

    def as_json(self) -> dict[str, JsonValue]:
        """Give it as plain values."""
        return {**asdict(self), "args": list(self.args)}


@dataclass(frozen=True, slots=True)
class _Switch:
    """What a method leaves going, and the first of these methods that the class has ends it."""

    on: str
    what: str
    off: tuple[str, ...] = ()
    holds: bool = False


_HEATS = "it is kept at {}"
_SHAKES = "it shakes"
_PUMPS = "it pumps"

SWITCHES: dict[type[Any], tuple[_Switch, ...]] = {
    ShakerBackend: (_Switch("start_shaking", _SHAKES, ("stop_shaking",)),),
    TemperatureControllerBackend: (
        _Switch("set_temperature", _HEATS, ("deactivate",), holds=True),
    ),
    IncubatorBackend: (
        _Switch("set_temperature", _HEATS, ("stop_temperature_control",), holds=True),
        _Switch("start_shaking", _SHAKES, ("stop_shaking",)),
    ),
    ThermocyclerBackend: (
        _Switch(
            "set_block_temperature", "its block is kept at {}", ("deactivate_block",), holds=True
        ),
        _Switch("set_lid_temperature", "its lid is kept at {}", ("deactivate_lid",), holds=True),
        _Switch("run_protocol", "its block runs a protocol", ("deactivate_block",), holds=True),
        _Switch("run_protocol", "its lid is hot for a protocol", ("deactivate_lid",), holds=True),
    ),
    SealerBackend: (_Switch("set_temperature", _HEATS, holds=True),),
    # Base classes of readers have no settings; some vendors' readers heat and shake.
    PlateReaderBackend: (
        _Switch("set_temperature", _HEATS, ("stop_heating_or_cooling",), holds=True),
        _Switch("start_shaking", _SHAKES, ("stop_shaking",)),
        _Switch("start_shake", _SHAKES, ("stop_shake",)),
        _Switch("shake", _SHAKES, ("stop_shaking",)),
    ),
    FanBackend: (_Switch("turn_on", "it blows", ("turn_off",)),),
    PumpBackend: (
        _Switch("run_continuously", _PUMPS, ("halt",)),
        _Switch("run_revolutions", _PUMPS, ("halt",)),
    ),
    PumpArrayBackend: (
        _Switch("run_continuously", _PUMPS, ("halt",)),
        _Switch("run_revolutions", _PUMPS, ("halt",)),
    ),
    # PyLabRobot cannot stop a spin; it ends by itself.
    CentrifugeBackend: (_Switch("spin", "it spins until its time is over", ("abort",)),),
    # What these do ends by itself, and undoing it would move something.
    BarcodeScannerBackend: (),
    ImagerBackend: (),
    LiquidHandlerBackend: (),
    LoaderBackend: (),
    PeelerBackend: (),
    PowderDispenserBackend: (),
    SCARABackend: (),
    ScaleBackend: (),
    TilterBackend: (),
}
"""The switches of each base class; a class under several of them has all of theirs."""


def safe_actions(
    device: str,
    definition: DeviceDefinition,
    calls: Iterable[Call],
    *,
    backend: type[MachineBackend] | None = None,
) -> list[SafeAction]:
    """Say what makes a device safe that nobody looks after any more.

    Args:
        device: Its name.
        definition: Its definition; ``on_lost`` bounds how long it holds a temperature. What moves
            goes off at once, unless the device does nothing else and ``on_lost`` lets it hold.
        calls: The last call of each of its settings, and those that are under way.
        backend: The backend's class; that of the definition's simulated backend when left out.

    Returns:
        What is to be sent, each in its time; nothing for a device that is switched off.
    """
    cls = backend or class_of(definition.simulated_backend)
    switches = list(_switches(cls))
    limit = _limit(definition)
    all_hold = limit is not None and not any(switch.holds for switch in switches)
    actions = []
    for call in calls:
        for switch in switches:
            if switch.on == call.method:
                holds = switch.holds or all_hold
                seconds = (HOLD_MINUTES if limit is None else limit) * 60 if holds else 0.0
                actions.append(_action(device, cls, switch, call, seconds))
    return without_repeats(actions)


def _switches(backend: type[MachineBackend]) -> Iterator[_Switch]:
    for cls in backend.__mro__:
        yield from SWITCHES.get(cls, ())


def _limit(definition: DeviceDefinition) -> float | None:
    """Minutes that the definition lets the device hold; None: it says nothing."""
    return None if definition.on_lost is None else definition.on_lost.hold_minutes


def _action(
    device: str, backend: type[MachineBackend], switch: _Switch, call: Call, seconds: float
) -> SafeAction:
    what = switch.what.format(_value(call))
    off = next((name for name in switch.off if callable(getattr(backend, name, None))), None)
    if off is None:
        why = f"{what}, and {backend.__name__} has no method that ends it: look at it"
        return SafeAction(device, None, why, seconds)
    return SafeAction(device, off, what, seconds)


def _value(call: Call) -> str:
    values = [*call.args, *call.kwargs.values()]
    return f"{values[0]} °C" if values else "a temperature"


def without_repeats(actions: Iterable[SafeAction]) -> list[SafeAction]:
    """Leave one of several that send the same: the earliest."""
    first: dict[tuple[str, str], SafeAction] = {}
    for action in sorted(actions, key=lambda one: one.after_seconds):
        first.setdefault(action.key, action)
    return list(first.values())
