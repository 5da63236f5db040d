"""The catalogue says at every commit what the runtime knows."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from sqlalchemy import text

from praxis_core.assets.catalogue import Catalogue
from praxis_core.assets.corrections import Filling
from praxis_core.assets.entries import By
from praxis_core.assets.manager import AssetManager
from praxis_core.errors import (
    CommandInDoubt,
    DeviceStateUnexpected,
    JournalError,
    RequestError,
)
from praxis_core.journal.asset_tables import AssetStatus
from praxis_core.protocol.command import Command, Outcome
from praxis_core.protocol.lifecycle import Answer, RunStatus
from praxis_core.simulator.faults import fault_of
from praxis_core.simulator.truth import Heat
from praxis_core.workcell.bench import Bench, local_link
from praxis_core.workcell.definition import Refill, WorkcellDefinition
from praxis_core.workcell.initial_state import initial_assets
from praxis_core.workcell.link import Attaching
from praxis_core.workcell.model import build, simulated_backend
from praxis_core.workcell.replica import Replica
from praxis_core.workcell.runtime import WorkcellRuntime
from tests.assets.conftest import plain
from tests.workcell.hosts import HostDiedError, World, transfer

SOMEBODY = By("somebody", "a test")

NOT_THE_STOCK = (
    """CREATE FUNCTION not_the_stock() RETURNS trigger LANGUAGE plpgsql AS $$
         BEGIN RAISE EXCEPTION 'not today' USING ERRCODE = 'check_violation'; END $$""",
    """CREATE TRIGGER not_the_stock BEFORE INSERT ON praxis.asset_change FOR EACH ROW
         WHEN (NEW.parts ? 'dye_stock') EXECUTE FUNCTION not_the_stock()""",
)
"""The database takes in nothing of one trough."""


async def same(world: World, runtime: WorkcellRuntime) -> None:
    """See that the catalogue says what the runtime knows."""
    await world.journal.settled()
    state = await Catalogue(world.journal.database).state("star")
    assert plain(state) == plain(runtime.assets.state)


class Watched:
    """Executes on a runtime, and looks into the catalogue after each command."""

    def __init__(self, world: World, runtime: WorkcellRuntime, token: int | None = None) -> None:
        self.world, self.runtime, self.token = world, runtime, token
        self.commands = 0

    async def execute(self, command: Command) -> Outcome:
        """Carry out a command."""
        try:
            return await self.runtime.execute(replace(command, token=self.token or command.token))
        finally:
            self.commands += 1
            await same(self.world, self.runtime)


async def busy(replica: Replica) -> None:
    """Pipette, give tips back, and move a plate."""
    lh: Any = replica.asset("star")
    plate, tips = replica.asset("plate_01"), replica.asset("tips_300_01")
    await lh.pick_up_tips(tips["A1:C1"])
    await lh.aspirate([replica.asset("dye_stock")] * 3, vols=[100, 50, 20])
    await lh.dispense(plate["A1:C1"], vols=[100, 50, 20])
    await lh.return_tips()
    await lh.move_plate(plate, replica.asset("carrier_plates[3]"))
    await lh.pick_up_tips(tips["D1"])
    await lh.aspirate(plate["A1"], vols=[30])
    await lh.discard_tips()


async def test_the_catalogue_follows_each_command_of_a_host(world: World) -> None:
    """Pipetting, used tips that are put back, and a plate that is moved."""
    host = await world.host()
    run = await world.begin(host)
    await same(world, host)
    watched = Watched(world, host)

    await world.carry_out(run, watched.execute, busy)

    assert watched.commands > 9
    assert host.assets.contents("plate_01_well_A1").volume == 70
    lineage = await Catalogue(world.journal.database).lineage("star", "plate_01_well_B1")
    assert [origin.volume for origin in lineage.origins] == [pytest.approx(50)]


@pytest.mark.parametrize("answer", [Answer.HAPPENED, Answer.DID_NOT_HAPPEN])
async def test_the_catalogue_knows_of_doubts_and_what_was_answered(
    world: World, answer: Answer
) -> None:
    """From the moment nobody knows, over the next host, to the answer and the next attempt."""
    host = await world.host()
    run = await world.begin(host)
    world.lab.rehearsal.faults.waiting.append(
        fault_of({"device": "star", "how": "drop_before", "method": "aspirate"})
    )
    with pytest.raises(CommandInDoubt):
        await world.carry_out(run, Watched(world, host).execute, transfer)
    assert "dye_stock" in host.assets.unknown()
    second = await world.host()
    await same(world, second)
    assert "dye_stock" in second.assets.unknown()

    [question] = await world.journal.open_doubts(run.run_id)
    await world.journal.answer_doubt(question.id, answer, "somebody")
    again = await world.claim(run.run_id)
    await second.attach(again)

    await same(world, second)
    assert second.assets.unknown() == {}
    await world.carry_out(again, Watched(world, second).execute, transfer)
    assert second.assets.contents("dye_stock").volume == 49_900


@pytest.mark.parametrize("method", ["pick_up_tips", "aspirate", "dispense"])
@pytest.mark.parametrize("before", [True, False])
async def test_nothing_counts_twice_after_a_host_has_died(
    world: World, method: str, *, before: bool
) -> None:
    """The next host knows the lab's truth, or that it does not know."""
    first = await world.host()
    run = await world.begin(first)
    with pytest.raises(HostDiedError):
        await world.carry_out(run, world.dying(first, method, before=before), transfer)

    for _ in range(2):
        host = await world.host()
        await same(world, host)
        unknown = host.assets.unknown()
        for name in ("dye_stock", "plate_01_well_A1"):
            if name not in unknown:
                truth = world.lab.world.contents(name).volume
                assert host.assets.contents(name).volume == pytest.approx(truth)


