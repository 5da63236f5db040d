"""What is switched off when nobody looks after a device any more, and when."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import pytest
from pydantic import JsonValue
from pylabrobot.heating_shaking.chatterbox import HeaterShakerChatterboxBackend
from pylabrobot.machines.backend import MachineBackend

from praxis_core.workcell.boundary import coroutine_methods
from praxis_core.workcell.definition import DeviceDefinition
from praxis_core.workcell.kinds import KINDS
from praxis_core.workcell.model import class_of
from praxis_core.workcell.safe_state import HOLD_MINUTES, SWITCHES, SafeAction, safe_actions

SHAKER = "pylabrobot.shaking.chatterbox:ShakerChatterboxBackend"
HEATER_SHAKER = "pylabrobot.heating_shaking.chatterbox:HeaterShakerChatterboxBackend"
THERMOCYCLER = "pylabrobot.thermocycling.chatterbox:ThermocyclerChatterboxBackend"
PUMP = "pylabrobot.pumps.chatterbox:PumpChatterboxBackend"
CENTRIFUGE = "pylabrobot.centrifuge.chatterbox:CentrifugeChatterboxBackend"
SEALER = "pylabrobot.sealing.a4s_backend:A4SBackend"
READER = "pylabrobot.plate_reading.agilent.biotek_cytation_backend:CytationBackend"


@dataclass(frozen=True)
class Asked:
    """A call of a backend's method."""

    method: str
    args: tuple[JsonValue, ...] = ()
    kwargs: Mapping[str, JsonValue] = field(default_factory=dict)


def device(backend: str, on_lost: Any = None) -> DeviceDefinition:
    """A device with this simulated backend."""
    return DeviceDefinition.model_validate(
        {
            "frontend": "pylabrobot.machines:Machine",
            "backend": backend,
            "simulated_backend": backend,
            "on_lost": on_lost,
        }
    )


def actions(backend: str, *calls: Asked, on_lost: Any = None) -> list[tuple[str | None, float]]:
    """Which method is due after how many minutes."""
    found = safe_actions("thing", device(backend, on_lost), calls)
    return [(action.method, action.after_seconds / 60) for action in found]


WARM, SHAKING = Asked("set_temperature", (37.0,)), Asked("start_shaking", (500,))


@pytest.mark.parametrize(
    ("backend", "calls", "on_lost", "expected"),
    [
        (SHAKER, [SHAKING], None, [("stop_shaking", 0)]),
        (SHAKER, [SHAKING], {"hold_minutes": 30}, [("stop_shaking", 30)]),
        (SHAKER, [Asked("stop_shaking")], None, []),
        (HEATER_SHAKER, [WARM], None, [("deactivate", HOLD_MINUTES)]),
        (HEATER_SHAKER, [WARM], "off", [("deactivate", 0)]),
        (HEATER_SHAKER, [WARM, SHAKING], None, [("stop_shaking", 0), ("deactivate", 240)]),
        # Where there is a temperature, that is what may be held.
        (
            HEATER_SHAKER,
            [WARM, SHAKING],
            {"hold_minutes": 5},
            [("stop_shaking", 0), ("deactivate", 5)],
        ),
        (HEATER_SHAKER, [Asked("deactivate"), Asked("lock_plate")], None, []),
        (
            THERMOCYCLER,
            [Asked("run_protocol"), Asked("set_lid_temperature", ([105.0],))],
            "off",
            [("deactivate_block", 0), ("deactivate_lid", 0)],
        ),
        (PUMP, [Asked("run_continuously", (3.0,))], None, [("halt", 0)]),
        (READER, [WARM], "off", [("stop_heating_or_cooling", 0)]),
    ],
)
def test_what_moves_stops_and_what_is_warm_stays_so_for_a_while(
    backend: str, calls: list[Asked], on_lost: Any, expected: list[tuple[str, float]]
) -> None:
    """By the classes of the backend, the last call of each setting, and the definition."""
    assert actions(backend, *calls, on_lost=on_lost) == expected


def test_what_cannot_be_switched_off_is_said() -> None:
    """A person has to look; nothing is sent that is not known to help."""
    [spin] = safe_actions("spinner", device(CENTRIFUGE), [Asked("spin", (500, 60, 80))])
    [plate] = safe_actions("sealer", device(SEALER), [Asked("set_temperature", (170.0,))])

    assert spin.method is None
    assert spin.why == (
        "it spins until its time is over, and CentrifugeChatterboxBackend has no method that "
        "ends it: look at it"
    )
    assert plate == SafeAction(
        "sealer",
        None,
        "it is kept at 170.0 °C, and A4SBackend has no method that ends it: look at it",
        HOLD_MINUTES * 60,
    )


def test_every_kind_of_device_has_been_judged() -> None:
    """A new base class of the kinds' table must be given its switches, be it none."""
    vendors = {"STARBackend", "HamiltonLiquidHandler"}  # under LiquidHandlerBackend

    assert {cls.__name__ for cls in KINDS} - vendors == {cls.__name__ for cls in SWITCHES}


def test_nothing_that_makes_safe_drops_opens_or_moves() -> None:
    """Whatever a table of ours says: no such word is in any of its methods."""
    words = {"drop", "open", "move", "home", "park", "eject", "unlock", "load", "dispense"}
    offs = {off for switches in SWITCHES.values() for switch in switches for off in switch.off}

    assert {off for off in offs for word in words if word in off} == set()


def test_each_switch_names_methods_that_backends_have() -> None:
    """A misspelt one would never be found out when it is needed."""
    classes: list[type[MachineBackend]] = [
        HeaterShakerChatterboxBackend,
        *(
            class_of(path)
            for path in (
                *(SHAKER, THERMOCYCLER, PUMP, SEALER, READER),
                "pylabrobot.centrifuge.highres.microspin_backend:MicroSpinBackend",
                "pylabrobot.only_fans.chatterbox:FanChatterboxBackend",
                "pylabrobot.pumps.agrowpumps.agrowdosepump_backend:AgrowPumpArrayBackend",
                "pylabrobot.storage.chatterbox:IncubatorChatterboxBackend",
                "pylabrobot.storage.inheco.scila.scila_backend:SCILABackend",
            )
        ),
    ]
    known = {name for cls in classes for name in dir(cls)}
    known |= {"start_shake", "stop_shake", "shake"}  # of readers whose driver is not installed here
    named = {
        name
        for switches in SWITCHES.values()
        for switch in switches
        for name in (switch.on, *switch.off)
    }

    assert named - known == set()
    assert list(coroutine_methods(HeaterShakerChatterboxBackend))
