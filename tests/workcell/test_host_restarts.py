"""A host that died is followed by one that knows what is true, and asks where it cannot know."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from dataclasses import replace
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any
from uuid import uuid4

import pytest
from pylabrobot.liquid_handling.errors import ChannelizedError
from pylabrobot.resources.hamilton import (
    PLT_CAR_L5AC_A00,
    TIP_CAR_480_A00,
    hamilton_96_tiprack_1000uL_filter,
)

from praxis_core.errors import CommandInDoubt, DeviceStateUnexpected
from praxis_core.journal.record import Journal
from praxis_core.protocol.lifecycle import Answer, DoubtSubject, OutcomeStatus, RunStatus
from praxis_core.simulator.faults import fault_of
from praxis_core.simulator.lab_control import LabControl
from praxis_core.workcell.attending import AttendedRun
from praxis_core.workcell.deck_changes import DeckFollower
from praxis_core.workcell.definition import WorkcellDefinition
from praxis_core.workcell.doubts import Doubts
from praxis_core.workcell.link import Attaching
from praxis_core.workcell.replica import Replica
from praxis_core.workcell.runtime import WorkcellRuntime
from tests.workcell.hosts import HostDiedError, World, transfer


async def die(world: World, method: str, *, before: bool) -> tuple[WorkcellRuntime, Attaching]:
    """Let a host die with a command of a transfer; give the host and the run."""
    first = await world.host()
    run = await world.begin(first)
    with pytest.raises(HostDiedError):
        await world.carry_out(run, world.dying(first, method, before=before), transfer)
    return first, run


async def test_a_tip_that_was_taken_is_not_taken_again(world: World) -> None:
    """The host died after the effect: the next one sees the tip, and the run goes on with it."""
    _, run = await die(world, "pick_up_tips", before=False)

    second = await world.host()

    [record] = await world.journal.recorded(run.run_id)
    assert record.outcome is not None
    assert record.outcome.status is OutcomeStatus.SUCCEEDED
    assert [tip.there for tip in second.assets.mounted_tips("star").values()] == [True]
    await world.carry_out(run, second.execute, transfer)
    assert [world.times(one) for one in ("pick_up_tips", "aspirate", "dispense")] == [1, 1, 1]
    assert second.assets.contents("plate_01_well_A1").volume == 100


async def test_a_tip_that_was_not_taken_is_taken(world: World) -> None:
    """The host died before the effect: the next one sees no tip, and it is done once."""
    _, run = await die(world, "pick_up_tips", before=True)

    second = await world.host()

    assert second.assets.mounted_tips("star") == {}
    assert await world.journal.open_doubts(run.run_id) == []
    await world.carry_out(run, second.execute, transfer)
    assert [world.times(one) for one in ("pick_up_tips", "aspirate", "dispense")] == [1, 1, 1]


@pytest.mark.parametrize("before", [True, False])
async def test_what_no_device_can_tell_a_person_is_asked(world: World, *, before: bool) -> None:
    """Nobody sees whether liquid was drawn; what it touched is unknown, and nothing is sent."""
    _, run = await die(world, "aspirate", before=before)

    second = await world.host()

    [question] = await world.journal.open_doubts(run.run_id)
    assert question.key == ("0", 1)
    assert second.assets.contents("dye_stock").unknown
    with pytest.raises(CommandInDoubt):
        await world.carry_out(run, second.execute, transfer)
    assert world.times("aspirate") == (0 if before else 1)


async def test_an_attempt_does_not_begin_with_what_it_alone_could_have_told(world: World) -> None:
    """The process of the run was waited for; in its place comes one that knows nothing."""
    _, run = await die(world, "aspirate", before=False)
    second = await world.host(awaited=[run.run_id])
    assert await world.journal.open_doubts(run.run_id) == []
    again = await world.claim(run.run_id)

    with pytest.raises(CommandInDoubt, match=r"aspirate"):
        await second.attach(again)

    [doubt] = await world.journal.open_doubts(run.run_id)
    assert doubt.subject is DoubtSubject.COMMAND
    assert world.times("aspirate") == 1


async def test_a_run_goes_on_after_an_answer(world: World) -> None:
    """A person says that it did not happen: it is done, and all of it is known again."""
    _, run = await die(world, "aspirate", before=True)
    second = await world.host()
    [question] = await world.journal.open_doubts(run.run_id)
    await world.journal.answer_doubt(question.id, Answer.DID_NOT_HAPPEN, "somebody")

    again = await world.begin(second, run.run_id)
    await world.carry_out(again, second.execute, transfer)

    assert [world.times(one) for one in ("pick_up_tips", "aspirate", "dispense")] == [1, 1, 1]
    assert second.assets.contents("dye_stock").volume == 49_900
    assert second.assets.contents("plate_01_well_A1").volume == 100


async def own_carriers(replica: Replica) -> None:
    """Put two carriers in place of those that are there, and take a tip from one."""
    lh: Any = replica.asset("star")
    for name in ("carrier_tips", "carrier_plates"):
        lh.deck.get_resource(name).unassign()
    tips = TIP_CAR_480_A00(name="tip carrier")
    tips[0] = rack = hamilton_96_tiprack_1000uL_filter(name="tips_01")
    lh.deck.assign_child_resource(tips, rails=3)
    lh.deck.assign_child_resource(PLT_CAR_L5AC_A00(name="plate carrier"), rails=9)
    await lh.pick_up_tips(rack["A1"])
    await lh.aspirate([replica.asset("dye_stock")], vols=[100])


async def test_carriers_of_the_run_stand_where_it_put_them(world: World) -> None:
    """None of them is put anywhere else in between, where another one stands."""
    first = await world.host()
    run = await world.begin(first)
    with pytest.raises(HostDiedError):
        await world.carry_out(run, world.dying(first, "aspirate", before=False), own_carriers)

    second = await world.host()

    [question] = await world.journal.open_doubts(run.run_id)
    await world.journal.answer_doubt(question.id, Answer.HAPPENED, "somebody")
    again = await world.begin(second, run.run_id)
    await world.carry_out(again, second.execute, own_carriers)
    assert [world.times(one) for one in ("pick_up_tips", "aspirate")] == [1, 1]


@pytest.fixture
async def forgetful(star: WorkcellDefinition, journal: Journal) -> AsyncIterator[World]:
    """The same, with a STAR that cannot be taken up as it is."""
    device = star.devices["star"].model_copy(update={"adopts": False})
    definition = star.model_copy(update={"devices": {**star.devices, "star": device}})
    with TemporaryDirectory(prefix="lab") as folder:
        world = World(definition, journal, Path(folder))
        await world.lab.open(world.socket)
        yield world
        await world.close()


async def test_a_device_that_cannot_be_taken_up_loses_its_tips(forgetful: World) -> None:
    """It is set up, which throws the tips off: the next host knows that, and asks the run."""
    _, run = await die(forgetful, "dispense", before=True)

    second = await forgetful.host()

    assert second.assets.mounted_tips("star") == {}
    questions = await forgetful.journal.open_doubts(run.run_id)
    assert [one.key for one in questions] == [("0", 2), ("r1", 0)]
    assert "could not be taken up" in questions[1].what
    assert questions[1].choices == (Answer.HAPPENED, Answer.ABORT)
    with pytest.raises(CommandInDoubt):
        await forgetful.carry_out(run, second.execute, transfer)


async def test_what_set_up_destroyed_stays_destroyed(forgetful: World) -> None:
    """Also when the run goes on from its past, with this host or the next one."""
    _, run = await die(forgetful, "dispense", before=True)
    journal, second = forgetful.journal, await forgetful.host()
    command, loss = await journal.open_doubts(run.run_id)
    await journal.answer_doubt(command.id, Answer.DID_NOT_HAPPEN, "somebody")
    await journal.answer_doubt(loss.id, Answer.HAPPENED, "somebody")

    again = await forgetful.begin(second, run.run_id)

    assert second.assets.mounted_tips("star") == {}
    third = await forgetful.host()
    assert third.assets.mounted_tips("star") == {}
    assert await journal.open_doubts(run.run_id) == []
    with pytest.raises(ChannelizedError, match="carries no tip"):
        await forgetful.carry_out(again, third.execute, transfer)
    assert forgetful.times("dispense") == 0


async def test_a_device_that_comes_late_has_lost_its_tips_too(forgetful: World) -> None:
    """It is set up when it is there: what it threw off is found out then, and asked about."""
    _, run = await die(forgetful, "dispense", before=True)
    second = await forgetful.host(["shaker"])
    assert [one.key for one in await forgetful.journal.open_doubts(run.run_id)] == []

    await second.connect(["star"])

    assert second.assets.mounted_tips("star") == {}
    [question] = await forgetful.journal.open_doubts(run.run_id)
    assert question.key == ("r1", 0)
    with pytest.raises(CommandInDoubt):
        await forgetful.carry_out(run, second.execute, transfer)


async def test_each_device_that_lost_something_has_a_question_of_its_own(world: World) -> None:
    """One answer does not stand for all of them."""
    claimed = await world.claim(devices=["star", "shaker"])
    run = AttendedRun(claimed.run_id, claimed.attempt, DeckFollower(), claimed.token)
    doubts = Doubts(world.journal)

    await doubts.set_up_destroyed(run, "star", 0, "star lost its tips", 3)
    await doubts.set_up_destroyed(run, "shaker", 2, "shaker lost its plate", 3)

    asked = await world.journal.open_doubts(run.run_id)
    assert [one.key for one in asked] == [("r1", 0), ("r1", 2)]


async def test_what_a_person_has_undone_is_not_counted_again(world: World) -> None:
    """The tail of an attempt is still on the deck until it is undone, whoever asks which host."""
    first = await world.host()
    run = await world.begin(first)
    await world.carry_out(run, first.execute, transfer)
    journal = world.journal
    last = (await journal.recorded(run.run_id))[-1]
    tail = (run.run_id, run.attempt, DoubtSubject.TAIL, *last.key)
    asked = await journal.raise_doubt(*tail, "Done again?", [Answer.DID_NOT_HAPPEN])
    await journal.mark_tail(run.run_id, last.number)

    second = await world.host()
    assert second.assets.contents("plate_01_well_A1").volume == 100
    await journal.answer_doubt(asked.id, Answer.DID_NOT_HAPPEN, "somebody")
    third = await world.host()
    assert third.assets.contents("plate_01_well_A1").volume == 0


async def test_a_command_that_a_person_says_did_not_happen_is_not_counted(world: World) -> None:
    """Its outcome says that nobody knew; the answer counts, also for the next host."""
    first = await world.host()
    run = await world.begin(first)
    world.lab.rehearsal.faults.waiting.append(
        fault_of({"device": "star", "how": "drop_before", "method": "aspirate"})
    )
    with pytest.raises(CommandInDoubt):
        await world.carry_out(run, first.execute, transfer)
    [question] = await world.journal.open_doubts(run.run_id)
    await world.journal.answer_doubt(question.id, Answer.DID_NOT_HAPPEN, "somebody")

    second = await world.host()

    assert second.assets.contents("dye_stock").volume == 50_000


async def test_a_tail_counts_no_more_when_the_next_attempt_has_begun(world: World) -> None:
    """Its host may die before it has done anything of its own."""
    first = await world.host()
    run = await world.begin(first)
    await world.carry_out(run, first.execute, transfer)
    journal = world.journal
    last = (await journal.recorded(run.run_id))[-1]
    tail = (run.run_id, run.attempt, DoubtSubject.TAIL, *last.key)
    asked = await journal.raise_doubt(*tail, "Done again?", [Answer.DID_NOT_HAPPEN])
    await journal.mark_tail(run.run_id, last.number)
    await journal.answer_doubt(asked.id, Answer.DID_NOT_HAPPEN, "somebody")
    again = await world.claim(run.run_id)

    second = await world.host()
    await second.attach(again)

    assert second.assets.contents("plate_01_well_A1").volume == 0
    await world.carry_out(again, second.execute, transfer)
    assert second.assets.contents("plate_01_well_A1").volume == 100
    third = await world.host()
    assert third.assets.contents("plate_01_well_A1").volume == 100


async def test_a_new_run_that_is_alone_finds_everything_as_defined(world: World) -> None:
    """The stage is set in the lab and in what is known; a run that goes on finds what it left."""
    first = await world.host()
    run = await world.begin(first)
    await world.carry_out(run, first.execute, transfer)
    await first.detach(run.run_id, RunStatus.SUCCEEDED)
    await world.journal.release_claims(run.run_id)

    await world.begin(first)

    assert first.assets.mounted_tips("star") == {}
    assert first.assets.contents("dye_stock").volume == 50_000
    assert first.assets.has_tip("tips_300_01_tipspot_A1")
    assert world.lab.world.contents("dye_stock").volume == 50_000


async def test_a_line_that_broke_while_nobody_used_it_is_open_for_the_next_run(
    world: World,
) -> None:
    """Nothing is in doubt then, and nobody is told to come again."""
    host = await world.host()
    with await asyncio.to_thread(LabControl, world.socket) as control:
        assert await asyncio.to_thread(control.hang_up, "star")

    run = await world.begin(host)

    await world.carry_out(run, host.execute, transfer)
    assert world.times("aspirate") == 1


async def test_a_device_that_tells_nothing_keeps_nobody_waiting_forever(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The run is refused by name; who does not need that device is let in, later all are."""
    monkeypatch.setattr("praxis_core.workcell.initial_state.TELLING_SECONDS", 0.2)
    host = await world.host()
    with await asyncio.to_thread(LabControl, world.socket) as control:
        hangs = partial(control.fail, "shaker", how="hang", method="get_current_temperature")
        await asyncio.to_thread(hangs)

        asking = await world.claim(devices=["shaker"])
        with pytest.raises(DeviceStateUnexpected, match=r"shaker: does not answer.*0\.2 s"):
            await host.attach(asking)
        await world.journal.set_status(asking.run_id, RunStatus.FAILED)
        await world.journal.release_claims(asking.run_id)
        await world.begin(host, devices=["reader"])

        monkeypatch.undo()
        await asyncio.to_thread(control.release, "shaker")
    run = await world.begin(host, devices=["shaker"])
    await world.carry_out(run, host.execute, shake)
    assert world.times("start_shaking") == 1


