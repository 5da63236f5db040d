"""Two deployments that want the same devices queue up; two that do not run side by side."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import closing
from datetime import datetime
from pathlib import Path
from textwrap import dedent
from typing import Any
from uuid import UUID

import psycopg
import pytest
from typer.testing import CliRunner

from praxis_core.cli import app
from praxis_core.services.environment import environment
from praxis_core.services.prefect_api import FlowRun, PrefectApi
from praxis_core.services.worker import WORK_POOL
from praxis_core.settings import PraxisSettings
from praxis_core.simulator.lab_control import LabControl
from tests.chaos.world import wait_for
from tests.flows.test_through_the_worker import ended

Span = tuple[datetime, datetime]

SHAKING = """
    from pylabrobot.heating_shaking import HeaterShaker

    from flows import compile_protocol
    from praxis_core.protocol import protocol


    @protocol(version="1.0.0")
    async def shaking(shaker: HeaterShaker) -> None:
        \"\"\"Shake for a moment.\"\"\"
        await shaker.shake(speed=300, duration=0.1)


    shaking_flow = compile_protocol(shaking)
"""


@pytest.fixture
def start(stack: PraxisSettings) -> Iterator[Callable[..., UUID]]:
    """Let a deployment run, as its schedule does."""
    with PrefectApi(stack) as api:

        def run(name: str, **parameters: Any) -> UUID:
            return api.create_flow_run(api.find_deployment(name).id, parameters).id

        yield run


def test_they_queue_up_and_both_complete(stack: PraxisSettings, start: Callable[..., UUID]) -> None:
    """Who waits says so on Prefect's page and to ``praxis why``; each finds racks of its own."""
    with closing(LabControl(stack.lab_socket("star"))) as control, PrefectApi(stack) as api:
        control.set_time(0.3, device="star")
        first = start("serial-dilution/star")
        wait_for(lambda: _has_begun(stack, first))
        second = start("dose-response/star", points=3)
        waiting = _seen(api, second, "Waiting")
        told = CliRunner().invoke(app, ["why", str(second)]).output.replace("\n", " ")
        control.clear()
        ends = [ended(api, one) for one in (first, second)]

    assert str(first) in str(waiting.state_message)
    assert "star" in str(waiting.state_message)
    assert str(first) in told
    assert "waits" in told
    assert [one.state_type for one in ends] == ["COMPLETED"] * 2, ends
    assert _worked(stack, first)[1] < _worked(stack, second)[0]


@pytest.fixture
def shaking(stack: PraxisSettings, tmp_path: Path) -> str:
    """A deployment that wants nothing but the shaker."""
    (tmp_path / "shaking.py").write_text(dedent(SHAKING))
    praxis = Path(sys.executable).parent / "praxis"
    words = ["exec", "prefect", "--no-prompt", "deploy", "shaking.py:shaking_flow"]
    subprocess.run(
        [praxis, *words, "--name", "star", "--pool", WORK_POOL],
        cwd=tmp_path,
        env=environment(stack),
        check=True,
        capture_output=True,
    )
    return "shaking/star"


def test_those_that_do_not_overlap_run_side_by_side(
    stack: PraxisSettings, start: Callable[..., UUID], shaking: str
) -> None:
    """One begins and ends while the other one is under way on the same workcell."""
    with closing(LabControl(stack.lab_socket("star"))) as control, PrefectApi(stack) as api:
        control.set_time(0.5, device="star")
        long = start("serial-dilution/star")
        wait_for(lambda: _has_begun(stack, long))
        end = ended(api, start(shaking))
        meanwhile = api.read_flow_run(long)
        control.clear()
        at_last = ended(api, long)

    assert end.state_type == "COMPLETED", end
    assert meanwhile.state_type == "RUNNING", meanwhile
    assert at_last.state_type == "COMPLETED", at_last


def _seen(api: PrefectApi, run_id: UUID, state: str) -> FlowRun:
    def look() -> FlowRun | None:
        found = api.read_flow_run(run_id)
        return found if found.state_name == state else None

    found: FlowRun = wait_for(look)
    return found


def _has_begun(stack: PraxisSettings, run_id: UUID) -> bool:
    query = "SELECT count(*) FROM praxis.command WHERE run_id = %s"
    with psycopg.connect(stack.addresses().database_url) as connection:
        [(count,)] = connection.execute(query, [run_id]).fetchall()
    return bool(count)


def _worked(stack: PraxisSettings, run_id: UUID) -> Span:
    """From when to when a run sent commands."""
    query = "SELECT min(started_at), max(started_at) FROM praxis.command WHERE run_id = %s"
    with psycopg.connect(stack.addresses().database_url) as connection:
        [(begin, end)] = connection.execute(query, [run_id]).fetchall()
    return begin, end
