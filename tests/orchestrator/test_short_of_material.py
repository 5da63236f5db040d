"""A call waits for what it wants only where no plan could tell, and nobody else deals with it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
from pydantic import SecretStr
from pylabrobot.heating_shaking import HeaterShaker, HeaterShakerChatterboxBackend
from pylabrobot.liquid_handling import LiquidHandler
from pylabrobot.resources import (
    Plate,
    TipRack,
    does_tip_tracking,
    does_volume_tracking,
    set_tip_tracking,
    set_volume_tracking,
)
from pylabrobot.resources.errors import NoTipError, TooLittleLiquidError

from praxis_core.assets.catalogue import Catalogue
from praxis_core.assets.corrections import Filling
from praxis_core.assets.entries import By
from praxis_core.cli.catalogue import meet
from praxis_core.execution.caught import is_caught
from praxis_core.execution.page import RunPage
from praxis_core.journal.record import Journal
from praxis_core.orchestrator import Orchestrator, RunRequest, RunResult
from praxis_core.planning.plan import Plan
from praxis_core.protocol import protocol
from praxis_core.protocol.lifecycle import RunStatus
from praxis_core.settings import PraxisSettings
from praxis_core.workcell.definition import Refill, WorkcellDefinition
from praxis_core.workcell.kinds import TAKE_STOCK

PERSON = By("Jo", "brought")
TAKEN = ["pick_up_tips", "drop_tips"]
WRONG: list[str] = []


@protocol(name="catching", version="1.0.0")
async def catching(lh: LiquidHandler, shaker: HeaterShaker, tips: TipRack) -> str:
    """Take tips from another column when there are none, after a decision."""
    column = 1 if await shaker.get_temperature() > 0 else 2
    try:
        await lh.pick_up_tips(tips[f"A{column}"])
    except NoTipError:
        await lh.pick_up_tips(tips["A12"])
    await lh.return_tips()
    return "done"


@protocol(name="undecided", version="1.0.0")
async def undecided(lh: LiquidHandler, tips: TipRack) -> str:
    """Take the first tip that is there; the plan says which."""
    for column in range(1, 13):
        try:
            await lh.pick_up_tips(tips[f"A{column}"])
            break
        except Exception:  # noqa: BLE001, S112  # as people write it
            continue
    await lh.return_tips()
    return "done"


@protocol(name="falling-back", version="1.0.0")
async def falling_back(lh: LiquidHandler, shaker: HeaterShaker, tips: TipRack) -> str:
    """Take more tips if a plate cannot be locked."""
    await lh.pick_up_tips(tips["A12"])
    await lh.return_tips()
    try:
        await shaker.lock_plate()
    except RuntimeError:
        await lh.pick_up_tips(tips["A1"])
        await lh.return_tips()
    if WRONG:
        raise ValueError(WRONG[0])
    return "done"


@protocol(name="mistaken", version="1.0.0")
async def mistaken(lh: LiquidHandler, shaker: HeaterShaker, tips: TipRack, plate: Plate) -> str:
    """Do what nobody can put right, and catch that, after a decision."""
    done = []
    calls: list[Callable[[], Any]] = [
        lambda: lh.dispense(plate["H12"], vols=[50], use_channels=[7]),  # without a tip
        lambda: lh.pick_up_tips(tips["A1"]),  # with one
        lambda: lh.dispense(plate["H12"], vols=[5000]),  # into a well of 360 µL
    ]
    if await shaker.get_temperature() > 0:
        await lh.pick_up_tips(tips["A12"])
        for call in calls:
            try:
                await call()
            except Exception as error:  # noqa: BLE001  # as people write it
                done.append(type(error).__name__)
        await lh.return_tips()
    return " ".join(done)


@protocol(name="aside", version="1.0.0")
async def aside(lh: LiquidHandler, shaker: HeaterShaker, tips: TipRack) -> None:
    """Take tips in two branches, and shake in a third."""
    warm = await shaker.get_temperature() > 0

    async def short() -> None:
        await lh.pick_up_tips(tips["A1"])

    async def pipetting() -> None:
        await asyncio.sleep(0)
        await lh.pick_up_tips(tips["A12"], use_channels=[1])

    async def shaking() -> None:
        await asyncio.sleep(0)
        await shaker.lock_plate()
        await shaker.unlock_plate()

    if warm:
        await asyncio.gather(short(), pipetting(), shaking())
    await lh.discard_tips()


@protocol(name="last-drops", version="1.0.0")
async def last_drops(lh: LiquidHandler, shaker: HeaterShaker, tips: TipRack, plate: Plate) -> None:
    """Draw what is left of a well in two branches at once."""
    warm = await shaker.get_temperature() > 0
    await lh.pick_up_tips(tips["A12:B12"])

    async def draw(channel: int) -> None:
        await lh.aspirate(plate["A1"], vols=[40], use_channels=[channel])

    if warm:
        await asyncio.gather(draw(0), draw(1))
    await lh.discard_tips()


class Page(RunPage):
    """Keeps what a run is short of."""

    def __init__(self) -> None:
        self.told: list[str] = []
        self.waits = asyncio.Event()
        self.once_planned: Callable[[], None] = lambda: None

    async def planned(self, plan: Plan) -> None:
        """Let something happen that the plan did not know of."""
        assert plan.faults == ()
        self.once_planned()

    async def short(self, reason: str) -> None:
        """Keep the reason."""
        self.told.append(reason)
        self.waits.set()

    async def going_on(self) -> None:
        """Keep that it goes on."""
        self.told.append("goes on")


class Hand:
    """A STAR that is refilled by hand, with tips in the last column only."""

    def __init__(self, journal: Journal, settings: PraxisSettings) -> None:
        self.page = Page()
        self.journal = journal
        self.catalogue = Catalogue(journal.database)
        self.orchestrator = Orchestrator(journal=journal, settings=settings, page=self.page)
        self.run_id = uuid4()

    def start(self, function: Any) -> asyncio.Task[RunResult]:
        """Begin a run."""
        assets: dict[str, str | list[str] | None] = {"tips": "tips_300_01"}
        if function in {last_drops, mistaken}:
            assets["plate"] = "dose_plate"
        request = RunRequest(self.run_id, "a run", function, "hand", assets=assets)
        return asyncio.create_task(self.orchestrator.run(request))

    async def waiting(self, running: asyncio.Task[RunResult]) -> None:
        """Wait until a run waits."""
        waits = asyncio.create_task(self.page.waits.wait())
        async with asyncio.timeout(60):
            await asyncio.wait([waits, running], return_when=asyncio.FIRST_COMPLETED)
        assert self.page.waits.is_set(), running
        self.page.waits.clear()

    async def methods(self) -> list[str]:
        """List what the run did."""
        return [one.command.method for one in await self.journal.commands(self.run_id)]


@pytest.fixture
async def hand(
    journal: Journal, database_url: str, redis_url: str, tmp_path: Path
) -> AsyncIterator[Hand]:
    """The library's STAR."""
    star = WorkcellDefinition.model_validate((await journal.workcell("star")).definition)
    labware = tuple(
        one.model_copy(update={"used_tips": "A1:H11"}) if one.name == "tips_300_01" else one
        for one in star.labware
    )
    words = {"name": "hand", "refill": Refill.BY_HAND, "labware": labware}
    definition = star.model_copy(update=words).model_dump(mode="json")
    await journal.store_workcell("hand", definition)
    settings = PraxisSettings(
        home=tmp_path, database_url=SecretStr(database_url), redis_url=SecretStr(redis_url)
    )
    hand = Hand(journal, settings)
    await meet(hand.catalogue, journal, "hand")
    yield hand
    await hand.orchestrator.close()


