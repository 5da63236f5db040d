"""A small laboratory of real processes, and a person who looks at the deck when asked."""

from __future__ import annotations

import asyncio
import signal
import time
from collections import Counter
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from itertools import count
from multiprocessing import get_context
from multiprocessing.context import ForkServerProcess
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

import psycopg

from praxis_core.journal.database import Database
from praxis_core.journal.record import Journal
from praxis_core.protocol.lifecycle import Answer, DoubtSubject, RunStatus
from praxis_core.simulator.lab_control import LabControl
from praxis_core.simulator.lab_process import LabProcess
from praxis_core.workcell.definition import WorkcellDefinition
from tests.chaos import attempt
from tests.chaos.attempt import Ended, settings_of
from tests.chaos.clock_steps import stepping
from tests.chaos.gate import Gate
from tests.chaos.stories import Story

_forks = get_context("forkserver")
_forks.set_forkserver_preload(["tests.chaos.preloaded"])

ATTEMPTS = 12
"""More than any single kill can need."""


def wait_for(condition: Callable[[], Any], seconds: float = 60.0) -> Any:
    """Wait until a condition gives something true, and give that."""
    deadline = time.monotonic() + seconds
    while not (found := condition()):
        assert time.monotonic() < deadline, "it did not come true in time"
        time.sleep(0.002)
    return found


@dataclass(frozen=True)
class Truth:
    """What physically happened in a run, and what is there then."""

    effects: Counter[str]
    """How often each command had its effect, by branch and ordinal."""
    liquids: Mapping[str, float]
    """µL in every container and tip that holds any."""
    places: Mapping[str, Any]
    tips: Mapping[str, Any]


def missing(wanted: Counter[str], found: Counter[str]) -> list[str]:
    """Name the commands that had no effect.

    One that contains time has several; what was left of it is done by making safe or going live.
    """
    return sorted(key for key in wanted if not found[key])


