"""The physics of set-points, speeds, doors and counts: what devices keep doing once told."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

from pydantic import JsonValue
from pylabrobot.centrifuge.backend import CentrifugeBackend, LoaderBackend
from pylabrobot.liquid_handling.backends import LiquidHandlerBackend
from pylabrobot.only_fans.backend import FanBackend
from pylabrobot.peeling.backend import PeelerBackend
from pylabrobot.plate_reading.backend import PlateReaderBackend
from pylabrobot.powder_dispensing.backend import PowderDispenserBackend
from pylabrobot.pumps.backend import PumpArrayBackend
from pylabrobot.scales.scale_backend import ScaleBackend
from pylabrobot.sealing.backend import SealerBackend
from pylabrobot.shaking.backend import ShakerBackend
from pylabrobot.storage.backend import IncubatorBackend
from pylabrobot.temperature_controlling.backend import TemperatureControllerBackend
from pylabrobot.thermocycling.backend import ThermocyclerBackend
from pylabrobot.tilting.tilter_backend import TilterBackend

from praxis_core.simulator.act import Act
from praxis_core.simulator.gripping import GRIPPING, fetch, take_in
from praxis_core.simulator.pipetting import PIPETTING
from praxis_core.simulator.truth import Heat

Physics = Callable[[Act], None]

ROOM = 22.0
"""°C."""


def put(**settings: JsonValue) -> Physics:
    """Set settings to fixed values; None switches off."""

    def act(call: Act) -> None:
        _put(call, settings)

    return act


def take(setting: str, *arguments: str) -> Physics:
    """Set a setting to an argument of the call."""

    def act(call: Act) -> None:
        _put(call, {setting: _plain(call.argument(*arguments))})

    return act


def aim(zone: str) -> Physics:
    """Set the set-point of a temperature, or of several zones when the argument is a list."""

    def act(call: Act) -> None:
        wanted = call.argument("temperature")
        zones = wanted if isinstance(wanted, (list, tuple)) else [wanted]
        for number, celsius in enumerate(zones):
            _aim(call, f"{zone} {number}" if number else zone, float(celsius))

    return act


def cool_off(zone: str) -> Physics:
    """Switch the heating of all zones off."""

    def act(call: Act) -> None:
        for name in call.truth_of_device().heats:
            if name == zone or name.startswith(f"{zone} "):
                _aim(call, name, None)

    return act


def count(what: str, by: Callable[[Act], float] = lambda _: 1.0, holds: str = "") -> Physics:
    """Count something that leaves no other trace.

    Args:
        what: Its name among the counts.
        by: How much.
        holds: The argument that says how many seconds it takes.
    """

    def act(call: Act) -> None:
        device = call.truth_of_device()
        counts = {**device.counts, what: device.counts.get(what, 0.0) + by(call)}
        call.draft.put("devices", call.device, replace(device, counts=counts))
        call.note(do=what, by=by(call))
        call.holds = float(call.argument(holds, default=0.0)) if holds else 0.0

    return act


def run_profile(call: Act) -> None:
    """Cycle the sample: it takes its time, and ends at the temperature of the last step."""
    steps = [
        step
        for stage in call.argument("protocol").stages
        for _ in range(int(stage.repeats))
        for step in stage.steps
    ]
    count("profiles")(call)
    call.holds = sum(float(step.hold_seconds) for step in steps if math.isfinite(step.hold_seconds))
    if steps:
        for number, celsius in enumerate(steps[-1].temperature):
            _aim(call, f"block {number}" if number else "block", float(celsius))


def switch_off(call: Act) -> None:
    """Begin anew: what was on is off, the tray is in; what was counted stays counted."""
    device = call.truth_of_device()
    heats = {name: heat.aimed(None, call.draft.now) for name, heat in device.heats.items()}
    settings: dict[str, JsonValue] = {}
    if isinstance(call.machine.backend, PlateReaderBackend):
        settings["tray"] = "in"
    call.draft.put(
        "devices",
        call.device,
        replace(device, initialised=True, heats=heats, settings=settings),
    )


def _put(call: Act, settings: Mapping[str, JsonValue]) -> None:
    device = call.truth_of_device()
    merged = {**device.settings, **settings}
    kept = {name: value for name, value in merged.items() if value is not None}
    call.draft.put("devices", call.device, replace(device, settings=kept))
    for name, value in settings.items():
        call.note(do="set", setting=name, value=value)


def _aim(call: Act, zone: str, celsius: float | None) -> None:
    device = call.truth_of_device()
    now = call.draft.now
    heat = device.heats.get(zone, Heat(ROOM, now, room=ROOM))
    aimed = replace(heat.aimed(celsius, now), lag=call.lag)
    heats = {**device.heats, zone: aimed}
    call.draft.put("devices", call.device, replace(device, heats=heats))
    call.note(do="set", setting=zone, value=celsius)


def _plain(value: Any) -> JsonValue:
    if isinstance(value, (list, tuple)):
        return [_plain(item) for item in value]
    return value if isinstance(value, (bool, int, float, str)) else str(value)


def _revolutions(call: Act) -> float:
    return float(sum(call.argument("num_revolutions")))


def _milligrams(call: Act) -> float:
    return float(sum(each.amount for each in call.argument("dispense_parameters")))


PHYSICS: dict[type[Any], dict[str, Physics]] = {
    LiquidHandlerBackend: {**PIPETTING, **GRIPPING},
    PlateReaderBackend: {"open": put(tray="out"), "close": put(tray="in")},
    ShakerBackend: {
        "start_shaking": take("shaking", "speed"),
        "stop_shaking": put(shaking=None),
        "lock_plate": put(locked=True),
        "unlock_plate": put(locked=None),
    },
    TemperatureControllerBackend: {
        "set_temperature": aim("temperature"),
        "deactivate": cool_off("temperature"),
    },
    IncubatorBackend: {
        "open_door": put(door="open"),
        "close_door": put(door=None),
        "set_temperature": aim("temperature"),
        "start_shaking": take("shaking", "frequency"),
        "stop_shaking": put(shaking=None),
        "fetch_plate_to_loading_tray": fetch,
        "take_in_plate": take_in,
    },
    ThermocyclerBackend: {
        "open_lid": put(lid=None),
        "close_lid": put(lid="shut"),
        "set_block_temperature": aim("block"),
        "set_lid_temperature": aim("lid"),
        "deactivate_block": cool_off("block"),
        "deactivate_lid": cool_off("lid"),
        "run_protocol": run_profile,
    },
    CentrifugeBackend: {
        "open_door": put(door="open"),
        "close_door": put(door=None),
        "lock_door": put(door_locked=True),
        "unlock_door": put(door_locked=None),
        "lock_bucket": put(bucket_locked=True),
        "unlock_bucket": put(bucket_locked=None),
        "go_to_bucket1": put(bucket=1),
        "go_to_bucket2": put(bucket=2),
        "spin": count("spins", holds="duration"),
    },
    LoaderBackend: {"load": count("loads"), "unload": count("unloads")},
    FanBackend: {"turn_on": take("fan", "intensity"), "turn_off": put(fan=None)},
    PumpArrayBackend: {
        "run_continuously": take("pumping", "speed"),
        "halt": put(pumping=None),
        "run_revolutions": count("revolutions", _revolutions),
    },
    SealerBackend: {
        "open": put(tray="out"),
        "close": put(tray="in"),
        "set_temperature": aim("temperature"),
        "seal": count("seals", holds="duration"),
    },
    PeelerBackend: {"peel": count("peels")},
    TilterBackend: {"set_angle": take("angle", "angle")},
    PowderDispenserBackend: {"dispense": count("milligrams", _milligrams)},
    ScaleBackend: {"tare": count("tares"), "zero": count("zeros")},
}
"""What the methods of each base class do to the world; the others look, or are not modelled."""


def physics_of(backend: type[Any], method: str) -> Physics | None:
    """Find what a method does; the nearest base class decides."""
    for cls in backend.__mro__:
        found = PHYSICS.get(cls, {}).get(method)
        if found is not None:
            return found
    return None
