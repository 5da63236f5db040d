"""What a person at the command line is told when something is wrong."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from textwrap import dedent
from time import monotonic, sleep

import psycopg
import pytest

from praxis_core.services.environment import environment
from praxis_core.settings import PraxisSettings

PROTOCOL = '''
    import asyncio

    from pylabrobot.liquid_handling import LiquidHandler

    from flows import compile_protocol
    from praxis_core.protocol import protocol, step


    @step("Wait {n}")
    async def wait(n: int) -> None:
        await asyncio.sleep(0.2)


    @protocol(version="1.0.0")
    async def lingering(lh: LiquidHandler, count: int = 3) -> None:
        """Wait for some time."""
        for n in range(count):
            await wait(n)


    lingering_flow = compile_protocol(lingering)
'''


class CommandLine:
    """Runs praxis as a person would, in a folder of its own."""

    def __init__(self, settings: PraxisSettings, folder: Path) -> None:
        self.folder = folder
        self._environment = environment(settings)
        self._database_url = settings.addresses().database_url

    def start(self, *words: str) -> subprocess.Popen[str]:
        """Begin a command."""
        return subprocess.Popen(
            [str(Path(sys.executable).parent / "praxis"), *words],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            env=self._environment,
            cwd=self.folder,
        )

    def __call__(self, *words: str) -> tuple[int, str, str]:
        """Carry out a command; its exit code, what it answered and what it said."""
        process = self.start(*words)
        answered, said = process.communicate(timeout=120)
        assert "Traceback" not in said
        return process.returncode, answered, said

    def status(self, run_id: str) -> object:
        """A run's status in the database."""
        return self.statuses()[run_id]

    def statuses(self, *, with_steps: bool = False) -> dict[str, object]:
        """Each run's status in the database, as any other program reads it."""
        query = """SELECT r.id::text, r.status FROM praxis.protocol_run r
                   WHERE NOT %s OR EXISTS (SELECT FROM praxis.run_step s WHERE s.run_id = r.id)"""
        with psycopg.connect(self._database_url) as connection:
            return dict(connection.execute(query, [with_steps]).fetchall())

    def start_run(self, *words: str) -> tuple[subprocess.Popen[str], str]:
        """Begin a run and wait for its first step; the command, and the run's id."""
        before = self.statuses()
        command = self.start("run", "start", *words)
        deadline = monotonic() + 60
        while monotonic() < deadline:
            for run_id, status in self.statuses(with_steps=True).items():
                if run_id not in before and status == "running":
                    return command, run_id
            sleep(0.2)
        pytest.fail("no run has begun")

    def ends(self, run_id: str, status: str) -> None:
        """Wait until a run is over, and see how."""
        deadline = monotonic() + 60
        while monotonic() < deadline and self.status(run_id) == "running":
            sleep(0.2)
        assert self.status(run_id) == status


@pytest.fixture(scope="module")
def praxis(stack: PraxisSettings, tmp_path_factory: pytest.TempPathFactory) -> CommandLine:
    """The command line in a folder with a space and a protocol, lingering.py."""
    folder = tmp_path_factory.mktemp("my lab")
    (folder / "lingering.py").write_text(dedent(PROTOCOL))
    return CommandLine(stack, folder)


@pytest.fixture(scope="module")
def deployed(praxis: CommandLine) -> str:
    """The same protocol as a deployment, made as the README says."""
    words = ["exec", "prefect", "--no-prompt", "deploy", "lingering.py:lingering_flow"]
    code, _, said = praxis(*words, "--name", "bench", "--pool", "praxis")
    assert code == 0, said
    return "lingering/bench"


def test_a_file_of_ones_own_is_deployed_and_started(praxis: CommandLine, deployed: str) -> None:
    """The worker finds the file where it lies; the run's state is shown under its whole id."""
    code, answered, said = praxis("run", "start", deployed, "--json")

    assert code == 0, said
    run = json.loads(answered)["run"]
    assert run["status"] == "succeeded"
    assert f"PraxisState of run {run['run_id']}" in praxis("state", run["run_id"])[1]