# --- refilled by hand -----------------------------------------------------------------------------


@pytest.fixture
def by_hand(world: World) -> World:
    """A lab in which nothing comes back by itself."""
    world.definition = world.definition.model_copy(update={"refill": Refill.BY_HAND})
    return world


async def finish(world: World, host: WorkcellRuntime, run: Attaching) -> None:
    """Let a run end well."""
    await host.detach(run.run_id, RunStatus.SUCCEEDED)
    await world.journal.release_claims(run.run_id)


async def pour(replica: Replica) -> None:
    """Use a tip for good."""
    lh: Any = replica.asset("star")
    await lh.pick_up_tips(replica.asset("tips_300_01")["A1"])
    await lh.aspirate([replica.asset("dye_stock")], vols=[100])
    await lh.dispense([replica.asset("plate_01[A1]")], vols=[100])
    await lh.discard_tips()


@pytest.mark.parametrize("another", [False, True])
async def test_what_a_run_used_stays_used(by_hand: World, *, another: bool) -> None:
    """For the next run, on this host or on the next one."""
    world = by_hand
    host = await world.host()
    run = await world.begin(host)
    await world.carry_out(run, host.execute, pour)
    await finish(world, host, run)

    if another:
        host = await world.host()
    await world.begin(host)

    assert host.assets.contents("dye_stock").volume == 49_900
    assert host.assets.has_tip("tips_300_01_tipspot_A1") is False
    assert world.lab.world.contents("dye_stock").volume == pytest.approx(49_900)
    await same(world, host)


async def test_a_new_run_knows_what_somebody_has_said(by_hand: World) -> None:
    """Also on a host that has been there all the time, on its deck and in what the run is given."""
    world = by_hand
    host = await world.host()
    run = await world.begin(host)
    await world.carry_out(run, host.execute, pour)
    await finish(world, host, run)
    catalogue = Catalogue(world.journal.database)
    await catalogue.set_volume("star", "dye_stock", Filling(40_000), SOMEBODY)
    await catalogue.move("star", "plate_01", "carrier_plates-3", SOMEBODY)

    asking = await world.claim()
    attached = await host.attach(asking)

    assert isinstance(attached.assets, dict)
    containers: Any = attached.assets["containers"]
    assert containers["dye_stock"]["volume"] == 40_000
    assert host.model.resources.get("plate_01").parent.name == "carrier_plates-3"
    await same(world, host)


async def test_what_a_device_reads_is_compared_with_what_is_known(by_hand: World) -> None:
    """A tip that nobody told of: the run does not begin, and is told both sides."""
    world = by_hand
    host = await world.host()
    run = await world.begin(host)
    await world.carry_out(run, host.execute, transfer)
    await finish(world, host, run)
    catalogue = Catalogue(world.journal.database)
    known = AssetManager(await catalogue.state("star"))
    known.discard_head("star")
    await catalogue.record("star", known.take_changes(), by=SOMEBODY)

    with pytest.raises(DeviceStateUnexpected, match="channel 0 has a tip, expected was no tip"):
        await host.attach(await world.claim())


