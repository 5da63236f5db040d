"""A deployed run that waits for hours leaves its process, and the worker starts it again."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from pathlib import Path
from textwrap import dedent
from uuid import UUID

import httpx
import psutil
import psycopg
import pytest
from typer.testing import CliRunner

from praxis_core.cli import app
from praxis_core.services.environment import environment
from praxis_core.services.prefect_api import PrefectApi
from praxis_core.services.worker import WORK_POOL
from praxis_core.settings import PraxisSettings
from praxis_core.simulator.lab_control import LabControl
from tests.chaos.world import wait_for
from tests.flows.test_through_the_worker import ended

NIGHT = """
    from pylabrobot.heating_shaking import HeaterShaker

    from flows import compile_protocol
    from praxis_core.protocol import protocol, run, step


    @step("Incubate")
    async def incubate(shaker: HeaterShaker) -> None:
        try:
            await run.sleep(8 * 3600, park=True)
        finally:
            await shaker.deactivate()


    @protocol(version="1.0.0")
    async def night(shaker: HeaterShaker) -> None:
        \"\"\"Keep warm for a night.\"\"\"
        await shaker.set_temperature(37.0)
        await incubate(shaker)


    night_flow = compile_protocol(night)
"""

STATES = "SELECT type, name FROM prefect.flow_run_state WHERE flow_run_id = %s ORDER BY timestamp"
STEPS = "SELECT state_name FROM prefect.task_run WHERE flow_run_id = %s AND name = 'Incubate'"
ATTEMPTS = "SELECT attempt FROM praxis.protocol_run WHERE id = %s"


@pytest.fixture
def night(stack: PraxisSettings, tmp_path: Path) -> str:
    """A deployment that keeps the shaker warm for a night."""
    (tmp_path / "night.py").write_text(dedent(NIGHT))
    praxis = Path(sys.executable).parent / "praxis"
    words = ["exec", "prefect", "--no-prompt", "deploy", "night.py:night_flow"]
    subprocess.run(
        [praxis, *words, "--name", "star", "--pool", WORK_POOL],
        cwd=tmp_path,
        env=environment(stack),
        check=True,
        capture_output=True,
    )
    return "night/star"


def test_it_is_parked_and_the_worker_starts_it_again(stack: PraxisSettings, night: str) -> None:
    """Scheduled as "Parked", without a process, its heater on; and it completes."""
    with closing(LabControl(stack.lab_socket("star"))) as control, PrefectApi(stack) as api:
        control.set_time(2.0, device="shaker")
        run_id = api.create_flow_run(api.find_deployment(night).id, {}).id
        wait_for(lambda: _rows(stack, ATTEMPTS, run_id), 120)
        with _nothing_is_started(stack):
            wait_for(lambda: api.read_flow_run(run_id).state_name == "Parked", 120)
            wait_for(lambda: not _has_process(run_id))
            parked = api.read_flow_run(run_id)
            heats = control.truth()["devices"]["shaker"]["heats"]
            told = [
                " ".join(CliRunner().invoke(app, words).output.split())
                for words in (["run", "list"], ["run", "show", str(run_id)], ["why", str(run_id)])
            ]
        control.clear()
        end = ended(api, run_id)

    assert parked.state_type == "SCHEDULED"
    assert [heat["target"] for heat in heats.values()] == [37.0]
    assert all("parked until" in one for one in told), told
    assert end.state_type == "COMPLETED", end
    states = _rows(stack, STATES, run_id)
    assert ("SCHEDULED", "Parked") in states
    assert not {"Failed", "Crashed"} & {str(name) for _, name in states}, states
    assert _rows(stack, ATTEMPTS, run_id) == [(2,)]
    wait_for(lambda: sorted(_rows(stack, STEPS, run_id)) == [("Completed",), ("Parked",)])


@pytest.mark.chaos
def test_a_person_resumes_it_or_gives_it_up(stack: PraxisSettings, night: str) -> None:
    """Before its time, on the command line; given up, its heater goes off and it is Cancelled."""
    with closing(LabControl(stack.lab_socket("star"))) as control, PrefectApi(stack) as api:
        for words in ("resume", "--detach"), ("abandon",):
            control.set_time(2.0, device="shaker")
            run_id = api.create_flow_run(api.find_deployment(night).id, {}).id
            wait_for(lambda one=run_id: _rows(stack, ATTEMPTS, one), 120)
            with _nothing_is_started(stack):
                wait_for(lambda one=run_id: api.read_flow_run(one).state_name == "Parked", 120)
                wait_for(lambda one=run_id: not _has_process(one))
                command, *options = words
                done = CliRunner().invoke(app, ["run", command, str(run_id), *options])
                assert done.exit_code == 0, done.output
                told = api.read_flow_run(run_id).state_name
            control.clear()
            end = ended(api, run_id)
            assert (told, end.state_type) == EXPECTED[command], end
            wait_for(lambda: not _heats(control))


EXPECTED = {"resume": ("AwaitingRetry", "COMPLETED"), "abandon": ("Cancelled", "CANCELLED")}


def _heats(control: LabControl) -> bool:
    heats = control.truth()["devices"]["shaker"]["heats"].values()
    return any(heat["target"] is not None for heat in heats)


@contextmanager
def _nothing_is_started(stack: PraxisSettings) -> Iterator[None]:
    """Let the worker start nothing until the end of the block."""
    pool = f"{stack.addresses().prefect_api_url}/work_pools/{WORK_POOL}"
    httpx.patch(pool, json={"is_paused": True}).raise_for_status()
    try:
        yield
    finally:
        httpx.patch(pool, json={"is_paused": False}).raise_for_status()


def _has_process(run_id: UUID) -> bool:
    for candidate in psutil.process_iter():
        with suppress(psutil.Error):
            if candidate.environ().get("PREFECT__FLOW_RUN_ID") == str(run_id):
                return True
    return False


def _rows(stack: PraxisSettings, query: str, run_id: UUID) -> list[tuple[object, ...]]:
    with psycopg.connect(stack.addresses().database_url) as connection:
        return connection.execute(query.encode(), [run_id]).fetchall()