def test_a_value_out_of_range_is_refused_in_words(praxis: CommandLine) -> None:
    """Which parameter, what is wrong with it, where to look; nothing of HTTP."""
    code, answered, said = praxis("run", "start", "serial-dilution", "-p", "factor=0", "--json")

    assert (code, answered) == (1, "")
    assert "field 'factor': 0 is less than or equal to the minimum of 1" in said
    assert "praxis protocols show serial-dilution" in said
    assert "POST" not in said


def test_an_unknown_parameter_of_a_file_is_named(praxis: CommandLine) -> None:
    """With all other faults of the parameters, and without a trace."""
    code, _, said = praxis("run", "start", "lingering.py", "-p", "cuont=4", "-p", "count=many")

    assert code == 1
    assert "there is no parameter 'cuont' (did you mean count?)" in said
    assert "'many' is refused" in said


def test_a_refused_file_shows_no_trace(praxis: CommandLine) -> None:
    """The problems, and not where in Praxis they were found."""
    code, answered, _ = praxis("run", "start", "lingering.py", "-a", "lh=nobody")

    assert code == 1
    assert "the workcell has nothing called 'nobody'" in answered


@pytest.mark.parametrize("name", ["missing.yaml", "."])
def test_a_workcell_file_that_cannot_be_read_is_named(praxis: CommandLine, name: str) -> None:
    """A file that is not there, a folder."""
    code, _, said = praxis("workcell", "add", name)

    assert code == 1
    assert f"{name} cannot be read" in said


def test_what_the_disk_refuses_is_named(praxis: CommandLine) -> None:
    """A dump on a folder; nothing is left of it."""
    (praxis.folder / "backups").mkdir()

    code, _, said = praxis("db", "dump", "backups")

    assert code == 1
    assert "Is a directory" in said
    assert not list(praxis.folder.rglob("*.part"))


def test_a_run_that_is_no_longer_followed_goes_on(praxis: CommandLine, deployed: str) -> None:
    """Ctrl-C ends the looking, and says so."""
    following, run_id = praxis.start_run(deployed, "-p", "count=25")

    following.send_signal(signal.SIGINT)
    _, said = following.communicate(timeout=20)

    assert following.returncode == 130
    assert f"Run {run_id} goes on" in said
    assert praxis.status(run_id) == "running"


def test_a_run_of_a_file_outlasts_whoever_watches_it(praxis: CommandLine) -> None:
    """The terminal is gone, and so is who read what the run prints."""
    watching, run_id = praxis.start_run("lingering.py", "-p", "count=8")

    watching.kill()
    for stream in (watching.stdout, watching.stderr):
        assert stream is not None
        stream.close()
    watching.wait()

    praxis.ends(run_id, "succeeded")


def test_what_a_protocol_prints_does_not_stop_it(praxis: CommandLine) -> None:
    """More than fits into a pipe."""
    chatter = dedent(PROTOCOL).replace("await wait(n)", "print('word ' * 20_000)")
    (praxis.folder / "chattering.py").write_text(chatter.replace("lingering", "chattering"))

    code, answered, said = praxis("run", "start", "chattering.py", "--json")

    assert (code, json.loads(answered)["run"]["status"]) == (0, "succeeded"), said[-2000:]
    assert said.count("word") >= 60_000  # in the plan, too


def test_ctrl_c_cancels_a_run_of_a_file(praxis: CommandLine) -> None:
    """It is recorded as cancelled, and says what it does."""
    here, run_id = praxis.start_run("lingering.py", "-p", "count=100")

    here.send_signal(signal.SIGINT)
    _, said = here.communicate(timeout=20)

    assert here.returncode == 130
    assert "Cancelling the run" in said
    assert "KeyboardInterrupt" not in said
    assert praxis.status(run_id) == "cancelled"


@pytest.mark.parametrize("after", [0.3, 2.0])
def test_ctrl_c_before_the_run_has_begun(praxis: CommandLine, after: float) -> None:
    """Nothing has begun, and nothing is shown but that; also while Praxis is being imported."""
    before = praxis.statuses()
    here = praxis.start("run", "start", "lingering.py")
    sleep(after)  # the protocol is not imported yet

    here.send_signal(signal.SIGINT)
    _, said = here.communicate(timeout=20)

    assert here.returncode == 130
    assert "Traceback" not in said
    assert praxis.statuses() == before


