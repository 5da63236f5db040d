"""Runs that are done with water: real tips and volumes, and samples, lots and lineage untouched."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path
from typing import Annotated, Any
from uuid import uuid4

import pytest
from pydantic import SecretStr
from pylabrobot.liquid_handling import LiquidHandler
from pylabrobot.resources import Plate, TipRack, Trough

from flows.serial_dilution import serial_dilution
from praxis_core.assets.catalogue import Catalogue
from praxis_core.assets.corrections import Filling
from praxis_core.assets.entries import By
from praxis_core.assets.inventory import Description, difference
from praxis_core.assets.state import AssetManagerState, ContainerContents
from praxis_core.assets.water import OF_WATER_RUN
from praxis_core.cli.catalogue import meet
from praxis_core.errors import JournalError, NotWater, RequestError, RunNotResumable, RunRefused
from praxis_core.execution.supplies import Supplies
from praxis_core.journal.record import Journal
from praxis_core.journal.records import AttemptRequest
from praxis_core.orchestrator import Orchestrator, RunPage, RunRequest
from praxis_core.protocol import Needs, protocol, run
from praxis_core.protocol.lifecycle import RunStatus
from praxis_core.settings import PraxisSettings
from praxis_core.workcell.clock import SimulatedClock
from praxis_core.workcell.definition import WorkcellDefinition
from praxis_core.workcell.runtime import WorkcellRuntime
from praxis_core.workcell.wanted import Wanted

LAB = "wet"
JO = By("Jo")
SAMPLE = "dose_plate_well_A1"
LOT = Filling(150, {"inhibitor": 15_000.0}, reagent="inhibitor", lot="L3")
SEEN: list[bool] = []


@protocol(name="pouring", version="1.0.0")
async def pouring(lh: LiquidHandler, tips: TipRack, trough: Trough, plate: Plate) -> bool:
    """Pour from a trough into one well, with the first tip that is there."""
    spot = next(spot for spot in tips.get_all_items() if spot.has_tip())
    await lh.pick_up_tips([spot])
    await lh.aspirate([trough], vols=[40])
    await lh.dispense(plate["A1"], vols=[40])
    await lh.return_tips()
    return run.water


@protocol(name="buffering", version="1.0.0")
async def buffering(
    lh: LiquidHandler,
    tips: TipRack,
    plate: Annotated[Plate, Needs(empty=True)],
    buffer: Annotated[Trough, Needs(reagent="PBS", volume=100)],
) -> None:
    """Pour buffer, which it asks for by its name, into one well of an empty plate."""
    await lh.pick_up_tips(tips["A1"])
    await lh.aspirate([buffer], vols=[40])
    await lh.dispense(plate["A1"], vols=[40])
    await lh.discard_tips()


@protocol(name="straying", version="1.0.0")
async def straying(lh: LiquidHandler, tips: TipRack, plate: Plate) -> None:
    """Draw from a sample in its run, of which nothing was to be seen in its plan."""
    SEEN.append(run.water)
    await lh.pick_up_tips(tips["A1"])
    try:
        if len(SEEN) > 1:
            await lh.aspirate(plate["A1"], vols=[10])
    finally:
        await lh.discard_tips()


class Page(RunPage):
    """Keeps that the run is one with water."""

    water = 0

    async def with_water(self) -> None:
        """Keep it."""
        self.water += 1


class Lab:
    """The library's STAR, refilled by hand; its troughs hold water, a plate of it a sample."""

    def __init__(self, journal: Journal, settings: PraxisSettings) -> None:
        self.journal = journal
        self.catalogue = Catalogue(journal.database)
        self.page = Page()
        self.orchestrator = Orchestrator(journal=journal, settings=settings, page=self.page)

    async def set_up(self) -> None:
        """Put water into the troughs."""
        await meet(self.catalogue, self.journal, LAB)
        for trough, lot in (("diluent", "W1"), ("dye_stock", "W2")):
            await self.fill(trough, 40_000, reagent="water", lot=lot)

    async def fill(self, container: str, volume: float, **what: Any) -> None:
        """Say what is in a container."""
        await self.catalogue.set_volume(LAB, container, Filling(volume, **what), JO)

    async def run(self, function: Any, *, water: bool = True, **assets: str) -> RunRequest:
        """Run a protocol."""
        request = _request(function, water=water, **assets)
        await self.orchestrator.run(request)
        await self.journal.settled()
        return request

    async def refused(self, function: Any, *, water: bool = True, **assets: str) -> str:
        """Ask for a run that cannot be: nothing has moved, and it says why."""
        request = _request(function, water=water, **assets)
        with pytest.raises(RunRefused) as refusal:
            await self.orchestrator.run(request)
        assert await self.journal.commands(request.run_id) == []
        assert (await self.journal.run(request.run_id)).status is RunStatus.REFUSED
        return str(refusal.value)

    async def state(self) -> AssetManagerState:
        """What is known of the workcell."""
        return await self.catalogue.state(LAB)


