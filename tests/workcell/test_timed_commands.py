"""What a frontend starts, waits for and stops is one command, ended beside the device."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any
from uuid import uuid4

import pytest

from praxis_core.protocol.command import Command, Outcome
from praxis_core.workcell.clock import SimulatedClock
from praxis_core.workcell.definition import WorkcellDefinition
from praxis_core.workcell.replica import Replica
from praxis_core.workcell.runtime import WorkcellRuntime

SIZE = {"size_x": 1, "size_y": 1, "size_z": 1}
DEVICES = {
    "shaker": (
        "pylabrobot.heating_shaking:HeaterShaker",
        "pretend_devices:WarmingShaker",
        {**SIZE, "child_location": [0, 0, 0]},
    ),
    "fan": ("pylabrobot.only_fans:Fan", "pylabrobot.only_fans.chatterbox:FanChatterboxBackend", {}),
    "pumps": (
        "pylabrobot.pumps:PumpArray",
        "pylabrobot.pumps.chatterbox:PumpArrayChatterboxBackend",
        {"calibration": {"calibration": [2.0] * 8, "calibration_mode": "duration"}},
    ),
    "cycler": (
        "pylabrobot.thermocycling:Thermocycler",
        "pylabrobot.thermocycling:ThermocyclerChatterboxBackend",
        {**SIZE, "child_location": [0, 0, 0]},
    ),
}


@pytest.fixture(scope="module")
def bench_definition() -> WorkcellDefinition:
    """A workcell of one device of each kind that takes time."""
    devices = {
        name: {"frontend": frontend, "backend": cls, "simulated_backend": cls, "config": config}
        for name, (frontend, cls, config) in DEVICES.items()
    }
    return WorkcellDefinition.model_validate({"name": "bench", "devices": devices})


class StoppableClock(SimulatedClock):
    """Lets no time pass while it is stopped."""

    def __init__(self) -> None:
        super().__init__()
        self.runs = asyncio.Event()
        self.runs.set()

    async def sleep(self, seconds: float) -> None:
        """Wait until the clock runs, then jump."""
        await self.runs.wait()
        await super().sleep(seconds)


@dataclass
class Lab:
    """A run's side and the devices' side, and what goes from one to the other."""

    runtime: WorkcellRuntime
    clock: StoppableClock
    commands: list[Command] = field(default_factory=list)
    devices: dict[str, Any] = field(default_factory=dict)

    async def execute(self, command: Command) -> Outcome:
        """Note a command and carry it out."""
        self.commands.append(command)
        return await self.runtime.execute(command)

    def asked(self) -> list[tuple[str, str, dict[str, Any]]]:
        """Each command's method, kind and arguments."""
        return [(command.method, command.kind, command.kwargs) for command in self.commands]

    def backend(self, device: str) -> Any:
        """The backend beside the device."""
        return self.runtime.model.devices[device].backend


@pytest.fixture
async def lab(bench_definition: WorkcellDefinition) -> AsyncIterator[Lab]:
    """A workcell of which all devices are taken up."""
    clock = StoppableClock()
    lab = Lab(WorkcellRuntime(bench_definition, clock=clock), clock)
    replica = Replica(bench_definition, lab.execute, run_id=uuid4())
    await lab.runtime.connect()
    await replica.attach()
    lab.devices.update(replica.devices)
    lab.commands.clear()
    yield lab
    await replica.detach()
    await lab.runtime.disconnect()


async def test_shaking_for_an_hour_is_one_command_that_takes_no_time(lab: Lab) -> None:
    """Locked, started, an hour later stopped and unlocked; the simulated clock jumps."""
    began = lab.clock.now()

    await lab.devices["shaker"].shake(500, duration=3600)

    assert lab.asked() == [("shake_for", "once", {"speed": 500, "duration": 3600})]
    assert lab.backend("shaker").calls == ["lock", "start 500", "stop", "unlock"]
    assert timedelta(seconds=3600) <= lab.clock.now() - began < timedelta(seconds=3660)


async def test_shaking_without_end_is_what_it_was(lab: Lab) -> None:
    """Without a duration PyLabRobot's own method runs, call by call."""
    await lab.devices["shaker"].shake(500)

    assert [command.method for command in lab.commands] == ["lock_plate", "start_shaking"]


