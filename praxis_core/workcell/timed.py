"""Frontend methods that contain time themselves, as one command each.

PyLabRobot's ``Shaker.shake(speed, duration)`` starts, sleeps and stops in the frontend: a protocol
whose process dies in between leaves the shaker shaking. Here the frontend only asks; the device's
side starts, waits on the workcell's clock, and stops, whoever is still listening. Methods that wait
for something (a temperature, the end of a profile) poll beside the device, too.
"""

from __future__ import annotations

import functools
import inspect
from collections.abc import Awaitable, Callable, Mapping
from contextlib import AbstractAsyncContextManager
from contextvars import ContextVar
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from pylabrobot.machines.machine import Machine
from pylabrobot.only_fans import Fan
from pylabrobot.pumps import PumpArray
from pylabrobot.shaking import Shaker
from pylabrobot.temperature_controlling import TemperatureController
from pylabrobot.thermocycling import Thermocycler
from pylabrobot.thermocycling.standard import LidStatus

from praxis_core.protocol.lifecycle import CommandKind
from praxis_core.workcell.boundary import Send
from praxis_core.workcell.clock import Clock

Turn = AbstractAsyncContextManager[Any]
"""The device's own turn, taken for each call of its backend and given up while time passes, so that
others may ask it something meanwhile; an ``asyncio.Lock`` is one."""

_Arguments = dict[str, Any]

POLL_SECONDS = 1.0
"""How often PyLabRobot's own waiting methods look."""


@dataclass(frozen=True, slots=True)
class Timed:
    """A method of a frontend that is one command."""

    method: str
    """The frontend's."""
    command: str
    """Name of the command; no coroutine of such a device's backend is called so."""
    kind: CommandKind
    ask: Callable[[Any, _Arguments], _Arguments | None]
    """From frontend and arguments to those of the command; None: this call contains no time."""
    carry_out: Callable[[Any, _Arguments, Clock, Turn], Awaitable[None]]
    seconds: Callable[[_Arguments], float | None]
    """At most how long it takes; None: as long as the device needs."""


_volumes: ContextVar[Mapping[int, float] | None] = ContextVar("praxis_volumes", default=None)
"""By channel, what pumps are asked for that the calling code lets run for a time."""


def install(machine: Machine, send: Send) -> None:
    """Let a frontend of the run's side send its timed methods as commands.

    A method that a subclass has overridden stays as it is.
    """
    if isinstance(machine, PumpArray):
        _remember_volumes(machine)
    for frontend, entries in TIMED.items():
        for timed in entries if isinstance(machine, frontend) else ():
            if getattr(type(machine), timed.method) is getattr(frontend, timed.method):
                setattr(machine, timed.method, _asking(machine, timed, send))


def find(machine: Machine, command: str) -> Timed | None:
    """Give what a command of this device does with time; None when it is one of its backend's."""
    for frontend, entries in TIMED.items():
        for timed in entries if isinstance(machine, frontend) else ():
            if timed.command == command:
                return timed
    return None


async def carry_out(
    machine: Machine, command: str, arguments: Mapping[str, Any], clock: Clock, turn: Turn
) -> None:
    """Start, wait, and end; what was started is ended when something fails, too.

    Args:
        machine: The frontend beside the device.
        command: A name for which ``find`` gives something.
        arguments: Those of the command, decoded.
        clock: The workcell's time.
        turn: Taken for each call of the backend; the caller does not hold it.

    Raises:
        LookupError: it is no such command.
        TimeoutError: what was waited for did not come.
    """
    timed = find(machine, command)
    if timed is None:
        raise LookupError(command)
    await timed.carry_out(machine, dict(arguments), clock, turn)


def _asking(machine: Machine, timed: Timed, send: Send) -> Callable[..., Any]:
    original = getattr(machine, timed.method)
    signature = inspect.signature(original)

    @functools.wraps(original)
    async def ask(*args: Any, **kwargs: Any) -> Any:
        bound = signature.bind(*args, **kwargs)
        bound.apply_defaults()
        arguments = dict(bound.arguments)
        options = arguments.pop("backend_kwargs", {})
        asked = timed.ask(machine, arguments)
        if asked is None:
            return await original(*args, **kwargs)
        return await send(timed.command, (), {**asked, **options})

    return ask


