"""A pretend lab outlives the processes around it, and its own."""

from __future__ import annotations

import asyncio
import itertools
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest

from praxis_core.errors import DeviceLinkLost, LabRefused
from praxis_core.labware.factories import encode_resource, make
from praxis_core.protocol.command import Command, DeckChange
from praxis_core.protocol.lifecycle import CommandKind
from praxis_core.simulator.effect_log import EffectLog, read_log
from praxis_core.simulator.lab_control import LabControl
from praxis_core.simulator.lab_link import LabLink
from praxis_core.simulator.lab_process import LabProcess
from praxis_core.workcell.definition import WorkcellDefinition
from praxis_core.workcell.under_way import under_way
from tests.simulator.conftest import Host, host_of

RUN = UUID(int=7)


def _command(ordinal: int, **more: Any) -> Command:
    command = Command(
        run_id=RUN,
        attempt=1,
        branch="0",
        ordinal=ordinal,
        device="star",
        method="?",
        args=(),
        kwargs={},
        kind=CommandKind.ONCE,
        fingerprint="",
    )
    return replace(command, **more)


async def _until(condition: Callable[[], object]) -> None:
    async with asyncio.timeout(10):
        while not condition():  # noqa: ASYNC110  # another process decides
            await asyncio.sleep(0.005)


@pytest.fixture
def victim() -> Iterator[subprocess.Popen[bytes]]:
    """A process that does nothing until it is killed."""
    with subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE) as process:
        yield process
        process.kill()


@pytest.mark.parametrize("at", ["before_effect", "after_effect"])
async def test_a_process_is_killed_at_a_chosen_effect(
    host: Host, victim: subprocess.Popen[bytes], at: str
) -> None:
    """Not before; then the lab goes on, and what it was told happens once."""
    host.control.kill(victim.pid, **{at: 2})
    await host.star.pick_up_tips(host.column("tips", 1))
    await host.star.backend.request_tip_presence()
    assert victim.poll() is None
    await host.star.aspirate(host.column("plate", 1), [20] * 8)
    assert victim.wait() == -signal.SIGKILL
    assert host.effects() == ["pick_up_tips", "aspirate"]
    assert host.volume("plate[A1]") == 180


async def test_a_lab_that_kills_itself_shows_where_the_point_is(
    small: WorkcellDefinition, folder: Path
) -> None:
    """Before the effect it never happened; after it, it did, although no answer came."""
    for number, (at, volume) in enumerate([("before_effect", 200), ("after_effect", 180)]):
        lab = LabProcess(small, folder / str(number)).start()
        async with host_of(lab) as host:
            await host.star.pick_up_tips(host.column("tips", 1))
            host.control.kill(lab.pid, **{at: 1})
            with pytest.raises(DeviceLinkLost, match="after it was sent"):
                await host.star.aspirate(host.column("plate", 1), [20] * 8)
            lab.wait()
        with lab, lab.control() as control:
            truth = control.truth()
            assert truth["liquids"]["plate_well_A1"]["volume"] == volume
            assert sum(name.startswith("star[") for name in truth["tips"]) == 8


async def test_a_process_is_killed_at_a_command(
    host: Host, victim: subprocess.Popen[bytes]
) -> None:
    """Named by its tag, whichever it is; the log has the tag as well."""
    host.control.kill(victim.pid, after_effect=f"{RUN}/0/5")
    with under_way(_command(4)):
        await host.star.backend.request_tip_presence()
    assert victim.poll() is None
    with under_way(_command(5)):
        await host.star.backend.request_tip_presence()
    assert victim.wait() == -signal.SIGKILL
    assert [r["tag"] for r in host.records() if "tag" in r] == [f"{RUN}/0/4", f"{RUN}/0/5"]


