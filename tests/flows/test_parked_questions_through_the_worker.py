"""A deployed run that waits for a person has no process, and whoever answers starts it again."""

from __future__ import annotations

import asyncio
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import closing, suppress
from pathlib import Path
from textwrap import dedent
from uuid import UUID

import httpx
import psutil
import psycopg
import pytest
from typer.testing import CliRunner

from praxis_core.cli import app
from praxis_core.journal.database import Database
from praxis_core.journal.record import Journal
from praxis_core.redis_connection import connect_async
from praxis_core.services.environment import environment
from praxis_core.services.parked_runs import ParkedRuns
from praxis_core.services.prefect_api import PrefectApi
from praxis_core.services.worker import WORK_POOL
from praxis_core.settings import PraxisSettings
from praxis_core.simulator.lab_control import LabControl
from tests.chaos.world import wait_for
from tests.flows.test_through_the_worker import ended

pytestmark = pytest.mark.chaos

ASKING = """
    from datetime import timedelta

    from pylabrobot.heating_shaking import HeaterShaker

    from flows import compile_protocol
    from praxis_core.errors import NoAnswer
    from praxis_core.protocol import operator, protocol, run, step


    @step("Ask")
    async def ask(seconds: float) -> str:
        within = timedelta(seconds=seconds) if seconds else None
        try:
            return await operator.choose("Which buffer?", ["PBS", "TBS"], within=within, park=True)
        except NoAnswer:
            return "none"


    @protocol(version="1.0.0")
    async def evening(shaker: HeaterShaker, seconds: float = 0) -> str:
        \"\"\"Keep warm until somebody answers.

        Args:
            shaker: Warms.
            seconds: For how long somebody may answer; 0: for ever.
        \"\"\"
        await shaker.set_temperature(37.0)
        said = await ask(seconds)
        await shaker.deactivate()
        return said


    evening_flow = compile_protocol(evening)
"""

STATES = "SELECT type, name FROM prefect.flow_run_state WHERE flow_run_id = %s ORDER BY timestamp"
ATTEMPTS = "SELECT attempt, status FROM praxis.protocol_run WHERE id = %s"
ANSWERED = "SELECT answer, answered_by, via FROM praxis.question WHERE run_id = %s"
DONE = "SELECT method FROM praxis.command WHERE run_id = %s AND branch = '0' ORDER BY number"
FREE = "SELECT count(*) FROM praxis.claim WHERE run_id = %s AND released_at IS NULL"
GIVEN_UP = "SELECT message FROM praxis.run_event WHERE run_id = %s AND kind = 'run_abandoned'"

Start = Callable[[float], UUID]


@pytest.fixture(scope="module")
def evening(stack: PraxisSettings, tmp_path_factory: pytest.TempPathFactory) -> str:
    """A deployment that keeps the shaker warm until somebody answers."""
    return deployed(stack, tmp_path_factory.mktemp("evening"))


def deployed(stack: PraxisSettings, folder: Path) -> str:
    """Deploy a protocol that keeps the shaker warm until somebody answers; give its name."""
    (folder / "evening.py").write_text(dedent(ASKING))
    praxis = Path(sys.executable).parent / "praxis"
    words = ["exec", "prefect", "--no-prompt", "deploy", "evening.py:evening_flow"]
    subprocess.run(
        [praxis, *words, "--name", "star", "--pool", WORK_POOL],
        cwd=folder,
        env=environment(stack),
        check=True,
        capture_output=True,
    )
    return "evening/star"


@pytest.fixture
def api(stack: PraxisSettings) -> Iterator[PrefectApi]:
    """Prefect."""
    with PrefectApi(stack) as api:
        yield api


@pytest.fixture
def parked(stack: PraxisSettings, api: PrefectApi, evening: str) -> Start:
    """Starts a run and waits until it is parked and its process is gone."""

    def start(seconds: float) -> UUID:
        run_id = api.create_flow_run(api.find_deployment(evening).id, {"seconds": seconds}).id
        wait_for(lambda: api.read_flow_run(run_id).state_name == "Suspended", 180)
        wait_for(lambda: not _has_process(run_id))
        assert _rows(stack, ATTEMPTS, run_id) == [(1, "parked")]
        assert _is_warm(stack)
        return run_id

    return start


def test_the_form_in_prefect_starts_it_again(
    stack: PraxisSettings, api: PrefectApi, parked: Start
) -> None:
    """What is no answer is refused there; a second person comes too late."""
    run_id = parked(0)
    assert _fill_in(stack, run_id, {"choice": "HEPES", "answered_by": "ada"}) == "REJECT"
    assert _fill_in(stack, run_id, {"choice": "PBS", "answered_by": "ada"}) == "ACCEPT"
    assert _fill_in(stack, run_id, {"choice": "TBS", "answered_by": "bob"}) != "ACCEPT"
    assert ended(api, run_id).state_type == "COMPLETED"
    assert _rows(stack, ANSWERED, run_id) == [({"choice": "PBS"}, "ada", "prefect")]
    assert _rows(stack, ATTEMPTS, run_id) == [(2, "succeeded")]
    done = [method for (method,) in _rows(stack, DONE, run_id)]
    assert (done.count("set_temperature"), done.count("deactivate")) == (1, 1), done
    names = {str(name) for _, name in _rows(stack, STATES, run_id)}
    assert {"Suspended", "Resuming"} <= names
    assert not {"Failed", "Crashed"} & names, names
    assert not _is_warm(stack)