@pytest.fixture
def trackers() -> Iterator[None]:
    """PyLabRobot's trackers are on."""
    before = does_tip_tracking(), does_volume_tracking()
    set_tip_tracking(enabled=True)
    set_volume_tracking(enabled=True)
    yield
    set_tip_tracking(before[0])
    set_volume_tracking(before[1])


@pytest.mark.usefixtures("trackers")
@pytest.mark.parametrize("function", [catching, undecided])
async def test_a_protocol_that_deals_with_it_itself_is_not_held(hand: Hand, function: Any) -> None:
    """By name after a decision; anyhow in a run that does just what its plan did."""
    async with asyncio.timeout(60):
        assert (await hand.start(function)).summary == "done"

    assert hand.page.told == []
    assert await hand.methods() == (["get_current_temperature"] * (function is catching)) + TAKEN


async def test_what_nobody_can_put_right_is_not_waited_for(hand: Hand) -> None:
    """PyLabRobot refuses it, or the device does; and the protocol has caught that."""
    async with asyncio.timeout(60):
        summary = (await hand.start(mistaken)).summary

    assert str(summary).startswith("NoTipError HasTipError")
    assert hand.page.told == []


async def test_what_nobody_refuses_is_never_left_to_the_device(hand: Hand) -> None:
    """With trackers off no error comes that the protocol could catch."""
    running = hand.start(catching)
    await hand.waiting(running)

    await hand.catalogue.fresh_tips("hand", "tips_300_01", PERSON)

    assert (await running).summary == "done"
    taken = ["get_current_temperature", TAKE_STOCK, TAKE_STOCK, *TAKEN]
    assert await hand.methods() == taken


