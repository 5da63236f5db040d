"""Runs that Prefect starts: what is killed under them, and what a person then does on the page."""

from __future__ import annotations

import asyncio
import random
import re
import signal
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from time import monotonic
from typing import Any
from uuid import UUID, uuid4

import httpx
import psutil
import psycopg
from typer.testing import CliRunner

from praxis_core.cli import app
from praxis_core.host.files import HostFiles, holder
from praxis_core.journal.database import Database
from praxis_core.journal.record import Journal
from praxis_core.journal.records import CommandRecord, Doubt, EventRecord, RunRecord
from praxis_core.protocol.lifecycle import CommandKind, RunStatus
from praxis_core.services import process
from praxis_core.services.home import home_of
from praxis_core.services.prefect_api import FlowRun, PrefectApi
from praxis_core.services.prefect_server import EmbeddedPrefect
from praxis_core.services.process import ProcessRecord
from praxis_core.services.stack import up
from praxis_core.services.worker import EmbeddedWorker
from praxis_core.settings import PraxisSettings
from praxis_core.simulator.lab_control import LabControl
from tests.chaos.own_services import OF_PRAXIS
from tests.chaos.world import Truth, missing, wait_for

MINUTES = 4
ATTEMPTS = 8
RESUMED = re.compile(r"resumed: (\d+) commands? replayed, live from command (\d+) \(\w+\.\w+\)")


@dataclass(frozen=True)
class Planned:
    """A run that nothing happened to."""

    truth: Truth
    once: frozenset[str]
    """Commands that may happen once, by branch and ordinal."""


@dataclass
class Course:
    """How a run went."""

    run_id: UUID
    attempts: int = 1
    answers: list[str] = field(default_factory=list)
    states: list[str] = field(default_factory=list)
    """In Prefect, at each end."""
    resumed: list[str] = field(default_factory=list)


