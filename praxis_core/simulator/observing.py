"""What devices tell when they are asked: the truth, whatever the simulated backend would say."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from pylabrobot.liquid_handling.backends import LiquidHandlerBackend
from pylabrobot.machines.backend import MachineBackend
from pylabrobot.sealing.backend import SealerBackend
from pylabrobot.storage.backend import IncubatorBackend
from pylabrobot.temperature_controlling.backend import TemperatureControllerBackend
from pylabrobot.thermocycling.backend import ThermocyclerBackend

from praxis_core.simulator.truth import DeviceTruth, Draft, channel

Look = Callable[[Draft, str, MachineBackend, Any], Any]
"""Gives the answer, from the truth, the device, its backend and the backend's own answer."""


def _tips(draft: Draft, device: str, backend: MachineBackend, _own: Any) -> list[bool]:
    return [draft.tip(channel(device, n)) is not None for n in range(backend.num_channels)]


def _tips96(draft: Draft, device: str, _backend: MachineBackend, _own: Any) -> int:
    return int(any(draft.tip(channel(device, n, head96=True)) for n in range(96)))


def _gripper(draft: Draft, device: str, _backend: MachineBackend, _own: Any) -> bool:
    return draft.get("grippers", device) is not None


def _celsius(zone: str) -> Look:
    def look(draft: Draft, device: str, _backend: MachineBackend, own: Any) -> Any:
        heats = draft.device(device).heats
        return heats[zone].now(draft.now) if zone in heats else own

    return look


def _zones(zone: str) -> Look:
    def look(draft: Draft, device: str, _backend: MachineBackend, own: Any) -> Any:
        truth: DeviceTruth = draft.device(device)
        names = [name for name in truth.heats if name == zone or name.startswith(f"{zone} ")]
        return [truth.heats[name].now(draft.now) for name in names] or own

    return look


LOOKS: dict[type[Any], dict[str, Look]] = {
    LiquidHandlerBackend: {
        "request_tip_presence": _tips,
        "head96_request_tip_presence": _tips96,
        "request_plate_in_iswap": _gripper,
    },
    TemperatureControllerBackend: {"get_current_temperature": _celsius("temperature")},
    IncubatorBackend: {"get_temperature": _celsius("temperature")},
    SealerBackend: {"get_temperature": _celsius("temperature")},
    ThermocyclerBackend: {
        "get_block_current_temperature": _zones("block"),
        "get_lid_current_temperature": _zones("lid"),
    },
}

WITHOUT_BACKEND = frozenset({"head96_request_tip_presence", "request_plate_in_iswap"})
"""Where PyLabRobot's simulated backends fail or guess, they are not asked."""


def look_of(backend: type[Any], method: str) -> Look | None:
    """Find how a method looks at the truth; the nearest base class decides."""
    for cls in backend.__mro__:
        found = LOOKS.get(cls, {}).get(method)
        if found is not None:
            return found
    return None