@pytest.mark.parametrize(
    ("fault", "told"),
    [
        ("gripper", "star: the gripper holds something, expected was nothing"),
        ("temperature", "shaker: it is at 71.0 °C, expected was 10 to 40 °C"),
        ("tip", "star: channel 3 has a tip, expected was no tip"),
        ("no tip", "star: channel 0 has no tip, expected was a tip"),
        ("nothing held", "star: the gripper holds nothing, expected was plate_02"),
    ],
)
async def test_what_is_otherwise_in_the_lab_refuses_a_new_run(
    by_hand: World, fault: str, told: str
) -> None:
    """Also when the host has been there all the time; nothing is moved."""
    world = by_hand
    host = await world.host()
    await finish(world, host, await world.begin(host))
    catalogue = Catalogue(world.journal.database)
    known = AssetManager(await catalogue.state("star"), await catalogue.ids("star"))
    truth, tables = world.lab.world.truth, dict[str, Any]()
    there = truth.tables
    if fault == "gripper":
        in_hand = replace(there["places"]["plate_02"], parent=None)
        tables = {"grippers": {"star": "plate_02"}, "places": {"plate_02": in_hand}}
    elif fault == "temperature":
        heats = {"temperature": Heat(71.0, world.lab.world.time.now(), target=71.0)}
        tables = {"devices": {"shaker": replace(there["devices"]["shaker"], heats=heats)}}
    elif fault == "tip":
        spot = "tips_300_02_tipspot_A1"
        tables = {"tips": {"star[3]": there["tips"][spot], spot: None}}
    elif fault == "no tip":
        run = await world.begin(host)
        await world.carry_out(run, host.execute, transfer)
        await finish(world, host, run)
        tables = {"tips": {"star[0]": None}}
    else:
        known.say_gripper("star", "plate_02")
        await catalogue.record("star", known.take_changes(), by=SOMEBODY)
    truth.apply(tables)
    world.lab.world.projection.follow_all(truth)
    done = world.times("pick_up_tips")

    with pytest.raises(DeviceStateUnexpected) as refusal:
        await host.attach(await world.claim(devices=("star", "shaker")))

    problems: Any = refusal.value.details["problems"]
    assert told in [f"{one.where}: {one.what}" for one in problems]
    assert world.times("pick_up_tips") == done


async def test_a_run_with_devices_in_its_own_process(
    star: WorkcellDefinition, world: World
) -> None:
    """The same catalogue; the next process goes on with what is left."""
    definition = star.model_copy(update={"refill": Refill.BY_HAND})
    for volume in (49_900, 49_800):
        asking = await world.claim()
        link = local_link(definition, journal=world.journal)
        names = [*asking.devices, *asking.labware]
        bench = Bench(
            definition,
            run_id=asking.run_id,
            link=link,
            execute=Watched(world, link.runtime, asking.token).execute,
        )
        await bench.connect(names, token=asking.token)
        lh: Any = bench.replica.asset("star")
        async with bench.protocol():
            free = [spot for spot in bench.replica.asset("tips_300_01").children if spot.has_tip()]
            await lh.pick_up_tips(free[:1])
            await lh.aspirate([bench.replica.asset("dye_stock")], vols=[100])
            await lh.dispense([bench.replica.asset("plate_01[A1]")], vols=[100])
            await lh.discard_tips()
        assert link.runtime.assets.contents("dye_stock").volume == volume
        await bench.disconnect()
        await world.journal.release_claims(asking.run_id)


async def test_a_run_goes_on_where_it_was_although_others_came_before(by_hand: World) -> None:
    """It begins again with the deck that it began with, and nothing is done or counted twice."""
    world = by_hand
    first = await world.host()
    before = await world.begin(first)
    await world.carry_out(before, first.execute, pour)
    await finish(world, first, before)
    run = await world.begin(first)
    with pytest.raises(HostDiedError):
        await world.carry_out(run, world.dying(first, "pick_up_tips", before=False), next_tip)

    second = await world.host()
    again = await world.claim(run.run_id)
    await second.attach(again)
    await same(world, second)
    await world.carry_out(again, Watched(world, second).execute, next_tip)

    assert second.assets.contents("dye_stock").volume == 49_800
    assert world.lab.world.contents("dye_stock").volume == pytest.approx(49_800)
    assert [second.assets.has_tip(f"tips_300_01_tipspot_{one}") for one in ("A1", "B1", "C1")] == [
        False,
        False,
        True,
    ]
    assert world.times("pick_up_tips") == 2


async def next_tip(replica: Replica) -> None:
    """Do as ``pour`` with the first tip that is left."""
    lh: Any = replica.asset("star")
    rack: Any = replica.asset("tips_300_01")
    await lh.pick_up_tips([spot for spot in rack.get_all_items() if spot.has_tip()][:1])
    await lh.aspirate([replica.asset("dye_stock")], vols=[100])
    await lh.dispense([replica.asset("plate_01[A1]")], vols=[100])
    await lh.discard_tips()


async def test_tips_on_a_device_that_lived_in_another_process_are_gone(
    star: WorkcellDefinition, world: World
) -> None:
    """Such a device is made anew, and carries nothing; the catalogue is told."""
    definition = star.model_copy(update={"refill": Refill.BY_HAND})
    for discarded in (False, True):
        asking = await world.claim()
        link = local_link(definition, journal=world.journal)
        bench = Bench(
            definition,
            run_id=asking.run_id,
            link=link,
            execute=Watched(world, link.runtime, asking.token).execute,
        )
        await bench.connect([*asking.devices, *asking.labware], token=asking.token)
        assert link.runtime.assets.mounted_tips("star") == {}
        await same(world, link.runtime)
        if not discarded:
            lh: Any = bench.replica.asset("star")
            async with bench.protocol():
                await lh.pick_up_tips(bench.replica.asset("tips_300_01")["A1"])
        await bench.disconnect()
        await world.journal.release_claims(asking.run_id)