async def _for_a_time(
    seconds: float,
    start: Callable[[], Awaitable[object]],
    end: Callable[[], Awaitable[object]],
    clock: Clock,
    turn: Turn,
) -> None:
    try:
        async with turn:
            await start()
        await clock.sleep(seconds)
    except BaseException as error:
        await _end_all_the_same(error, end, turn)
        raise
    async with turn:
        await end()


async def _end_all_the_same(
    error: BaseException, end: Callable[[], Awaitable[object]], turn: Turn
) -> None:
    """End what may have been started; the first error is the one to be told."""
    try:
        async with turn:
            await end()
    except Exception as another:  # noqa: BLE001  # what a device raises is not ours to choose
        error.add_note(f"It could not be ended either: {type(another).__name__}: {another}")


async def _until(
    reached: Callable[[], Awaitable[bool]], arguments: _Arguments, clock: Clock, turn: Turn
) -> bool:
    deadline = clock.now() + timedelta(seconds=arguments["timeout"])
    while clock.now() < deadline:
        async with turn:
            if await reached():
                return True
        await clock.sleep(POLL_SECONDS)
    return False


def _with_duration(_machine: Machine, arguments: _Arguments) -> _Arguments | None:
    return None if arguments["duration"] is None else arguments


async def _shake(shaker: Shaker, arguments: _Arguments, clock: Clock, turn: Turn) -> None:
    backend, seconds = shaker.backend, arguments.pop("duration")

    async def start() -> None:
        if backend.supports_locking:
            await backend.lock_plate()
        await backend.start_shaking(**arguments)

    async def end() -> None:
        await backend.stop_shaking()
        if backend.supports_locking:
            await backend.unlock_plate()

    await _for_a_time(seconds, start, end, clock, turn)


async def _blow(fan: Fan, arguments: _Arguments, clock: Clock, turn: Turn) -> None:
    async def start() -> None:
        await fan.backend.turn_on(intensity=arguments["intensity"])

    await _for_a_time(arguments["duration"], start, fan.backend.turn_off, clock, turn)


def _remember_volumes(pumps: PumpArray) -> None:
    """Let what runs for a time say which volume it is for, so that the devices' side knows it."""
    pump_volume = pumps.pump_volume

    @functools.wraps(pump_volume)
    async def pump(speed: Any, use_channels: Any, volume: Any) -> None:
        channels = use_channels if isinstance(use_channels, list) else [use_channels]
        volumes = volume if isinstance(volume, list) else [volume] * len(channels)
        token = _volumes.set(dict(zip(channels, volumes, strict=False)))
        try:
            await pump_volume(speed, use_channels, volume)
        finally:
            _volumes.reset(token)

    pumps.pump_volume = pump


def _ask_pumping(_pumps: PumpArray, arguments: _Arguments) -> _Arguments:
    if arguments["duration"] < 0:
        raise ValueError("Duration must be positive.")  # as PyLabRobot says it
    volumes = _volumes.get()
    if volumes is None:
        return arguments
    return {**arguments, "volume": volumes[arguments["use_channels"]]}


async def _pump(pumps: PumpArray, arguments: _Arguments, clock: Clock, turn: Turn) -> None:
    channels = arguments["use_channels"]

    async def start() -> None:
        await pumps.run_continuously(speed=arguments["speed"], use_channels=channels)

    async def end() -> None:
        await pumps.run_continuously(speed=0, use_channels=channels)

    await _for_a_time(arguments["duration"], start, end, clock, turn)


def _ask_temperature(controller: TemperatureController, arguments: _Arguments) -> _Arguments:
    if controller.target_temperature is None:
        raise RuntimeError("Target temperature is not set.")  # as PyLabRobot says it
    return {"target": controller.target_temperature, **arguments}


