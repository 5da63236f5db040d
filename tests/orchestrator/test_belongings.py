"""What a run has for itself: while it waits, while it runs, and after it has failed."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

import pytest
from pydantic import SecretStr
from pylabrobot.liquid_handling import LiquidHandler
from pylabrobot.resources import Plate, TipRack

from praxis_core.assets.catalogue import Catalogue
from praxis_core.assets.entries import By
from praxis_core.errors import AssetsLocked, RequestError, RunNotResumable, RunRefused
from praxis_core.execution.abandoning import abandon
from praxis_core.execution.page import RunPage
from praxis_core.execution.pausing import showing_pauses
from praxis_core.journal.control import Control, Said, Standing
from praxis_core.journal.record import Journal
from praxis_core.locks import AssetLockManager
from praxis_core.orchestrator import Orchestrator, RunRequest
from praxis_core.planning.plan import Plan
from praxis_core.protocol import protocol, run
from praxis_core.protocol.command import Command, Outcome
from praxis_core.protocol.lifecycle import RunStatus
from praxis_core.redis_connection import connect_async
from praxis_core.settings import PraxisSettings
from praxis_core.workcell.bench import local_link
from praxis_core.workcell.definition import WorkcellDefinition
from praxis_core.workcell.link import LocalLink, PauseHeard
from praxis_core.workcell.runtime import WorkcellRuntime
from tests.assets.conftest import plain

WRONG: list[str] = []


@protocol(name="failing", version="1.0.0")
async def failing(lh: LiquidHandler, tips: TipRack, *, mounted: bool = False) -> str:
    """Fail while something is wrong, with a tip on a channel or without."""
    if mounted:
        await lh.pick_up_tips(tips["A1"])
    else:
        await lh.pick_up_tips(tips["B1"])
        await lh.return_tips()
    if WRONG:
        raise ValueError(WRONG[0])
    if mounted:
        await lh.return_tips()
    return "done"


@protocol(name="pouring", version="1.0.0")
async def pouring(lh: LiquidHandler, tips: TipRack, plate: Plate) -> None:
    """Pour from one well into another."""
    await lh.pick_up_tips(tips["A1"])
    await lh.aspirate(plate["A1"], vols=[40])
    await lh.dispense(plate["A2"], vols=[40])
    await lh.return_tips()


@protocol(name="thirsty", version="1.0.0")
async def thirsty(lh: LiquidHandler, tips: TipRack, plate: Plate) -> None:
    """Take more out of a well than is in it."""
    await lh.pick_up_tips(tips["A1"])
    await lh.aspirate(plate["A1"], vols=[250])
    await lh.dispense(plate["A2"], vols=[250])
    await lh.return_tips()


@protocol(name="patient", version="1.0.0")
async def patient(lh: LiquidHandler, tips: TipRack) -> None:
    """Wait for an hour before a tip is taken."""
    await run.sleep(3600)
    await lh.pick_up_tips(tips["B1"])
    await lh.return_tips()


class Page(RunPage):
    """Keeps what it is told."""

    def __init__(self) -> None:
        self.told: list[str] = []
        self.plans: list[Plan] = []
        self.waits = asyncio.Event()

    async def waiting(self, reason: str) -> None:
        """Keep the reason."""
        self.told.append(reason)
        self.waits.set()

    async def closed(self, reason: str) -> None:
        """Keep the reason."""
        self.told.append(reason)
        self.waits.set()

    async def paused(self, by: str, reason: str) -> None:
        """Keep who has paused it, and the reason."""
        self.told.append(f"{by}: {reason}")
        self.waits.set()

    async def going_on(self) -> None:
        """Keep that it goes on."""
        self.told.append("goes on")

    async def planned(self, plan: Plan) -> None:
        """Keep the plan."""
        self.plans.append(plan)


class Watching(LocalLink):
    """Looks into the database after each command."""

    def __init__(self, runtime: WorkcellRuntime, journal: Journal) -> None:
        super().__init__(runtime)
        self.journal = journal
        self.looked = 0

    async def execute(self, command: Command) -> Outcome:
        """Carry out a command, and see that both say the same."""
        outcome = await super().execute(command)
        await self.journal.settled()
        state = await Catalogue(self.journal.database).state(self.runtime.definition.name)
        assert plain(state) == plain(self.runtime.assets.state)
        self.looked += 1
        return outcome


class Hand:
    """A workcell that is refilled by hand, and who runs protocols on it."""

    def __init__(self, journal: Journal, settings: PraxisSettings) -> None:
        self.page = Page()
        self.settings = settings
        self.journal = journal
        self.catalogue = Catalogue(journal.database)
        self.redis = connect_async(settings.addresses().redis_url)
        self.locks = AssetLockManager(self.redis, journal=journal)
        self.orchestrator = Orchestrator(journal=journal, settings=settings, page=self.page)

    async def claims(self) -> set[str]:
        """Name what belongs to some run."""
        return {one.asset for one in await self.journal.claims("hand")}

    async def kinds(self, request: RunRequest) -> list[str]:
        """List what the audit trail of a run says, in short."""
        return [one.kind for one in await self.journal.events(request.run_id)]

    async def fail(self, **parameters: Any) -> RunRequest:
        """Let a run fail."""
        request = _request(failing, **parameters)
        WRONG.append("dropped")
        with pytest.raises(ValueError, match="dropped"):
            await self.orchestrator.run(request)
        WRONG.clear()
        return request


def _request(function: Any, rack: str = "tips_300_01", **parameters: Any) -> RunRequest:
    assets: dict[str, str | list[str] | None] = {"tips": rack}
    if function not in {failing, patient}:
        assets["plate"] = "dose_plate"
    return RunRequest(uuid4(), "a run", function, "hand", assets=assets, parameters=parameters)


@pytest.fixture
async def hand(
    journal: Journal, database_url: str, redis_url: str, tmp_path: Path
) -> AsyncIterator[Hand]:
    """The library's STAR, refilled by hand."""
    WRONG.clear()
    star = (await journal.workcell("star")).definition
    await journal.store_workcell("hand", {**star, "name": "hand", "refill": "by_hand"})
    settings = PraxisSettings(
        home=tmp_path, database_url=SecretStr(database_url), redis_url=SecretStr(redis_url)
    )
    hand = Hand(journal, settings)
    yield hand
    await hand.orchestrator.close()
    await hand.redis.aclose()


