"""Library runs one after another on one workcell that a person refills; any of them is killed."""

from __future__ import annotations

import asyncio
import random
import re
import signal
from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from multiprocessing.context import ForkServerProcess
from time import monotonic
from typing import Any
from uuid import UUID, uuid4

import psycopg

from praxis_core.assets.catalogue import Catalogue
from praxis_core.assets.entries import By
from praxis_core.assets.manager import AssetManager
from praxis_core.assets.state import AssetManagerState
from praxis_core.journal.database import Database
from praxis_core.simulator.comparison import differences
from praxis_core.simulator.hands import put_right
from praxis_core.workcell.initial_state import initial_assets
from praxis_core.workcell.model import build, simulated_backend
from tests.chaos.attempt import Ended
from tests.chaos.sharing import ByHand
from tests.chaos.stories import DILUTION, DOSES, Story
from tests.chaos.world import World, wait_for

LIBRARY = ByHand(
    name="library",
    spec="",
    assets={},
    labware=DILUTION.labware | DOSES.labware | {"tips_300_04", "plate_02"},
)
"""The workcell that both protocols run on."""

RACKS = ("tips_300_01", "tips_300_02", "tips_300_03", "tips_300_04")
PLATES = ("plate_01", "plate_02")
PLATE = {DILUTION: "plate", DOSES: "assay"}
"""What is to be empty when a run begins."""

REFUSALS = 6
"""More than one run can need until all is there."""

REFUSED = "SELECT error->>'message' FROM praxis.run_attempt WHERE run_id = %s"
MEND = re.compile(r"praxis assets (?:replace|volume|tips) ([a-z0-9_]+)")


@dataclass(frozen=True)
class Kill:
    """What dies, and when."""

    host: bool
    after: bool
    nth: int
    """The effect of the run, from 1."""


@dataclass
class Result:
    """What became of one run."""

    protocol: str
    victim: str
    """What was to die."""
    hit: bool = False
    asked: int = 0
    refilled: list[str] = field(default_factory=list)
    """What the refusals named, and a person replaced."""
    wrong: list[str] = field(default_factory=list)
    """What was recorded otherwise than it was."""
    unknown: list[str] = field(default_factory=list)
    """What was recorded as unknown."""
    seconds: float = 0.0

    @property
    def faults(self) -> list[str]:
        """Say what broke the promise; empty: nothing."""
        found = [*self.wrong, *(f"nobody knows {name}" for name in self.unknown)]
        return [f"{self.protocol}, {self.victim} killed: {one}" for one in found]


@dataclass(frozen=True)
class Wish:
    """One run that somebody wants."""

    story: Story
    kill: Kill | None

    @property
    def victim(self) -> str:
        """What is to die."""
        if self.kill is None:
            return ""
        return "host" if self.kill.host else "flow process"


def any_wish(chance: random.Random) -> Wish:
    """Think of one: a protocol of the library, on any racks and plate, and a kill."""
    story = chance.choice([DILUTION, DOSES])
    racks = chance.sample(RACKS, len(RACKS))
    assets = {
        name: racks.pop() if name.endswith("tips") else one for name, one in story.assets.items()
    }
    assets[PLATE[story]] = chance.choice(PLATES)
    kill = None
    if chance.random() < 0.8:
        kill = Kill(chance.random() < 0.5, chance.random() < 0.5, chance.randint(1, 35))
    return Wish(replace(story, assets=assets), kill)


class Laboratory:
    """One workcell, and the person who looks after it.

    Args:
        world: Its processes.
    """

    def __init__(self, world: World) -> None:
        self._world = world
        self._model = build(world.workcell, simulated_backend)
        self._new = initial_assets(self._model)

    def carry_out(self, wish: Wish) -> Result:
        """Let it run to its end, and compare what is known then with what is so."""
        world, began = self._world, monotonic()
        world.answers.clear()
        result = Result(wish.story.name, wish.victim or "nothing")
        run_id, process = self._begin(wish, result)
        world.finish(wish.story, run_id, process)
        world.control.clear()
        state = asyncio.run(self._known())
        result.asked = len(world.answers)
        result.wrong = differences(world.control.truth(), AssetManager(state).snapshot())
        result.unknown = [*_unknown(state)]
        result.seconds = monotonic() - began
        return result

    def _begin(self, wish: Wish, result: Result) -> tuple[UUID, ForkServerProcess | None]:
        """Start it, as often as it is refused for want of something; then let the kill come."""
        for _ in range(REFUSALS):
            run_id = uuid4()
            process = self._world.start(wish.story, run_id)
            hit = self._killed(wish.kill, process) if wish.kill is not None else False
            if not hit:
                self._world.end_of(process)
            if process.exitcode != Ended.REFUSED:
                result.hit = hit
                return run_id, None if hit and process.exitcode is not None else process
            self._world.control.clear()
            lacking = self._lacking(run_id)
            assert lacking, self._world.said(run_id)
            result.refilled += lacking
            self._refill(lacking)
        raise AssertionError(f"it is refused whatever is brought\n{self._world.said(run_id)}")

    def _killed(self, kill: Kill, process: ForkServerProcess) -> bool:
        victim = self._world.host if kill.host else process
        assert victim.pid is not None
        when = {"after_effect" if kill.after else "before_effect": kill.nth}
        self._world.control.kill(victim.pid, **when)
        wait_for(lambda: not victim.is_alive() or not process.is_alive(), seconds=120)
        return victim.exitcode == -signal.SIGKILL

    # --- the person -------------------------------------------------------------------------------

    def _lacking(self, run_id: UUID) -> list[str]:
        """Name the labware that is to be brought by the commands of a refusal."""
        with psycopg.connect(self._world.settings.addresses().database_url) as connection:
            found: Any = connection.execute(REFUSED, (run_id,)).fetchone()
        named = MEND.findall(found[0])
        labware = [one.name for one in self._world.workcell.labware]
        return [name for name in labware if any(one.startswith(name) for one in named)]

    def _refill(self, names: Iterable[str]) -> None:
        asyncio.run(self._correct([*names]))

    async def _correct(self, names: list[str]) -> None:
        """Bring new racks and plates, and fill troughs, as the definition has them."""
        name, by = self._world.name, By("the test", "refilled")
        async with Database(self._world.settings.addresses().database_url) as database:
            catalogue = Catalogue(database)
            await catalogue.refill(name, self._new, by, names)
            known = await catalogue.state(name)
        put_right(self._world.control, self._model, known, names, fresh=names)

    async def _known(self) -> AssetManagerState:
        async with Database(self._world.settings.addresses().database_url) as database:
            return await Catalogue(database).state(self._world.name)


def _unknown(state: AssetManagerState) -> Iterable[str]:
    yield from (f"what is in {name}" for name, one in state.containers.items() if one.unknown)
    yield from (f"whether {name} is there" for name, one in state.tip_spots.items() if one is None)
    yield from (f"where {name} is" for name, place in state.locations.items() if place.unknown)
    yield from (f"what {device} holds" for device in state.grippers_unknown)
    yield from (f"what {command} did" for command in state.doubts)
    for device, channels in [*state.heads.items(), *state.heads96.items()]:
        yield from (f"{device}[{n}]" for n, tip in channels.items() if tip.there is None)
