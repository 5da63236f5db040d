"""Workcells for the tests of the boundary: the ready STAR, and small ones of pretend devices."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from pathlib import Path
from tempfile import TemporaryDirectory
from uuid import uuid4

import pytest
from pydantic import TypeAdapter
from pylabrobot.resources import (
    does_tip_tracking,
    does_volume_tracking,
    set_tip_tracking,
    set_volume_tracking,
)

from praxis_core.journal.record import Journal
from praxis_core.protocol.command import Command, Outcome
from praxis_core.workcell.branches import Branch, inside_protocol
from praxis_core.workcell.definition import Refill, WorkcellDefinition, load_definition
from praxis_core.workcell.replica import Replica
from praxis_core.workcell.runtime import WorkcellRuntime
from tests.workcell.hosts import World

STAR = Path(__file__).parents[2] / "flows" / "workcells" / "star.yaml"

Execute = Callable[[Command], Awaitable[Outcome]]
Connected = tuple[WorkcellRuntime, Replica]
Connect = Callable[[WorkcellDefinition], Awaitable[Connected]]

_commands = TypeAdapter(Command)
_outcomes = TypeAdapter(Outcome)


@pytest.fixture(scope="session", autouse=True)
def pretend_devices() -> Iterator[None]:
    """Let definitions name the devices of ``pretend_devices.py``."""
    with pytest.MonkeyPatch.context() as path:
        path.syspath_prepend(str(Path(__file__).parent))
        yield


@pytest.fixture(scope="session")
def star() -> WorkcellDefinition:
    """The Hamilton STAR workcell that comes with the library."""
    return load_definition(STAR)


@pytest.fixture(scope="session")
def shakers() -> Callable[..., WorkcellDefinition]:
    """Make a workcell of shakers: ``shakers(left="GatedShaker", right="JammedShaker")``."""

    def make(**backends: str) -> WorkcellDefinition:
        devices = {
            name: {
                "frontend": "pylabrobot.shaking:Shaker",
                "config": {"size_x": 1, "size_y": 1, "size_z": 1, "child_location": [0, 0, 0]},
                "backend": f"pretend_devices:{backend}",
                "simulated_backend": f"pretend_devices:{backend}",
            }
            for name, backend in backends.items()
        }
        return WorkcellDefinition.model_validate({"name": "shakers", "devices": devices})

    return make


@pytest.fixture(scope="session")
def two_shakers(shakers: Callable[..., WorkcellDefinition]) -> WorkcellDefinition:
    """A workcell of two shakers, ``left`` and ``right``."""
    return shakers(left="GatedShaker", right="GatedShaker")


@pytest.fixture
def as_json() -> Callable[[Execute], Execute]:
    """Let nothing but JSON text through between a replica and a runtime."""

    def through(execute: Execute) -> Execute:
        async def carry(command: Command) -> Outcome:
            text = _commands.dump_json(command)
            outcome = await execute(_commands.validate_json(text))
            return _outcomes.validate_json(_outcomes.dump_json(outcome))

        return carry

    return through


@pytest.fixture
async def connect(as_json: Callable[[Execute], Execute]) -> AsyncIterator[Connect]:
    """Connect a runtime and attach a replica to it; the test's code is then protocol code."""
    opened: list[Connected] = []

    async def open_workcell(definition: WorkcellDefinition) -> Connected:
        runtime = WorkcellRuntime(definition)
        replica = Replica(definition, as_json(runtime.execute), run_id=uuid4())
        await runtime.connect()
        opened.append((runtime, replica))
        await replica.attach()
        return runtime, replica

    yield open_workcell
    for runtime, replica in opened:
        await replica.detach()
        await runtime.disconnect()


@pytest.fixture
def protocol_code() -> Callable[[], object]:
    """Give a context manager that marks what is inside as the code of a protocol."""
    return lambda: inside_protocol(Branch())


@pytest.fixture
def tracking() -> Iterator[None]:
    """Switch PyLabRobot's trackers on, as many scripts do."""
    before = does_tip_tracking(), does_volume_tracking()
    set_tip_tracking(enabled=True)
    set_volume_tracking(enabled=True)
    yield
    set_tip_tracking(before[0])
    set_volume_tracking(before[1])


@pytest.fixture
async def world(star: WorkcellDefinition, journal: Journal) -> AsyncIterator[World]:
    """The STAR workcell in a pretend lab that runs; each new run finds it as it is defined."""
    definition = star.model_copy(update={"refill": Refill.EVERY_RUN})
    with TemporaryDirectory(prefix="lab") as folder:
        world = World(definition, journal, Path(folder))
        await world.lab.open(world.socket)
        yield world
        await world.close()