async def test_what_a_run_failed_with_waits_for_it_and_its_devices_serve_others(hand: Hand) -> None:
    """A run that needs the same rack waits; the failed one goes on, and is not planned again."""
    failed = await hand.fail()
    assert await hand.claims() == {"tips_300_01"}

    await hand.orchestrator.run(_request(failing, "tips_300_02"))
    waiting = _request(failing)
    later = asyncio.create_task(hand.orchestrator.run(waiting))
    async with asyncio.timeout(60):
        await hand.page.waits.wait()
    assert f"reserved for run {failed.run_id}" in hand.page.told[0]
    assert "waiting" in await hand.kinds(waiting)

    plans = len(hand.page.plans)
    assert (await hand.orchestrator.run(failed)).attempt == 2
    await later
    assert len(hand.page.plans) == plans + 1  # of the one that had waited
    assert hand.page.told[-1] == "goes on"
    assert await hand.claims() == set()


async def test_a_run_waits_for_a_workcell_that_drains(hand: Hand) -> None:
    """It takes nothing meanwhile, and begins when the workcell is in use again."""
    control = Control(hand.journal.database)
    await control.say("hand", Standing.DRAINING, Said("anna", "an upgrade"))
    request = _request(failing)
    waiting = asyncio.create_task(hand.orchestrator.run(request))
    async with asyncio.timeout(60):
        await hand.page.waits.wait()

    assert "was told to drain by anna" in hand.page.told[0]
    assert "praxis workcell start hand" in hand.page.told[0]
    assert await control.waiting("hand") == [request.run_id]
    assert await control.at_work("hand") == []
    assert await hand.claims() == set()
    await control.say("hand", Standing.STARTED, Said("anna"))
    await waiting
    assert hand.page.told[-1] == "goes on"


async def test_a_run_that_got_its_assets_while_the_workcell_was_drained_gives_them_back(
    hand: Hand,
) -> None:
    """It had waited for somebody else's."""
    failed = await hand.fail()
    waiting = asyncio.create_task(hand.orchestrator.run(_request(failing)))
    async with asyncio.timeout(60):
        await hand.page.waits.wait()
    hand.page.waits.clear()
    control = Control(hand.journal.database)
    await control.say("hand", Standing.DRAINING, Said("anna"))

    await abandon(hand.journal, hand.locks, failed.run_id, "somebody")
    async with asyncio.timeout(60):
        await hand.page.waits.wait()
    assert "was told to drain" in hand.page.told[-1]
    assert await control.at_work("hand") == []
    await control.say("hand", Standing.STARTED, Said("anna"))
    await waiting


async def test_a_page_shows_who_has_paused_its_run() -> None:
    """And that it goes on; also what was told before anybody looked."""
    page, pause, run_id = Page(), PauseHeard(), uuid4()
    pause.hear(Said("anna", "lunch"))
    async with showing_pauses(pause, page, run_id), asyncio.timeout(10):
        await page.waits.wait()
        [told] = page.told
        assert told.startswith("anna: Paused by anna (lunch).")
        assert f"praxis run go-on {run_id}" in told
        pause.hear(None)
        while page.told[-1] != "goes on":  # noqa: ASYNC110  # the page has no event for it
            await asyncio.sleep(0)


async def test_the_greater_priority_is_served_first(hand: Hand) -> None:
    """Whoever asked before."""
    failed = await hand.fail()
    served: list[UUID] = []
    runs = []
    for priority in (0, 5):
        request = replace(_request(failing), priority=priority)
        task = asyncio.create_task(hand.orchestrator.run(request))
        task.add_done_callback(lambda _, run_id=request.run_id: served.append(run_id))
        runs.append((request.run_id, task))
        async with asyncio.timeout(60):
            await hand.page.waits.wait()
        hand.page.waits.clear()

    await abandon(hand.journal, hand.locks, failed.run_id, "somebody")
    await asyncio.gather(*[task for _, task in runs])

    [usual, urgent] = [run_id for run_id, _ in runs]
    assert served == [urgent, usual]


