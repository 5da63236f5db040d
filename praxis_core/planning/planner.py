"""From a request to its plan: a simulated run on a copy of the real deck, contents included."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any
from uuid import UUID, uuid4

from pylabrobot.resources.errors import NoTipError

from praxis_core.assets.choosing import Fact
from praxis_core.assets.state import AssetManagerState
from praxis_core.assets.water import Fillings
from praxis_core.errors import Problem, RunRefused
from praxis_core.planning.checks import CheckedRequest, check_request
from praxis_core.planning.consuming import tips_told
from praxis_core.planning.plan import Plan, PlanCondition, PlanFault
from praxis_core.planning.rehearsal import (
    LIMITS,
    Durations,
    Earlier,
    Limits,
    Rehearsal,
    Rehearsed,
    Task,
)
from praxis_core.planning.virtual_time import StillRunning
from praxis_core.protocol.command import Command, Outcome
from praxis_core.protocol.definition import ProtocolDefinition
from praxis_core.workcell.definition import WorkcellDefinition
from praxis_core.workcell.initial_state import initial_assets
from praxis_core.workcell.replica import Replica


def plan(  # noqa: PLR0913, PLR0917  # what a run would be given, by name
    function: Callable[..., Any],
    definition: ProtocolDefinition,
    workcell: WorkcellDefinition,
    parameters: Mapping[str, Any],
    assets: Mapping[str, object],
    state: AssetManagerState | None = None,
    *,
    facts: Mapping[str, Fact] | None = None,
    water: Fillings | None = None,
    durations: Durations | None = None,
    replica: Replica | None = None,
    run_id: UUID | None = None,
    limits: Limits = LIMITS,
) -> Plan:
    """Simulate a run; nothing is sent outside, recorded, or written to the run's PraxisState.

    It blocks its thread for as long as it takes; from an event loop: ``asyncio.to_thread``.

    Args:
        function: The protocol.
        definition: Its definition.
        workcell: Where it is to run.
        parameters: Scientific parameters as a form or a file gives them.
        assets: Requirement -> name on the workcell, as far as it is to be just that one.
        state: What is where, and how much of it; None: as the definition of the workcell says.
        facts: What the catalogue knows of the workcell's assets, by name.
        water: For a water run what the fillings are that are in them; None: it is to be none.
        durations: Seconds that a command takes as a rule, by device and method.
        replica: Of this workcell, as its definition built it; nobody uses it meanwhile, and it is
            then just as it was before. None: one is built, which takes a second.
        run_id: Of the run; None: made up.
        limits: Where the plan is broken off.

    Returns:
        The plan; ``refuse()`` raises when the run cannot succeed.

    Raises:
        RunRefused: parameters or assets do not fit; it lists every problem, and what is missing.
            Or the protocol is stuck, and the replica must not be used any more.
        WorkcellFaults: the workcell cannot be built.
    """
    if replica is None:
        replica = Replica(workcell, _nobody, run_id=uuid4(), simulate=True)
    if state is None:
        state = initial_assets(replica.model)
    labware = {item.name: replica.asset(item.name) for item in workcell.labware}
    checked = check_request(
        definition,
        function,
        workcell=workcell.name,
        parameters=parameters,
        assets=assets,
        candidates={**labware, **replica.devices},
        state=state,
        facts=facts or {},
        water=water is not None,
    )
    task = Task(
        function=function,
        definition=definition,
        checked=checked,
        state=state,
        run_id=run_id or uuid4(),
        start=datetime.now(UTC),
        durations=durations or {},
        limits=limits,
        water=water,
    )
    return _planned(task, workcell.name, replica)


def plan_the_rest(  # noqa: PLR0913  # what a run has, by name
    function: Callable[..., Any],
    definition: ProtocolDefinition,
    checked: CheckedRequest,
    state: AssetManagerState,
    earlier: Earlier,
    *,
    water: Fillings | None = None,
    replica: Replica,
    run_id: UUID,
) -> Plan:
    """Simulate a run that goes on: what it did is given to it, all else as in ``plan``.

    Args:
        function: The protocol.
        definition: Its definition.
        checked: Its parameters and assets.
        state: What was where, and how much of it, when the run began.
        earlier: What it did, and what others did meanwhile.
        water: As for ``plan``.
        replica: As for ``plan``.
        run_id: The run.

    Raises:
        RunRefused: the protocol is stuck, and the replica must not be used any more.
    """
    task = Task(
        function=function,
        definition=definition,
        checked=checked,
        state=state,
        run_id=run_id,
        start=datetime.now(UTC),
        durations={},
        limits=LIMITS,
        earlier=earlier,
        water=water,
    )
    return _planned(task, replica.definition.name, replica)


def _planned(task: Task, workcell: str, replica: Replica) -> Plan:
    try:
        done = _rehearsed(task, replica)
    except StillRunning:
        what = f"it is stuck in a call that did not return within {task.limits.seconds:g} s"
        mend = "wait with: await run.sleep(...); do what takes long outside in run.once(...)"
        problem = Problem(task.file, what, mend)
        raise RunRefused(
            protocol=task.definition.name, workcell=workcell, count=1, problems=[problem]
        ) from None
    made = _plan_of(task, workcell, done)
    return _with_late_steps(made, task, replica, done) if done.late else made


async def _nobody(command: Command) -> Outcome:
    raise AssertionError(command)  # a replica that was built for a plan sends nothing else


def _rehearsed(task: Task, replica: Replica) -> Rehearsed:
    """Rehearse, again in another way when a plan failed by its own means."""
    done = Rehearsal(task, replica).carry_out()
    eager = False
    if _by_a_stand_in(done):
        again = Rehearsal(task, replica, eager=True).carry_out()
        again.keep_what_was_certain(done)
        done, eager = again, True
    if isinstance(done.error, NoTipError) and done.watch.condition is None:
        # All tips that are missing are told at once, not only the first.
        generous = Rehearsal(task, replica, eager=eager, generous=True).carry_out()
        if any(fault.command is not None for fault in generous.certain):
            return generous
    return done


def _by_a_stand_in(done: Rehearsed) -> bool:
    """Whether it may have failed only because of a stand-in, which is not of the plain type."""
    of_material = done.failure is not None and done.failure.of_material
    return isinstance(done.error, Exception) and done.watch.followed and not of_material


def _plan_of(task: Task, workcell: str, done: Rehearsed) -> Plan:
    condition = _condition(done)
    certain, possible, ended = [*done.certain], [*done.possible], ""
    if done.failure is not None:
        ended = done.failure.what
        (certain if condition is None else possible).append(done.failure)
    consumption = done.account.consumption
    possible += [] if condition is None else list(_beyond_max(task))
    return Plan(
        protocol=task.definition.name,
        workcell=workcell,
        assets=task.checked.assets,
        commands=tuple(done.commands),
        steps=done.steps,
        consumption=consumption,
        faults=tuple(certain),
        possible_faults=tuple(possible),
        refill=done.account.refill,
        mends=done.account.mends(workcell),
        conditional_from=condition,
        without_max=() if condition is None else _without_max(task, set(consumption)),
        duration=done.seconds if done.seconds or not done.not_estimated else None,
        not_estimated=tuple(sorted(done.not_estimated)),
        left_out=tuple(done.left_out),
        ended=ended,
        water=task.water is not None,
    )


def _with_late_steps(made: Plan, task: Task, replica: Replica, done: Rehearsed) -> Plan:
    """Say which steps come later than they promise.

    How long commands take is an estimate, on which no run is refused; but what comes too late even
    if they took no time at all, because of what the protocol itself waits for, is a fault.
    """
    at_best = _rehearsed(replace(task, durations={}), replica)
    sure = {(one.promise, command.number) for one, command in at_best.late}
    faults, possible, warnings = [*made.faults], [*made.possible_faults], [*made.warnings]
    for late, command in done.late:
        fault = PlanFault(
            asset=late.where,
            what=late.what,
            mend="let less come between the two steps, or promise more",
            step=command.step,
            command=command.number,
            where=command.where,
            description=command.description,
        )
        if command.conditional:
            possible.append(fault)
        elif (late.promise, command.number) in sure:
            faults.append(fault)
        else:
            warnings.append(f"{fault.problem.where}: by what commands took before, {late}")
    return made.model_copy(
        update={
            "faults": tuple(faults),
            "possible_faults": tuple(possible),
            "warnings": tuple(warnings),
        }
    )


def _condition(done: Rehearsed) -> PlanCondition | None:
    found = done.watch.condition
    if found is None:
        return None
    at = len(done.commands) if done.decided_at is None else done.decided_at
    return PlanCondition(where=found.where, why=found.why, command=at)


def _without_max(task: Task, used: set[str]) -> tuple[str, ...]:
    """Name the assets that the plan uses, and of which nobody said how much they may lose."""
    return tuple(
        requirement.name
        for requirement in task.definition.assets
        if task.wholes(requirement.name) & used
        and (requirement.needs is None or requirement.needs.max is None)
    )


def _beyond_max(task: Task) -> list[PlanFault]:
    """Say where less is left than a conditional run may take."""
    faults = []
    for requirement in task.definition.assets:
        most = requirement.needs.max if requirement.needs is not None else None
        wholes, racks = sorted(task.wholes(requirement.name)), task.state.racks
        short = _short_of_tips if any(name in racks for name in wholes) else _short_of_liquid
        found = None if most is None else short(task.state, wholes, most)
        if found is None:
            continue
        faults.append(
            PlanFault(
                asset=found[0],
                what=found[1],
                mend="fill it, or name a fuller one",
                step=None,
                command=None,
                where=f"assets.{requirement.name}",
            )
        )
    return faults


def _short_of_tips(
    state: AssetManagerState, wholes: Sequence[str], most: float
) -> tuple[str, str] | None:
    racks = [name for name in wholes if name in state.racks]
    spots = [spot for name in racks for spot in state.racks[name]]
    left = sum(state.tip_spots.get(spot) is True for spot in spots)
    if left >= most:
        return None
    told = tips_told(state, racks[-1], int(most) - left)
    return racks[-1], f"it may take {most:g} tips: {told}"


def _short_of_liquid(
    state: AssetManagerState, wholes: Sequence[str], most: float
) -> tuple[str, str] | None:
    """Compare with what is there for certain."""
    inside = state.restricted(wholes).containers.values()
    left = sum(one.volume for one in inside if not one.unknown)
    if not wholes or left >= most:
        return None
    name, said = wholes[-1], f"{', '.join(wholes)} has {left:g} µL"
    return name, f"it may take {most:g} µL: {said}; needs {most - left:g} µL more"
