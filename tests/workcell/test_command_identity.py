"""Which branch issued a command, and as the how-manieth, depends on the protocol's code alone."""

from __future__ import annotations

import asyncio
from random import Random
from typing import Any
from uuid import uuid4

from hypothesis import given, settings
from hypothesis import strategies as st

from praxis_core.protocol.command import Command, Outcome
from praxis_core.protocol.lifecycle import OutcomeStatus
from praxis_core.workcell.branches import Branch, current_branch, inside_protocol, outside_protocol
from praxis_core.workcell.clock import RealClock
from praxis_core.workcell.definition import WorkcellDefinition
from praxis_core.workcell.replica import Replica

Plan = list[Any]
"""What a protocol does in order: a device's name is a command, a list of plans is a gather."""

plans: st.SearchStrategy[Plan] = st.recursive(
    st.lists(st.sampled_from(["left", "right"]), max_size=4),
    lambda inner: st.lists(
        st.one_of(st.sampled_from(["left", "right"]), st.lists(inner, min_size=1, max_size=3)),
        max_size=4,
    ),
    max_leaves=12,
)


async def carry_out(plan: Plan, shakers: dict[str, Any], label: tuple[int, ...]) -> None:
    """Follow a plan; the speed of a command is the hash of its place in the plan."""
    for position, part in enumerate(plan):
        here = (*label, position)
        if isinstance(part, str):
            await shakers[part].shake(speed=hash(here))
        else:
            await asyncio.gather(
                *(carry_out(each, shakers, (*here, n)) for n, each in enumerate(part))
            )


async def identities(
    definition: WorkcellDefinition, plan: Plan, device_times: Random
) -> dict[float, tuple[str, int, str]]:
    """Run a plan against devices of random speed, and note who each command was."""
    seen: dict[float, tuple[str, int, str]] = {}
    now = RealClock().now()

    async def execute(command: Command) -> Outcome:
        if command.method == "start_shaking":
            speed: Any = command.kwargs["speed"]
            seen[speed] = (command.branch, command.ordinal, command.fingerprint)
        for _ in range(device_times.randrange(4)):
            # An engine starts tasks of its own while a command is under way.
            await asyncio.create_task(asyncio.sleep(0))
        return Outcome(OutcomeStatus.SUCCEEDED, now, now)

    replica = Replica(definition, execute, run_id=uuid4())
    await replica.attach()
    with inside_protocol(Branch()):
        await carry_out(plan, dict(replica.devices), ())
    return seen


@settings(max_examples=60, deadline=None)
@given(plan=plans, first=st.randoms(), second=st.randoms())
def test_identity_does_not_depend_on_how_long_devices_take(
    two_shakers: WorkcellDefinition, plan: Plan, first: Random, second: Random
) -> None:
    """The same protocol gives each command the same branch, ordinal and fingerprint every time."""
    once = asyncio.run(identities(two_shakers, plan, first))
    again = asyncio.run(identities(two_shakers, plan, second))

    assert once == again
    assert len({identity[:2] for identity in once.values()}) == len(once)


async def test_what_an_engine_starts_is_not_counted() -> None:
    """A branch is numbered by the tasks of protocol code, whatever else runs in between."""
    with inside_protocol(Branch()) as root:
        await asyncio.create_task(asyncio.sleep(0))
        with outside_protocol():
            await asyncio.create_task(asyncio.sleep(0))
        await asyncio.create_task(asyncio.sleep(0))

    assert root.next_child().path == "0.3"


async def test_a_step_that_runs_in_an_engines_task_goes_on_in_its_branch() -> None:
    """An engine may call protocol code from a task of its own: the branch is handed over."""
    with inside_protocol(Branch()) as root:
        root.next_ordinal()
        with outside_protocol():

            async def step() -> tuple[str, int]:
                with inside_protocol(root) as branch:
                    return branch.path, branch.next_ordinal()

            assert await asyncio.create_task(step()) == ("0", 1)

        assert current_branch() is root
