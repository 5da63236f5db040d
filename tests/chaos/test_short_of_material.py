"""A run that decided something and is short of material waits for people, whatever is killed."""

from __future__ import annotations

import asyncio
import json
import os
import signal
from collections import Counter
from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import dataclass, replace
from multiprocessing.context import ForkServerProcess
from typing import Any
from uuid import UUID, uuid4

import pytest
from pylabrobot.heating_shaking import HeaterShaker
from pylabrobot.liquid_handling import LiquidHandler
from pylabrobot.resources import Plate, TipRack, Trough, set_tip_tracking, set_volume_tracking
from typer.testing import CliRunner

from praxis_core.assets.catalogue import Catalogue
from praxis_core.assets.state import AssetManagerState
from praxis_core.cli import app
from praxis_core.journal.database import Database
from praxis_core.journal.record import Journal
from praxis_core.journal.records import CommandRecord
from praxis_core.protocol import protocol
from praxis_core.simulator.comparison import differences
from praxis_core.workcell.kinds import TAKE_STOCK
from tests.assets.conftest import plain
from tests.chaos.attempt import Ended
from tests.chaos.conftest import OpenWorld
from tests.chaos.gate import Event
from tests.chaos.sharing import ByHand
from tests.chaos.world import World, wait_for

COLUMNS = 3
FILLS = ("pick_up_tips", "aspirate", "dispense", "drop_tips")
LAST_DROP = len(FILLS) * COLUMNS - 1
AFTER_THE_REFILL = 7
"""Ordinal of what comes after the measurement, one column, and stock that was taken twice."""


@protocol(name="chaos-short", version="1.0.0")
async def filling(  # noqa: PLR0913, PLR0917  # what it uses
    lh: LiquidHandler,
    shaker: HeaterShaker,
    tips: TipRack,
    diluent: Trough,
    plate: Plate,
    tracked: bool = False,
) -> float:
    """Fill columns of a plate, if a measured temperature says so.

    Args:
        lh: Pipettes.
        shaker: Tells its temperature.
        tips: Tips.
        diluent: A trough.
        plate: A plate.
        tracked: Whether PyLabRobot's own trackers are on.
    """
    set_tip_tracking(enabled=tracked)
    set_volume_tracking(enabled=tracked)
    if await shaker.get_temperature() > 0:
        for column in range(1, COLUMNS + 1):
            wells = f"A{column}:B{column}"
            await lh.pick_up_tips(tips[wells])
            await lh.aspirate([diluent] * 2, vols=[20.0] * 2)
            await lh.dispense(plate[wells], vols=[20.0] * 2)
            await lh.discard_tips()
    return float(plate["A1"][0].tracker.volume)


@protocol(name="chaos-short-branches", version="1.0.0")
async def branching(  # noqa: PLR0913, PLR0917  # what it uses
    lh: LiquidHandler,
    shaker: HeaterShaker,
    tips: TipRack,
    diluent: Trough,
    plate: Plate,
    tracked: bool = False,
) -> None:
    """Fill two rows side by side, if a measured temperature says so.

    Args:
        lh: Pipettes.
        shaker: Tells its temperature.
        tips: Tips.
        diluent: A trough.
        plate: A plate.
        tracked: Whether PyLabRobot's own trackers are on.
    """
    set_tip_tracking(enabled=tracked)
    set_volume_tracking(enabled=tracked)

    async def fill(row: str, channel: int) -> None:
        for column in range(1, COLUMNS + 1):
            well = f"{row}{column}"
            await lh.pick_up_tips(tips[well], use_channels=[channel])
            await lh.aspirate([diluent], vols=[20.0], use_channels=[channel])
            await lh.dispense(plate[well], vols=[20.0], use_channels=[channel])
            await lh.discard_tips(use_channels=[channel])

    if await shaker.get_temperature() > 0:
        await asyncio.gather(fill("A", 0), fill("B", 1))


@protocol(name="chaos-refused", version="1.0.0")
async def refused(
    lh: LiquidHandler, shaker: HeaterShaker, tips: TipRack, diluent: Trough, plate: Plate
) -> None:
    """Do what PyLabRobot refuses, and catch that; then fill two rows side by side."""

    async def fill(row: str, channel: int) -> None:
        await dispensed_without_a_tip()
        await lh.pick_up_tips(tips[f"{row}1"], use_channels=[channel])
        await lh.aspirate([diluent], vols=[20.0], use_channels=[channel])
        await lh.dispense(plate[f"{row}1"], vols=[20.0], use_channels=[channel])
        await lh.discard_tips(use_channels=[channel])

    async def dispensed_without_a_tip() -> None:
        with suppress(Exception):
            await lh.dispense(plate["A1"], vols=[20.0], use_channels=[7])

    if await shaker.get_temperature() > 0:
        await dispensed_without_a_tip()
        await asyncio.gather(fill("A", 0), fill("B", 1), dispensed_without_a_tip())


