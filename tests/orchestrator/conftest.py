"""Small workcells: one whose device the tests can let fail, and one that outlives attempts."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import suppress
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest
from pydantic import JsonValue, SecretStr

from praxis_core.errors import HostLost, HostNotRunning
from praxis_core.execution.active_run import StepBody
from praxis_core.execution.page import RunPage
from praxis_core.journal.record import Journal
from praxis_core.orchestrator import Orchestrator, RunRequest, RunResult
from praxis_core.protocol.command import Command, Outcome
from praxis_core.protocol.lifecycle import RunStatus
from praxis_core.settings import PraxisSettings
from praxis_core.workcell.clock import Clock, SimulatedClock
from praxis_core.workcell.definition import WorkcellDefinition
from praxis_core.workcell.link import Attached, Attaching, PauseHeard
from praxis_core.workcell.runtime import WorkcellRuntime

Elsewhere = Callable[[Attaching], Awaitable[None]]
StoreShaker = Callable[[str], Awaitable[None]]


@pytest.fixture
def store_shaker(journal: Journal, monkeypatch: pytest.MonkeyPatch) -> StoreShaker:
    """Store a workcell ``bench`` of one shaker, with a backend of ``pretend_devices.py``."""
    monkeypatch.syspath_prepend(str(Path(__file__).parents[1] / "workcell"))

    async def store(backend: str) -> None:
        shaker: JsonValue = {
            "frontend": "pylabrobot.shaking:Shaker",
            "config": {"size_x": 1, "size_y": 1, "size_z": 1, "child_location": [0, 0, 0]},
            "backend": f"pretend_devices:{backend}",
            "simulated_backend": f"pretend_devices:{backend}",
        }
        await journal.store_workcell("bench", {"name": "bench", "devices": {"shaker": shaker}})

    return store


async def nothing_happens(_asking: Attaching) -> None:
    """Nobody else does anything."""


class StandingLink:
    """The link of one attempt to devices that stay when it is gone, as those of a host do.

    Args:
        runtime: The devices.
        kill_at: Number of the sent command, from 1, at which the process is killed; None: it lives.
        moment: ``"before"`` it is sent, while it is ``"under way"``, or ``"after"`` its outcome; or
            ``"host lost"``: the process lives on, and its host does not answer any more.
        once_attached: What happens elsewhere when an attempt has just taken up the devices.
    """

    lasting = True

    def __init__(
        self,
        runtime: WorkcellRuntime,
        kill_at: int | None = None,
        moment: str = "after",
        once_attached: Elsewhere = nothing_happens,
    ) -> None:
        self.clock: Clock = runtime.clock
        self.pause = PauseHeard()
        self.killed = asyncio.Event()
        self._runtime = runtime
        self._kill_at = kill_at
        self._moment = moment
        self._once_attached = once_attached
        self._sent = 0
        self._asking: Attaching | None = None
        self._under_way: asyncio.Task[Outcome] | None = None
        self._is_lost = False

    async def attach(self, asking: Attaching) -> Attached:
        """Take up the devices."""
        self._asking = asking
        attached = await self._runtime.attach(asking)
        await self._once_attached(asking)
        return attached

    async def execute(self, command: Command) -> Outcome:
        """Carry out a command, unless the process is killed at it."""
        if command.branch in {"setup", "stop"} and not self._is_lost:
            return await self._runtime.execute(command)
        self._sent += 1
        if self._is_lost:
            raise self._not_running()
        if self._sent != self._kill_at and not self.killed.is_set():
            return await self._runtime.execute(command)
        if self._moment == "host lost":
            self._is_lost = True
            await self._runtime.execute(command)
            raise HostLost(workcell="stand", command=command.name, seconds=1, run_id=command.run_id)
        if self._sent == self._kill_at and self._moment == "under way":
            self._under_way = asyncio.ensure_future(self._runtime.execute(command))
        elif self._sent == self._kill_at and self._moment == "after":
            await self._runtime.execute(command)
        self.killed.set()
        await asyncio.Event().wait()
        raise AssertionError

    async def restore(self, expected: JsonValue) -> JsonValue:
        """Set the devices again."""
        assert self._asking is not None
        return await self._runtime.restore(self._asking.run_id, self._asking.attempt, expected)

    async def detach(self, ended: RunStatus) -> None:
        """Give the devices back; who was killed says nothing."""
        if self._is_lost:
            raise self._not_running()
        if self._under_way is not None:
            await asyncio.wait([self._under_way])
        if not self.killed.is_set() and self._asking is not None:
            await self._runtime.detach(self._asking.run_id, ended)

    def _not_running(self) -> HostNotRunning:
        return HostNotRunning(workcell="stand", address="its socket", what="it is gone")


class Stand:
    """A workcell ``stand`` whose devices stay; attempts of runs on it come, are killed and go."""

    def __init__(self, journal: Journal, settings: PraxisSettings, done: list[str]) -> None:
        self.done = done
        """Every effect of every device, in its order."""
        self.steps: list[str] = []
        """What the engine was asked to carry out, in the last attempt."""
        self.runtime: WorkcellRuntime
        self.once_attached: Elsewhere = nothing_happens
        """What happens elsewhere when an attempt has just taken up the devices."""
        self.page: RunPage | None = None
        """Where people follow the next attempt, and answer."""
        self._journal = journal
        self.settings = settings
        self._killed: list[asyncio.Task[RunResult]] = []
        self._orchestrators: list[Orchestrator] = []

    async def build(self) -> None:
        """Make the devices and store the workcell."""
        stored = await self._journal.store_workcell("stand", _STAND)
        definition = WorkcellDefinition.model_validate(stored.definition)
        self.runtime = WorkcellRuntime(definition, journal=self._journal, clock=SimulatedClock())

    async def attempt(
        self, request: RunRequest, kill_at: int | None = None, moment: str = "after"
    ) -> RunResult | None:
        """Begin a run or go on with it; None: its process was killed."""
        link = StandingLink(self.runtime, kill_at, moment, self.once_attached)
        # Each process has a journal of its own, in which steps wait to be written.
        journal = Journal(self._journal._database)  # noqa: SLF001
        orchestrator = Orchestrator(
            journal=journal,
            settings=self.settings,
            run_step=self._run_step,
            link_for=lambda _definition, _version: link,
            page=self.page,
        )
        self._orchestrators.append(orchestrator)
        self.steps.clear()
        running = asyncio.create_task(orchestrator.run(request))
        killed = asyncio.create_task(link.killed.wait())
        try:
            await asyncio.wait([running, killed], return_when=asyncio.FIRST_COMPLETED)
        except asyncio.CancelledError:
            running.cancel()
            killed.cancel()
            await running
            raise
        if running.done():
            killed.cancel()
            return running.result()
        self._killed.append(running)
        return None

    async def close(self) -> None:
        """End what was left behind: it changes nothing any more."""
        for task in self._killed:
            task.cancel()
            with suppress(asyncio.CancelledError, Exception):
                await task
        for orchestrator in self._orchestrators:
            await orchestrator.close()
        await self.runtime.disconnect()

    async def _run_step(self, title: str, body: StepBody) -> None:
        self.steps.append(title)
        await asyncio.sleep(0)  # the engine asks its server
        await body(None)


@pytest.fixture
def stand_on(journal: Journal) -> Callable[[PraxisSettings], Stand]:
    """Make a stand whose devices are still to be given to it."""
    return lambda settings: Stand(journal, settings, [])


@pytest.fixture
async def stand(
    journal: Journal,
    database_url: str,
    redis_url: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> AsyncIterator[Stand]:
    """A small liquid handler and a stirrer that outlive the attempts which use them."""
    monkeypatch.syspath_prepend(str(Path(__file__).parent))
    done: list[str] = import_module("lasting_devices").DONE
    done.clear()
    settings = PraxisSettings(
        home=tmp_path, database_url=SecretStr(database_url), redis_url=SecretStr(redis_url)
    )
    stand = Stand(journal, settings, done)
    await stand.build()
    yield stand
    await stand.close()


_HANDLER = "lasting_devices:Handler"
_STIRRER = "lasting_devices:Stirrer"
_STAND: dict[str, Any] = {
    "name": "stand",
    "refill": "every_run",
    "decks": {"deck": {"factory": "STARLetDeck"}},
    "devices": {
        "lh": {
            "frontend": "pylabrobot.liquid_handling:LiquidHandler",
            "deck": "deck",
            "backend": _HANDLER,
            "simulated_backend": _HANDLER,
        },
        "stirrer": {
            "frontend": "pylabrobot.shaking:Shaker",
            "config": {"size_x": 1, "size_y": 1, "size_z": 1, "child_location": [0, 0, 0]},
            "backend": _STIRRER,
            "simulated_backend": _STIRRER,
        },
    },
    "labware": [
        {"name": "tip_carrier", "factory": "TIP_CAR_480_A00", "at": "deck rails 3"},
        {"name": "tips", "factory": "hamilton_96_tiprack_300uL_filter", "at": "tip_carrier[0]"},
        {"name": "plate_carrier", "factory": "PLT_CAR_L5AC_A00", "at": "deck rails 15"},
        {
            "name": "plate",
            "factory": "cor_96_wellplate_360uL_Fb",
            "at": "plate_carrier[0]",
            "contents": [{"wells": "A1:H1", "volume": 200}],
        },
    ],
}