async def shake(replica: Replica) -> None:
    """Shake, and go on shaking."""
    await replica.asset("shaker").backend.start_shaking(speed=300)


async def test_what_was_switched_off_while_no_host_was_there_is_set_again(world: World) -> None:
    """A watchdog may have switched off anything; a run that comes back finds it as it was."""
    first = await world.host()
    run = await world.begin(first, devices=["shaker"])
    await world.carry_out(run, first.execute, shake)
    second = await world.host()
    assert world.times("start_shaking") == 1

    await second.attach(replace(run, resuming=True))

    assert world.times("start_shaking") == 2
    assert [one.key for one in await world.journal.recorded(run.run_id)][-1] == ("r1", 0)
    assert [action.method for action in second.safe_actions()] == ["stop_shaking"]


async def warm(replica: Replica) -> None:
    """Keep something at 37 °C, and come to that."""
    shaker = replica.asset("shaker")
    await shaker.set_temperature(37.0)
    await shaker.wait_for_temperature()


@pytest.mark.parametrize(("lag", "reached"), [(20.0, True), (1e6, False)])
async def test_a_run_goes_on_when_it_is_warm_again(
    world: World, lag: float, *, reached: bool
) -> None:
    """Set again is not yet warm; what is too slow is said, and the run may decide."""
    first = await world.host()
    run = await world.begin(first, devices=["shaker"])
    await world.carry_out(run, first.execute, warm)
    expected = first.safekeeping.as_json()
    await first.safekeeping.switch_off(
        AttendedRun(run.run_id, run.attempt, DeckFollower(), devices={"shaker"})
    )
    world.lab.rehearsal.lags["shaker"] = 0.0
    await first.clock.sleep(3600)
    world.lab.rehearsal.lags["shaker"] = lag

    told = await first.restore(run.run_id, run.attempt, expected)

    assert isinstance(told, list)
    assert str(told[0]).startswith("shaker: temperature was None, expected 37.0; set again")
    said = "was reached again after" if reached else "was not reached: Temperature did not reach"
    assert said in str(told[1])
    heat = world.lab.world.draft().device("shaker").heats["temperature"]
    assert (abs(heat.now(world.lab.world.time.now()) - 37) < 0.5) is reached


