"""A run that failed, and a person who leaves something out or has it done once more."""

from __future__ import annotations

import asyncio
import json
from collections import Counter
from collections.abc import Sequence
from typing import Any
from uuid import uuid4

import pytest
from pylabrobot.heating_shaking import HeaterShaker
from pylabrobot.liquid_handling import LiquidHandler
from pylabrobot.resources import Plate, TipRack, Trough
from typer.testing import CliRunner

from praxis_core.cli import app
from praxis_core.cli.deciding import decide
from praxis_core.errors import DecisionRefused, RequestError
from praxis_core.execution.deciding import Deciding
from praxis_core.host.asking import ask_host
from praxis_core.journal.database import Database
from praxis_core.journal.record import Journal
from praxis_core.protocol import protocol, step
from praxis_core.protocol.lifecycle import RunStatus
from praxis_core.simulator.comparison import differences
from tests.chaos.attempt import Ended
from tests.chaos.conftest import OpenWorld
from tests.chaos.gate import Event
from tests.chaos.person import Person
from tests.chaos.stories import FAILING, Story
from tests.chaos.world import World, wait_for


@step("Mix column {column}")
async def mix(lh: LiquidHandler, diluent: Trough, plate: Plate, *, column: int) -> None:
    """Tips stay where they are."""
    wells = f"A{column}:B{column}"
    await lh.aspirate([diluent] * 2, vols=[30.0] * 2)
    await lh.dispense(plate[wells], vols=[30.0] * 2)


@step("Feel")
async def feel(shaker: HeaterShaker) -> float:
    """Give what the shaker says."""
    return float(await shaker.get_temperature())


@step("Carry")
async def carry(lh: LiquidHandler, shaker: HeaterShaker, plate: Plate) -> None:
    """On the shaker and back; what it holds is put down in any case."""
    home = plate.parent
    await lh.move_plate(plate, shaker)
    await lh.move_plate(plate, home)


@protocol(name="chaos-mixing", version="1.0.0")
async def mixing(  # noqa: PLR0913, PLR0917  # what it uses
    lh: LiquidHandler,
    shaker: HeaterShaker,
    tips: TipRack,
    plate: Plate,
    diluent: Trough,
    choosy: bool = False,
) -> float:
    """Mix three columns, feel how warm it is, carry the plate about.

    Args:
        lh: Pipettes.
        shaker: Tells its temperature.
        tips: Tips.
        plate: An empty plate.
        diluent: A trough.
        choosy: Whether it decides by what it reads, so that no plan can say all that it takes.

    Returns:
        How warm it is, °C.
    """
    await lh.pick_up_tips(tips["A1:B1"])
    for column in (1, 2, 3):
        await mix(lh, diluent, plate, column=column)
    warm = await feel(shaker)
    if not choosy or warm > -100:
        await carry(lh, shaker, plate)
    await lh.return_tips()
    return warm


MIXING = Story(
    name="mixing",
    spec="tests.chaos.test_fix_and_continue:mixing",
    assets=FAILING.assets,
    labware=FAILING.labware,
)
FEEL = 7
"""Ordinal of the reading."""