FILLING = ByHand(
    name="short",
    spec="tests.chaos.test_short_of_material:filling",
    assets={"tips": "tips_300_01", "diluent": "diluent", "plate": "plate_01"},
    labware=frozenset(
        ["carrier_tips", "tips_300_01", "carrier_plates", "plate_01", "carrier_troughs", "diluent"]
    ),
)
REFUSED = replace(FILLING, spec="tests.chaos.test_short_of_material:refused")
BRANCHING = replace(FILLING, spec="tests.chaos.test_short_of_material:branching")


@dataclass
class Deck:
    """A world, and a person who types."""

    world: World

    def praxis(self, *words: str) -> Any:
        """Type a command that works; give its JSON."""
        done = CliRunner().invoke(app, [*words, "--json"])
        assert done.exit_code == 0, (done.output, done.exception)
        return json.loads(done.stdout)

    def put_right(self, *words: str) -> None:
        """Put something right."""
        assert self.praxis("assets", *words, "-w", self.world.name)["in_the_lab"] is True

    def refused(self, *words: str) -> str:
        """Type a correction that is refused; give the words."""
        done = CliRunner().invoke(app, ["assets", *words, "-w", self.world.name])
        assert done.exit_code != 0, done.output
        return str(done.exception)

    def killed(self, process: ForkServerProcess) -> None:
        """Kill the process of a run."""
        process.kill()
        process.join()

    def commands(self, run_id: UUID) -> list[CommandRecord]:
        """List what a run did."""

        async def read(database: Database) -> list[CommandRecord]:
            return await Journal(database).commands(run_id)

        return asyncio.run(self._asked(read))

    def is_all_done_once(self, run_id: UUID, branches: int = 1) -> None:
        """See that each command of the protocol had one effect, and that what is known is true.

        Also what is known of the deck as it was: after each taking of stock it is just as the run
        was told, and after the last command as it is now.
        """
        commands = [one for one in self.commands(run_id) if not one.tail]
        done = Counter(one for one in _names(commands) if one != TAKE_STOCK)
        assert done == Counter(["get_current_temperature", *FILLS * COLUMNS * branches])
        effects = self.world.truth(run_id).effects
        assert Counter(effects.values()) == Counter({1: len(FILLS) * COLUMNS * branches})

        async def looked(database: Database) -> None:
            catalogue = Catalogue(database)
            known = await catalogue.state(self.world.name)
            truth = self.world.control.truth()
            assert differences(truth, known.model_dump(mode="json")) == []
            for one in commands:
                if one.command.method == TAKE_STOCK:
                    assert one.outcome is not None
                    told = AssetManagerState.model_validate(one.outcome.value)
                    then = await catalogue.deck_at(run_id, one.number)
                    assert then.contents(_assets(one)).model_dump() == told.model_dump()
            last = await catalogue.deck_at(run_id, commands[-1].number)
            labware = sorted(FILLING.labware)
            assert plain(last.contents(labware)) == plain(known.contents(labware))

        asyncio.run(self._asked(looked))

    async def _asked(self, question: Callable[[Database], Awaitable[Any]]) -> Any:
        async with Database(self.world.settings.addresses().database_url) as database:
            return await question(database)

    def waits(self, run_id: UUID, *, besides: str = "") -> str:
        """Wait until a run waits for something else, and give what it says."""

        def short() -> str | None:
            found = self.praxis("why", str(run_id))["short"]
            message = found[0]["message"] if found else ""
            return message if message != besides else None

        return str(wait_for(short))


@pytest.fixture
def deck(open_world: OpenWorld, monkeypatch: pytest.MonkeyPatch) -> Deck:
    """A deck with tips for one column only, and plenty to drink."""
    world = open_world(FILLING, grace_seconds=1)
    monkeypatch.setenv("PRAXIS_HOME", world.places["home"])
    monkeypatch.setenv("PRAXIS_DATABASE_URL", world.places["database_url"])
    monkeypatch.setenv("PRAXIS_REDIS_URL", world.places["redis_url"])
    deck = Deck(world)
    deck.put_right("tips", "tips_300_01", "--used", "A2:H12")
    return deck