async def test_the_newest_epoch_has_the_device(small: WorkcellDefinition, folder: Path) -> None:
    """An older host is put out; one of the same epoch must wait until it is gone."""
    with LabProcess(small, folder) as lab:
        old, same, new = (LabLink(lab.socket, epoch) for epoch in (4, 4, 5))
        await old.connect("shaker")
        await old.connect("star")
        with pytest.raises(LabRefused, match="connected already, with epoch 4"):
            await same.connect("shaker")
        await new.connect("shaker")
        await _until(lambda: not old.connected("shaker"))
        with pytest.raises(LabRefused, match="epoch 4 is over, 5 has come"):
            await old.reconnect("shaker")
        assert old.connected("star")
        put = DeckChange(1, "plate", None, None)
        for late in (old.stage(["plate"]), old.hands([put])):
            with pytest.raises(LabRefused, match="epoch 4 is over, 5 has come"):
                await late
        await new.stage(["plate"])
        await old.close()
        await same.connect("star")
        lab.kill()
        lab.start()
        with pytest.raises(LabRefused, match="epoch 4 is over, 5 has come"):
            await same.reconnect("shaker")
        for link in (same, new):
            await link.close()


async def test_a_dead_hosts_devices_are_made_safe(small: WorkcellDefinition, folder: Path) -> None:
    """Without set-up, with nothing but the call; what moves something is refused."""
    with LabProcess(small, folder) as lab:
        async with host_of(lab) as host:
            await host.shaker.backend.start_shaking(300)
            await host.star.pick_up_tips(host.column("tips", 1))
        watchdog = LabLink(lab.socket)
        await watchdog.safe("shaker", "stop_shaking")
        with pytest.raises(LabRefused, match="nothing that makes a device safe"):
            await watchdog.safe("star", "drop_tips", [[], []])
        with lab.control() as control:
            truth = control.truth()
        assert truth["devices"]["shaker"]["settings"] == {}
        assert "star[0]" in truth["tips"]
        await watchdog.close()


async def test_adopting_leaves_everything_and_setting_up_does_not(
    small: WorkcellDefinition, folder: Path
) -> None:
    """Tips with what is in them are thrown away, a held plate falls, the shaker stops."""
    with LabProcess(small, folder) as lab:
        async with host_of(lab) as host:
            assert not host.link.adopting("nothing")
            await host.star.pick_up_tips(host.column("tips", 1))
            await host.star.aspirate(host.column("plate", 1), [20] * 8)
            await host.star.pick_up_resource(host["other"])
            await host.shaker.backend.start_shaking(300)
        async with host_of(lab) as host:
            assert host.link.adopting("star")
            assert await host.star.backend.request_tip_presence() == [True] * 8
            assert await host.star.backend.request_plate_in_iswap()
            host.link.adopt("star", adopting=False)
            host.link.adopt("shaker", adopting=False)
            await host.star.backend.setup()
            await host.shaker.backend.setup()
            assert await host.star.backend.request_tip_presence() == [False] * 8
            truth = host.control.truth()
        assert truth["grippers"] == {}
        assert truth["places"]["other"]["parent"] is None
        assert len(truth["waste"]) == 8
        assert truth["liquids"]["waste"]["volume"] == pytest.approx(160)
        assert truth["devices"]["shaker"]["settings"] == {}


async def test_a_device_that_cannot_be_adopted_is_set_up(
    small: WorkcellDefinition, folder: Path
) -> None:
    """As its definition says."""
    devices = {**small.devices, "star": small.devices["star"].model_copy(update={"adopts": False})}
    with LabProcess(small.model_copy(update={"devices": devices}), folder) as lab:
        for _ in range(2):
            async with host_of(lab) as host:
                assert await host.star.backend.request_tip_presence() == [False] * 8
                await host.star.pick_up_tips(host.column("tips", 1))
                host.control.stage(names=["tips"])


async def test_a_command_under_way_is_finished_when_its_host_is_gone(
    small: WorkcellDefinition, folder: Path
) -> None:
    """As hardware would."""
    with LabProcess(small, folder) as lab:
        async with host_of(lab) as host:
            host.control.set_time(0.2)
            task = asyncio.create_task(host.shaker.backend.start_shaking(300))
            await _until(lambda: host.link.written("shaker") == 2)
        with pytest.raises(DeviceLinkLost):
            await task
        with lab.control() as control:
            await _until(lambda: control.truth()["devices"]["shaker"]["settings"])