class PrefectRuns:
    """Runs on one workcell of a whole stack.

    Args:
        settings: The stack's.
        workcell: The workcell.
    """

    def __init__(self, settings: PraxisSettings, workcell: str = "star") -> None:
        self.settings = settings
        self.workcell = workcell
        self.control = LabControl(settings.lab_socket(workcell))
        self._mark = 0
        self._last = uuid4()
        """The run that was started last."""

    def close(self) -> None:
        """Leave the lab as any test expects it."""
        self.control.clear()
        self.control.close()

    def renew(self) -> None:
        """Leave nothing of a trial that went wrong to the next one."""
        pid = _process_of(self._last)
        if pid is not None:
            psutil.Process(pid).kill()
        self.control.release()
        self.control.clear()
        up(self.settings, register=None)
        asyncio.run(self._read(lambda journal: journal.release_claims(self._last)))

    # --- beginning --------------------------------------------------------------------------------

    def start(self, name: str, seconds: float, *, retries: int = 0, **parameters: object) -> UUID:
        """Start a deployment on a lab whose calls take some time."""
        self.control.clear()
        self.control.set_time(seconds)
        for record in self.control.log(after=self._mark):
            self._mark = record["n"]
        with PrefectApi(self.settings) as api:
            flow_run = api.create_flow_run(api.find_deployment(name).id, parameters)
        self._last = flow_run.id
        if retries:
            policy = {"empirical_policy": {"retries": retries, "retry_delay": 1}}
            self._post(f"/flow_runs/{flow_run.id}", policy, method="PATCH")
        return flow_run.id

    def plan(self, name: str) -> Planned:
        """Let a deployment run undisturbed."""
        run_id = self.start(name, 0.0)
        flow_run = self.ended(run_id)
        assert flow_run.state_type == "COMPLETED", flow_run.state_message
        commands = self.recorded(run_id)
        once = [one for one in commands if one.command.kind is CommandKind.ONCE]
        keys = [f"{one.command.branch}/{one.command.ordinal}" for one in once]
        return Planned(self.truth(run_id), frozenset(keys))

    # --- processes --------------------------------------------------------------------------------

    def flow_process(self, run_id: UUID) -> int:
        """Wait for the process of a run's attempt."""
        pid: int = wait_for(lambda: _process_of(run_id), seconds=60 * MINUTES)
        return pid

    def host(self) -> int:
        """Give the process of the workcell's host, when it answers."""
        lock = HostFiles.of(self.settings, self.workcell).lock
        pid: int = wait_for(lambda: holder(lock), seconds=60)
        return pid

    def worker(self) -> ProcessRecord:
        """Give the worker's process."""
        record = EmbeddedWorker(home_of(self.settings), self.settings).record()
        assert record is not None
        return record

    def server(self) -> ProcessRecord:
        """Give the process of Prefect's server."""
        record = EmbeddedPrefect(home_of(self.settings), self.settings).record()
        assert record is not None
        return record

    def restart(self, record: ProcessRecord) -> None:
        """Kill a service, and start it again as a person does."""
        process.send(signal.SIGKILL, record)
        assert process.wait_until(lambda: not record.alive, 30)
        up(self.settings, register=None)

    def end_connections(self) -> None:
        """End all connections of runs and of the host to Postgres."""
        with psycopg.connect(self.settings.addresses().database_url, autocommit=True) as connection:
            for (pid,) in connection.execute(OF_PRAXIS, [connection.info.dbname]).fetchall():
                connection.execute("SELECT pg_terminate_backend(%s, 5000)", [pid])

    def wait_for_effect(self, run_id: UUID, key: str) -> bool:
        """Wait until a command has had its effect; False: the run ended before."""
        last = self._mark
        next_look = monotonic()

        def there() -> str | None:
            nonlocal last, next_look
            for record in self.control.log(last):
                last = record["n"]
                if record.get("tag") == f"{run_id}/{key}":
                    return "there"
            if monotonic() > next_look:
                next_look = monotonic() + 2
                with PrefectApi(self.settings) as api:
                    return "ended" if api.read_flow_run(run_id).ended else None
            return None

        found: str = wait_for(there, seconds=60 * MINUTES)
        return found == "there"

    # --- ends -------------------------------------------------------------------------------------

    def ended(self, run_id: UUID) -> FlowRun:
        """Wait until Prefect says that a run has ended, or waits for an answer."""

        def end() -> FlowRun | None:
            with PrefectApi(self.settings) as api:
                flow_run = api.read_flow_run(run_id)
            return flow_run if flow_run.ended or flow_run.state_type == "PAUSED" else None

        flow_run: FlowRun = _wait_slowly(end)
        return flow_run

    def finish(self, run_id: UUID) -> Course:
        """Bring a run to its end: retry it on its page or resume it, and answer what it asks."""
        course = Course(run_id)
        for _ in range(ATTEMPTS):
            flow_run = self.ended(run_id)
            course.states.append(f"{flow_run.state_name}: {flow_run.state_message}")
            if flow_run.state_type == "COMPLETED":
                break
            for doubt in self.doubts(run_id):
                course.answers.append(self._answer(run_id, doubt))
            if flow_run.ended:
                self._again(run_id)
            else:  # its process has waited for the answer
                wait_for(lambda: self._paused_no_more(run_id), seconds=60)
        records = asyncio.run(self._read(lambda journal: journal.attempts(run_id)))
        course.attempts = len(records)
        course.resumed = [one.message for one in self.events(run_id) if one.kind == "resumed"]
        return course

    def _paused_no_more(self, run_id: UUID) -> bool:
        with PrefectApi(self.settings) as api:
            return api.read_flow_run(run_id).state_type != "PAUSED"

    def _answer(self, run_id: UUID, doubt: Doubt) -> str:
        tag = f"{run_id}/{doubt.branch}/{doubt.ordinal}"
        happened = any(one.get("tag") == tag for one in self.control.effects(after=self._mark))
        said = "happened" if happened else "did-not-happen"
        self.praxis("run", "answer", str(run_id), said, "--question", str(doubt.id))
        return said

    def _again(self, run_id: UUID) -> None:
        """One of the two ways, whichever."""
        if random.random() < 0.5:  # noqa: S311  # a coin
            self.praxis("run", "resume", str(run_id), "--detach")
            return
        wait_for(lambda: _process_of(run_id) is None, seconds=60)
        with PrefectApi(self.settings) as api:
            said = api.set_state(run_id, "SCHEDULED", name="AwaitingRetry", message="Retry")
        assert said == "ACCEPT"

    def praxis(self, *words: str) -> str:
        """Give a command on the command line."""
        result = CliRunner().invoke(app, words, catch_exceptions=False)
        assert result.exit_code == 0, result.output
        return result.stdout

    # --- what is known ----------------------------------------------------------------------------

    def truth(self, run_id: UUID) -> Truth:
        """Tell what a run physically did, and what is there now."""
        truth = self.control.truth()
        tags = [str(one.get("tag")) for one in self.control.effects(after=self._mark)]
        keys = [tag.removeprefix(f"{run_id}/") for tag in tags if tag.startswith(str(run_id))]
        return Truth(
            # Not those that make safe or bring back settings: they belong to no plan.
            effects=Counter(key for key in keys if key[0].isdigit()),
            liquids={
                name: round(liquid["volume"], 6)
                for name, liquid in truth["liquids"].items()
                if liquid["volume"] > 0
            },
            places=truth["places"],
            tips=truth["tips"],
        )

    def left_on(self) -> list[str]:
        """Name the devices that heat or shake."""
        return [
            name
            for name, one in self.control.truth()["devices"].items()
            if one["settings"].get("shaking")
            or any(heat["target"] is not None for heat in one["heats"].values())
        ]

    def faults(self, course: Course, planned: Planned) -> list[str]:
        """Say what broke the promise; empty: nothing."""
        found, run_id, truth = [], course.run_id, self.truth(course.run_id)
        more = truth.effects - planned.truth.effects
        found += [f"{key} twice" for key in sorted(more.elements()) if key in planned.once]
        found += [f"{key} missing" for key in missing(planned.truth.effects, truth.effects)]
        if (truth.liquids, truth.places, truth.tips) != (
            planned.truth.liquids,
            planned.truth.places,
            planned.truth.tips,
        ):
            found.append("the deck is not as after the uninterrupted run")
        if not course.states[-1].startswith("Completed") or self.status(run_id) != "succeeded":
            found.append(f"it did not come to its end: {course.states}, {self.status(run_id)}")
        return found + self._badly_told(course)

    def _badly_told(self, course: Course) -> list[str]:
        found = []
        for message in course.resumed:
            match = RESUMED.fullmatch(message)
            if match is None or int(match[1]) + 1 != int(match[2]):
                found.append(f"it is told as {message!r}")
            with suppress(AssertionError):  # Prefect takes task runs in some time after they ended
                wait_for(lambda one=message: one in self.task_runs(course.run_id))
                continue
            found.append(f"Prefect does not show {message!r}")
        return found

    def status(self, run_id: UUID) -> RunStatus:
        """Say how a run stands."""
        record: RunRecord = asyncio.run(self._read(lambda journal: journal.run(run_id)))
        return record.status

    def recorded(self, run_id: UUID) -> list[CommandRecord]:
        """List what counts of a run's commands."""
        return list(asyncio.run(self._read(lambda journal: journal.recorded(run_id))))

    def doubts(self, run_id: UUID) -> list[Doubt]:
        """List what is asked."""
        return list(asyncio.run(self._read(lambda journal: journal.open_doubts(run_id))))

    def events(self, run_id: UUID) -> list[EventRecord]:
        """Read the audit log of a run."""
        return list(asyncio.run(self._read(lambda journal: journal.events(run_id))))

    async def _read(self, read: Callable[[Journal], Any]) -> Any:
        async with Database(self.settings.addresses().database_url) as database:
            return await read(Journal(database))

    def task_runs(self, run_id: UUID) -> set[str]:
        """Name the task runs that Prefect shows on a run's page."""
        rows: list[dict[str, Any]] = []
        while True:
            asked = {"flow_runs": {"id": {"any_": [str(run_id)]}}, "limit": 200}
            page = self._post("/task_runs/filter", {**asked, "offset": len(rows)}).json()
            rows += page
            if len(page) < asked["limit"]:
                return {row["name"] for row in rows}

    def _post(self, path: str, body: Any, *, method: str = "POST") -> httpx.Response:
        address = self.settings.addresses().prefect_api_url
        answer = httpx.request(method, f"{address}{path}", json=body, timeout=30)
        answer.raise_for_status()
        return answer


@contextmanager
def opened(settings: PraxisSettings) -> Iterator[PrefectRuns]:
    """Open the runs of a stack, and leave its lab as it was."""
    runs = PrefectRuns(settings)
    try:
        yield runs
    finally:
        runs.close()


def _process_of(run_id: UUID) -> int | None:
    for candidate in psutil.process_iter():
        try:
            if candidate.environ().get("PREFECT__FLOW_RUN_ID") == str(run_id):
                return candidate.pid
        except psutil.Error:
            continue
    return None


def _wait_slowly(condition: Callable[[], Any]) -> Any:
    """Wait for Prefect, which has other work than to be asked all the time."""
    found: list[Any] = []

    def look() -> bool:
        found.append(condition())
        return bool(found[-1])

    assert process.wait_until(look, 60 * MINUTES), "Prefect does not say that it ended"
    return found[-1]
