"""One simulated run on a copy of the real deck, in this process, of which nothing stays."""

from __future__ import annotations

import asyncio
import inspect
import sys
import traceback
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import AsyncExitStack, contextmanager
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any
from uuid import UUID

from pylabrobot.liquid_handling.errors import ChannelizedError
from pylabrobot.resources import (
    ItemizedResource,
    TipSpot,
    Trash,
    does_tip_tracking,
    does_volume_tracking,
    set_tip_tracking,
    set_volume_tracking,
)

from praxis_core.assets.contents import Change
from praxis_core.assets.description import called, describe
from praxis_core.assets.manager import AssetManager
from praxis_core.assets.names import channels_of
from praxis_core.assets.operations import left_empty
from praxis_core.assets.state import AssetManagerState, Liquid, Location
from praxis_core.assets.water import Fillings, how_to_mend, only_water, told
from praxis_core.errors import PlaceOccupied
from praxis_core.labware.encoder import message_of
from praxis_core.labware.inventory import inventory
from praxis_core.planning.blocking import OCCUPIED, blocked
from praxis_core.planning.checks import CheckedRequest
from praxis_core.planning.consuming import Account
from praxis_core.planning.marks import Condition, Watch
from praxis_core.planning.outside import nothing_leaves
from praxis_core.planning.plan import PlanFault, PlannedCommand
from praxis_core.planning.planned_run import PlannedRun, current_title
from praxis_core.planning.planned_state import PlannedState
from praxis_core.planning.pretending import PretendDevices, seconds_of
from praxis_core.planning.promises import Late, Promises
from praxis_core.planning.virtual_time import (
    NothingComes,
    OutOfTime,
    StillRunning,
    VirtualLoop,
    run_virtually,
)
from praxis_core.protocol.command import Command, DeckChange, Outcome
from praxis_core.protocol.definition import ProtocolDefinition
from praxis_core.protocol.lifecycle import OutcomeStatus
from praxis_core.protocol.running import current_run
from praxis_core.state import PraxisState
from praxis_core.workcell import timed
from praxis_core.workcell.branches import Branch, inside_protocol
from praxis_core.workcell.definition import Refill
from praxis_core.workcell.kinds import LIFECYCLE
from praxis_core.workcell.raised import command_of
from praxis_core.workcell.replica import Replica
from praxis_core.workcell.sites import in_the_way

Durations = Mapping[tuple[str, str], float]
"""Seconds that a command takes as a rule, by device and method."""


class TooManyCommands(BaseException):  # no error that a protocol may catch
    """The plan has more commands than it may have."""


@dataclass(frozen=True, slots=True)
class Limits:
    """Where a plan is broken off."""

    commands: int = 100_000
    seconds: float = 60.0
    """Of real time."""
    waits: int = 100_000
    """How often it may wait from one command to the next: one that looks for something each second
    gets more than a day for it."""
    grace: float = 1.0
    """Seconds for what is broken off to end, each of the ten times that it is asked to."""


LIMITS = Limits()


@dataclass(frozen=True, slots=True)
class Earlier:
    """What a run did that goes on, and what others did meanwhile."""

    commands: Mapping[tuple[str, int], tuple[Command, Outcome]]
    """By branch and ordinal; they are not carried out again."""
    moved: Mapping[str, Location]
    """Where labware of others stands now; the run finds it there with its first new command."""


@dataclass(frozen=True, slots=True)
class Task:
    """What is to be rehearsed."""

    function: Callable[..., Any]
    definition: ProtocolDefinition
    checked: CheckedRequest
    state: AssetManagerState
    run_id: UUID
    start: datetime
    durations: Durations
    limits: Limits
    earlier: Earlier | None = None
    """None: nothing of it was done yet."""
    water: Fillings | None = None
    """For a water run what the fillings are that are on the deck; None: it is none."""

    def wholes(self, requirement: str) -> set[str]:
        """Name the assets that a requirement is bound to, or has parts of."""
        bound = self.checked.assets.get(requirement, [])
        return {one.partition("[")[0] for one in ([bound] if isinstance(bound, str) else bound)}

    @property
    def file(self) -> str:
        """The protocol's own file."""
        file: str = inspect.unwrap(self.function).__code__.co_filename
        return file