def _request(function: Any, *, water: bool = True, **assets: Any) -> RunRequest:
    return RunRequest(uuid4(), "a run", function, LAB, assets=assets, water=water)


@pytest.fixture
async def lab(
    request: pytest.FixtureRequest,
    journal: Journal,
    database_url: str,
    redis_url: str,
    tmp_path: Path,
) -> AsyncIterator[Lab]:
    """A laboratory with water in its troughs."""
    SEEN.clear()
    star = (await journal.workcell("star")).definition
    if getattr(request, "param", "") != "the whole star":
        labware: Any = star["labware"]
        devices: Any = star["devices"]
        few = [one for one in labware if one["name"] in FEW]
        star |= {"devices": {"star": devices["star"]}, "labware": few, "places": {}}
    await journal.store_workcell(LAB, {**star, "name": LAB})
    settings = PraxisSettings(
        home=tmp_path, database_url=SecretStr(database_url), redis_url=SecretStr(redis_url)
    )
    lab = Lab(journal, settings)
    await lab.set_up()
    yield lab
    await lab.orchestrator.close()


FEW = {
    "carrier_tips",
    "tips_300_01",
    "tips_300_02",
    "carrier_plates",
    "plate_01",
    "plate_02",
    "dose_plate",
    "carrier_troughs",
    "diluent",
    "dye_stock",
}
"""What most of these tests need."""

HERE: dict[str, Any] = {"tips": "tips_300_01", "trough": "diluent", "plate": "plate_01"}


@pytest.mark.parametrize("lab", ["the whole star"], indirect=True)
async def test_a_library_protocol_runs_with_water_and_leaves_no_lineage(lab: Lab) -> None:
    """Tips are used and volumes are real; samples and lots are what they were."""
    await lab.fill(SAMPLE, LOT.volume, amounts=LOT.amounts, reagent=LOT.reagent, lot=LOT.lot)
    before = await lab.catalogue.lineage(LAB, SAMPLE)
    trough = await lab.catalogue.lineage(LAB, "diluent")

    request = await lab.run(
        serial_dilution, stock="dye_stock", tips="tips_300_01", plate="plate_01"
    )

    found = await lab.journal.run(request.run_id)
    assert (found.water, found.status, lab.page.water) == (True, RunStatus.SUCCEEDED, 1)
    assert await lab.catalogue.lineage(LAB, SAMPLE) == before
    [origin] = (await lab.catalogue.lineage(LAB, "diluent")).origins
    assert (origin.lot, origin.source) == ("W1", trough.origins[0].source)
    assert origin.volume == pytest.approx(40_000 - 8 * 11 * 100)

    state = await lab.state()
    assert not any(state.tip_spots[spot] for spot in state.racks["tips_300_01"])
    wells = [one for name, one in state.containers.items() if name.startswith("plate_01_")]
    assert sum(one.volume for one in wells) == pytest.approx(8 * (11 * 100 + 200 - 100))
    assert all(one.sources == {OF_WATER_RUN: pytest.approx(one.volume)} for one in wells)
    well = await lab.catalogue.lineage(LAB, "plate_01_well_B3")
    assert not well.origins
    assert not well.unknown
    assert well.water == pytest.approx(well.volume)
    assert await lab.catalogue.tips_that_touched(sources=[int(origin.source)]) == []
    events = (await lab.catalogue.history(LAB, "plate_01")).events
    assert {one.water for one in events if one.run_id is not None} == {True}
    moved = await lab.catalogue.places(LAB, "plate_01")
    assert [one.water for one in moved if one.run_id == request.run_id].count(True) > 1


async def test_what_it_would_touch_must_be_known_to_be_water(lab: Lab) -> None:
    """Else it is refused, with what is in it and what to type; all else stays untouched."""
    told = await lab.refused(pouring, **{**HERE, "trough": "dye_stock", "plate": "dose_plate"})
    assert "dose_plate_well_A1: it holds 150 µL of something that nobody has named" in told
    assert "with inhibitor in it" in told
    assert "praxis assets replace dose_plate -w wet" in told

    await lab.fill("diluent", 900, amounts={"dye": 5.0}, reagent="water")
    told = await lab.refused(pouring, **HERE)
    assert "diluent: it holds 900 µL of water with dye in it" in told
    assert "praxis assets volume diluent --set VOLUME --reagent water -w wet" in told

    await lab.fill("diluent", 900, reagent="PBS", lot="P9")
    assert "900 µL of PBS, lot P9" in await lab.refused(pouring, **HERE)
    await lab.fill("diluent", 900)
    assert "something that nobody has named" in await lab.refused(pouring, **HERE)
    assert (await lab.run(pouring, **{**HERE, "trough": "dye_stock"})).water