@pytest.mark.parametrize("tracked", [False, True])
def test_a_run_that_is_killed_while_it_waits_waits_again(deck: Deck, *, tracked: bool) -> None:
    """It says what is missing and what mends it; what else it has stays as it is."""
    run_id, story = uuid4(), FILLING.told(tracked=tracked)
    first = deck.world.start(story, run_id)
    said = deck.waits(run_id)
    assert "no tip in tips_300_01 A2:B2; it has 6 of 96 tips" in said
    assert "praxis assets refill tips_300_01 -w short" in said
    assert "praxis assets tips tips_300_01 --fresh -w short" in said
    for words in (
        ("volume", "diluent", "--set", "1mL"),
        ("move", "tips_300_01", "shelf 1"),
        ("status", "tips_300_01", "quarantined"),
    ):
        assert f"{words[1]} of workcell short belongs to run {run_id}" in deck.refused(*words)
    deck.killed(first)

    second = deck.world.start(story, run_id)
    wait_for(lambda: deck.praxis("run", "show", str(run_id))["run"]["attempt"] == 2)
    assert deck.waits(run_id) == said
    assert _names(deck.commands(run_id))[-1] == TAKE_STOCK
    deck.put_right("refill", "tips_300_01")

    assert deck.world.end_of(second) == Ended.SUCCEEDED, deck.world.said(run_id)
    deck.is_all_done_once(run_id)
    assert deck.praxis("why", str(run_id))["short"] == []


def test_what_was_put_right_is_found_by_a_run_that_was_killed_before_it_saw_it(deck: Deck) -> None:
    """It goes on without another word, and a later attempt has it from the record."""
    run_id = uuid4()
    first = deck.world.start(FILLING, run_id)
    deck.waits(run_id)
    assert first.pid is not None
    os.kill(first.pid, signal.SIGSTOP)
    deck.put_right("tips", "tips_300_01", "--fresh")
    deck.killed(first)

    with deck.world.gate.closed_for("0", AFTER_THE_REFILL, Event.INTENT):
        second = deck.world.start(FILLING, run_id)
        wait_for(lambda: deck.world.gate.waiting() or not second.is_alive())
        assert _names(deck.commands(run_id))[-1] == TAKE_STOCK, deck.world.said(run_id)
        assert deck.praxis("why", str(run_id))["short"] == []
        in_use = deck.refused("tips", "tips_300_01", "--used", "all")
        assert f"belongs to run {run_id}" in in_use
        deck.killed(second)

    assert deck.world.end_of(deck.world.start(FILLING, run_id)) == Ended.SUCCEEDED
    deck.is_all_done_once(run_id)


@pytest.mark.parametrize("tracked", [False, True])
def test_what_is_brought_for_one_branch_is_there_for_the_others_at_a_replay(
    deck: Deck, *, tracked: bool
) -> None:
    """In the attempt that waited the second branch came after it, and had enough."""
    run_id, story = uuid4(), BRANCHING.told(tracked=tracked)
    first = deck.world.start(story, run_id)
    deck.waits(run_id)
    deck.put_right("tips", "tips_300_01", "--fresh")
    with deck.world.gate.closed_for("0.2", LAST_DROP, Event.INTENT):
        wait_for(lambda: deck.world.gate.waiting() or not first.is_alive())
        deck.killed(first)

    again = deck.world.start(story, run_id)
    assert deck.world.end_of(again) == Ended.SUCCEEDED, deck.world.said(run_id)
    deck.is_all_done_once(run_id, branches=2)


def test_a_call_that_was_refused_without_a_command_is_refused_again_at_a_replay(
    deck: Deck,
) -> None:
    """What is known comes after it, and does not wait for it."""
    run_id = uuid4()
    first = deck.world.start(REFUSED, run_id)
    with deck.world.gate.closed_for("0.2", 2, Event.INTENT):
        wait_for(lambda: deck.world.gate.waiting() or not first.is_alive())
        deck.killed(first)

    again = deck.world.start(REFUSED, run_id)
    wait_for(lambda: not again.is_alive(), seconds=30)
    assert again.exitcode == Ended.SUCCEEDED, deck.world.said(run_id)
    effects = deck.world.truth(run_id).effects
    assert Counter(effects.values()) == Counter({1: 2 * len(FILLS)})


