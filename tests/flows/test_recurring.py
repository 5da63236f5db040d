"""Recurring deployments that overlap, and runs whose time came while nobody was there."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from textwrap import dedent
from uuid import UUID

import pytest
from typer.testing import CliRunner

from praxis_core.cli import app
from praxis_core.services.environment import environment
from praxis_core.services.missed import missed_runs
from praxis_core.services.prefect_api import FlowRun, PrefectApi
from praxis_core.services.stack import up
from praxis_core.services.worker import WORK_POOL
from praxis_core.settings import PraxisSettings
from tests.chaos.world import wait_for
from tests.flows.test_deployments_that_wait import SHAKING
from tests.flows.test_through_the_worker import ended

DOCS = Path(__file__).parents[2] / "docs" / "recurring.md"


@pytest.fixture
def deployed(stack: PraxisSettings, tmp_path: Path) -> None:
    """The deployments that the documentation shows."""
    shown = DOCS.read_text().split("```yaml\n")[1].split("```")[0]
    (tmp_path / "shaking.py").write_text(dedent(SHAKING))
    (tmp_path / "prefect.yaml").write_text(shown)
    praxis = Path(sys.executable).parent / "praxis"
    done = subprocess.run(
        [praxis, *["exec", "prefect", "--no-prompt", "deploy", "--all"]],
        cwd=tmp_path,
        env=environment(stack),
        check=False,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.fixture
def api(stack: PraxisSettings) -> Iterator[PrefectApi]:
    """Prefect, whose workers begin runs in the end, whatever happens."""
    with PrefectApi(stack) as api:
        yield api
        api.pause_work_pool(WORK_POOL, paused=False)


@pytest.mark.usefixtures("deployed")
def test_runs_that_overlap_queue_up_or_are_left_out(api: PrefectApi) -> None:
    """As ``prefect.yaml`` says: the second waits for the first, or is cancelled."""

    def start(name: str) -> UUID:
        return api.create_flow_run(api.find_deployment(name).id, {}).id

    queued = [start("shaking/queue"), start("shaking/queue")]
    left_out = [start("shaking/skip"), start("shaking/skip")]
    wait_for(lambda: "AwaitingConcurrencySlot" in _states(api, queued))
    first, second = sorted((ended(api, one) for one in queued), key=_beginning)

    assert (first.state_type, second.state_type) == ("COMPLETED", "COMPLETED")
    assert first.ended_at is not None
    assert _beginning(second) >= first.ended_at
    assert sorted(str(ended(api, one).state_type) for one in left_out) == ["CANCELLED", "COMPLETED"]


def _states(api: PrefectApi, runs: list[UUID]) -> list[str | None]:
    return [api.read_flow_run(one).state_name for one in runs]


def _beginning(run: FlowRun) -> datetime:
    assert run.started_at is not None
    return run.started_at


def test_what_was_missed_is_told_and_can_be_left_out(
    stack: PraxisSettings, api: PrefectApi
) -> None:
    """By ``praxis up`` and ``praxis run list``; what is on time is no matter."""
    deployment = api.find_deployment("serial-dilution/star").id
    api.pause_work_pool(WORK_POOL, paused=True)
    now = datetime.now(UTC)
    missed, early = (
        api.create_flow_run(deployment, {}, at=now + timedelta(hours=hours)) for hours in (-1, 1)
    )

    listed = CliRunner().invoke(app, ["run", "list"]).output
    said: list[str] = []
    up(stack, register=None, say=said.append)
    assert [one.run_id for one in missed_runs(api)] == [missed.id]
    up(stack, register=None, say=said.append, skip_missed=True)

    told = f"serial-dilution/star was to begin at {now - timedelta(hours=1):%Y-%m-%d %H:%M} UTC"
    assert f"Not begun: {told} (run {missed.id})" in listed
    assert str(early.id) not in listed
    assert said == [
        f"Missed: {told} (run {missed.id}); it begins now.",
        "To leave out what was missed: praxis up --skip-missed",
        f"Missed: {told} (run {missed.id}); it is left out.",
    ]
    assert api.read_flow_run(missed.id).state_type == "CANCELLED"
    assert missed_runs(api) == []
    api.set_state(early.id, "CANCELLED")