async def test_a_run_waits_without_end_unless_somebody_sets_one(hand: Hand) -> None:
    """Then it is refused, and says for whom it waited."""
    failed = await hand.fail()
    assert hand.settings.lock_wait_seconds is None

    impatient = hand.settings.model_copy(update={"lock_wait_seconds": 0.2})
    orchestrator = Orchestrator(journal=hand.journal, settings=impatient, page=hand.page)
    request = _request(failing)
    with pytest.raises(AssetsLocked, match=str(failed.run_id)):
        await orchestrator.run(request)
    await orchestrator.close()

    assert (await hand.journal.run(request.run_id)).status is RunStatus.REFUSED
    assert "waiting" in await hand.kinds(request)


async def test_a_device_that_carries_a_tip_stays_with_its_run(hand: Hand) -> None:
    """And is free when the run is abandoned, which cannot be resumed then."""
    failed = await hand.fail(mounted=True)
    assert await hand.claims() == {"star", "tips_300_01"}
    assert "devices_kept" in await hand.kinds(failed)

    status = await abandon(hand.journal, hand.locks, failed.run_id, "somebody", "too late")

    assert status is RunStatus.FAILED
    assert await hand.claims() == set()
    with pytest.raises(RunNotResumable, match="abandoned"):
        await hand.orchestrator.run(failed)
    with pytest.raises(RequestError, match="has nothing"):
        await abandon(hand.journal, hand.locks, failed.run_id, "somebody")


async def test_a_run_does_not_begin_with_the_tips_of_an_abandoned_one(hand: Hand) -> None:
    """Until somebody takes them off."""
    failed = await hand.fail(mounted=True)
    await abandon(hand.journal, hand.locks, failed.run_id, "somebody")
    request = _request(failing, "tips_300_02", mounted=True)
    with pytest.raises(RunRefused, match=r"star\[0\]: carries a tip since before the run"):
        await hand.orchestrator.run(request)

    changes = await hand.catalogue.empty_heads("hand", "star", By("Jo", "taken off"))

    assert [*changes.assets["star"].parts] == ["star[0]"]
    again = _request(failing, "tips_300_02", mounted=True)
    await hand.orchestrator.run(again)
    with pytest.raises(RequestError, match="only devices"):
        await hand.catalogue.empty_heads("hand", "tips_300_02", By("Jo"))


async def test_a_run_does_not_go_on_with_what_somebody_has_changed(hand: Hand) -> None:
    """The refusal names the thing, and who did it."""
    failed = await hand.fail()
    await hand.journal.release_claims(failed.run_id)
    await hand.catalogue.replace("hand", "tips_300_01", By("Jo", "it fell down"))

    with pytest.raises(RunNotResumable, match=r"tips_300_01 was .* by Jo"):
        await hand.orchestrator.run(failed)


async def test_what_others_did_before_does_not_count_whatever_the_lab_s_clock_said(
    hand: Hand,
) -> None:
    """A pretend lab lets hours pass in no time."""
    await hand.orchestrator.run(_request(patient))
    failed = await hand.fail()

    assert (await hand.orchestrator.run(failed)).attempt == 2

    failed = await hand.fail()
    await hand.journal.release_claims(failed.run_id)
    other = _request(patient)
    await hand.orchestrator.run(other)
    with pytest.raises(RunNotResumable, match=f"{other.run_id} has had its devices since"):
        await hand.orchestrator.run(failed)


async def test_a_run_that_would_run_dry_is_refused_before_anything_moves(hand: Hand) -> None:
    """Its plan is shown all the same."""
    request = _request(thirsty)
    with pytest.raises(RunRefused, match="dose_plate_well_A1 has 150 µL; needs 100 µL more"):
        await hand.orchestrator.run(request)

    assert (await hand.journal.run(request.run_id)).status is RunStatus.REFUSED
    assert await hand.journal.commands(request.run_id) == []
    assert "planned" in await hand.kinds(request)
    assert len(hand.page.plans) == 1
    assert await hand.claims() == set()


async def test_the_run_and_the_database_know_the_same_after_each_command(
    hand: Hand, database_url: str, redis_url: str, tmp_path: Path
) -> None:
    """Also of a second run, which begins with what the first has left."""
    links: list[Watching] = []

    def link_for(definition: WorkcellDefinition, _version: int) -> Watching:
        links.append(Watching(local_link(definition, journal=hand.journal).runtime, hand.journal))
        return links[-1]

    settings = PraxisSettings(
        home=tmp_path, database_url=SecretStr(database_url), redis_url=SecretStr(redis_url)
    )
    orchestrator = Orchestrator(journal=hand.journal, settings=settings, link_for=link_for)
    for _ in range(2):
        await orchestrator.run(_request(pouring))
    await orchestrator.close()

    assert all(link.looked >= 4 for link in links)
    wells = (await hand.catalogue.contents("hand", "dose_plate")).containers
    assert wells["dose_plate_well_A1"].volume == pytest.approx(150 - 2 * 40)