@dataclass(slots=True)
class Rehearsed:
    """What came of it."""

    watch: Watch
    account: Account
    commands: list[PlannedCommand] = field(default_factory=list)
    certain: list[PlanFault] = field(default_factory=list)
    possible: list[PlanFault] = field(default_factory=list)
    error: BaseException | None = None
    """What the protocol ended with."""
    failure: PlanFault | None = None
    """That error as a fault."""
    left_out: list[str] = field(default_factory=list)
    steps: int = 0
    seconds: float = 0.0
    not_estimated: set[str] = field(default_factory=set)
    late: list[tuple[Late, PlannedCommand]] = field(default_factory=list)
    """What comes later than its step promises, and the command with which it comes."""
    decided_at: int | None = None
    """How many commands there were when something was decided."""

    def keep_what_was_certain(self, before: Rehearsed) -> None:
        """Take over from a rehearsal that followed values further what was certain in it.

        Args:
            before: Of the same task; until something was decided in it both did the same.
        """
        known = [(one.command, one.asset, one.what) for one in before.certain]
        more = [*self.certain, *self.possible]
        self.certain = [*before.certain]
        self.possible = [one for one in more if (one.command, one.asset, one.what) not in known]
        if before.watch.condition is not None:
            self.watch.condition, self.decided_at = before.watch.condition, before.decided_at
        certain = [one.number for one in before.commands if not one.conditional]
        self.commands = [
            one.model_copy(update={"conditional": False}) if one.number in certain else one
            for one in self.commands
        ]


