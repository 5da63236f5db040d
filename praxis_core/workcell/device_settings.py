"""What each device was last set to: set-points, speeds, doors, locks, attributes of its backend.

Pure bookkeeping over commands. The host keeps it for what its devices are set to now (what has to
be made safe when a run is lost), and folds the recorded commands of a run into another one for what
that run expects; the differences are what a resumed run has to have set again.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from typing import Any, Protocol
from uuid import UUID

from pydantic import JsonValue, TypeAdapter
from pylabrobot.centrifuge.backend import CentrifugeBackend
from pylabrobot.machines.backend import MachineBackend
from pylabrobot.only_fans.backend import FanBackend
from pylabrobot.plate_reading.backend import PlateReaderBackend
from pylabrobot.pumps.backend import PumpArrayBackend
from pylabrobot.sealing.backend import SealerBackend
from pylabrobot.shaking.backend import ShakerBackend
from pylabrobot.storage.backend import IncubatorBackend
from pylabrobot.temperature_controlling.backend import TemperatureControllerBackend
from pylabrobot.thermocycling.backend import ThermocyclerBackend
from pylabrobot.tilting.tilter_backend import TilterBackend

from praxis_core.protocol.command import Command, Outcome
from praxis_core.protocol.lifecycle import OutcomeStatus, Sent
from praxis_core.workcell.kinds import SET_ATTRIBUTES

OFF = None
"""Value of a setting that is switched off."""


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
class Setting:
    """One thing that a device was set to, and the call that sets it so."""

    group: str
    """What was set: ``"temperature"``, ``"shaking"``, ``"door"``; a later one takes its place."""
    value: JsonValue
    """To what; None: off."""
    method: str
    args: tuple[JsonValue, ...] = ()
    kwargs: dict[str, JsonValue] = field(default_factory=dict)
    again: bool = True
    """Whether the call may be sent again to get the same."""
    if_known: bool = False
    """Whether it counts only when the device is known to have such a thing: a shaker without a lock
    unlocks nothing."""


@dataclass(frozen=True, slots=True)
class Difference:
    """A setting of a device that is not what a run expects."""

    device: str
    expected: Setting
    """Its call sets it right, if it may be sent ``again``; else a person is to be asked."""
    found: JsonValue
    """What it is set to; None: off, or nothing is known."""


def settings_of(backend: type[MachineBackend], call: Call, *, ended: bool = True) -> list[Setting]:
    """Say what a call sets.

    Args:
        backend: Class of the device's backend.
        call: A command, or any call of the backend.
        ended: Of a call that contains time (``shake_for``): whether its time is over.
    """
    if call.method == SET_ATTRIBUTES:
        return [
            Setting(f"attribute {name}", value, SET_ATTRIBUTES, (), {name: value})
            for name, value in call.kwargs.items()
        ]
    for cls in backend.__mro__:
        for table in (SETS, _AFTER if ended else _DURING):
            read = table.get(cls, {}).get(call.method)
            if read is not None:
                return list(read(call))
    return []


class DeviceSettings:
    """The settings of the devices of one workcell.

    Args:
        backends: Class of each device's backend.
    """

    def __init__(self, backends: Mapping[str, type[MachineBackend]]) -> None:
        self._backends = dict(backends)
        self._settings: dict[str, dict[str, Setting]] = {name: {} for name in backends}
        self._under_way: dict[tuple[UUID, str, int], Command] = {}

    def note(self, command: Command, outcome: Outcome | None = None) -> None:
        """Take up a command: once before it is sent, and once with its outcome.

        What failed after something may have been sent counts as set where it switches something
        on, and as not done where it switches off: what may be on is on.
        """
        cls = self._backends[command.device]
        key = (command.run_id, command.branch, command.ordinal)
        begun = _switched_on(cls, command)
        self._under_way.pop(key, None)
        if outcome is None:
            self._under_way[key] = command
        elif outcome.status is OutcomeStatus.SUCCEEDED:
            self._take(command.device, settings_of(cls, command))
        elif outcome.sent is not Sent.NONE:
            self._take(command.device, begun)

    def current(self, device: str) -> dict[str, Setting]:
        """Give the last setting of each group, with what commands under way are about to set."""
        settings = dict(self._settings[device])
        for command in self._under_way.values():
            if command.device == device:
                begun = _switched_on(self._backends[device], command)
                settings.update({each.group: each for each in begun})
        return settings

    def calls(self, device: str) -> list[Call]:
        """Give the call of each setting of a device, and all commands that are under way on it."""
        under_way = [each for each in self._under_way.values() if each.device == device]
        return [*self.current(device).values(), *under_way]

    def forget(self, device: str) -> None:
        """Know nothing any more: the device was set up, which switches everything off."""
        self._settings[device].clear()

    def differences(self, expected: DeviceSettings) -> list[Difference]:
        """Say what has to be set so that the devices are as ``expected``.

        Returns:
            In an order in which it can be sent: what is switched off first; doors, lids and locks
            before what moves or heats behind them.
        """
        found = []
        for device, settings in expected._settings.items():
            here = self._settings.get(device, {})
            for group, setting in settings.items():
                known = here.get(group)
                if known is None or known.value != setting.value:
                    value = None if known is None else known.value
                    found.append(Difference(device, setting, value))
        return sorted(found, key=lambda one: _order(one.expected))

    def as_json(self) -> dict[str, JsonValue]:
        """Give the settings as plain values, by device; what is under way is left out."""
        return {
            device: [{**asdict(each), "args": list(each.args)} for each in settings.values()]
            for device, settings in self._settings.items()
        }

    def load(self, data: Mapping[str, JsonValue]) -> None:
        """Take over what ``as_json`` gave."""
        for device, settings in data.items():
            self._settings[device] = {
                each.group: each for each in _settings_adapter.validate_python(settings)
            }

    def _take(self, device: str, settings: Iterable[Setting]) -> None:
        known, cls = self._settings[device], self._backends[device]
        for setting in settings:
            if setting.if_known and setting.group not in known and not _has_lock(cls):
                continue
            if setting.group == _ALL_PUMPS:
                known.update(_stopped(known))
            else:
                known[setting.group] = setting


_ALL_PUMPS = "pump"
"""Group of a call that stops every channel; each channel that was set has a group of its own."""


def _stopped(known: Mapping[str, Setting]) -> dict[str, Setting]:
    return {
        group: replace(each, value=OFF, kwargs={**each.kwargs, "speed": [0.0]})
        for group, each in known.items()
        if group.startswith(f"{_ALL_PUMPS} ")
    }


def _has_lock(backend: type[MachineBackend]) -> bool:
    """Whether a shaker holds plates fast, as far as its class says so for every device of it."""
    said = getattr(backend, "supports_locking", None)
    try:
        return isinstance(said, property) and said.fget is not None and bool(said.fget(None))
    except (AttributeError, TypeError):
        return False  # the device itself would have to be asked


def _switched_on(backend: type[MachineBackend], command: Command) -> list[Setting]:
    return [each for each in settings_of(backend, command, ended=False) if each.value is not OFF]


_settings_adapter = TypeAdapter(list[Setting])

_FIRST = ("attribute", "lid", "door", "tray", "door lock", "lock", "angle")


def _order(setting: Setting) -> int:
    if setting.value is OFF:
        return 0
    group = "attribute" if setting.method == SET_ATTRIBUTES else setting.group
    return 1 + _FIRST.index(group) if group in _FIRST else 1 + len(_FIRST)


_Read = Callable[[Call], Iterable[Setting]]


def _argument(call: Call, name: str, position: int = 0) -> JsonValue:
    """Give an argument as it was passed, by its place or by its name."""
    if position < len(call.args):
        return call.args[position]
    return call.kwargs.get(name)


def _to(group: str, argument: str) -> _Read:
    """Read a call that sets something to its first argument."""

    def read(call: Call) -> Iterator[Setting]:
        value = _argument(call, argument)
        value = True if value is None else value
        yield Setting(group, value, call.method, tuple(call.args), dict(call.kwargs))

    return read


def _is(group: str, value: JsonValue = OFF) -> _Read:
    """Read a call that puts something into one state."""

    def read(call: Call) -> Iterator[Setting]:
        yield Setting(group, value, call.method, tuple(call.args), dict(call.kwargs))

    return read


def _profile(call: Call) -> Iterator[Setting]:
    """The block holds what the profile ends with; doing that again would cycle the sample again."""
    value = {"profile": _argument(call, "protocol")}
    args, kwargs = tuple(call.args), dict(call.kwargs)
    yield Setting("block", value, call.method, args, kwargs, again=False)


def _pumps(call: Call) -> Iterator[Setting]:
    speeds, channels = _argument(call, "speed"), _argument(call, "use_channels", 1)
    if not isinstance(speeds, list) or not isinstance(channels, list):
        return
    for speed, channel in zip(speeds, channels, strict=False):
        kwargs: dict[str, JsonValue] = {"speed": [speed], "use_channels": [channel]}
        value = speed or OFF  # a speed of 0 stops it
        yield Setting(f"{_ALL_PUMPS} {channel}", value, "run_continuously", (), kwargs)


def _pumping(call: Call) -> Iterator[Setting]:
    for channel, speed in _channels(call):
        kwargs: dict[str, JsonValue] = {"speed": [speed], "use_channels": [channel]}
        yield Setting(f"{_ALL_PUMPS} {channel}", speed, "run_continuously", (), kwargs)


def _pumped(call: Call) -> Iterator[Setting]:
    for channel, _speed in _channels(call):
        kwargs: dict[str, JsonValue] = {"speed": [0.0], "use_channels": [channel]}
        yield Setting(f"{_ALL_PUMPS} {channel}", OFF, "run_continuously", (), kwargs)


def _channels(call: Call) -> Iterator[tuple[JsonValue, JsonValue]]:
    """Pair channels and speeds of a frontend's call, where one number may stand for several."""
    asked = _argument(call, "use_channels", 1)
    channels = asked if isinstance(asked, list) else [asked]
    speed = _argument(call, "speed")
    yield from zip(
        channels, speed if isinstance(speed, list) else [speed] * len(channels), strict=False
    )


