"""One failure of one device in one run, and what must be true whatever came of it."""

from __future__ import annotations

import random
from dataclasses import dataclass, field
from time import monotonic
from uuid import uuid4

from praxis_core.assets.manager import AssetManager
from praxis_core.host.asking import ask_host
from praxis_core.protocol.lifecycle import CommandKind
from praxis_core.simulator.comparison import differences
from tests.chaos.attempt import Ended
from tests.chaos.killing import Deed, Plan
from tests.chaos.person import Person
from tests.chaos.stories import Story
from tests.chaos.world import World, wait_for

ATTEMPTS = 6
WASTE = "trash"

CHANNELS = frozenset(["pick_up_tips", "aspirate", "dispense", "drop_tips"])
"""Methods that fail on some channels and not on others."""


@dataclass(frozen=True)
class Failure:
    """What goes wrong."""

    deed: Deed
    how: str
    channels: tuple[int, ...] = ()
    error: Exception | None = None
    """None: what the lab thinks of."""
    patient: bool = False
    """Of a call that hangs: whether somebody frees the device before it counts as hung."""
    careful: bool = False
    """Whether the protocol goes on after an error."""
    aborts: bool = False
    """Whether a person gives up when asked to restore the deck."""

    def __str__(self) -> str:
        said = [self.how, *([f"channels {self.channels}"] if self.channels else [])]
        said += [type(self.error).__name__] if self.error else []
        said += [word for word in ("patient", "careful", "aborts") if getattr(self, word)]
        return f"{self.deed.key} {self.deed.device}.{self.deed.method}: {', '.join(said)}"


@dataclass
class Result:
    """What became of it."""

    failure: str
    how: str
    method: str
    careful: bool
    ends: list[str] = field(default_factory=list)
    """How each attempt ended."""
    asked: list[str] = field(default_factory=list)
    wrong: list[str] = field(default_factory=list)
    """What was recorded otherwise than it was."""
    unknown: list[str] = field(default_factory=list)
    """What was recorded as unknown at the end."""
    twice: list[str] = field(default_factory=list)
    right: bool = True
    """Whether a run that came to its end came to the end of the undisturbed one."""
    seconds: float = 0.0

    @property
    def faults(self) -> list[str]:
        """Say what broke the promise; empty: nothing."""
        found = [*self.wrong, *(f"{key} twice" for key in self.twice)]
        if not self.right:
            found.append("the deck is not as after the uninterrupted run")
        return [f"{self.failure}: {fault}" for fault in found]


def any_failure(plan: Plan, chance: random.Random) -> Failure:
    """Think of one."""
    deed = chance.choice(
        [one for one in plan.deeds if one.device == "star" or chance.random() < 0.5]
    )
    hows = ["before", "after", "hang", "hang_after", "drop", "drop_before", "timeout"]
    if deed.method in CHANNELS:
        hows += ["half", "channels", "half_timeout"]
    how = chance.choice(hows)
    channels = tuple(sorted(chance.sample(range(4), chance.randint(1, 3))))
    error = TimeoutError("no answer") if "timeout" in how else None
    if how == "timeout":
        how = chance.choice(["before", "after"])
    return Failure(
        deed,
        {"channels": "before", "half_timeout": "half"}.get(how, how),
        channels if how in {"channels", "half_timeout"} else (),
        error,
        patient=how.startswith("hang") and chance.random() < 0.5,
        careful=chance.random() < 0.4,
        aborts=chance.random() < 0.15,
    )


def carry_out(world: World, plan: Plan, failure: Failure) -> Result:
    """Let a device fail, bring the run to its end, and compare all the time."""
    return _Trial(world, plan, failure).carry_out()


class _Trial:
    def __init__(self, world: World, plan: Plan, failure: Failure) -> None:
        self._world = world
        self._plan = plan
        self._failure = failure
        self._run_id = uuid4()
        self._person = Person(world, self._run_id, aborts=failure.aborts)
        self._result = Result(str(failure), failure.how, failure.deed.method, failure.careful)

    def carry_out(self) -> Result:
        began, failure = monotonic(), self._failure
        deed = failure.deed
        self._world.control.clear()
        self._world.control.fail(
            deed.device,
            how=failure.how,
            method=deed.method,
            nth=deed.nth,
            channels=failure.channels or None,
            error=failure.error,
        )
        for _ in range(ATTEMPTS):
            ended = self._attempt()
            self._result.ends.append(ended.name)
            self._compare()
            if ended is Ended.SUCCEEDED:
                break
            self._person.answer()
            if self._person.gave_up:
                break
        else:
            said = self._world.said(self._run_id)
            raise AssertionError(f"{failure}, {self._result.ends}: it comes to no end\n{said}")
        self._conclude()
        self._result.seconds = monotonic() - began
        return self._result

    def _attempt(self) -> Ended:
        failure = self._failure
        process = self._world.start(self._story(), self._run_id)
        hangs = failure.how.startswith("hang") and not self._result.ends
        if hangs and failure.patient:
            wait_for(lambda: self._freed() and not process.is_alive(), seconds=120)
        wait_for(lambda: not process.is_alive(), seconds=120)
        if hangs and process.exitcode == Ended.REFUSED:
            self._freed()  # it hung when it was asked how it is, before the run began
            self._person.take_back(failure.deed.device)
        elif hangs:
            self._person.let_go_on(failure.deed.key, failure.deed.device)
        assert process.exitcode is not None
        assert process.exitcode >= 0, self._world.said(self._run_id)
        return Ended(process.exitcode)

    def _freed(self) -> bool:
        self._world.control.release(self._failure.deed.device)
        return True

    def _story(self) -> Story:
        return self._plan.story.told(careful=self._failure.careful)

    def _compare(self) -> None:
        """Look whether what is recorded about the deck is true now."""
        deck = ask_host(self._world.settings, self._world.workcell.name, "/deck")
        found = differences(self._world.control.truth(), deck)
        end = f"end {len(self._result.ends)} ({self._result.ends[-1]})"
        self._result.wrong += [f"{end}: {one}" for one in found]
        # What is in the waste, a run that goes on has no need to know.
        self._result.unknown = sorted({*AssetManager.restore(deck).unknown()} - {WASTE})

    def _conclude(self) -> None:
        result, person = self._result, self._person
        result.asked = person.asked
        # Setting a temperature again is no harm.
        once = {deed.method for deed in self._plan.deeds if deed.kind == CommandKind.ONCE}
        result.twice = sorted(
            f"{key} {method}"
            for (key, method), times in person.effects().items()
            if method in once and times > 1 + person.undone[key, method]
        )
        if not self._failure.careful and not person.gave_up:
            truth, wanted = self._world.truth(self._run_id), self._plan.truth
            result.right = not result.unknown and (truth.liquids, truth.places, truth.tips) == (
                wanted.liquids,
                wanted.places,
                wanted.tips,
            )