async def test_a_sample_is_refused_though_it_is_in_water(lab: Lab) -> None:
    """It is not the water that counts."""
    thing = Description("plate", sample="S-17", reagent="water")
    await lab.catalogue.replace(LAB, "plate_02", JO, thing)
    await lab.fill("plate_02_well_A1", 20)

    told = await lab.refused(pouring, **{**HERE, "plate": "plate_02"})

    assert "plate_02_well_A1: it holds 20 µL of water, sample S-17" in told


async def test_unknown_contents_are_refused(lab: Lab) -> None:
    """Until somebody says what it is."""
    before, after = await lab.state(), await lab.state()
    after.containers["plate_01_well_A1"].unknown = "it was dropped"
    changes = difference(before, after, ["plate_01"])
    await lab.catalogue.record(LAB, changes, by=JO)

    told = await lab.refused(pouring, **HERE)

    assert "plate_01_well_A1: nobody knows what is in it: it was dropped" in told
    await lab.fill("plate_01_well_A1", 5, reagent="Water")
    await lab.run(pouring, **HERE)


async def test_what_it_left_wet_is_not_taken_for_empty(lab: Lab) -> None:
    """A run that needs an empty plate is refused; one with water goes on with it."""
    await lab.run(pouring, **HERE)

    real: dict[str, Any] = {"plate": "plate_01", "buffer": "dye_stock", "tips": "tips_300_02"}
    for water in (False, True):
        told = await lab.refused(buffering, water=water, **real)
        assert "plate_01 is not empty: 1 of 96 wells hold liquid" in told
    await lab.run(pouring, **HERE)
    assert (await lab.state()).containers["plate_01_well_A1"].volume == 80
    # Of an ordinary run it says where the rest came from.
    await lab.run(pouring, water=False, **HERE)
    lineage = await lab.catalogue.lineage(LAB, "plate_01_well_A1")
    assert (lineage.volume, lineage.water) == (120, 80)
    assert [(one.lot, one.volume) for one in lineage.origins] == [("W1", 40)]


async def test_water_stands_in_for_a_reagent_in_a_water_run_alone(lab: Lab) -> None:
    """Also in the container that is meant for the reagent; no real run takes it for that."""
    await lab.catalogue.replace(LAB, "dye_stock", JO, Description("trough", reagent="PBS"))
    await lab.fill("dye_stock", 5000)
    await lab.fill("diluent", 50, reagent="water")
    told = await lab.refused(buffering, tips="tips_300_01", plate="plate_01", buffer="dye_stock")
    assert "dye_stock holds no water" in told
    told = await lab.refused(buffering, tips="tips_300_01", plate="plate_01")
    assert "diluent has 50 µL; needs 50 µL more" in told
    assert "praxis assets volume diluent --set VOLUME --reagent water -w wet" in told

    await lab.fill("diluent", 500, reagent="water")
    request = await lab.run(buffering, tips="tips_300_01", plate="plate_01")
    assert (await lab.journal.run(request.run_id)).assets["buffer"] == "diluent"

    await lab.fill("dye_stock", 5000, reagent="water")
    wet: dict[str, Any] = {"tips": "tips_300_02", "plate": "plate_02", "buffer": "dye_stock"}
    assert "dye_stock holds no PBS" in await lab.refused(buffering, water=False, **wet)
    await lab.fill("dye_stock", 5000)
    await lab.run(buffering, water=False, **wet)


async def test_tips_that_were_in_something_else_are_not_taken(lab: Lab) -> None:
    """They would carry it into the water."""
    await lab.fill("dye_stock", 5000, reagent="dye", lot="L8")
    await lab.run(pouring, water=False, **{**HERE, "trough": "dye_stock", "plate": "plate_02"})

    told = await lab.refused(pouring, **HERE)

    assert "the tip there was in dye, lot L8" in told
    assert "praxis assets replace tips_300_01 -w wet" in told
    await lab.catalogue.fresh_tips(LAB, "tips_300_01", JO)
    await lab.run(pouring, **HERE)
    assert (await lab.state()).used_tips["tips_300_01_tipspot_A1"].touched == [OF_WATER_RUN]
    await lab.run(pouring, **HERE)  # with the same tip


