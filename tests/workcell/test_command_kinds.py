"""Every method of every kind of device is classified; what is not is never repeated."""

from __future__ import annotations

import importlib
import inspect
import pkgutil
import re
import warnings
from collections.abc import Iterator
from types import ModuleType
from typing import Any

import pylabrobot
import pytest
from pylabrobot.liquid_handling.backends import STARBackend
from pylabrobot.machines.backend import MachineBackend
from pylabrobot.machines.machine import Machine
from pylabrobot.only_fans import Fan, FanBackend
from pylabrobot.pumps import PumpArray
from pylabrobot.pumps.backend import PumpArrayBackend
from pylabrobot.shaking import Shaker
from pylabrobot.shaking.backend import ShakerBackend
from pylabrobot.temperature_controlling import TemperatureController
from pylabrobot.temperature_controlling.backend import TemperatureControllerBackend
from pylabrobot.thermocycling import Thermocycler
from pylabrobot.thermocycling.backend import ThermocyclerBackend

from praxis_core.workcell.boundary import coroutine_methods
from praxis_core.workcell.kinds import KINDS, LIFECYCLE, LOCAL, kind_of
from praxis_core.workcell.timed import TIMED

NO_FRONTEND = {"ExperimentalBioTekEL406Backend"}
"""Base classes that no device can be made of: PyLabRobot has no frontend for them."""


def modules(package: ModuleType) -> Iterator[ModuleType]:
    """Import what can be imported of a package."""
    for info in pkgutil.iter_modules(package.__path__, f"{package.__name__}."):
        if info.name.endswith("_tests") or info.name.endswith(".gui"):
            continue
        try:
            module = importlib.import_module(info.name)
        except (ImportError, NotImplementedError, RuntimeError):
            continue  # needs a driver that is not installed, or has moved
        yield module
        if info.ispkg:
            yield from modules(module)


def base_classes() -> list[type[MachineBackend]]:
    """Find the abstract backends that say what a kind of device can do."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # PyLabRobot warns in modules that have moved
        list(modules(pylabrobot))
    return [
        cls
        for cls in MachineBackend.__subclasses__()
        if inspect.isabstract(cls) and cls.__name__ not in NO_FRONTEND
    ]


def test_every_method_of_every_base_class_is_classified() -> None:
    """A new kind of device, or a new method, has to be judged by a person."""
    unjudged = [
        f"{cls.__name__}.{method}"
        for cls in base_classes()
        for method in coroutine_methods(cls)
        if method not in LIFECYCLE | LOCAL
        and not any(method in KINDS.get(base, {}) for base in cls.__mro__)
    ]

    assert unjudged == []
    assert len(base_classes()) > 15


def test_the_table_names_only_methods_that_exist() -> None:
    """A method that PyLabRobot renamed leaves no dead entry behind."""
    dead = [
        f"{cls.__name__}.{method}"
        for cls, methods in KINDS.items()
        for method in methods
        if not hasattr(cls, method)
    ]

    assert dead == []


@pytest.mark.parametrize(
    ("method", "kind"),
    [
        ("request_tip_presence", "observe"),
        ("head96_request_position", "observe"),
        ("channels_sense_tip_presence", "observe"),
        ("get_iswap_version", "observe"),
        ("park_iswap", "repeatable"),
        ("head96_park", "repeatable"),
        ("move_channel_x", "repeatable"),
        ("aspirate", "once"),
        ("iswap_get_plate", "once"),
        ("get_core", "once"),
        ("move_iswap_x_relative", "once"),
        ("send_command", "once"),
        ("a_method_of_next_year", "once"),
    ],
)
def test_a_vendors_own_methods_are_judged_by_their_names(method: str, kind: str) -> None:
    """Asking and parking are known by name; everything else happens once."""
    assert kind_of(STARBackend, method) == kind


def subclasses(cls: type[Any]) -> set[type[Any]]:
    """Find every class of PyLabRobot below this one."""
    found = {sub for sub in cls.__subclasses__() if sub.__module__.startswith("pylabrobot.")}
    return found.union(*map(subclasses, found))


def test_no_other_frontend_contains_time() -> None:
    """A frontend that PyLabRobot lets sleep has to be taken into the table."""
    base_classes()  # imports all of PyLabRobot
    sleeping = {
        f"{cls.__name__}.{name}"
        for cls in subclasses(Machine)
        for name, member in vars(cls).items()
        if inspect.iscoroutinefunction(member)
        and re.search(r"\bsleep\(", inspect.getsource(member))
    }
    known = {f"{cls.__name__}.{timed.method}" for cls, all_ in TIMED.items() for timed in all_}

    assert sleeping - known == {"Pump.run_for_duration"}  # which no workcell takes
    assert known <= sleeping


def test_no_backend_has_a_method_of_the_name_of_a_timed_command() -> None:
    """Else a script that calls a backend itself would be misunderstood."""
    backends = {PumpArray: PumpArrayBackend, Thermocycler: ThermocyclerBackend, Fan: FanBackend}
    backends |= {Shaker: ShakerBackend, TemperatureController: TemperatureControllerBackend}
    base_classes()  # imports all of PyLabRobot

    clashes = [
        f"{cls.__name__}.{timed.command}"
        for frontend, entries in TIMED.items()
        for timed in entries
        for cls in subclasses(backends[frontend])
        if timed.command in coroutine_methods(cls)
    ]

    assert clashes == []