def _shaking(call: Call) -> Iterator[Setting]:
    kwargs = {name: value for name, value in call.kwargs.items() if name != "duration"}
    yield Setting("shaking", kwargs.get("speed"), "start_shaking", (), kwargs)


def _shaken(_call: Call) -> Iterator[Setting]:
    yield Setting("shaking", OFF, "stop_shaking")
    yield Setting("lock", "unlocked", "unlock_plate", if_known=True)


def _blowing(call: Call) -> Iterator[Setting]:
    speed = call.kwargs.get("intensity")
    yield Setting("fan", speed, "turn_on", (), {"intensity": speed})


def _blown(_call: Call) -> Iterator[Setting]:
    yield Setting("fan", OFF, "turn_off")


_DOORS: dict[str, _Read] = {
    "open_door": _is("door", "open"),
    "close_door": _is("door", "closed"),
}
_TRAYS: dict[str, _Read] = {"open": _is("tray", "open"), "close": _is("tray", "closed")}

_Table = dict[type[Any], dict[str, _Read]]

SETS: _Table = {
    TemperatureControllerBackend: {
        "set_temperature": _to("temperature", "temperature"),
        "deactivate": _is("temperature"),
    },
    ShakerBackend: {
        "start_shaking": _to("shaking", "speed"),
        "shake": _to("shaking", "speed"),
        "stop_shaking": _is("shaking"),
        "lock_plate": _is("lock", "locked"),
        "unlock_plate": _is("lock", "unlocked"),
    },
    IncubatorBackend: {
        **_DOORS,
        "set_temperature": _to("temperature", "temperature"),
        "stop_temperature_control": _is("temperature"),
        "start_shaking": _to("shaking", "frequency"),
        "stop_shaking": _is("shaking"),
    },
    ThermocyclerBackend: {
        "open_lid": _is("lid", "open"),
        "close_lid": _is("lid", "closed"),
        "set_block_temperature": _to("block", "temperature"),
        "deactivate_block": _is("block"),
        "set_lid_temperature": _to("lid temperature", "temperature"),
        "deactivate_lid": _is("lid temperature"),
        "run_protocol": _profile,
    },
    CentrifugeBackend: {
        **_DOORS,
        "lock_door": _is("door lock", "locked"),
        "unlock_door": _is("door lock", "unlocked"),
        "lock_bucket": _is("bucket lock", "locked"),
        "unlock_bucket": _is("bucket lock", "unlocked"),
    },
    # Base classes of readers heat and shake nothing; some vendors' readers do.
    PlateReaderBackend: {
        **_TRAYS,
        "set_temperature": _to("temperature", "temperature"),
        "stop_heating_or_cooling": _is("temperature"),
        "start_shaking": _to("shaking", "speed"),
        "stop_shaking": _is("shaking"),
        "start_shake": _to("shaking", "shake_type"),
        "stop_shake": _is("shaking"),
        "shake": _to("shaking", "shake_type"),
    },
    SealerBackend: {**_TRAYS, "set_temperature": _to("temperature", "temperature")},
    TilterBackend: {"set_angle": _to("angle", "angle")},
    FanBackend: {"turn_on": _to("fan", "intensity"), "turn_off": _is("fan")},
    PumpArrayBackend: {"run_continuously": _pumps, "halt": _is(_ALL_PUMPS)},
}
"""What each method of each base class sets, inherited by the classes under it."""

_DURING: _Table = {
    ShakerBackend: {"shake_for": _shaking},
    FanBackend: {"turn_on_for": _blowing},
    PumpArrayBackend: {"run_for_duration": _pumping},
}
"""What commands that contain time set while they last."""

_AFTER: _Table = {
    ShakerBackend: {"shake_for": _shaken},
    FanBackend: {"turn_on_for": _blown},
    PumpArrayBackend: {"run_for_duration": _pumped},
}
"""What they leave."""