@pytest.mark.parametrize("when", ["before", "after"])
def test_a_host_that_is_killed_while_a_run_waits_knows_what_was_put_right(
    deck: Deck, when: str
) -> None:
    """Whether that was before or after it died."""
    run_id = uuid4()
    process = deck.world.start(FILLING, run_id)
    deck.waits(run_id)
    assert process.pid is not None
    os.kill(process.pid, signal.SIGSTOP)  # it sees all of it at once
    if when == "before":
        deck.put_right("tips", "tips_300_01", "--fresh")
    deck.world.host.kill()
    deck.world.host.join()
    if when == "after":
        deck.put_right("tips", "tips_300_01", "--fresh")
    os.kill(process.pid, signal.SIGCONT)

    assert deck.world.end_of(process) == Ended.SUCCEEDED, deck.world.said(run_id)
    deck.is_all_done_once(run_id)


def test_a_run_that_is_cancelled_while_it_waits_leaves_nothing_in_doubt(deck: Deck) -> None:
    """And can be resumed: then it waits again, and only then something may be put right."""
    run_id = uuid4()
    first = deck.world.start(FILLING, run_id)
    said = deck.waits(run_id)
    assert first.pid is not None
    os.kill(first.pid, signal.SIGINT)
    deck.world.end_of(first)

    shown = deck.praxis("run", "show", str(run_id))
    assert shown["run"]["status"] == "cancelled", deck.world.said(run_id)
    assert (shown["doubts"], shown["short"]) == ([], None)
    assert deck.praxis("why", str(run_id))["short"] == []
    refused = deck.refused("tips", "tips_300_01", "--fresh")
    assert f"belongs to run {run_id}, which is cancelled" in refused

    second = deck.world.start(FILLING, run_id)
    assert deck.waits(run_id) == said
    deck.put_right("replace", "tips_300_01", "--lot", "L8")
    assert deck.world.end_of(second) == Ended.SUCCEEDED, deck.world.said(run_id)
    deck.is_all_done_once(run_id)


def test_what_is_still_short_is_told_anew_and_every_filling_is_known(deck: Deck) -> None:
    """Wrong tips, too little, no room: each has its list, and lineage tells each filling."""
    deck.put_right("volume", "diluent", "--set", "50uL", "--lot", "L1")
    deck.put_right("volume", "plate_01[B3]", "--set", "350uL", "--lot", "P1")
    run_id = uuid4()
    process = deck.world.start(FILLING, run_id)
    said = deck.waits(run_id)
    deck.put_right("tips", "tips_300_01", "--used", "A1:H1,B2")
    said = deck.waits(run_id, besides=said)
    assert "no tip in tips_300_01 B2; it has 87 of 96 tips" in said
    deck.put_right("tips", "tips_300_01", "--fresh")
    said = deck.waits(run_id, besides=said)
    assert "diluent has 10 µL; needs 30 µL more" in said
    assert "praxis assets volume diluent --set VOLUME -w short" in said
    deck.put_right("volume", "diluent", "--set", "39uL", "--lot", "L2")
    said = deck.waits(run_id, besides=said)
    assert "diluent has 39 µL; needs 1 µL more" in said
    assert "tips_300_01 of workcell" in deck.refused("tips", "tips_300_01", "--fresh")
    deck.put_right("volume", "diluent", "--set", "100uL", "--lot", "L3")
    said = deck.waits(run_id, besides=said)
    assert "plate_01[B3] holds 350 of 360 µL; 20 µL more do not fit" in said
    deck.put_right("volume", "plate_01[B3]", "--set", "0uL")

    assert deck.world.end_of(process) == Ended.SUCCEEDED, deck.world.said(run_id)
    deck.is_all_done_once(run_id)
    lots = {
        well: {
            one["lot"]: one["volume"]
            for one in deck.praxis("assets", "lineage", "plate_01", well, "-w", "short")["origins"]
        }
        for well in ("A1", "B2", "B3")
    }
    assert lots == {"A1": {"L1": 20.0}, "B2": {"L3": 20.0}, "B3": {"L3": 20.0}}


def _assets(stock: CommandRecord) -> list[str]:
    names = stock.command.kwargs["assets"]
    assert isinstance(names, list)
    return [str(name) for name in names]


def _names(commands: list[CommandRecord]) -> list[str]:
    return [one.command.method for one in commands]