async def test_a_shaker_that_jams_is_stopped_and_unlocked(lab: Lab) -> None:
    """What may have been started is ended, and the protocol hears the first error."""
    lab.backend("shaker").jams = True

    with pytest.raises(RuntimeError, match="jammed while it started"):
        await lab.devices["shaker"].shake(500, duration=60)

    assert lab.backend("shaker").calls == ["lock", "start 500", "stop", "unlock"]


async def test_nobody_who_gives_up_leaves_a_shaker_shaking(lab: Lab) -> None:
    """A caller that is cancelled while it shakes does not keep the device from stopping."""
    shaker = lab.devices["shaker"]
    task = asyncio.create_task(shaker.shake(500, duration=60))
    await lab.backend("shaker").shaking.wait()

    task.cancel()
    await asyncio.gather(task, return_exceptions=True)

    assert lab.backend("shaker").calls[-2:] == ["stop", "unlock"]


async def test_a_device_answers_while_it_shakes(lab: Lab) -> None:
    """The device's turn is given up while time passes, as in PyLabRobot alone."""
    shaker = lab.devices["shaker"]
    lab.clock.runs.clear()
    shaking = asyncio.create_task(shaker.shake(500, duration=60))
    await lab.backend("shaker").shaking.wait()

    assert await shaker.get_temperature() > 0
    assert not shaking.done()
    lab.clock.runs.set()
    await shaking


async def test_waiting_for_a_temperature_is_one_command(lab: Lab) -> None:
    """The target travels with it; looking every second happens beside the device."""
    shaker = lab.devices["shaker"]
    await shaker.set_temperature(37)
    lab.commands.clear()

    await shaker.wait_for_temperature(timeout=100)

    expected = {"target": 37, "timeout": 100, "tolerance": 0.5}
    assert lab.asked() == [("wait_for_temperature", "observe", expected)]
    assert await shaker.get_temperature() == pytest.approx(38)


async def test_a_temperature_that_does_not_come_is_told_as_pylabrobot_tells_it(lab: Lab) -> None:
    """The same errors: without a target at once, else when the time is over."""
    shaker = lab.devices["shaker"]
    with pytest.raises(RuntimeError, match="Target temperature is not set"):
        await shaker.wait_for_temperature()
    assert lab.commands == []

    await shaker.set_temperature(1000)
    began = lab.clock.now()
    with pytest.raises(TimeoutError, match="did not reach target temperature within 30 seconds"):
        await shaker.wait_for_temperature(timeout=30)
    waited = lab.clock.now() - began
    assert timedelta(seconds=30) <= waited < timedelta(seconds=60)  # the device is not asked again


async def test_a_fan_and_pumps_run_for_their_time(lab: Lab) -> None:
    """A fan goes off; each channel's volume is one command, checked as PyLabRobot checks it."""
    fan = lab.devices["fan"]
    pumps = lab.devices["pumps"]

    await fan.turn_on(50, duration=5)
    await fan.turn_on(20)
    await pumps.pump_volume(speed=3.0, use_channels=[0, 2], volume=[10.0, 30.0])

    assert sorted(lab.asked(), key=str) == [
        (
            "run_for_duration",
            "once",
            {"speed": 3.0, "use_channels": 0, "duration": 5.0, "volume": 10.0},
        ),
        (
            "run_for_duration",
            "once",
            {"speed": 3.0, "use_channels": 2, "duration": 15.0, "volume": 30.0},
        ),
        ("turn_on", "repeatable", {"intensity": 20}),
        ("turn_on_for", "once", {"intensity": 50, "duration": 5}),
    ]
    with pytest.raises(ValueError, match="Duration must be positive"):
        await pumps.run_for_duration(1.0, 0, -1)
    with pytest.raises(ValueError, match="Pump address out of range"):
        await pumps.run_for_duration(1.0, 99, 1)


async def test_a_thermocycler_is_waited_for(lab: Lab) -> None:
    """Block, lid and profile: one command each."""
    cycler = lab.devices["cycler"]
    await cycler.set_block_temperature([95.0])
    await cycler.wait_for_block()
    await cycler.wait_for_lid()  # no temperature is set: its status tells
    await cycler.set_lid_temperature([105.0])
    await cycler.wait_for_lid(tolerance=1)
    await cycler.wait_for_profile_completion(poll_interval=5)

    assert [command.method for command in lab.commands if command.kind == "observe"] == [
        "wait_for_block",
        "wait_for_lid",
        "wait_for_lid",
        "wait_for_profile_completion",
    ]