@pytest.mark.parametrize("end", ["stop", "kill"])
async def test_what_is_true_survives_the_lab(
    small: WorkcellDefinition, folder: Path, end: str
) -> None:
    """Also kill -9; its clock, heat and what its backends were told included."""
    with LabProcess(small, folder) as lab:
        async with host_of(lab) as host:
            await host.star.pick_up_tips(host.column("tips", 1))
            await host.star.aspirate(host.column("plate", 1), [20] * 8)
            await host.star.move_plate(host["plate"], host["carrier_plates[2]"])
            await host.shaker.set_temperature(37)
            await host.link.clock.sleep(3600)
            host.star.backend._iswap_traversal_height = 250.0  # noqa: SLF001  # what scripts do
            await host.star.backend.request_tip_presence()
            before, then = host.control.truth(), host.link.clock.now()
        getattr(lab, end)()
        lab.start()
        async with host_of(lab) as host:
            assert host.control.truth() == {**before, "devices": host.control.truth()["devices"]}
            assert (host.link.clock.now() - then).total_seconds() < 60
            assert await host.shaker.get_temperature() == pytest.approx(37, abs=0.1)
            assert await host.star.backend.request_tip_presence() == [True] * 8
            assert host.star.backend._iswap_traversal_height == 250.0  # noqa: SLF001
            await host.star.move_plate(host["plate"], host["carrier_plates[0]"])


def test_a_line_that_was_not_wholly_written_never_was(
    small: WorkcellDefinition, folder: Path
) -> None:
    """Nobody was told of it."""
    with LabProcess(small, folder) as lab, lab.control() as control:
        control.stage()
        last = control.log()[-1]
    with lab.log.open("ab") as log:
        log.write(b'{"n":99999,"kind":"effect","after":{"tips":')
    assert lab.records()[-1] == last
    with lab, lab.control() as control:
        control.stage()
        assert control.log()[-1]["n"] == last["n"] + 1


def test_one_log_has_one_lab(small: WorkcellDefinition, folder: Path) -> None:
    """The second is refused, whatever its socket; so is a log of another workcell."""
    with LabProcess(small, folder) as lab:
        with pytest.raises(LabRefused, match="another pretend lab is writing this log"):
            LabProcess(small, folder, folder / "second.sock").start()
        with pytest.raises(LabRefused):
            EffectLog(lab.log)
    other = small.model_copy(update={"name": "other"})
    with pytest.raises(LabRefused, match="it belongs to workcell small"):
        LabProcess(other, folder).start()


def test_without_a_lab_the_controls_say_so(folder: Path) -> None:
    """At once."""
    with pytest.raises(DeviceLinkLost, match=r"none\.sock"):
        LabControl(folder / "none.sock")


async def test_a_stage_puts_back_what_it_is_asked_for(host: Host) -> None:
    """Tips, liquids, places and settings of those names; the rest is left."""
    await host.star.pick_up_tips(host.column("tips", 1))
    await host.star.aspirate(host.column("plate", 1), [20] * 8)
    await host.star.dispense(host.column("other", 1), [20] * 8)
    await host.star.move_plate(host["plate"], host["carrier_plates[2]"])
    await host.shaker.backend.start_shaking(300)
    host.control.stage(names=["plate", "star"])
    truth = host.control.truth()
    assert host.volume("plate[A1]") == 200
    assert host.volume("other[A1]") == 20
    assert truth["places"]["plate"]["parent"] == host["carrier_plates[0]"].name
    assert not any(name.startswith("star[") for name in truth["tips"])
    assert host["tips[A1]"].name not in truth["tips"]
    assert truth["devices"]["shaker"]["settings"] == {"shaking": 300}
    host.control.stage(names=["tips"])
    tip = host.tip(host["tips[A1]"].name)
    assert tip["name"] not in {host["tips[A1]"].name, None}


async def test_a_stage_does_not_push_things_away(host: Host) -> None:
    """Somebody has to take them away first."""
    await host.star.move_plate(host["plate"], host["carrier_plates[2]"])
    await host.star.move_plate(host["other"], host["carrier_plates[0]"])
    with pytest.raises(LabRefused, match="other stands where plate belongs"):
        host.control.stage(names=["plate"])
    host.control.stage(names=["plate", "other"])