def test_an_answer_on_the_command_line_starts_it_again(
    stack: PraxisSettings, api: PrefectApi, parked: Start
) -> None:
    """And says so."""
    run_id = parked(0)
    told = CliRunner().invoke(app, ["run", "show", str(run_id)]).output
    assert "waits without a process" in " ".join(told.split())
    done = CliRunner().invoke(app, ["run", "answer", str(run_id), "TBS", "--by", "ada"])
    assert "It goes on by itself" in done.output
    assert ended(api, run_id).state_type == "COMPLETED"
    assert _rows(stack, ANSWERED, run_id) == [({"choice": "TBS"}, "ada", "command-line")]
    assert _rows(stack, ATTEMPTS, run_id) == [(2, "succeeded")]


def test_what_nobody_starts_is_started_by_who_looks(
    stack: PraxisSettings, api: PrefectApi, parked: Start
) -> None:
    """Somebody answered, and was killed before the run was started; and one whose time is over."""
    answered = parked(0)
    _look(stack)
    assert api.read_flow_run(answered).state_name == "Suspended"
    with psycopg.connect(stack.addresses().database_url) as connection:
        connection.execute(
            "UPDATE praxis.question SET answer = '{\"choice\": \"PBS\"}', answered_by = 'ada', "
            "via = 'page', answered_at = now() WHERE run_id = %s",
            [answered],
        )
    _look(stack)
    assert ended(api, answered).state_type == "COMPLETED"

    late = parked(100)

    def began_again() -> bool:
        _look(stack)
        return api.read_flow_run(late).state_name != "Suspended"

    wait_for(began_again, 150)
    assert ended(api, late).state_type == "COMPLETED"
    assert _rows(stack, ANSWERED, late) == [(None, None, None)]


def test_one_that_is_cancelled_in_prefect_is_given_up(
    stack: PraxisSettings, api: PrefectApi, parked: Start
) -> None:
    """As by praxis run abandon: its heater goes off, and what it had is free."""
    run_id = parked(0)
    api.set_state(run_id, "CANCELLING", name="Cancelling")
    assert api.read_flow_run(run_id).state_type == "CANCELLED"
    _look(stack)
    assert _rows(stack, ATTEMPTS, run_id) == [(1, "cancelled")]
    assert _rows(stack, FREE, run_id) == [(0,)]
    wait_for(lambda: not _is_warm(stack))
    told = _rows(stack, GIVEN_UP, run_id)
    assert told == [("Somebody gave the run up: cancelled in Prefect; free again: shaker.",)]
    _look(stack)
    assert _rows(stack, GIVEN_UP, run_id) == told
    shown = CliRunner().invoke(app, ["run", "show", str(run_id)]).output
    assert "gave the run up: cancelled in Prefect" in " ".join(shown.split())
    assert "praxis run resume" not in shown


def test_one_whose_process_was_killed_as_it_was_parked_is_parked_anew(
    stack: PraxisSettings, api: PrefectApi, parked: Start
) -> None:
    """Prefect calls it Crashed."""
    run_id = parked(0)
    api.set_state(run_id, "CRASHED", name="Crashed")
    _look(stack)
    wait_for(lambda: _rows(stack, ATTEMPTS, run_id) == [(2, "parked")], 120)
    wait_for(lambda: api.read_flow_run(run_id).state_name == "Suspended", 60)
    assert _fill_in(stack, run_id, {"choice": "PBS", "answered_by": "ada"}) == "ACCEPT"
    assert ended(api, run_id).state_type == "COMPLETED"


def _fill_in(stack: PraxisSettings, run_id: UUID, said: dict[str, str]) -> str:
    url = f"{stack.addresses().prefect_api_url}/flow_runs/{run_id}/resume"
    return str(httpx.post(url, json={"run_input": said}, timeout=30).json()["status"])


def _look(stack: PraxisSettings) -> None:
    """Do what the process of the workcells' page does every few seconds."""

    async def look() -> None:
        redis = connect_async(stack.addresses().redis_url)
        async with Database(stack.addresses().database_url) as database:
            await ParkedRuns(stack, Journal(database), redis).look()
        await redis.aclose()

    asyncio.run(look())


def _is_warm(stack: PraxisSettings) -> bool:
    with closing(LabControl(stack.lab_socket("star"))) as control:
        heats = control.truth()["devices"]["shaker"]["heats"].values()
    return any(heat["target"] is not None for heat in heats)


def _has_process(run_id: UUID) -> bool:
    for candidate in psutil.process_iter():
        with suppress(psutil.Error):
            if candidate.environ().get("PREFECT__FLOW_RUN_ID") == str(run_id):
                return True
    return False


def _rows(stack: PraxisSettings, query: str, run_id: UUID) -> list[tuple[object, ...]]:
    with psycopg.connect(stack.addresses().database_url) as connection:
        return connection.execute(query.encode(), [run_id]).fetchall()
