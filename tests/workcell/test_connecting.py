"""Connecting to devices: all at once, all failures together, and nothing left behind."""

from __future__ import annotations

from typing import Any
from uuid import uuid4

import pytest

from praxis_core.errors import (
    DeviceNotConnected,
    DevicesNotConnected,
    DeviceStateUnexpected,
    DeviceUnknown,
    PraxisError,
    Problem,
    RealHardwareRefused,
)
from praxis_core.workcell.definition import WorkcellDefinition, WorkcellMode
from praxis_core.workcell.replica import Replica
from praxis_core.workcell.runtime import WorkcellRuntime


def _problems(refusal: PraxisError) -> list[Problem]:
    problems = refusal.details["problems"]
    assert isinstance(problems, list)
    return problems


async def test_all_failures_to_connect_are_reported_together(shakers: Any) -> None:
    """Two devices do not answer: both are named, and the third is disconnected again."""
    runtime = WorkcellRuntime(shakers(a="UnpluggedShaker", b="GatedShaker", c="UnpluggedShaker"))

    with pytest.raises(DevicesNotConnected) as refusal:
        await runtime.connect()

    assert [problem.where for problem in _problems(refusal.value)] == ["a", "c"]
    assert "nothing answers on this port" in str(refusal.value)
    assert not runtime.model.devices["b"].backend.connected
    states = {name: status.state for name, status in runtime.status().items()}
    assert states == {"a": "error", "b": "disconnected", "c": "error"}


async def test_disconnecting_goes_on_after_a_device_that_fails(shakers: Any) -> None:
    """One device cannot be let go of; the other is, and the failure is told."""
    runtime = WorkcellRuntime(shakers(a="StuckShaker", b="GatedShaker"))
    await runtime.connect()

    failures = await runtime.disconnect()

    assert [str(failure) for failure in failures] == ["a: OSError: the port is gone"]
    assert not runtime.model.devices["b"].backend.connected


async def test_only_the_devices_of_a_run_are_connected(two_shakers: WorkcellDefinition) -> None:
    """What a run does not use stays free, and a command to it is refused."""
    runtime = WorkcellRuntime(two_shakers)
    replica = Replica(two_shakers, runtime.execute, run_id=uuid4())
    await runtime.connect(["left"])
    await replica.attach(["left"])

    await replica.devices["left"].shake(300)
    with pytest.raises(DeviceNotConnected, match="right"):
        await replica.devices["right"].shake(300)

    assert not runtime.model.devices["right"].backend.connected
    with pytest.raises(DeviceUnknown, match="left, right"):
        await runtime.connect(["middle"])
    await runtime.disconnect()


async def test_attaching_sets_no_hardware_up_again(
    two_shakers: WorkcellDefinition, connect: Any
) -> None:
    """A run's set-up and stop only take up and give up a device that stays connected."""
    runtime, replica = await connect(two_shakers)
    backend = runtime.model.devices["left"].backend
    backend.connected = False  # as a second set-up would show

    await replica.devices["left"].stop()
    await replica.devices["left"].setup()
    await replica.devices["left"].shake(300)

    assert backend.began == [300]
    assert not backend.connected


def test_real_hardware_is_refused(two_shakers: WorkcellDefinition) -> None:
    """A workcell that says it is real is only driven in simulation."""
    real = two_shakers.model_copy(update={"mode": WorkcellMode.REAL})

    with pytest.raises(RealHardwareRefused, match="shakers"):
        WorkcellRuntime(real)

    WorkcellRuntime(real, simulate=True)


async def test_a_workcell_as_defined_is_confirmed(star: WorkcellDefinition) -> None:
    """Heads, gripper and temperatures of a fresh workcell are as expected."""
    runtime = WorkcellRuntime(star)
    await runtime.connect()

    await runtime.confirm_initial_state()

    await runtime.disconnect()


async def test_every_difference_from_the_expected_state_is_told(star: WorkcellDefinition) -> None:
    """A mounted tip, a plate in the arm and a hot shaker: all three, before anything moves."""
    devices = {
        **star.devices,
        "star": star.devices["star"].model_copy(
            update={"simulated_backend": "pretend_devices:LeftoverStar"}
        ),
        "shaker": star.devices["shaker"].model_copy(
            update={"simulated_config": {"dummy_temperature": 71.0}}
        ),
    }
    runtime = WorkcellRuntime(star.model_copy(update={"devices": devices}))
    await runtime.connect()

    with pytest.raises(DeviceStateUnexpected) as refusal:
        await runtime.confirm_initial_state()

    told = [f"{problem.where}: {problem.what}" for problem in _problems(refusal.value)]
    assert told == [
        "star: channel 2 has a tip, expected was no tip",
        "star: the gripper holds something, expected was nothing",
        "shaker: it is at 71.0 °C, expected was 10 to 40 °C",
    ]
    await runtime.disconnect()