async def test_what_no_plan_has_shown_is_not_sent(lab: Lab) -> None:
    """The run fails before it touches a sample, and throws its tip away."""
    await lab.fill(SAMPLE, 150, reagent="serum", lot="L1")
    request = _request(straying, tips="tips_300_01", plate="dose_plate")

    with pytest.raises(NotWater, match="150 µL of serum, lot L1"):
        await lab.orchestrator.run(request)

    assert SEEN == [True, True]
    written = await lab.journal.commands(request.run_id)
    assert [one.command.method for one in written] == ["pick_up_tips", "drop_tips"]
    assert all(one.command.water for one in written)
    assert (await lab.journal.run(request.run_id)).status is RunStatus.FAILED
    assert (await lab.state()).containers[SAMPLE].volume == 150


async def test_it_is_no_rehearsal(lab: Lab) -> None:
    """A run uses the real devices, or pretends."""
    request = replace(_request(pouring, **HERE), simulate=True)
    with pytest.raises(RequestError, match="for simulate or for water, not for both"):
        await lab.orchestrator.run(request)


async def test_a_run_that_began_without_water_never_goes_on_with_it(lab: Lab) -> None:
    """The database itself refuses it, before anything has started, too."""
    request = await lab.run(pouring, water=False, **HERE)
    with pytest.raises(RunNotResumable, match="began without water"):
        await lab.orchestrator.run(replace(request, water=True))

    stored = await lab.journal.run(request.run_id)
    asked = AttemptRequest(
        run_id=request.run_id,
        run_name="a run",
        protocol_id=stored.protocol_id,
        workcell_id=stored.workcell_id,
        parameters={},
        assets={},
        simulated=True,
        water=True,
    )
    with pytest.raises(JournalError, match="began without water"):
        await lab.journal.begin_attempt(asked)


def test_who_brings_more_is_asked_for_water() -> None:
    """Not for what the workcell's definition says: that would be refused."""
    state = AssetManagerState(containers={"buffer": ContainerContents(volume=20)})
    supplies = Supplies(
        LAB, state.model_dump(mode="json"), ["buffer"], lambda name: name, bool, water=True
    )

    [lack] = supplies.lacks(Wanted(drawn={"buffer": 50}))

    assert lack.then == ("praxis assets volume buffer --set VOLUME --reagent water -w wet",)


# --- killed and resumed ---------------------------------------------------------------------------


@protocol(name="rows", version="1.0.0")
async def rows(lh: LiquidHandler, tips: TipRack, plate: Plate) -> bool:
    """Move liquid from one column to the next."""
    for row in "ABC":
        await lh.pick_up_tips(tips[f"{row}1"])
        await lh.aspirate(plate[f"{row}1"], vols=[30])
        await lh.dispense(plate[f"{row}2"], vols=[30])
        await lh.return_tips()
    return run.water


async def test_a_water_run_that_is_killed_goes_on_as_one(stand: Any, journal: Journal) -> None:
    """Again and again; what it was asked for the first time counts, and nothing else."""
    definition = (await journal.workcell("stand")).definition
    stored = await journal.store_workcell("stand", {**definition, "refill": "by_hand"})
    await stand.runtime.disconnect()
    stand.runtime = WorkcellRuntime(
        WorkcellDefinition.model_validate(stored.definition),
        journal=journal,
        clock=SimulatedClock(),
    )
    catalogue = Catalogue(journal.database)
    await meet(catalogue, journal, "stand")
    for row in "ABC":
        filling = Filling(200, reagent="water", lot="W1")
        await catalogue.set_volume("stand", f"plate_well_{row}1", filling, JO)
    request = RunRequest(uuid4(), "rows", rows, "stand", water=True)

    for moment in ("under way", "before", "after"):
        assert await stand.attempt(request, kill_at=4, moment=moment) is None
    with pytest.raises(RunNotResumable, match="began with water"):
        await stand.attempt(replace(request, water=False))
    result = await stand.attempt(request)

    assert result.summary is True
    found = await journal.run(request.run_id)
    assert (found.water, found.status) == (True, RunStatus.SUCCEEDED)
    written = await journal.commands(request.run_id)
    assert len(written) == 12
    assert all(one.command.water for one in written)
    await journal.settled()
    for row in "ABC":
        lineage = await catalogue.lineage("stand", f"plate_well_{row}2")
        assert (lineage.volume, lineage.water, lineage.origins) == (30, 30, ())
        lineage = await catalogue.lineage("stand", f"plate_well_{row}1")
        assert [(one.lot, one.volume) for one in lineage.origins] == [("W1", 170)]