class World:
    """One workcell with its lab, its host, a database and a Redis.

    Args:
        folder: Of its own.
        workcell: Its definition.
        places: Settings as plain values.
    """

    def __init__(
        self, folder: Path, workcell: WorkcellDefinition, places: Mapping[str, Any]
    ) -> None:
        self.workcell = workcell
        self.places = dict(places)
        """Where processes that are started from now on find everything."""
        self.clock_step = 0.0
        """Seconds by which the wall clock of those processes jumps when they are told to."""
        self.settings = settings_of(places)
        self.folder = folder
        self.settings.socket_folder.mkdir(parents=True, exist_ok=True)
        self.answers: list[tuple[str, Answer]] = []
        self._numbers = count(2)
        self._open()

    def _open(self) -> None:
        """Let there be a lab that nothing has happened in, and a host."""
        asyncio.run(self._store())
        socket = self.settings.lab_socket(self.name)
        self.lab = LabProcess(self.workcell, self.folder / f"lab-{self.name}", socket)
        self.lab.start()
        self.control: LabControl = self.lab.control()
        self.gate = Gate(self.settings.addresses().database_url, self.name)
        self._marked = 0
        self._runs: list[ForkServerProcess] = []
        self._host: ForkServerProcess | None = None
        self.start_host()

    def close(self) -> None:
        """End all of it."""
        for process in [*self._runs, self._host]:
            if process is not None and process.is_alive():
                process.kill()
                process.join()
        self.gate.close()
        self.control.close()
        self.lab.stop()

    def renew(self) -> None:
        """Begin anew as another workcell: what a trial left that went wrong is not for the next."""
        self.close()
        name = f"{self.name.partition('_')[0]}_{next(self._numbers)}"
        self.workcell = self.workcell.model_copy(update={"name": name})
        self._open()

    @property
    def name(self) -> str:
        """The workcell's."""
        return self.workcell.name

    # --- processes --------------------------------------------------------------------------------

    @property
    def host(self) -> ForkServerProcess:
        """The host's process."""
        assert self._host is not None
        return self._host

    def start_host(self) -> None:
        """Start a host; it answers some moments later."""
        self._host = self._start(attempt.host, self.folder / "host.log")

    def start(self, story: Story, run_id: UUID, **also: Any) -> ForkServerProcess:
        """Start an attempt of a run; ``until`` is the step after which it stops."""
        log = self.folder / f"{run_id}.log"
        words = {"assets": story.assets, "parameters": story.parameters, **also}
        process = self._start(attempt.attempt, log, run_id, story.spec, words)
        self._runs.append(process)
        return process

    def _start(self, target: Callable[..., None], log: Path, *words: Any) -> ForkServerProcess:
        does = (target, self.places, self.name, log, *words)
        if self.clock_step:
            process = _forks.Process(target=stepping, args=(self.clock_step, *does))
        else:
            process = _forks.Process(target=target, args=does[1:])
        process.start()
        return process

    def tend(self) -> None:
        """Start the host again when it is dead, as its watchdog does."""
        if not self.host.is_alive():
            self.host.join()
            self.start_host()

    # --- runs -------------------------------------------------------------------------------------

    def finish(
        self,
        story: Story,
        run_id: UUID,
        process: ForkServerProcess | None = None,
        also: frozenset[Ended] = frozenset(),
    ) -> int:
        """Bring a run to its end: tend the host, resume what was killed, answer what is asked.

        Args:
            story: What runs.
            run_id: The run.
            process: Its attempt that is under way.
            also: Other ends of an attempt after which it may be resumed.

        Returns:
            How many attempts that took.
        """
        for number in range(ATTEMPTS):
            code = self.end_of(process or self.start(story, run_id))
            if code == Ended.SUCCEEDED:
                return number + 1
            assert code in {Ended.IN_DOUBT, -signal.SIGKILL, *also}, self.said(run_id)
            if code == Ended.IN_DOUBT:
                asyncio.run(self._answer(run_id))
            process = None
        raise AssertionError(f"it does not come to its end\n{self.said(run_id)}")

    def end_of(self, process: ForkServerProcess) -> int | None:
        """Wait for the end of an attempt, and tend the host meanwhile; give its exit code."""
        wait_for(lambda: self._has_ended(process), seconds=120)
        return process.exitcode

    def _has_ended(self, process: ForkServerProcess) -> bool:
        self.tend()
        return not process.is_alive()

    def said(self, run_id: UUID) -> str:
        """Give what the run's processes said, and the last of the host's words."""
        with suppress(FileNotFoundError):
            host = (self.folder / "host.log").read_text()[-4000:]
            return f"{(self.folder / f'{run_id}.log').read_text()[-8000:]}\n--- host:\n{host}"
        return "nothing"

    def stops(self, run_id: UUID) -> list[str]:
        """Give the errors with which attempts of a run stopped."""
        lines = (self.folder / f"{run_id}.log").read_text().splitlines()
        return [line for line in lines if line.startswith("praxis_core.errors.")]

    async def _store(self) -> None:
        async with Database(self.settings.addresses().database_url) as database:
            definition = self.workcell.model_dump(mode="json")
            await Journal(database).store_workcell(self.name, definition)

    def answer(self, run_id: UUID) -> None:
        """Answer what is asked about a run."""
        asyncio.run(self._answer(run_id))

    async def _answer(self, run_id: UUID) -> None:
        """Look at the deck, and say what is true."""
        async with Database(self.settings.addresses().database_url) as database:
            journal = Journal(database)
            for doubt in await journal.open_doubts(run_id):
                assert doubt.subject is DoubtSubject.COMMAND, doubt
                tag = f"{run_id}/{doubt.branch}/{doubt.ordinal}"
                effects = self.control.effects(after=self._marked)
                happened = any(one.get("tag") == tag for one in effects)
                answer = Answer.HAPPENED if happened else Answer.DID_NOT_HAPPEN
                self.answers.append((tag, answer))
                await journal.answer_doubt(doubt.id, answer, by="the test")

    def status(self, run_id: UUID) -> RunStatus:
        """Say how a run stands."""
        with psycopg.connect(self.settings.addresses().database_url) as connection:
            query = "SELECT status FROM praxis.protocol_run WHERE id = %s"
            found = connection.execute(query, (run_id,)).fetchone()
        assert found is not None
        return RunStatus(found[0])

    # --- truth ------------------------------------------------------------------------------------

    def mark(self) -> int:
        """Give the number of the last record of the lab's log; ``truth`` reads what comes later."""
        for record in self.control.log(after=self._marked):
            self._marked = record["n"]
        return self._marked

    def truth(self, run_id: UUID) -> Truth:
        """Tell what a run physically did, and what is there now."""
        truth = self.control.truth()
        effects = Counter(
            str(one.get("tag")).removeprefix(f"{run_id}/")
            for one in self.control.effects(after=self._marked)
            if str(one.get("tag")).startswith(str(run_id))
        )
        return Truth(
            # Not those that make safe or bring back settings: they belong to no plan.
            effects=Counter({tag: n for tag, n in effects.items() if tag[0].isdigit()}),
            liquids={
                name: round(liquid["volume"], 6)
                for name, liquid in truth["liquids"].items()
                if liquid["volume"] > 0
            },
            places=truth["places"],
            tips=truth["tips"],
        )

    def uninterrupted(self, story: Story) -> UUID:
        """Run a story without any disturbance; give its id."""
        run_id = uuid4()
        self.control.clear()
        self.finish(story, run_id)
        assert not self.answers
        return run_id