def test_a_killed_run_is_not_followed_for_ever(
    praxis: CommandLine, deployed: str, processes_of: Callable[[str], list[int]]
) -> None:
    """Prefect knows that its process is dead: the list says so, and whoever follows is told."""
    following, run_id = praxis.start_run(deployed, "-p", "count=200")

    for pid in processes_of(run_id):
        os.kill(pid, signal.SIGKILL)
    answered, said = following.communicate(timeout=40)

    assert following.returncode == 4, said
    assert "Its process has ended without a word; Prefect calls it Crashed" in answered
    listed = {run["run_id"]: run for run in json.loads(praxis("run", "list", "--json")[1])}
    assert listed[run_id]["ended_in_prefect"] == "Crashed"
    assert "running (Crashed in Prefect)" in praxis("run", "list")[1]


@pytest.fixture
def processes_of() -> Callable[[str], list[int]]:
    """Finds the processes that carry out a run of the worker."""

    def find(run_id: str) -> list[int]:
        found = []
        for folder in Path("/proc").glob("[0-9]*"):
            try:
                if run_id.encode() in (folder / "environ").read_bytes():
                    found.append(int(folder.name))
            except OSError:
                continue
        return found

    return find


def test_what_is_not_running_is_said_with_how_to_start_it(tmp_path: Path) -> None:
    """Nobody has set an address: no setting is named."""
    praxis = CommandLine(PraxisSettings(home=tmp_path / "home"), tmp_path)

    for words in (("run", "list"), ("workcell", "list"), ("protocols", "list")):
        code, answered, said = praxis(*words)

        assert (code, answered) == (5, "")
        assert "Start it with: praxis up" in said
        assert "PRAXIS_DATABASE_URL" not in said


def test_a_run_that_nothing_takes_is_refused_without_warnings(tmp_path: Path) -> None:
    """Of a stack that was never started, of which there is no folder either."""
    (tmp_path / "lingering.py").write_text(dedent(PROTOCOL))
    settings = PraxisSettings(home=tmp_path / "home", prefect_port=1)

    code, answered, said = CommandLine(settings, tmp_path)("run", "start", "lingering.py")

    assert (code, answered) == (1, "")
    assert said.startswith("Error: ")
    assert "praxis up" in said


@pytest.mark.parametrize(
    "deployed_or_file",
    ["lingering/bench", pytest.param("lingering.py", marks=pytest.mark.chaos)],
)
def test_a_run_stops_after_a_step_and_goes_on(
    praxis: CommandLine,
    deployed: str,  # the deployment is there
    deployed_or_file: str,
) -> None:
    """As asked, which is no failure to who typed it; Prefect starts it again all the same."""
    words = ["run", "start", deployed_or_file, "-a", "lh=star", "--json"]
    code, _, said = praxis(*words, "--until", "Wash")
    assert (code, "no step 'Wash'. Its steps: Wait {n}" in said) == (1, True), said

    code, answered, said = praxis(*words, "--until", "Wait 1")
    assert code == 0, said
    shown = json.loads(answered)
    run_id = shown["run"]["run_id"]
    assert shown["run"]["status"] == "interrupted"
    assert [step["name"] for step in shown["steps"]] == ["Wait 0", "Wait 1"]
    assert "stopped_as_asked" in [event["kind"] for event in shown["events"]]

    code, answered, said = praxis("run", "resume", run_id, "--until", "Wait 2", "--json")
    assert (code, json.loads(answered)["run"]["status"]) == (0, "interrupted"), said
    code, answered, said = praxis("run", "diff", run_id, "--json")
    assert (code, json.loads(answered)["divergence"]) == (0, ""), said
    code, answered, said = praxis("run", "resume", run_id, "--json")
    assert (code, json.loads(answered)["run"]["status"]) == (0, "succeeded"), said
