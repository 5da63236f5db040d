"""A workcell when a run begins: what the definition says, and what the devices tell."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from typing import Any

from pylabrobot.liquid_handling.backends import LiquidHandlerBackend, STARBackend
from pylabrobot.liquid_handling.backends.hamilton.STAR_chatterbox import STARChatterboxBackend
from pylabrobot.resources import does_tip_tracking
from pylabrobot.storage.backend import IncubatorBackend
from pylabrobot.temperature_controlling.backend import TemperatureControllerBackend

from praxis_core.assets.manager import AssetManager
from praxis_core.assets.state import AssetManagerState
from praxis_core.errors import DeviceStateUnexpected, Problem
from praxis_core.labware.inventory import inventory
from praxis_core.to_the_end import to_the_end
from praxis_core.workcell.contents import solutes
from praxis_core.workcell.definition import DeviceDefinition, WorkcellDefinition
from praxis_core.workcell.device import Device
from praxis_core.workcell.model import WorkcellModel
from praxis_core.workcell.quiet import device_call

TELLING_SECONDS = 30.0
"""How long a device may take to tell what it senses before a run that wants it is refused."""


def initial_assets(model: WorkcellModel) -> AssetManagerState:
    """Say what a freshly built workcell holds, and where everything is.

    Args:
        model: As its definition built it; nothing has moved yet.

    Returns:
        Volumes in µL, amounts of solutes in pmol.
    """
    merged: dict[str, dict[str, Any]] = {}
    for root in model.roots():
        for part, entries in inventory(root).items():
            merged.setdefault(part, {}).update(entries)  # type: ignore[arg-type]
    for labware in model.definition.labware:
        for well, amounts in solutes(model.resources.get(labware.name), labware).items():
            merged["containers"][well]["amounts"] = dict(amounts)
    merged["grippers"] = dict.fromkeys(model.devices)
    return AssetManagerState.model_validate(merged)


async def confirm(
    devices: Sequence[Device], definition: WorkcellDefinition, assets: AssetManager
) -> None:
    """Read what devices can tell that are connected, and compare it with what is expected.

    Raises:
        DeviceStateUnexpected: naming every difference.
    """
    asked = [one for one in devices if one.connected]
    found = await to_the_end(differences(asked, definition, assets))
    if found:
        raise DeviceStateUnexpected(workcell=definition.name, count=len(found), problems=found)


async def differences(
    devices: Sequence[Device], definition: WorkcellDefinition, assets: AssetManager
) -> list[Problem]:
    """Ask each device what it can tell about itself, and list what is not as expected.

    Asked are mounted tips, the gripper and the temperature, each where the device has a sensor for
    it.
    """
    questions = [
        (device, question(device, definition.devices[device.name], assets))
        for device in devices
        for backend_class, question in _QUESTIONS
        if isinstance(device.backend, backend_class)
    ]
    answers = await asyncio.gather(
        *(_ask(device, question) for device, question in questions), return_exceptions=True
    )
    problems: list[Problem] = []
    for (device, _), answer in zip(questions, answers, strict=True):
        if isinstance(answer, NotImplementedError):
            continue  # PyLabRobot's way to say that this machine has no sensor for it
        if isinstance(answer, Exception):
            problems.append(
                Problem(device.name, f"does not answer: {type(answer).__name__}: {answer}")
            )
        elif isinstance(answer, BaseException):
            raise answer
        else:
            problems += [Problem(device.name, difference, _MEND) for difference in answer]
    return list(dict.fromkeys(problems))  # a device that does not answer says so once


_MEND = (
    "put it right at the device, or correct what is known: praxis assets, or the definition of the "
    "workcell"
)


async def _ask(device: Device, question: Awaitable[list[str]]) -> list[str]:
    """Wait for what a device tells, but not forever: other runs wait to be let in, too."""
    asking = asyncio.ensure_future(_asked(device, question))
    done, _ = await asyncio.wait({asking}, timeout=TELLING_SECONDS)
    if done:
        return asking.result()
    # Nobody cancels a device call: until this one ends, the device is sent nothing else.
    asking.add_done_callback(lambda ended: ended.cancelled() or ended.exception())
    raise TimeoutError(f"nothing came within {TELLING_SECONDS:g} s")


async def _asked(device: Device, question: Awaitable[list[str]]) -> list[str]:
    async with device.lock:
        with device_call(device.name):
            return await question


async def _tips(device: Device, _definition: DeviceDefinition, assets: AssetManager) -> list[str]:
    backend: LiquidHandlerBackend = device.backend
    presence = await backend.request_tip_presence()
    known = assets.mounted_tips(device.name)
    expected = {
        channel: known[channel].there if channel in known else False
        for channel in range(len(presence))
    }
    return [
        f"channel {channel} has {_a_tip(present)}, expected was {_a_tip(not present)}"
        for channel, present in enumerate(presence)
        if present is not None and expected[channel] is (not present)
    ]


async def _tips96(device: Device, _definition: DeviceDefinition, assets: AssetManager) -> list[str]:
    backend: STARBackend = device.backend
    simulated = isinstance(backend, STARChatterboxBackend)
    if not backend.head96_installed or (simulated and not does_tip_tracking()):
        return []  # without tracking the simulation refuses to tell
    present = bool(await backend.head96_request_tip_presence())
    expected = bool(assets.mounted_tips(device.name, head96=True))
    if present == expected:
        return []
    return [f"the 96-head has {_a_tip(present)}, expected was {_a_tip(expected)}"]


async def _gripper(
    device: Device, _definition: DeviceDefinition, assets: AssetManager
) -> list[str]:
    backend: STARBackend = device.backend
    if not backend.num_arms:
        return []
    holding = await backend.request_plate_in_iswap()
    expected = assets.gripper(device.name)
    if holding == (expected is not None):
        return []
    says = "something" if holding else "nothing"
    return [f"the gripper holds {says}, expected was {expected or 'nothing'}"]


async def _controller(
    device: Device, definition: DeviceDefinition, _assets: AssetManager
) -> list[str]:
    backend: TemperatureControllerBackend = device.backend
    return _temperature(await backend.get_current_temperature(), definition)


async def _incubator(
    device: Device, definition: DeviceDefinition, _assets: AssetManager
) -> list[str]:
    backend: IncubatorBackend = device.backend
    return _temperature(await backend.get_temperature(), definition)


def _temperature(celsius: float, definition: DeviceDefinition) -> list[str]:
    if definition.temperature is None:
        return []
    low, high = definition.temperature
    if low <= celsius <= high:
        return []
    return [f"it is at {celsius:.1f} °C, expected was {low:g} to {high:g} °C"]


def _a_tip(present: bool) -> str:
    return "a tip" if present else "no tip"


Question = Callable[[Device, DeviceDefinition, AssetManager], Awaitable[list[str]]]
"""Asks a device something, and says how the answer differs from what is expected."""

_QUESTIONS: tuple[tuple[type[Any], Question], ...] = (
    (LiquidHandlerBackend, _tips),
    (STARBackend, _tips96),
    (STARBackend, _gripper),
    (TemperatureControllerBackend, _controller),
    (IncubatorBackend, _incubator),
)