class Rehearsal:
    """Carries out a protocol once; of the replica everything is as before afterwards.

    Args:
        task: What is to be rehearsed.
        replica: Of the workcell; nobody else uses it meanwhile.
        eager: Whether what nobody knows yet counts as a decision as soon as it is there.
        generous: Whether every tip spot has a tip, so that all that are missing are found.
    """

    compares = False
    """Whether commands are compared with what was done before."""

    def __init__(
        self, task: Task, replica: Replica, *, eager: bool = False, generous: bool = False
    ) -> None:
        self._task = task
        self._replica = replica
        self._generous = generous
        self._given_up = False
        self._assets = AssetManager(task.state)
        watch = Watch(task.file, eager=eager)
        account = Account(task.state, self._whole, water=task.water is not None)
        self._done = Rehearsed(watch, account)
        self._not_water: dict[tuple[str, bool], tuple[PlannedCommand, dict[str, Liquid]]] = {}
        """Of a water run: what it must not touch, by labware and whether that is conditional."""
        self._loop: VirtualLoop | None = None
        self._run: PlannedRun | None = None
        self._devices: PretendDevices | None = None
        self._numbers: dict[tuple[str, int], int] = {}
        self._is_known = False
        """Whether what is told now was told in the run before."""
        self._has_looked = False
        """Whether what others did since is known by now."""

        self._promises = Promises(replica)
        self._is_timed = any(one.max_gap is not None for one in task.definition.steps)

    def carry_out(self) -> Rehearsed:
        """Carry it out.

        Raises:
            StillRunning: it is stuck, and nobody may use the replica any more.
        """
        done, limits = self._done, self._task.limits
        rehearsing = self._replica.rehearsing(
            self._execute, _no_step, self._tell, compared=self.compares
        )
        with _trackers_kept(), rehearsing:
            try:
                run_virtually(self._main, limits.seconds, limits.grace, limits.waits)
            except (StillRunning, KeyboardInterrupt):
                # The replica stays with it: no command of it may reach a device, ever.
                self._given_up = True
                raise
            except BaseException as error:  # noqa: BLE001  # whatever a protocol ends with
                done.error = error
                done.failure = self._failure(error)
        if self._run is not None:
            done.left_out = self._run.left_out
            done.steps = self._run.steps
        self._tell_what_is_no_water()
        for one in self._promises.late:
            number = self._numbers[one.touch.branch, one.touch.ordinal]
            done.late.append((one, done.commands[number - 1]))
        return done

    def _tell(self, device: str, method: str, value: Any) -> Any:
        """Give the protocol what a device answered, which may be otherwise in the run."""
        if value is None or self._is_known:
            return value
        return self._done.watch.follow(value, f"{device}.{method}")

    def _planned_run(self, loop: VirtualLoop) -> PlannedRun:
        """Make what the protocol gets when it asks for its run."""
        task = self._task
        return PlannedRun(
            task.run_id,
            self._replica,
            self._done.watch,
            task.start,
            loop,
            promises=self._promises,
            water=task.water is not None,
        )

    def _begin(self) -> None:
        """Let all be where it is when the protocol begins."""
        self._replica.arrange(self._task.state)
        if self._generous:
            self._fill_racks()
        self._done.certain.extend([*self._misplaced(), *self._carried()])

    def _end(self) -> None:
        """See that nothing stands against it when the protocol has returned."""

    async def _main(self) -> None:
        loop = self._loop = asyncio.get_running_loop()  # type: ignore[assignment]
        task, replica = self._task, self._replica
        self._run = self._planned_run(loop)  # type: ignore[arg-type]
        self._devices = PretendDevices(replica, self._assets, self._run.time)
        self._begin()
        devices = set(task.checked.asset_names) & set(replica.devices)
        await replica.attach(sorted(devices))
        token = current_run.set(self._run)
        branch = Branch()
        try:
            with nothing_leaves(self._refused), inside_protocol(branch):
                await task.function(**self._arguments())
            self._end()
        finally:
            self._done.seconds = loop.time()
            current_run.reset(token)
            if not _is_broken_off(sys.exc_info()[1]):
                await branch.end_tasks()

    def _arguments(self) -> dict[str, Any]:
        task, replica = self._task, self._replica
        bound = {
            name: [replica.asset(one) for one in named]
            if isinstance(named, list)
            else replica.asset(named)
            for name, named in task.checked.assets.items()
        }
        arguments = {**task.checked.parameters, **bound}
        if task.definition.state_parameter is not None:
            arguments[task.definition.state_parameter] = self._state()
        return arguments

    def _state(self) -> PraxisState:
        return PlannedState(self._task.run_id, self._done.watch, self._replica.asset)

    def _refused(self, what: str) -> None:
        self._done.watch.decided(f"{what} is not done in a plan; it belongs into run.once(...)")

    def _fill_racks(self) -> None:
        for resource in self._replica.resources:
            if isinstance(resource, TipSpot) and not resource.has_tip():
                resource.tracker.add_tip(resource.make_tip(), commit=True)

    # --- commands ---------------------------------------------------------------------------------

    async def _execute(self, command: Command) -> Outcome:
        assert self._devices is not None  # noqa: S101  # for the type checker
        assert self._run is not None  # noqa: S101  # for the type checker
        self._follow(command.deck_changes)
        if command.method in LIFECYCLE:
            now = self._run.time()
            attributes = {}
            if command.method == "setup":
                attributes = dict(await self._devices.set_up(command.device))
            return Outcome(OutcomeStatus.SUCCEEDED, now, now, attributes=attributes)
        planned = self._note(command)
        known = self._known(command)
        if known is not None:
            await self._devices.carry_out(command)
            self._assets.apply(command, known, known.ended_at)
            self._is_known = True
            return known
        async with AsyncExitStack() as turn:
            if timed.find(self._replica.devices[command.device], command.method) is None:
                await turn.enter_async_context(self._devices.turn(command.device))
            outcome = await self._devices.carry_out(command)
            seconds = self._seconds(command)
            if seconds:
                await asyncio.sleep(seconds)
        if self._is_timed:
            self._promises.note(command, replace(outcome, ended_at=self._run.time()))
        before = [self._in_the_way(command), self._not_there(command)]
        self._look_for_water(planned, command)
        changes = self._assets.apply(command, outcome, self._run.time())
        self._done.account.enter(command, changes if outcome.error is None else ())
        faults = [self._fault(planned, *one) for one in self._all_wrong(command, changes)]
        if outcome.error is None:
            faults += [self._fault(planned, *one) for one in before if one is not None]
        (self._done.possible if planned.conditional else self._done.certain).extend(faults)
        self._is_known = False
        return outcome

    def _known(self, command: Command) -> Outcome | None:
        """Give what a command gave before; None: it is new, and what others did since counts."""
        earlier = self._task.earlier
        if earlier is None:
            return None
        before = earlier.commands.get((command.branch, command.ordinal))
        if before is not None:
            if (before[0].device, before[0].method) != (command.device, command.method):
                self._done.watch.condition = Condition(self._task.file, "it did otherwise before")
            return before[1]
        if not self._has_looked:
            self._has_looked = True
            self._assets.take_places(earlier.moved, self._assets.places())
            self._replica.arrange(AssetManagerState(locations=dict(earlier.moved)))
        return None

    def _look_for_water(self, planned: PlannedCommand, command: Command) -> None:
        """Note what a water run would touch that is not known to be water."""
        if self._task.water is None:
            return
        found = self._assets.not_water(command, self._task.water, self._is_waste)
        for name, liquid in found.items():
            if not self._began_otherwise(name):
                continue  # it is so because of what has been noted already
            key = self._whole(name), planned.conditional
            self._not_water.setdefault(key, (planned, {}))[1].setdefault(name, liquid)

    def _began_otherwise(self, name: str) -> bool:
        """Whether a container, or a used tip, was not known to be water from the beginning."""
        start, fillings = self._task.state, self._task.water or {}
        if name in start.containers:
            return not only_water(start.containers[name], fillings)
        return name not in start.tip_spots or name in start.used_tips

    def _is_waste(self, name: str) -> bool:
        return isinstance(self._replica.resources.find(name), Trash)

    def _tell_what_is_no_water(self) -> None:
        """Tell for each labware once what a water run must not touch in it."""
        fillings, spots = self._task.water or {}, self._task.state.tip_spots
        definition = self._replica.definition
        for (whole, conditional), (planned, found) in self._not_water.items():
            name, liquid = next(iter(found.items()))
            what = f"{told(liquid, fillings)}; a water run touches nothing but water"
            if len(found) > 1:
                what += f" ({len(found) - 1} more of {whole} are no water either)"
            mend = how_to_mend(name, whole, called(name), definition.name, tips=spots)
            if definition.refill is Refill.EVERY_RUN:
                mend = "it is set back before each run: write refill: by_hand into its workcell"
            fault = self._fault(planned, name, what, mend)
            (self._done.possible if conditional else self._done.certain).append(fault)

    def _note(self, command: Command) -> PlannedCommand:
        done = self._done
        if self._loop is not None:
            self._loop.came()
        if self._given_up or len(done.commands) >= self._task.limits.commands:
            raise TooManyCommands
        conditional = done.watch.condition is not None
        if conditional and done.decided_at is None:
            done.decided_at = len(done.commands)
        planned = PlannedCommand(
            number=len(done.commands) + 1,
            device=command.device,
            method=command.method,
            description=describe(command),
            step=current_title(),
            where=done.watch.here(sys._getframe(1)) or self._task.file,  # noqa: SLF001
            conditional=conditional,
            at=0.0 if self._loop is None else self._loop.time(),
        )
        done.commands.append(planned)
        self._numbers[command.branch, command.ordinal] = planned.number
        return planned

    def _seconds(self, command: Command) -> float | None:
        own = seconds_of(self._replica, command)
        if own is not None:
            return own
        known = self._task.durations.get((command.device, command.method))
        if known is None:
            self._done.not_estimated.add(f"{command.device}.{command.method}")
        return known

    def _follow(self, changes: Iterable[DeckChange]) -> None:
        for change in changes:
            if change.definition is not None:
                resource = self._replica.resources.get(change.resource)
                self._assets.add(AssetManagerState.model_validate(inventory(resource)))
        self._assets.apply_deck_changes(list(changes))

    def _whole(self, name: str) -> str:
        """Name the labware that a well or tip spot belongs to."""
        resource = self._replica.resources.find(name)
        parent = None if resource is None else resource.parent
        return parent.name if isinstance(parent, ItemizedResource) else name

    def _misplaced(self) -> Iterator[PlanFault]:
        """Tell what labware of the run stands nowhere, or nobody knows where."""
        task, decks = self._task, {id(root) for root in self._replica.model.roots()}
        for name in sorted(set(task.checked.asset_names) - set(self._replica.devices)):
            resource = self._replica.resources.get(name)
            place = task.state.locations.get(name)
            unknown = place.unknown if place is not None else ""
            if id(resource.get_root()) in decks and not unknown:
                continue
            yield PlanFault(
                asset=name,
                what=f"nobody knows where it is: {unknown}" if unknown else "it stands nowhere",
                mend=f'put it in its place, then: praxis assets move {name} "..."',
                step=None,
                command=None,
                where=self._task.file,
            )

    def _carried(self) -> Iterator[PlanFault]:
        """Tell on which channels of the run's devices somebody else left a tip."""
        task = self._task
        devices = set(task.checked.asset_names) & set(self._replica.devices)
        for name, tip in channels_of(task.state).items():
            device = name.partition("[")[0]
            if device in devices:
                carries = "carries a tip since before the run"
                yield PlanFault(
                    asset=name,
                    what="nobody knows whether it carries a tip" if tip.there is None else carries,
                    mend=f"take the tips off, then: praxis assets empty {device}",
                    step=None,
                    command=None,
                    where=task.file,
                )

    # --- faults -----------------------------------------------------------------------------------

    def _in_the_way(self, command: Command) -> tuple[str, ...] | None:
        """Name what stands where something is put, or is held by the gripper that is to take it."""
        if command.method == "drop_resource":
            # PyLabRobot looks itself, but not at what others did just before this command.
            found = in_the_way(self._replica.model, self._assets, command)
            return None if found is None else (command.device, *self._occupied(found))
        if command.method != "pick_up_resource":
            return None
        held = self._assets.gripper(command.device)
        mend = f"take it away, then: praxis assets move {held} ..."
        return None if held is None else (command.device, f"the gripper holds {held} already", mend)

    def _not_there(self, command: Command) -> tuple[str, str, str] | None:
        """Name a rack from which a 96-head gets fewer tips than it has channels.

        PyLabRobot takes what is there, and what the other channels are to move is left out. A
        protocol that means to work with some of the tips says how many it needs.
        """
        rack, empty = left_empty(command, self._task.state)
        start = self._task.state.tip_spots
        left = [spot for spot in empty if start.get(spot) is False]
        all_ = self._task.state.racks.get(rack, [])
        if not empty or (len(empty) < len(all_) and (not left or self._says_how_many(rack))):
            return None
        self._done.account.lack_tips(rack, left)
        what = f"has {len(all_) - len(empty)} of {len(all_)} tips for a 96-head"
        if not left:
            return rack, what, "the protocol took them before: let it take another rack"
        return rack, what, "put tips into it; or say how many it needs: Needs(tips=...)"

    def _says_how_many(self, rack: str) -> bool:
        task = self._task
        return any(
            one.needs is not None and one.needs.tips is not None and rack in task.wholes(one.name)
            for one in task.definition.assets
        )

    def _all_wrong(
        self, command: Command, changes: Iterable[Change]
    ) -> Iterator[tuple[str, str, str]]:
        for change in changes:
            what, mend = self._wrong(command, change)
            if what:
                yield change.asset, what, mend

    @staticmethod
    def _fault(
        planned: PlannedCommand, asset: str, what: str, mend: str, by: str = ""
    ) -> PlanFault:
        return PlanFault(
            asset=asset,
            what=what,
            mend=mend,
            step=planned.step,
            command=planned.number,
            where=planned.where,
            description=planned.description,
            by=by,
        )

    def _occupied(self, found: PlaceOccupied) -> tuple[str, str, str]:
        """Say what stands where something is to be put, how to mend it, and which labware it is."""
        resource, place, by = (str(found.details[name]) for name in ("resource", "place", "by"))
        what = f"{resource} cannot be brought to {place}: {by} stands there"
        now, begun = self._assets.places().get(by), self._task.state.locations.get(by)
        moved = self._task.earlier.moved if self._task.earlier is not None else {}
        if now is not None and now != moved.get(by, begun):
            return what, "the protocol put it there before: let it use another place", by
        move = f"praxis assets move {by} PLACE -w {self._replica.definition.name}"
        return what, f"put it elsewhere, then: {move}", by

    def _wrong(self, command: Command, change: Change) -> tuple[str, str]:
        """Say what is wrong with a change, and how to mend it."""
        name, start = change.asset, self._task.state
        whole = self._whole(name)
        if change.flag:
            return change.flag, self._mend(command, change)
        if change.what == "volume" and name.endswith("]"):
            return self._too_much_for_a_tip(name, change.after)
        if change.before is not None:
            return "", ""
        if change.what == "tip" and name in start.tip_spots:
            say = f"look, then: praxis assets tips {whole} ..."
            return "nobody knows whether a tip is here", say
        if change.what == "volume" and name in start.containers:
            unknown = start.containers[name].unknown
            say = f"look, then: praxis assets volume {name} --set ..."
            return (f"nobody knows what is in it: {unknown}", say) if unknown else ("", "")
        return "", ""

    def _too_much_for_a_tip(self, channel: str, volume: object) -> tuple[str, str]:
        """Compare what is in the tip of a channel, ``"star[3]"``, with what fits."""
        device, _, number = channel.rstrip("]").partition("[")
        machine = self._replica.devices.get(device)
        head = getattr(machine, "head96" if number.startswith("96:") else "head", {})
        tracker = head.get(int(number.removeprefix("96:")))
        if tracker is None or not tracker.has_tip or not isinstance(volume, float):
            return "", ""
        fits = tracker.get_tip().maximal_volume
        if volume <= fits + _ROUNDING:
            return "", ""
        return f"{volume:g} µL do not fit into the tip: it holds {fits:g} µL", "use larger tips"

    def _mend(self, command: Command, change: Change) -> str:
        name, flag = change.asset, change.flag
        whole = self._whole(name)
        if change.what == "tip" and change.before is False:
            if self._task.state.tip_spots.get(name) is False:
                return f"put tips into {whole}, or name another rack"
            return "the protocol took this tip before: let it take another"
        if "of air" in flag:
            draws = command.method.startswith("aspirate")
            return (
                f"fill {name}, or ask for less" if draws else "let the protocol draw as much first"
            )
        if "ran over" in flag:
            return "ask for less, or use labware that holds more"
        if "carried a tip" in flag:
            return "let the protocol drop its tips first"
        return "let the protocol put it elsewhere"

    def _failure(self, error: BaseException) -> PlanFault:
        """Tell what the protocol ended with as a fault."""
        number = self._numbers.get(command_of(error) or ("", -1))
        planned = None if number is None else self._done.commands[number - 1]
        where, called = self._raised_at(error)
        called = called if isinstance(error, Exception) else ""
        failed_in = self._run.failed_in if self._run is not None else None
        step = failed_in[1] if failed_in is not None and failed_in[0] is error else None
        found = blocked(error, self._replica.model)
        what, mend, by = (
            (*_told(error, self._task.limits), "") if found is None else self._occupied(found)
        )
        return PlanFault(
            asset="",
            what=f"{called}: {what}" if called and number is None else what,
            mend=mend,
            step=step,
            command=number,
            where=where,
            description=planned.description if planned is not None else "",
            of_material=found is not None or _is_of_material(error),
            by=by,
        )

    def _raised_at(self, error: BaseException) -> tuple[str, str]:
        """Find the last line of the protocol's own that led to an error, and what it called."""
        where, called = self._task.file, ""
        for frame, line in traceback.walk_tb(error.__traceback__):
            file = frame.f_code.co_filename
            if file == self._task.file or not self._done.watch.is_engine(file):
                where, called = f"{file}:{line}", ""
            elif not called and "pylabrobot" in file:
                called = frame.f_code.co_name
        return where, called


