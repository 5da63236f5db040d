"""A script that looks behind a frontend finds the backend it expects."""

from __future__ import annotations

import json
from typing import Any
from uuid import uuid4

import pytest
from pydantic import TypeAdapter
from pylabrobot.liquid_handling.backends import STARBackend
from pylabrobot.resources import Coordinate

from praxis_core.protocol.command import Command, Outcome
from praxis_core.workcell.definition import WorkcellDefinition
from praxis_core.workcell.replica import Replica
from praxis_core.workcell.runtime import WorkcellRuntime


async def test_the_backend_of_a_replica_is_of_the_devices_class(
    star: WorkcellDefinition, connect: Any, protocol_code: Any
) -> None:
    """Class, properties from set-up, direct calls and context managers are those of the device."""
    runtime, replica = await connect(star)
    backend = replica.asset("star").backend

    assert isinstance(backend, STARBackend)
    assert type(backend) is type(runtime.model.devices["star"].backend)
    assert backend.num_channels == 8
    assert backend.head96_installed
    assert backend.num_arms == 1
    assert backend.iswap_information.link_1_length == 138.0
    with protocol_code():
        assert await backend.request_machine_configuration() == backend.machine_conf
        async with backend.slow_iswap(wrist_velocity=20_000):
            await replica.bring(replica.asset("plate_01"), "shaker")
        assert not backend.iswap_parked  # the device changed it
        with backend.iswap_minimum_traversal_height(280.0):
            await backend.park_iswap()


async def test_what_a_script_writes_on_a_backend_reaches_the_device(
    star: WorkcellDefinition, connect: Any, protocol_code: Any
) -> None:
    """Attributes that protocol code sets travel before its next command."""
    runtime, replica = await connect(star)
    backend, device = replica.asset("star").backend, runtime.model.devices["star"].backend
    with protocol_code():
        backend.core_adjustment = Coordinate(0, 0, 1.5)
        backend.set_minimum_channel_traversal_height(200.0)
        assert device.core_adjustment == Coordinate.zero()

        await backend.request_tip_presence()

    assert device.core_adjustment == Coordinate(0, 0, 1.5)
    assert device._channel_traversal_height == 200.0  # noqa: SLF001  # PyLabRobot has no getter


async def test_commands_are_json_and_carry_who_they_are(star: WorkcellDefinition) -> None:
    """Everything about a command can be written down: arguments, identity, step, deck changes."""
    runtime = WorkcellRuntime(star)
    sent: list[dict[str, Any]] = []
    task_run = uuid4()

    async def execute(command: Command) -> Outcome:
        sent.append(json.loads(TypeAdapter(Command).dump_json(command)))
        return await runtime.execute(command)

    replica = Replica(star, execute, run_id=uuid4(), attempt=2, step=lambda: ("2.1", task_run))
    await runtime.connect()
    await replica.attach()
    sent.clear()
    plate: Any = replica.asset("plate_01")
    await replica.bring(plate, "reader")
    await replica.devices["reader"].read_absorbance(wavelength=427)
    await replica.detach()
    await runtime.disconnect()

    opened, picked, dropped, read = sent[:4]
    assert [each["method"] for each in (opened, picked, dropped, read)] == [
        "open",
        "pick_up_resource",
        "drop_resource",
        "read_absorbance",
    ]
    assert [each["kind"] for each in (opened, picked, dropped, read)] == [
        "repeatable",
        "once",
        "once",
        "observe",
    ]
    assert dropped["new_parent"] == "reader"
    assert read["kwargs"]["plate"] == {"$resource": "plate_01"}
    moved = [(change["number"], change["parent"]) for change in read["deck_changes"]]
    assert moved == [(1, None), (2, "reader")]
    assert {(each["attempt"], each["step"]) for each in sent[:4]} == {(2, "2.1")}
    assert [each["ordinal"] for each in sent[:4]] == [0, 1, 2, 3]
    assert {each["task_run_id"] for each in sent[:4]} == {str(task_run)}


async def test_a_device_is_silent_when_praxis_calls_it(
    star: WorkcellDefinition, connect: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    """Chatterboxes print, but not into the output of a run; a script of its own still sees it."""
    runtime, replica = await connect(star)
    await replica.devices["shaker"].shake(300)
    assert capsys.readouterr().out == ""

    await runtime.model.devices["shaker"].backend.start_shaking(300)

    assert "300" in capsys.readouterr().out