async def test_a_run_that_was_given_up_while_it_was_away_keeps_nothing(world: World) -> None:
    """Its labware is put back with all the rest, once its claims are released."""
    first = await world.host()
    run = await world.begin(first)
    await world.carry_out(run, first.execute, transfer)
    await first.lost(run.run_id)
    other = Attaching(uuid4(), 1, ["shaker"], ["plate_02"])

    await first.attach(other)
    assert first.assets.contents("plate_01_well_A1").volume == 100
    await first.detach(other.run_id, RunStatus.SUCCEEDED)
    await world.journal.release_claims(run.run_id)
    await first.attach(replace(other, run_id=uuid4()))

    assert first.assets.contents("plate_01_well_A1").volume == 0
    assert world.lab.world.contents("plate_01_well_A1").volume == 0


async def test_a_new_run_whose_host_died_before_it_came_finds_everything_as_defined(
    world: World,
) -> None:
    """It had claimed its devices, so the next host knows of it; but nothing was set up for it."""
    first = await world.host()
    before = await world.begin(first)
    await world.carry_out(before, first.execute, transfer)
    await first.detach(before.run_id, RunStatus.SUCCEEDED)
    await world.journal.release_claims(before.run_id)
    run = await world.claim()

    second = await world.host()
    await second.attach(run)

    assert world.lab.world.contents("dye_stock").volume == 50_000
    await world.carry_out(run, second.execute, transfer)
    assert world.lab.world.contents("plate_01_well_A1").volume == 100