_ROUNDING = 1e-6
"""µL."""

_OF_MATERIAL = frozenset(
    {"NoTipError", "HasTipError", "TooLittleLiquidError", "TooLittleVolumeError", "PlaceOccupied"}
)

_MENDS = {
    "NoTipError": "put tips there, or let the protocol take others",
    "HasTipError": "let the protocol drop its tips first",
    "TooLittleLiquidError": "fill it, or ask for less",
    "TooLittleVolumeError": "ask for less, or use labware that holds more",
    "PlaceOccupied": "move away what stands there",
    "RuntimeError": "correct the protocol, its parameters, or what stands where",
}


def _told(error: BaseException, limits: Limits) -> tuple[str, str]:
    does_not_end = "let the loop end, or let it ask a device what it waits for"
    match error:
        case TooManyCommands():
            what = f"the protocol does not end: {limits.commands} commands were planned"
            return what, does_not_end
        case OutOfTime():
            return f"the protocol does not end: {limits.seconds:g} s were planned", does_not_end
        case NothingComes():
            return "the protocol waits for something that no plan brings", "use run.once(...)"
    name = type(error).__name__
    mend = _MENDS.get(name, "correct the protocol or its parameters")
    if OCCUPIED in message_of(error):
        mend = "move away what stands there"
    return f"{name}: {message_of(error)}", mend


def _is_of_material(error: BaseException) -> bool:
    """Whether an error says that something is not there, or is in the way."""
    if isinstance(error, BaseExceptionGroup):
        return any(map(_is_of_material, error.exceptions))
    if isinstance(error, ChannelizedError):
        return any(map(_is_of_material, error.errors.values()))
    return type(error).__name__ in _OF_MATERIAL or OCCUPIED in message_of(error)


def _is_broken_off(error: BaseException | None) -> bool:
    return isinstance(error, (OutOfTime, NothingComes, TooManyCommands))


def _no_step() -> tuple[str | None, UUID | None]:
    return None, None


@contextmanager
def _trackers_kept() -> Iterator[None]:
    """Leave PyLabRobot's switches, which are the process's, as they are."""
    switches = (
        (set_tip_tracking, does_tip_tracking()),
        (set_volume_tracking, does_volume_tracking()),
    )
    try:
        yield
    finally:
        for switch, value in switches:
            switch(value)