async def test_a_person_puts_and_takes_labware(host: Host) -> None:
    """New labware is there with its tips and wells, whole until the next stage."""
    made = encode_resource(make("cor_96_wellplate_360uL_Fb", "new"))
    site = host["carrier_plates[3]"].name
    host.control.hands("new", site, definition=made)
    assert "new_well_A1" in host.control.truth()["liquids"]
    with pytest.raises(LabRefused, match="new stands where plate belongs"):
        host.control.hands("plate", site)
    with pytest.raises(LabRefused, match="there is no nobody"):
        host.control.hands("nobody", site)
    records = len(host.records())
    host.control.hands("plate", host["carrier_plates[0]"].name)
    assert len(host.records()) == records
    host.control.hands("new", None)
    host.control.hands("plate", site)
    host.control.stage()
    assert "new" not in host.control.truth()["places"]


async def test_a_carrier_that_somebody_brought_comes_and_goes_as_a_whole(host: Host) -> None:
    """Its sites stay its own; what was put from the deck onto it goes home."""
    carrier = make("PLT_CAR_L5AC_A00", "brought")
    carrier[0] = make("cor_96_wellplate_360uL_Fb", "fresh")
    for _ in range(2):
        made = encode_resource(carrier)
        host.control.hands("brought", "deck", definition=made, location=(900.0, 63.0, 100.0))
        host.control.hands("fresh", "brought-1")
        host.control.hands("plate", "brought-0")
        host.control.stage()
        places = host.control.truth()["places"]
        assert not {"brought", "brought-0", "fresh"} & set(places)
        assert places["plate"]["parent"] == host["carrier_plates[0]"].name


async def test_deck_changes_travel_with_the_command(host: Host) -> None:
    """What a script puts on its deck is there when its command comes; a move is no news."""
    new = make("cor_96_wellplate_360uL_Fb", "fresh")
    host["carrier_plates[3]"].assign_child_resource(new)
    host.model.resources.add(new)
    where = new.location
    change = DeckChange(
        number=1,
        resource="fresh",
        parent=host["carrier_plates[3]"].name,
        location=(where.x, where.y, where.z),
        definition=encode_resource(new),
    )
    await host.star.pick_up_tips(host["tips"]["A1"])
    await host.star.aspirate(host["plate"]["A1"], [20])
    with under_way(_command(3, deck_changes=(change,))):
        await host.star.dispense(host["fresh"]["A1"], [20])
    assert host.volume("fresh[A1]") == 20
    kinds = [record["kind"] for record in host.records()]
    with under_way(_command(4, deck_changes=(change,))):
        await host.star.backend.request_tip_presence()
    assert [r["kind"] for r in host.records()][len(kinds) :] == ["observe"]


async def test_a_deck_change_takes_nothing_out_of_a_gripper(host: Host) -> None:
    """A host may repeat what it believed before; a person may not reach in."""
    site = host["carrier_plates[0]"].name
    await host.star.pick_up_resource(host["plate"])
    await host.link.hands([DeckChange(number=1, resource="plate", parent=site, location=None)])
    assert host.control.truth()["grippers"] == {"star": "plate"}
    with pytest.raises(LabRefused, match="plate is in the gripper of star"):
        host.control.hands("plate", site)


async def test_the_log_is_read_from_any_record_on(host: Host) -> None:
    """Also a log that another process of the lab began."""
    await host.star.pick_up_tips(host["tips"]["A1"])
    records = host.control.log()
    assert [record["n"] for record in records] == [*range(1, len(records) + 1)]
    for after in (0, 1, len(records) - 1, len(records), len(records) + 5):
        assert host.control.log(after) == records[after:]


async def test_sleepers_share_the_clock(host: Host) -> None:
    """Two who wait 10 and 20 s together wait 20 s."""
    before = host.control.now()
    await asyncio.gather(host.link.clock.sleep(10), host.link.clock.sleep(20))
    assert 20 <= host.control.now() - before < 25
    jumps = [record["skipped"] for record in host.records() if record["kind"] == "clock"]
    assert sum(jumps) == pytest.approx(20, abs=1)


def test_the_process_is_small(shared_lab: LabProcess) -> None:
    """It stays beside a host all day."""
    status = Path(f"/proc/{shared_lab.pid}/status").read_text(encoding="ascii")
    megabytes = int(status.split("VmRSS:")[1].split()[0]) / 1024
    assert megabytes < 120
    assert os.path.exists(shared_lab.socket)  # noqa: PTH110  # a socket, not a file
    assert next(itertools.islice(read_log(shared_lab.log), 1))["kind"] == "beginning"