async def _wait_for_temperature(
    controller: TemperatureController, arguments: _Arguments, clock: Clock, turn: Turn
) -> None:
    async def reached() -> bool:
        temperature = await controller.get_temperature()
        return bool(abs(temperature - arguments["target"]) < arguments["tolerance"])

    if not await _until(reached, arguments, clock, turn):
        seconds = arguments["timeout"]
        raise TimeoutError(
            f"Temperature did not reach target temperature within {seconds} seconds."
        )


async def _wait_for_block(
    cycler: Thermocycler, arguments: _Arguments, clock: Clock, turn: Turn
) -> None:
    options = _options(arguments)
    async with turn:
        targets = await cycler.get_block_target_temperature(**options)

    async def reached() -> bool:
        current = await cycler.get_block_current_temperature(**options)
        return _close(current, targets, arguments["tolerance"])

    if not await _until(reached, arguments, clock, turn):
        raise TimeoutError("Block temperature timeout.")


async def _wait_for_lid(
    cycler: Thermocycler, arguments: _Arguments, clock: Clock, turn: Turn
) -> None:
    options = _options(arguments)
    targets: list[float] | None = None
    async with turn:
        try:
            targets = await cycler.get_lid_target_temperature(**options)
        except RuntimeError:  # none is set: its status tells
            targets = None

    async def reached() -> bool:
        if targets is None:
            status = await cycler.get_lid_status(**options)
            return status in {LidStatus.IDLE, LidStatus.HOLDING_AT_TARGET}
        current = await cycler.get_lid_current_temperature(**options)
        return _close(current, targets, arguments["tolerance"])

    if not await _until(reached, arguments, clock, turn):
        raise TimeoutError("Lid temperature timeout.")


async def _wait_for_profile(
    cycler: Thermocycler, arguments: _Arguments, clock: Clock, turn: Turn
) -> None:
    interval = arguments.pop("poll_interval")
    while True:
        async with turn:
            if not await cycler.is_profile_running(**arguments):
                return
        await clock.sleep(interval)


def _options(arguments: _Arguments) -> _Arguments:
    return {
        name: value for name, value in arguments.items() if name not in {"timeout", "tolerance"}
    }


def _close(current: list[float], targets: list[float], tolerance: float) -> bool:
    return all(abs(one - target) < tolerance for one, target in zip(current, targets, strict=False))


def _as_asked(_machine: Machine, arguments: _Arguments) -> _Arguments:
    return arguments


def _duration(arguments: _Arguments) -> float | None:
    return float(arguments["duration"])


def _timeout(arguments: _Arguments) -> float | None:
    return float(arguments["timeout"])


def _unlimited(_arguments: _Arguments) -> float | None:
    return None


_ONCE, _OBSERVE = CommandKind.ONCE, CommandKind.OBSERVE

TIMED: dict[type[Any], tuple[Timed, ...]] = {
    Shaker: (Timed("shake", "shake_for", _ONCE, _with_duration, _shake, _duration),),
    Fan: (Timed("turn_on", "turn_on_for", _ONCE, _with_duration, _blow, _duration),),
    PumpArray: (
        # pump_volume becomes one of these for each channel.
        Timed("run_for_duration", "run_for_duration", _ONCE, _ask_pumping, _pump, _duration),
    ),
    TemperatureController: (
        Timed(
            "wait_for_temperature",
            "wait_for_temperature",
            _OBSERVE,
            _ask_temperature,
            _wait_for_temperature,
            _timeout,
        ),
    ),
    Thermocycler: (
        Timed("wait_for_block", "wait_for_block", _OBSERVE, _as_asked, _wait_for_block, _timeout),
        Timed("wait_for_lid", "wait_for_lid", _OBSERVE, _as_asked, _wait_for_lid, _timeout),
        Timed(
            "wait_for_profile_completion",
            "wait_for_profile_completion",
            _OBSERVE,
            _as_asked,
            _wait_for_profile,
            _unlimited,
        ),
    ),
}
"""The timed methods of each frontend; a test looks for others in PyLabRobot's source."""