async def test_labware_of_no_run_stands_where_somebody_put_it(by_hand: World) -> None:
    """On the deck of a host that lives, also while another run works there."""
    world = by_hand
    host = await world.host()
    await world.begin(host, devices=("reader",))
    catalogue = Catalogue(world.journal.database)
    await catalogue.move("star", "plate_02", "carrier_plates-4", SOMEBODY)
    await catalogue.set_status("star", "tips_300_04", AssetStatus.DISCARDED, SOMEBODY)
    await catalogue.shelve("star", "tips_300_03", "freezer 2", SOMEBODY)
    site = host.model.resources.get("tips_300_04").parent.name

    attached = await host.attach(await world.claim())

    deck = host.model.resources
    assert deck.get("plate_02").parent.name == "carrier_plates-4"
    assert host.stands_at("carrier 1, site 2") is None
    assert deck.get("tips_300_04").parent is deck.get("tips_300_03").parent is None
    assert deck.get(site).children == []
    assert attached.assets["locations"]["plate_02"]["parent"] == "carrier_plates-4"
    assert host.assets.take_changes().assets == {}
    here, known = host.assets.places(), await catalogue.standing("star")
    assert {name: here[name] for name in known} == known


async def test_what_somebody_said_stays_said_although_something_else_was_not_written(
    by_hand: World,
) -> None:
    """A host that has to tell again what the catalogue did not take in tells only that."""
    world = by_hand
    host = await world.host()
    run = await world.begin(host)
    async with world.journal.database.session() as session, session.begin():
        for statement in NOT_THE_STOCK:
            await session.execute(text(statement))
    with pytest.raises(JournalError, match="not today"):
        await world.carry_out(run, host.execute, pour)
    await finish(world, host, run)
    async with world.journal.database.session() as session, session.begin():
        await session.execute(text("DROP TRIGGER not_the_stock ON praxis.asset_change"))
    catalogue = Catalogue(world.journal.database)
    assert (await catalogue.state("star")).containers["dye_stock"].volume == 50_000
    await catalogue.move("star", "plate_02", "carrier_plates-4", SOMEBODY)
    await catalogue.set_volume("star", "diluent", Filling(1_000), SOMEBODY)

    await host.attach(await world.claim())

    state = await catalogue.state("star")
    assert state.containers["dye_stock"].volume == 49_900
    assert state.locations["plate_02"].parent == "carrier_plates-4"
    assert state.containers["diluent"].volume == 1_000
    assert host.model.resources.get("plate_02").parent.name == "carrier_plates-4"
    await same(world, host)


async def test_what_was_discarded_does_not_come_back_by_itself(by_hand: World) -> None:
    """When a host begins it stands nowhere; until somebody brings another one."""
    world = by_hand
    await world.begin(await world.host())
    catalogue = Catalogue(world.journal.database)
    await catalogue.set_status("star", "dose_plate", AssetStatus.DISCARDED, SOMEBODY)
    await catalogue.shelve("star", "plate_02", "freezer 2", SOMEBODY)

    host = await world.host()
    await same(world, host)

    assert "dose_plate" not in await catalogue.ids("star")
    assert host.model.resources.get("dose_plate").parent is None
    assert host.model.resources.get("plate_02").parent is None
    with pytest.raises(RequestError, match="praxis assets refill dose_plate"):
        await catalogue.replace("star", "dose_plate", SOMEBODY)
    new = initial_assets(build(world.definition, simulated_backend))
    await catalogue.refill("star", new, SOMEBODY, ["dose_plate"])
    host = await world.host()
    assert host.model.resources.get("dose_plate").parent is not None
    assert host.assets.contents("dose_plate_well_A1").volume > 0
    await same(world, host)


async def test_what_was_discarded_is_set_back_before_every_run_that_says_so(world: World) -> None:
    """Also when another run is there that comes first, and does not want it."""
    catalogue = Catalogue(world.journal.database)
    other = await world.begin(await world.host(), devices=("reader",))
    await catalogue.set_status("star", "dose_plate", AssetStatus.DISCARDED, SOMEBODY)

    host = await world.host()
    run = await world.begin(host)
    for each in (other, run):
        await finish(world, host, each)
    await world.begin(host)

    assert "dose_plate" in await catalogue.ids("star")
    assert host.model.resources.get("dose_plate").parent is not None
    assert host.assets.contents("dose_plate_well_A1").volume > 0
    await same(world, host)
