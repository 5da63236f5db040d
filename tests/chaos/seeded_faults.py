"""What may be missing, too full, in the way or unknown on a deck: kinds of it, at many places.

Each is seeded into what is known of a deck on which a protocol succeeds; the run is to be refused.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from time import monotonic
from typing import Annotated, Any
from uuid import UUID, uuid4

import psycopg
from pylabrobot.liquid_handling import LiquidHandler
from pylabrobot.resources import Plate, TipRack, Trough

from praxis_core.assets.catalogue import Catalogue
from praxis_core.assets.entries import By
from praxis_core.assets.state import AssetManagerState, Location, MountedTip
from praxis_core.journal.asset_tables import AssetStatus
from praxis_core.journal.database import Database
from praxis_core.protocol import Needs, protocol
from praxis_core.simulator.hands import put_right
from praxis_core.workcell.initial_state import initial_assets
from praxis_core.workcell.model import build, simulated_backend
from tests.chaos.attempt import Ended
from tests.chaos.random_protocols import Program
from tests.chaos.sharing import SHARING, ByHand
from tests.chaos.stories import DILUTION, RANDOM, Story
from tests.chaos.world import World

ROWS = "ABCDEFGH"
RACK_TYPE = "hamilton_96_tiprack_300uL_filter"
Seed = Callable[[AssetManagerState], object]


@protocol(name="chaos-asking", version="1.0.0")
async def asking(
    lh: LiquidHandler,
    tips: Annotated[TipRack, Needs(tips=8, type=RACK_TYPE)],
    dye: Annotated[Trough, Needs(reagent="tartrazine", volume=400)],
    plate: Annotated[Plate, Needs(empty=True)],
    volume: float = 50.0,
) -> None:
    """Fill a column.

    Args:
        lh: Pipettes.
        tips: A column of tips.
        dye: A stock.
        plate: An empty plate.
        volume: Of each well, µL.
    """
    await lh.pick_up_tips(tips["A1:H1"])
    await lh.aspirate([dye] * 8, vols=[volume] * 8)
    await lh.dispense(plate["A1:H1"], vols=[volume] * 8)
    await lh.discard_tips()


@dataclass(frozen=True)
class Fault:
    """Something that is not as a protocol needs it."""

    kind: str
    place: str
    named: str
    """What the refusal has to name."""
    seed: Seed = field(default=lambda _state: None)
    """Changes what is on the deck."""
    facts: Mapping[str, str] = field(default_factory=dict)
    """What the catalogue says of an asset besides: its column, and the value."""
    asked: Mapping[str, Any] = field(default_factory=dict)
    """What is asked for otherwise: parameters or assets."""


@dataclass(frozen=True)
class Result:
    """What became of one run."""

    seconds: float
    said: str
    faults: list[str]


def by_hand(story: Story, *also: str) -> ByHand:
    """Let people refill the workcell of a story."""
    labware = story.labware | {*also}
    name = f"seeded-{story.name}"
    return ByHand(name, story.spec, story.assets, labware, story.parameters)


SEEDED_DILUTION = by_hand(DILUTION, "plate_02")
SEEDED_SHARING = replace(by_hand(SHARING), parameters={"columns": list(range(1, 13))})
SEEDED_RANDOM = by_hand(RANDOM, "dose_plate")
ASKING = ByHand(
    name="seeded-asking",
    spec="tests.chaos.seeded_faults:asking",
    assets={"tips": "tips_300_01", "dye": "dye_stock", "plate": "plate_01"},
    labware=DILUTION.labware | {"tips_1000_01"},
)

# --- kinds ---------------------------------------------------------------------------------------


def no_tip(rack: str, well: str, named: str = "") -> Fault:
    """A tip is not there."""
    spot = f"{rack}_tipspot_{well}"
    return Fault("no tip", spot, named or spot, lambda state: state.tip_spots.update({spot: False}))


def doubted_tip(rack: str, well: str, named: str = "") -> Fault:
    """Nobody knows whether a tip is there."""
    spot = f"{rack}_tipspot_{well}"
    return Fault(
        "tip in doubt", spot, named or spot, lambda state: state.tip_spots.update({spot: None})
    )


def few_tips(rack: str, left: int) -> Fault:
    """A rack has some tips only, the last ones of it."""

    def seed(state: AssetManagerState) -> None:
        for spot in state.racks[rack][: 96 - left]:
            state.tip_spots[spot] = False

    return Fault("rack too few", f"{rack}: {left}", rack, seed)


def volume(thing: str, left: float, kind: str = "too little") -> Fault:
    """A container holds so many µL."""

    def seed(state: AssetManagerState) -> None:
        contents = state.containers[thing]
        contents.amounts = {
            name: amount * left / contents.volume if contents.volume else 0.0
            for name, amount in contents.amounts.items()
        }
        contents.volume, contents.sources = left, {}

    return Fault(kind, f"{thing}: {left:g} µL", thing, seed)


def overflow(well: str, poured: float) -> Fault:
    """A well has room for all but 1 µL of what will be poured into it."""

    def seed(state: AssetManagerState) -> None:
        contents = state.containers[well]
        contents.volume = (contents.max_volume or 0.0) - poured + 1

    return Fault("overflows by 1 µL", well, well, seed)


def not_empty(well: str, plate: str) -> Fault:
    """A well of a plate that is to be empty holds a µL."""
    fault = volume(well, 1.0, "plate not empty")
    return replace(fault, named=plate)


def unknown(thing: str, named: str = "") -> Fault:
    """Nobody knows what is in it."""
    facts = {"name": thing, "unknown": "it was spilled"}
    return Fault("unknown contents", thing, named or thing, facts=facts)


def elsewhere(thing: str, kind: str, place: Location) -> Fault:
    """It does not stand where it can be used."""
    return Fault(kind, thing, thing, lambda state: state.locations.update({thing: place}))


def places_of(thing: str) -> Iterator[Fault]:
    """Say all that may be wrong with where a thing is."""
    yield Fault("on a shelf", thing, thing, facts={"name": thing, "shelf": "freezer 2"})
    yield elsewhere(thing, "nowhere", Location(parent=None))
    lost = Location(parent="carrier_plates-4", unknown="it was dropped")
    yield elsewhere(thing, "nobody knows where", lost)


def occupied(site: str, thing: str, named: str = "") -> Fault:
    """Something stands where something is to be put."""
    return Fault(
        "site occupied",
        f"{thing} on {site}",
        named or f"{thing} stands there",
        lambda state: state.locations.update({thing: Location(parent=site)}),
    )


def mounted(channel: int, *, head96: bool = False) -> Fault:
    """A channel carries a tip of somebody else."""

    def seed(state: AssetManagerState) -> None:
        heads = state.heads96 if head96 else state.heads
        heads["star"] = {channel: MountedTip(spot=None)}

    named = f"star[96:{channel}]" if head96 else f"star[{channel}]"
    return Fault("foreign tip", named, named, seed)


def gripped(thing: str) -> Fault:
    """The gripper holds something."""

    def seed(state: AssetManagerState) -> None:
        state.grippers["star"] = thing
        state.locations[thing] = Location(parent=None)

    return Fault("gripper not empty", thing, thing, seed)


def status(thing: str, value: AssetStatus) -> Fault:
    """Somebody said that it is not to be used."""
    return Fault(value.value, thing, thing, facts={"name": thing, "status": value.value})


def expired(thing: str) -> Fault:
    """It was to be used up by a day that is over."""
    return Fault("expired", thing, thing, facts={"name": thing, "expires": "2020-01-31"})


# --- places --------------------------------------------------------------------------------------


def of_dilution() -> Iterator[Fault]:
    """Give what the serial dilution does not succeed with."""
    for number in range(1, 13):
        yield no_tip("tips_300_01", f"{ROWS[number % 8]}{number}", "tips_300_01")
        yield not_empty(f"plate_01_well_{ROWS[-number % 8]}{number}", "plate_01")
    for column in range(1, 12):
        yield volume("diluent", 800.0 * column - 1)
    for number in range(1, 9):
        yield volume("dye_stock", 200.0 * number - 1)
        yield mounted(number - 1)
    for left in (0, 1, 48, 95):
        yield few_tips("tips_300_01", left)
    for spot in ("A1", "D6", "H12"):
        yield doubted_tip("tips_300_01", spot, "tips_300_01")
    yield mounted(0, head96=True)
    yield mounted(95, head96=True)
    yield occupied("reader", "plate_02")
    yield gripped("plate_02")
    for thing in ("diluent", "dye_stock"):
        yield unknown(thing)
    yield unknown("plate_01_well_A1", "plate_01")
    for thing in ("tips_300_01", "plate_01", "dye_stock", "diluent"):
        yield from places_of(thing)
        yield status(thing, AssetStatus.QUARANTINED)
        yield status(thing, AssetStatus.DISCARDED)
        yield expired(thing)


def of_sharing() -> Iterator[Fault]:
    """Give what does not go when wells are filled two by two."""
    for column in range(1, 13):
        yield overflow(f"plate_01_well_{'AB'[column % 2]}{column}", 20.0)
        yield volume("diluent", 40.0 * column - 1)
        yield no_tip("tips_300_01", f"{'AB'[column % 2]}{column}")
    for column in (1, 6, 12):
        yield unknown(f"plate_01_well_A{column}")
        yield doubted_tip("tips_300_01", f"B{column}")


def of_asking() -> Iterator[Fault]:
    """Give what does not fit what a protocol asks for by kind."""

    def water(state: AssetManagerState) -> None:
        state.containers["dye_stock"].amounts = {}

    for left in (0, 7):
        yield few_tips("tips_300_01", left)
    yield Fault("wrong reagent", "dye_stock", "dye_stock", water)
    wrong = Fault("wrong reagent", "diluent", "diluent")
    yield replace(wrong, asked={"assets": {"dye": "diluent"}})
    wrong = Fault("wrong tips", "tips_1000_01", "tips_1000_01")
    yield replace(wrong, asked={"assets": {"tips": "tips_1000_01"}})
    for more in (361.0, 400.0):
        wrong = Fault("tips too small", f"{more:g} µL", "tip")
        yield replace(wrong, asked={"parameters": {"volume": more}})
    yield volume("dye_stock", 399.0)
    for thing in ("tips_300_01", "dye_stock", "plate_01"):
        yield status(thing, AssetStatus.RESERVED)
        yield status(thing, AssetStatus.QUARANTINED)
        yield expired(thing)


def of_program(program: Program) -> Iterator[Fault]:
    """Give what a made-up protocol does not succeed with."""
    pours = [*_pours(program)]
    for channel in range(4):
        yield no_tip("tips_300_01", f"{'ABCD'[channel]}1")
    yield occupied("shaker", "dose_plate")
    yield mounted(5)
    if pours:
        total = sum(each for _, each in pours)
        yield volume("diluent", total - 1)
        for well in sorted({well for well, _ in pours}):
            yield overflow(well, sum(each for one, each in pours if one == well))


def _pours(program: Program) -> Iterator[tuple[str, float]]:
    for kind, *words in program:
        if kind == "pour":
            yield f"plate_01_well_{'ABCD'[words[0]]}{words[1]}", words[2]
        elif kind in {"step", "gather"}:
            for inside in words:
                yield from _pours(inside)


def without_looks(program: Program) -> Program:
    """Leave out what decides by what a device says: from there on a plan knows nothing for sure.

    What comes after a ``sense`` is conditional; where only the real device refuses, the plan ends.
    Such a run begins, and waits for what is missing, instead of being refused.
    """
    return [
        [kind, *(without_looks(each) for each in words)]
        if kind in {"step", "gather"}
        else [kind, *words]
        for kind, *words in program
        if kind not in {"sense", "refused"}
    ]


# --- runs ----------------------------------------------------------------------------------------


class Seeding:
    """One workcell, on whose deck things are seeded.

    Args:
        world: Its processes.
    """

    def __init__(self, world: World) -> None:
        self._world = world
        self._model = build(world.workcell, simulated_backend)
        self._right = initial_assets(self._model)
        self._is_new = True
        """Whether its host has still to connect to the lab, and to tell what is there."""

    def refused(self, story: Story, fault: Fault) -> Result:
        """Seed a fault, ask for a run, and look whether nothing moved; then take it back."""
        if self._is_new:
            self.succeeds(story)
        began, run_id = monotonic(), uuid4()
        asyncio.run(self._set(fault))
        marked = self._world.mark()
        parameters = {**story.parameters, **fault.asked.get("parameters", {})}
        assets = {**story.assets, **fault.asked.get("assets", {})}
        code = self._world.end_of(
            self._world.start(replace(story, parameters=parameters, assets=assets), run_id)
        )
        said = self._message(run_id)
        found = [] if code == Ended.REFUSED else [f"it ended with {code}"]
        if fault.named not in said:
            found.append(f"{fault.named} is not named")
        if "(" not in said:
            found.append("nothing mends it")
        found += self._left(run_id, marked)
        if code != Ended.REFUSED:
            self._world.renew()
            self._is_new = True
        at = f"{story.name}, {fault.kind}, {fault.place}"
        return Result(monotonic() - began, said, [f"{at}: {one}; {said}" for one in found])

    def succeeds(self, story: Story) -> Result:
        """Ask for a run with nothing seeded."""
        began, run_id = monotonic(), uuid4()
        if not self._is_new:
            asyncio.run(self._set(Fault("none", "", "")))
        self._is_new = False
        code = self._world.end_of(self._world.start(story, run_id))
        found = [] if code == Ended.SUCCEEDED else [f"it ended with {code}"]
        return Result(monotonic() - began, self._message(run_id), found)

    async def _set(self, fault: Fault) -> None:
        """Let all be as the definition says, but for the fault."""
        name, by = self._world.name, By("the test", fault.kind)
        async with Database(self._world.settings.addresses().database_url) as database:
            catalogue = Catalogue(database)
            await catalogue.refill(name, self._right, by)
            await catalogue.set_back(name, self._right, by)
            self._row("status = 'available', expires = NULL", "kind <> 'device'")
            known = await catalogue.state(name)
            labware = [one.name for one in self._world.workcell.labware]
            put_right(self._world.control, self._model, known, ["star", *labware])
            wanted = self._right.model_copy(deep=True)
            fault.seed(wanted)
            if wanted != self._right:
                await catalogue.set_back(name, wanted, by)
            if facts := fault.facts:
                await self._say(catalogue, facts, by)

    async def _say(self, catalogue: Catalogue, facts: Mapping[str, str], by: By) -> None:
        name = facts["name"]
        if "status" in facts:
            status = AssetStatus(facts["status"])
            await catalogue.set_status(self._world.name, name, status, by)
        elif "shelf" in facts:
            await catalogue.shelve(self._world.name, name, facts["shelf"], by)
        elif "unknown" in facts:
            self._doubt(name, facts["unknown"])
        else:
            self._row(f"expires = '{facts['expires']}'", f"name = '{name}'")

    def _row(self, change: str, which: str) -> None:
        with psycopg.connect(self._world.settings.addresses().database_url) as connection:
            here = f"workcell = '{self._world.name}' AND discarded_at IS NULL"
            query = f"UPDATE praxis.asset SET {change} WHERE {here} AND {which}"  # noqa: S608
            connection.execute(query.encode())

    def _doubt(self, part: str, why: str) -> None:
        query = """
            UPDATE praxis.asset_part
            SET contents = contents || jsonb_build_object('unknown', %s::text)
            WHERE name = %s AND asset_id IN (
                SELECT id FROM praxis.asset WHERE workcell = %s AND discarded_at IS NULL)"""
        with psycopg.connect(self._world.settings.addresses().database_url) as connection:
            done = connection.execute(query, (why, part, self._world.name))
        assert done.rowcount == 1, part

    def _message(self, run_id: UUID) -> str:
        query = "SELECT error->>'message' FROM praxis.run_attempt WHERE run_id = %s"
        return str(self._asked(query, run_id) or "")

    def _left(self, run_id: UUID, marked: int) -> Iterator[str]:
        """Say what a refused run must not have done, or keep."""
        if records := self._world.control.log(after=marked):
            yield f"the lab was told {records[0]}"
        if self._asked("SELECT count(*) FROM praxis.command WHERE run_id = %s", run_id):
            yield "commands are in the journal"
        open_ = "SELECT count(*) FROM praxis.claim WHERE run_id = %s AND released_at IS NULL"
        if self._asked(open_, run_id):
            yield "it keeps assets"

    def _asked(self, query: str, run_id: UUID) -> object:
        with psycopg.connect(self._world.settings.addresses().database_url) as connection:
            found = connection.execute(query.encode(), (run_id,)).fetchone()
        return found[0] if found else None