async def test_a_run_knows_that_another_one_has_set_the_stage_anew(world: World) -> None:
    """The other one has a device of its own, but was alone, and has put back everything."""
    host = await world.host()
    run = await world.begin(host)
    await world.carry_out(run, host.execute, transfer)
    await host.detach(run.run_id, RunStatus.FAILED)
    await world.journal.set_status(run.run_id, RunStatus.FAILED)
    await world.journal.release_claims(run.run_id)
    assert await world.journal.overtaken_by(run.run_id) is None

    other = await world.begin(host, devices=["shaker"])

    assert world.lab.world.contents("plate_01_well_A1").volume == 0
    assert await world.journal.overtaken_by(run.run_id) == other.run_id
    assert await world.journal.overtaken_by(other.run_id) is None


async def test_what_went_into_the_waste_is_there_once(world: World) -> None:
    """Nobody has the waste for itself: it is not emptied for a run that goes on from its past."""

    async def waste(replica: Replica) -> None:
        lh: Any = replica.asset("star")
        await lh.pick_up_tips(replica.asset("tips_300_01")["A1"])
        await lh.aspirate([replica.asset("dye_stock")], vols=[100])
        await lh.discard_tips()

    first = await world.host()
    run = await world.begin(first)
    await world.carry_out(run, first.execute, waste)
    assert first.assets.contents("trash").volume == 100

    await world.begin(first, run.run_id)
    assert first.assets.contents("trash").volume == 100

    second = await world.host()
    await world.begin(second, run.run_id)
    assert second.assets.contents("trash").volume == 100