class Bench:
    """A world, one run in it, and a person who decides."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.story = MIXING
        self.run_id = uuid4()
        self.person = Person(world, self.run_id)

    def fails(self, device: str, method: str, nth: int = 1) -> None:
        """Let the run fail at a call, and say truly that nothing of it happened."""
        self.world.control.fail(device, how="before", method=method, nth=nth)
        assert self.ends() == Ended.FAILED, self.world.said(self.run_id)
        self.person.answer()

    def ends(self) -> int | None:
        """Let the run go on until its attempt ends."""
        return self.world.end_of(self.world.start(self.story, self.run_id))

    def is_killed(self, branch: str, ordinal: int) -> None:
        """Let it go on, and kill it when it is to send a command."""
        with self.world.gate.closed_for(branch, ordinal, Event.INTENT):
            process = self.world.start(self.story, self.run_id)
            wait_for(lambda: self.world.gate.waiting() or not process.is_alive())
            assert process.is_alive(), self.world.said(self.run_id)
            process.kill()
            process.join()
            self.world.gate.turn_back()

    def decides(
        self,
        skip: Sequence[str] = (),
        redo: Sequence[str] = (),
        value: str | None = None,
        *,
        anyway: bool = False,
    ) -> None:
        """Decide as ``praxis run resume`` does."""
        asyncio.run(decide(self.world.settings, self.run_id, skip, redo, value, anyway=anyway))

    def refused(self, **words: Any) -> str:
        """Decide what is refused; give the words."""
        with pytest.raises((DecisionRefused, RequestError)) as refused:
            self.decides(**words)
        return str(refused.value)

    def listed(self) -> list[dict[str, Any]]:
        """List the commands as ``praxis run show --commands`` does."""
        listed: list[dict[str, Any]] = self.praxis("run", "show", "--commands")["commands"]
        return listed

    def praxis(self, *words: str) -> Any:
        """Type a command about the run; give its JSON."""
        return json.loads(self.says(*words, "--json"))

    def says(self, *words: str) -> str:
        """Type a command about the run; give what it prints."""
        places = {
            f"PRAXIS_{name.upper()}": str(self.world.places[name])
            for name in ("home", "database_url", "redis_url")
        }
        done = CliRunner().invoke(app, [*words, str(self.run_id)], env=places)
        assert done.exit_code == 0, (done.output, done.exception)
        return done.stdout

    def happened(self) -> Counter[str]:
        """Count what happened, by branch and ordinal."""
        prefix = f"{self.run_id}/"
        tags = [str(one.get("tag")) for one in self.world.control.effects()]
        return Counter(tag.removeprefix(prefix) for tag in tags if tag.startswith(prefix))

    def volume(self, well: str) -> float:
        """What is in a well of the plate, µL."""
        return float(self.world.truth(self.run_id).liquids.get(f"plate_01_well_{well}", 0.0))

    def is_as_recorded(self) -> None:
        """See that what is known of the deck is true."""
        deck = ask_host(self.world.settings, self.world.name, "/deck")
        assert differences(self.world.control.truth(), deck) == []


@pytest.fixture
def bench(open_world: OpenWorld) -> Bench:
    """A bench, and a run that has not begun."""
    return Bench(open_world(MIXING))


@pytest.mark.parametrize("choosy", [False, True])
def test_a_command_that_is_left_out_is_never_sent(bench: Bench, *, choosy: bool) -> None:
    """Whatever is killed after it was decided; what follows goes on from what is there."""
    bench.story = MIXING.told(choosy=choosy)
    bench.fails("star", "dispense", nth=2)
    assert [one["number"] for one in bench.listed()] == [1, 2, 3, 4, 5]
    assert bench.listed()[-1]["end"] == "failed: fault on request: before; comes next"
    assert "only the next command, 5, can be left out" in bench.refused(skip=["6"])
    assert "command 3 was done" in bench.refused(skip=["3"])
    assert "name that one alone" in bench.refused(value="1")
    bench.decides(skip=["5"])
    assert "nobody knows before the protocol asks for it" in bench.refused(skip=["5"])
    assert [one["number"] for one in bench.listed()] == [1, 2, 3, 4, None]
    for ordinal in (5, 6):
        bench.is_killed("0", ordinal)
        found = bench.praxis("run", "diff")
        assert (found["divergence"], found["faults"]) == ("", [])
        # Its host may have done it by now.
        assert found["known"] in {ordinal - 1, ordinal}
        assert found["rest"][-1]["method"] == "drop_tips"

    assert bench.ends() == Ended.SUCCEEDED, bench.world.said(bench.run_id)
    done = bench.happened()
    assert (done["0/3"], done["0/4"], done["0/5"], done["0/6"]) == (1, 0, 1, 1)
    assert [bench.volume(f"A{column}") for column in (1, 2, 3)] == [30.0, 0.0, 30.0]
    bench.is_as_recorded()


def test_what_is_left_out_gives_the_protocol_what_somebody_says(bench: Bench) -> None:
    """A reading has a value, and so has the step that returns it."""
    bench.fails("shaker", "get_current_temperature", nth=2)  # the first is the host's own
    assert "gives the protocol a value; say which: --value JSON" in bench.refused(skip=["8"])
    assert "(Feel) gives the protocol a value" in bench.refused(skip=["step:4"])
    assert "is no JSON" in bench.refused(skip=["8"], value="warm")
    bench.decides(skip=["step:Feel"], value="36.5")
    bench.is_killed("0", FEEL + 1)
    assert bench.ends() == Ended.SUCCEEDED, bench.world.said(bench.run_id)
    assert summary(bench) == 36.5


@pytest.mark.parametrize("choosy", [False, True])
def test_a_step_that_is_left_out_ends_where_it_is(bench: Bench, *, choosy: bool) -> None:
    """What it did stays, and what it was to do is not done."""
    bench.story = MIXING.told(choosy=choosy)
    bench.fails("star", "dispense", nth=2)
    assert "step 1 (Mix column 1) is complete" in bench.refused(skip=["step:1"])
    assert "it has come to no step 'Carry'" in bench.refused(skip=["step:Carry"])
    bench.decides(skip=["step:2"])
    for ordinal in (5, 6):
        bench.is_killed("0", ordinal)
    assert bench.ends() == Ended.SUCCEEDED, bench.world.said(bench.run_id)
    done = bench.happened()
    assert (done["0/3"], done["0/4"], done["0/5"], done["0/6"]) == (1, 0, 1, 1)
    bench.is_as_recorded()


def test_what_makes_the_rest_impossible_is_refused(bench: Bench) -> None:
    """The plan of the rest says so; nothing is written down. A person may know better."""
    bench.fails("star", "pick_up_tips")
    said = bench.refused(skip=["1"])
    assert "the rest of it cannot go well then" in said
    assert "channel 0 of star carries no tip" in said
    assert "To do it all the same: --anyway" in said
    assert bench.listed()[-1]["number"] == 1
    assert "The past is the same for all 0 commands; it goes on at" in flat(
        bench.says("run", "diff")
    )
    bench.decides(skip=["1"], anyway=True)
    assert "channel 0 of star carries no tip" in flat(bench.says("run", "diff"))
    assert "left out" in bench.says("run", "show", "--commands")
    assert bench.listed()[-1]["end"] == "left out"


def test_what_is_changed_for_the_rest_is_what_the_device_hears(bench: Bench) -> None:
    """Killed right after it, and after a command that was changed; the run ends as ever."""
    bench.fails("star", "aspirate", nth=2)
    changed = ["lh.aspirate.flow_rates=60", "star.dispense.offsets=[0,0,1]"]
    work = decide(bench.world.settings, bench.run_id, None, None, None, changed=changed)
    asyncio.run(work)
    for ordinal in (3, 5):
        bench.is_killed("0", ordinal)
    assert bench.ends() == Ended.SUCCEEDED, bench.world.said(bench.run_id)
    ends = [str(one["end"]) for one in bench.listed()]
    assert ends[1:6] == [
        "done",
        "done",
        "done, with flow_rates 60",
        "done, with offsets [0, 0, 1]",
        "done, with flow_rates 60",
    ]
    assert [bench.volume(f"A{column}") for column in (1, 2, 3)] == [30.0, 30.0, 30.0]
    bench.is_as_recorded()


def test_of_two_who_decide_at_once_one_is_told_to_look_again(bench: Bench) -> None:
    """Neither overlooks what the other wants: nothing is left out and done again by chance."""
    bench.fails("star", "aspirate", nth=3)
    settings, run_id = bench.world.settings, bench.run_id

    async def both() -> str:
        async with Database(settings.addresses().database_url) as database:
            one, other = [
                await Deciding.about(Journal(database), run_id, who) for who in ("Ada", "Ben")
            ]
            one.redo("4-5")
            other.redo("step:2")
            await one.write()
            with pytest.raises(DecisionRefused) as refused:
                await other.write()
            return str(refused.value)

    assert "somebody else has decided about it" in asyncio.run(both())
    assert bench.ends() == Ended.SUCCEEDED, bench.world.said(run_id)
    assert bench.volume("A2") == 60.0


def test_labware_is_not_believed_to_be_where_it_was_not_brought(bench: Bench) -> None:
    """A move is not left out by itself; its step is, and then the plate is where it was."""
    bench.fails("star", "pick_up_resource")
    assert "Leave out its whole step: --skip step:NUMBER" in bench.refused(skip=["9"])
    home = bench.world.control.truth()["places"]["plate_01"]
    bench.decides(skip=["step:5"])
    assert bench.ends() == Ended.SUCCEEDED, bench.world.said(bench.run_id)
    assert bench.world.control.truth()["places"]["plate_01"] == home
    bench.is_as_recorded()


def test_what_is_done_once_more_is_done_once_more_only(bench: Bench) -> None:
    """Killed before it, between its commands and after it; contents follow both times."""
    bench.fails("star", "aspirate", nth=3)
    for redo, words in (
        ("1", "carried a tip already"),
        ("9", "there are no commands 9: 5 were done"),
        ("step:3", "step 3 has done nothing yet"),
        ("column 2", "names no commands"),
    ):
        assert words in bench.refused(redo=[redo])
    bench.decides(redo=["step:2"])
    for branch, ordinal in (("r1000001", 0), ("r1000001", 1), ("0", 5), ("0", 6)):
        bench.is_killed(branch, ordinal)
    assert bench.ends() == Ended.SUCCEEDED, bench.world.said(bench.run_id)
    done = bench.happened()
    assert {done[f"0/{n}"] for n in range(7)} == {1}
    assert (done["r1000001/0"], done["r1000001/1"]) == (1, 1)
    assert [bench.volume(f"A{column}") for column in (1, 2, 3)] == [30.0, 60.0, 30.0]
    bench.is_as_recorded()


def test_what_fails_when_it_is_done_once_more_is_asked_about(bench: Bench) -> None:
    """Then it is done, once, when the run is resumed again."""
    bench.fails("star", "aspirate", nth=3)
    bench.decides(redo=["4-5"])
    bench.world.control.fail("star", how="before", method="dispense")
    assert bench.ends() == Ended.REFUSED, bench.world.said(bench.run_id)
    assert bench.world.status(bench.run_id) is RunStatus.FAILED
    assert "was to be done once more, and failed" in bench.world.said(bench.run_id)
    assert bench.ends() == Ended.IN_DOUBT
    bench.person.answer()
    assert bench.ends() == Ended.SUCCEEDED, bench.world.said(bench.run_id)
    assert (bench.happened()["r1000001/0"], bench.happened()["r1000001/1"]) == (1, 1)
    assert bench.volume("A2") == 60.0
    bench.is_as_recorded()


def test_a_host_that_dies_while_something_is_done_once_more_loses_nothing(bench: Bench) -> None:
    """Its end is not written; a person says what is true."""
    bench.fails("star", "aspirate", nth=3)
    bench.decides(redo=["4-5"])
    with bench.world.gate.closed_for("r1000001", 0, Event.OUTCOME):
        process = bench.world.start(MIXING, bench.run_id)
        wait_for(lambda: bench.world.gate.waiting() or not process.is_alive())
        bench.world.host.kill()
        process.kill()
        process.join()
        bench.world.gate.turn_back()
    bench.world.finish(MIXING, bench.run_id)
    assert (bench.happened()["r1000001/0"], bench.happened()["r1000001/1"]) == (1, 1)
    assert bench.volume("A2") == 60.0


def flat(text: str) -> str:
    """Join the lines that the width of the screen has made."""
    return " ".join(text.split())


def summary(bench: Bench) -> Any:
    """Read what the protocol returned."""
    import psycopg

    query = "SELECT summary FROM praxis.protocol_run WHERE id = %s"
    with psycopg.connect(bench.world.settings.addresses().database_url) as connection:
        found = connection.execute(query, (bench.run_id,)).fetchone()
    assert found is not None
    return json.loads(found[0]) if isinstance(found[0], str) else found[0]