async def test_a_run_that_a_device_has_driven_off_its_plan_waits_for_material(
    hand: Hand, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its plan was faultless, and decided nothing: no plan knows what a device will refuse."""

    async def jam(_self: Any) -> None:
        raise RuntimeError("jammed")

    def go_wrong() -> None:
        monkeypatch.setattr(HeaterShakerChatterboxBackend, "lock_plate", jam)
        WRONG.append("dropped")

    hand.page.once_planned = go_wrong
    running = hand.start(falling_back)
    await hand.waiting(running)
    assert "no tip in tips_300_01 A1" in hand.page.told[0]

    await hand.catalogue.fresh_tips("hand", "tips_300_01", PERSON)
    with pytest.raises(ValueError, match="dropped"):
        await running

    done = [*TAKEN, "lock_plate", TAKE_STOCK, TAKE_STOCK, *TAKEN]
    assert await hand.methods() == done
    [event] = [one for one in await hand.journal.events(hand.run_id) if one.kind == "off_plan"]
    assert "shaker.lock_plate" in event.message
    WRONG.clear()
    assert (await hand.start(falling_back)).summary == "done"
    assert await hand.methods() == done


async def test_nothing_else_is_pipetted_while_somebody_is_at_the_deck(hand: Hand) -> None:
    """Other devices go on."""
    running = hand.start(aside)
    await hand.waiting(running)

    async with asyncio.timeout(60):
        while "unlock_plate" not in (methods := await hand.methods()):  # noqa: ASYNC110
            await asyncio.sleep(0.01)
    assert "pick_up_tips" not in methods
    await hand.catalogue.fresh_tips("hand", "tips_300_01", PERSON)
    await running

    assert (await hand.methods()).count("pick_up_tips") == 2
    assert hand.page.told[1:] == ["goes on"]


async def test_two_branches_do_not_share_what_is_enough_for_one(hand: Hand) -> None:
    """The second one waits; what the first is drawing counts as drawn."""
    await hand.catalogue.set_volume("hand", "dose_plate_well_A1", Filling(60), PERSON)
    running = hand.start(last_drops)
    await hand.waiting(running)

    assert "dose_plate[A1] has 20 µL; needs 20 µL more" in hand.page.told[0]
    assert (await hand.methods()).count("aspirate") == 1
    await hand.catalogue.set_volume("hand", "dose_plate_well_A1", Filling(100), PERSON)
    await running

    left = (await hand.catalogue.contents("hand", "dose_plate")).containers["dose_plate_well_A1"]
    assert left.volume == pytest.approx(60)


async def test_a_run_that_is_cancelled_while_it_waits_is_cancelled(hand: Hand) -> None:
    """And nobody may put anything right for it any more."""
    running = hand.start(aside)
    await hand.waiting(running)

    running.cancel()
    with suppress(asyncio.CancelledError):
        await running

    assert (await hand.journal.run(hand.run_id)).status is RunStatus.CANCELLED
    assert await hand.journal.open_doubts(hand.run_id) == []
    kinds = [one.kind for one in await hand.journal.events(hand.run_id)]
    assert kinds.index("short") < kinds.index("short_no_more")


def _by_name() -> bool:
    try:
        return is_caught({"NoTipError"})
    except NoTipError:
        return False


def _called() -> bool:
    return is_caught({"NoTipError"})


def _among_others() -> bool:
    try:
        return _called()
    except (ValueError, NoTipError):
        return False


def _suppressed() -> bool:
    found = False
    with suppress(NoTipError):
        found = is_caught({"NoTipError"})
    return found


def _another() -> bool:
    try:
        return is_caught({"NoTipError"})
    except TooLittleLiquidError:
        return False


def _anything() -> bool:
    try:
        return is_caught({"NoTipError"})
    except Exception:  # noqa: BLE001  # as people write it
        return False


def _meanwhile() -> bool:
    try:
        raise NoTipError  # noqa: TRY301  # as people write it
    except NoTipError:
        return is_caught({"NoTipError"})


@pytest.mark.parametrize(
    ("function", "caught"),
    [
        (_by_name, True),
        (_among_others, True),
        (_suppressed, True),
        (_another, False),
        (_anything, False),
        (_meanwhile, False),
    ],
)
def test_who_catches_an_error_by_its_name_deals_with_it(
    function: Callable[[], bool], *, caught: bool
) -> None:
    """Whoever catches anything, or acts because of it, does not."""
    assert function() is caught
