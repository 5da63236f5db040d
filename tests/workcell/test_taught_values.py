"""What was taught reaches the devices, and nothing else of a command."""

from __future__ import annotations

import inspect
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from pylabrobot.resources import Coordinate

from praxis_core.assets.calibration import Calibrations, Taught
from praxis_core.assets.entries import By
from praxis_core.journal.record import Journal
from praxis_core.protocol.lifecycle import Answer
from praxis_core.workcell.replica import Replica
from praxis_core.workcell.taught import GIVEN
from tests.workcell.hosts import HostDiedError, World, transfer

ADA = By("ada", "a test")
PLATE = "cor_96_wellplate_360uL_Fb"


async def teach(journal: Journal, key: str, value: Any, site: str = "", kind: str = "") -> None:
    """Teach the STAR something."""
    await Calibrations(journal.database).teach("star", Taught("star", key, site, kind), value, ADA)


class Heard:
    """What the backends in the pretend lab were called with."""

    def __init__(self, world: World, monkeypatch: pytest.MonkeyPatch, *methods: str) -> None:
        self.calls: dict[str, list[dict[str, Any]]] = {method: [] for method in methods}
        backend = world.lab.devices["star"].backend
        for method in methods:
            self._listen(backend, method, monkeypatch)

    def _listen(self, backend: Any, method: str, monkeypatch: pytest.MonkeyPatch) -> None:
        original = getattr(backend, method)

        async def heard(*args: Any, **kwargs: Any) -> Any:
            self.calls[method].append({"args": args, **kwargs})
            return await original(*args, **kwargs)

        heard.__signature__ = inspect.signature(original)  # type: ignore[attr-defined]
        monkeypatch.setattr(backend, method, heard)

    def ops(self, method: str) -> list[Any]:
        """The operations of all calls of a method."""
        return [one for call in self.calls[method] for one in call["ops"]]


async def carry(replica: Replica) -> None:
    """Move a plate."""
    lh: Any = replica.asset("star")
    await lh.move_plate(replica.asset("plate_01"), replica.asset("carrier_plates[3]"))


async def given(world: World, run: Any) -> dict[str, dict[str, int]]:
    """Which versions the commands of a run were given, by method."""
    found: dict[str, dict[str, int]] = {}
    for event in await world.journal.events(run.run_id):
        if event.kind == GIVEN:
            of: Any = event.details
            used = {name.rpartition("/")[2]: one["version"] for name, one in of["values"].items()}
            found.setdefault(of["method"], {}).update(used)
    return found


async def test_the_most_specific_value_that_is_in_force_reaches_the_device(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A place before a kind, a kind before none, never one that is over; commands stay the same."""
    await teach(world.journal, "z_offset", 1)
    await teach(world.journal, "z_offset", 2, kind=PLATE)
    await teach(world.journal, "z_offset", 3, site="carrier_plates[0]")
    await teach(world.journal, "dispense_flow_rate", 55, kind=PLATE)
    await teach(world.journal, "aspirate_flow_rate", 66, site="carrier_plates[1]")
    soon = datetime.now(UTC) + timedelta(milliseconds=300)
    values = Calibrations(world.journal.database)
    await values.teach("star", Taught("star", "x_offset"), 9, ADA, soon)
    while not await values.expired("star"):
        pass
    heard = Heard(world, monkeypatch, "pick_up_tips", "aspirate", "dispense")
    host = await world.host()
    run = await world.begin(host)

    await world.carry_out(run, host.execute, transfer)

    [tip], [drawn], [put] = (heard.ops(one) for one in heard.calls)
    assert tip.offset == Coordinate(0, 0, 1)
    assert (drawn.offset.x, drawn.offset.z) == (0, 1)  # PyLabRobot chooses y in a trough
    assert (put.offset, put.flow_rate, drawn.flow_rate) == (Coordinate(0, 0, 3), 55, None)
    recorded = await world.journal.recorded(run.run_id)
    assert "55" not in str([(one.command.args, one.command.kwargs) for one in recorded])
    assert await given(world, run) == {
        "pick_up_tips": {"z_offset": 1},
        "aspirate": {"z_offset": 1},
        "dispense": {"z_offset": 1, "dispense_flow_rate": 1},
    }


async def test_what_was_taught_anew_is_used_when_a_run_goes_on(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The host dies before a command, the device is taught, and the run is not told it differs."""
    await teach(world.journal, "z_offset", 1)
    heard = Heard(world, monkeypatch, "aspirate", "dispense")
    host = await world.host()
    run = await world.begin(host)
    with pytest.raises(HostDiedError):
        await world.carry_out(run, world.dying(host, "dispense", before=True), transfer)
    await teach(world.journal, "z_offset", 2)
    second = await world.host()
    for question in await world.journal.open_doubts(run.run_id):
        await world.journal.answer_doubt(question.id, Answer.DID_NOT_HAPPEN, "somebody")

    again = await world.begin(second, run.run_id)
    await world.carry_out(again, second.execute, transfer)

    assert [one.offset.z for one in (*heard.ops("aspirate"), *heard.ops("dispense"))] == [1, 2]
    versions = await given(world, run)
    assert (versions["aspirate"], versions["dispense"]) == ({"z_offset": 1}, {"z_offset": 2})


async def test_a_plate_is_put_down_as_it_was_gripped(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also by the next host, when the height was taught anew while the gripper held the plate."""
    await teach(world.journal, "grip_height", 7, kind=PLATE)
    await teach(world.journal, "grip_width", 84.5)
    await teach(world.journal, "grip_x_offset", 0.5, site="carrier_plates[0]")
    await teach(world.journal, "grip_x_offset", 0.25, site="carrier_plates[3]")
    heard = Heard(world, monkeypatch, "pick_up_resource", "drop_resource")
    host = await world.host()
    run = await world.begin(host)
    with pytest.raises(HostDiedError):
        await world.carry_out(run, world.dying(host, "drop_resource", before=True), carry)
    await teach(world.journal, "grip_height", 8, kind=PLATE)
    second = await world.host()
    for question in await world.journal.open_doubts(run.run_id):
        await world.journal.answer_doubt(question.id, Answer.DID_NOT_HAPPEN, "somebody")

    again = await world.begin(second, run.run_id)
    await world.carry_out(again, second.execute, carry)

    [picked], [dropped] = heard.calls.values()
    assert picked["plate_width"] == 84.5
    pickup, drop = picked["pickup"], dropped["drop"]
    assert (pickup.pickup_distance_from_top, drop.pickup_distance_from_top) == (7, 7)
    assert (pickup.offset.x, drop.offset.x) == (0.5, 0.25)
