"""Time promises between two steps, measured for each sample on the times of commands.

A sample is a well, or labware without wells. Its clock begins when the last command of the earlier
step that worked on it ended, and is read when the first command of the later step that works on
it begins. Liquid takes the clock of where it was drawn with it. To be moved is no work, unless
nothing else is done with the sample in that step. Where both steps share no sample, they are
compared whole.

The same in a plan, on its times, and in a run, on recorded ones: a run that is resumed counts what
passed meanwhile.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, NamedTuple

from pydantic import JsonValue
from pylabrobot.liquid_handling import LiquidHandler
from pylabrobot.resources import Container, ItemizedResource, Resource

from praxis_core.assets.description import blocks
from praxis_core.assets.operations import (
    Aspirate,
    Dispense,
    Grip,
    Operation,
    PickTip,
    Release,
    operations_of,
    uses_head96,
)
from praxis_core.assets.state import AssetManagerState
from praxis_core.protocol.command import Command, Outcome
from praxis_core.protocol.lifecycle import CommandKind, OutcomeStatus
from praxis_core.protocol.promise import TimePromise, time_told
from praxis_core.protocol.running import StepCall
from praxis_core.workcell.kinds import LIFECYCLE, SET_ATTRIBUTES, TAKE_STOCK
from praxis_core.workcell.replica import Replica

Function = Callable[..., Any]


class Sample(NamedTuple):
    """A well, or labware that has none."""

    labware: str
    well: str | None = None

    def __str__(self) -> str:
        """Name it as PyLabRobot names wells."""
        return self.labware if self.well is None else f"{self.labware}_well_{self.well}"


Samples = tuple[Sample, ...]


@dataclass(frozen=True, slots=True)
class Touch:
    """A command that worked on something."""

    began: datetime
    ended: datetime
    branch: str
    ordinal: int


@dataclass(frozen=True, slots=True)
class Late:
    """Samples that came later than a step promised."""

    step: str
    since: str
    """Title of the earlier step, of the sample with the longest gap."""
    promise: TimePromise
    gap: float
    """Seconds; the longest among the samples."""
    samples: Samples
    """None: no sample was in both steps, and these were compared whole."""
    touch: Touch
    """The command that came too late."""

    @property
    def what(self) -> str:
        """Say it with its numbers."""
        said = f"{time_told(self.gap)} after {self.since!r}"
        return f"{self.step!r} came {said}; promised were at most {time_told(self.promise.seconds)}"

    @property
    def where(self) -> str:
        """Name the samples: ``plate A1:H1``."""
        return blocks(map(str, self.samples))

    def __str__(self) -> str:
        """Say it on one line."""
        return f"{self.where}: {self.what}." if self.samples else f"{self.what}."

    @property
    def details(self) -> dict[str, JsonValue]:
        """Give it for programs."""
        samples: dict[str, list[JsonValue]] = {}
        for one in self.samples:
            samples.setdefault(one.labware, []).extend([one.well] if one.well else [])
        return {
            "step": self.step,
            "since": self.since,
            "seconds": round(self.gap, 3),
            "promised": self.promise.seconds,
            "at": self.touch.began.isoformat(),
            "branch": self.touch.branch,
            "ordinal": self.touch.ordinal,
            "samples": {**samples},
        }


class _Clock(NamedTuple):
    """When a step was done with a sample."""

    at: datetime
    step: str


@dataclass(slots=True)
class _Under:
    """A call of a step that is under way."""

    call: StepCall
    worked: dict[Sample, Touch] = field(default_factory=dict)
    """The last command that changed each sample."""
    moved: dict[Sample, Touch] = field(default_factory=dict)
    """The last command that moved each sample; of the promise the first counts."""
    first_moved: dict[Sample, Touch] = field(default_factory=dict)
    compared: set[Sample] = field(default_factory=set)
    shares: bool = False
    """Whether something of the earlier step was worked on."""
    first: Touch | None = None
    last: Touch | None = None


class Promises:
    """The time promises of one run, or of one plan.

    Args:
        replica: Of the workcell; says where things stand.
    """

    def __init__(self, replica: Replica) -> None:
        self.late: list[Late] = []
        """What came too late, in the order in which it was found."""
        self._replica = replica
        self._clocks: dict[Function, dict[Sample, _Clock]] = {}
        self._ended: dict[Function, _Clock] = {}
        self._tips: dict[tuple[str, bool, int], dict[Function, _Clock]] = {}
        self._samples: dict[str, tuple[Sample, ...]] = {}

    @contextmanager
    def during(self, call: StepCall) -> Iterator[None]:
        """Count the commands inside as those of a call of a step."""
        under = _Under(call)
        token = _under_way.set((*_under_way.get(), under))
        try:
            yield
        finally:
            _under_way.reset(token)
            self._left(under)

    def note(self, command: Command, outcome: Outcome) -> None:
        """Follow a command that has ended."""
        ignored = command.method in LIFECYCLE or command.method in {SET_ATTRIBUTES, TAKE_STOCK}
        if ignored or outcome.status is not OutcomeStatus.SUCCEEDED:
            return
        under = _under_way.get()
        touch = Touch(outcome.started_at, outcome.ended_at, command.branch, command.ordinal)
        for one in under:
            one.first, one.last = one.first or touch, touch
        operations = operations_of(command, _NOTHING)
        gripped = [one.resource for one in operations if isinstance(one, Grip | Release)]
        if gripped:
            samples = self._all(gripped)
            for one in under:
                one.moved |= dict.fromkeys(samples, touch)
                one.first_moved = dict.fromkeys(samples, touch) | one.first_moved
            return
        used, changed = self._worked_on(command, operations)
        for one in under:
            self._compare(one, dict.fromkeys(used, touch))
            one.worked |= dict.fromkeys(changed, touch)
        self._carry(command, operations)

    # ----------------------------------------------------------------------------------------------

    def _compare(self, under: _Under, touched: Mapping[Sample, Touch]) -> None:
        """Compare samples that a step works on for the first time with what it promises."""
        promise = under.call.promise
        clocks = self._clocks.get(promise.since) if promise else None
        if promise is None or not clocks:
            return
        new = {one: touch for one, touch in touched.items() if one not in under.compared}
        under.compared |= new.keys()
        gaps = {
            one: (touch.began - clocks[one].at).total_seconds()
            for one, touch in new.items()
            if one in clocks
        }
        under.shares = under.shares or bool(gaps)
        late = {one: gap for one, gap in gaps.items() if gap > promise.seconds}
        if late:
            touch = min((new[one] for one in late), key=lambda each: each.began)
            longest = max(late, key=lambda one: late[one])
            since, gap = clocks[longest].step, late[longest]
            self.late.append(Late(under.call.name, since, promise, gap, tuple(late), touch))

    def _left(self, under: _Under) -> None:
        """Take up what a step did, now that it has ended."""
        self._compare(under, under.first_moved)
        promise, first = under.call.promise, under.first
        ended = self._ended.get(promise.since) if promise else None
        if promise is not None and not under.shares and first is not None and ended is not None:
            gap = (first.began - ended.at).total_seconds()
            if gap > promise.seconds:
                self.late.append(Late(under.call.name, ended.step, promise, gap, (), first))
        function, title = under.call.function, under.call.name
        clocks = self._clocks.setdefault(function, {})
        for sample, touch in (under.moved | under.worked).items():
            clocks[sample] = _Clock(touch.ended, title)
        if under.last is not None:
            self._ended[function] = _Clock(under.last.ended, title)

    def _carry(self, command: Command, operations: Iterable[Operation]) -> None:
        """Let liquid take its clocks with it, from well to tip to well; the earliest counts."""
        whole = uses_head96(command)
        for one in operations:
            tip = command.device, whole, one.channel if not isinstance(one, Grip | Release) else -1
            if isinstance(one, PickTip):
                self._tips.pop(tip, None)
            elif isinstance(one, Aspirate):
                carried = self._tips.setdefault(tip, {})
                for function, clocks in self._clocks.items():
                    _earliest(carried, function, _of(clocks, self._all([one.container])))
            elif isinstance(one, Dispense):
                for function, clock in self._tips.get(tip, {}).items():
                    for sample in self._all([one.container]):
                        _earliest(self._clocks[function], sample, clock)

    # --- what a command works on ------------------------------------------------------------------

    def _worked_on(
        self, command: Command, operations: Iterable[Operation]
    ) -> tuple[Samples, Samples]:
        """Give the samples that a command works on, and those of them that it changes."""
        operations = list(operations)
        liquids = [one for one in operations if isinstance(one, Aspirate | Dispense)]
        if liquids:
            changed = [one.container for one in liquids if isinstance(one, Dispense) or one.mixing]
            return self._all(one.container for one in liquids), self._all(changed)
        if operations or command.method in _DOORS:
            return (), ()
        named = self._all(_named([*command.args, *command.kwargs.values()]))
        with_wells = {one.labware for one in named if one.well is not None}
        samples = tuple(one for one in named if one.well or one.labware not in with_wells)
        if not samples and command.kind is not CommandKind.OBSERVE:
            samples = self._all(self._held_by(command.device))
        return samples, samples

    def _held_by(self, device: str) -> Iterator[str]:
        """Name what stands on a device; on a deck stands what it does nothing with."""
        machine = self._replica.devices.get(device)
        if isinstance(machine, Resource) and not isinstance(machine, LiquidHandler):
            for one in machine.get_all_children():
                if isinstance(one, (ItemizedResource, Container)):
                    yield one.name

    def _all(self, names: Iterable[str]) -> Samples:
        return tuple(dict.fromkeys(sample for name in names for sample in self._of(name)))

    def _of(self, name: str) -> tuple[Sample, ...]:
        """Give the samples that a resource is, or has."""
        if name not in self._samples:
            self._samples[name] = tuple(_samples(name, self._replica.resources.find(name)))
        return self._samples[name]


_under_way: ContextVar[tuple[_Under, ...]] = ContextVar("praxis_steps_under_way", default=())

_NOTHING = AssetManagerState()
"""What is on a 96-head is not looked at: of its tips only the liquid counts."""

_DOORS = frozenset({"open", "close", "open_door", "close_door", "open_lid", "close_lid"})
"""What is done with a device and not with what is in it."""


def _samples(name: str, resource: Resource | None) -> Iterator[Sample]:
    if isinstance(resource, ItemizedResource):
        wells = [one for one in resource.get_all_items() if isinstance(one, Container)]
        yield from (Sample(name, resource.get_child_identifier(one)) for one in wells)
        if not wells:
            yield Sample(name)
    elif resource is not None and isinstance(resource.parent, ItemizedResource):
        yield Sample(resource.parent.name, resource.parent.get_child_identifier(resource))
    else:
        yield Sample(name)


def _named(value: Any) -> Iterator[str]:
    """Name the resources in encoded arguments."""
    match value:
        case {"$resource": str(name)}:
            yield name
        case dict():
            for one in value.values():
                yield from _named(one)
        case list():
            for one in value:
                yield from _named(one)


def _of(clocks: Mapping[Sample, _Clock], samples: Iterable[Sample]) -> _Clock | None:
    return min((clocks[one] for one in samples if one in clocks), default=None)


def _earliest(clocks: dict[Any, _Clock], key: Any, clock: _Clock | None) -> None:
    if clock is not None:
        clocks[key] = min(clock, clocks.get(key, clock))
