"""The main job: a deployed protocol, started as from the page, runs through a real worker."""

from __future__ import annotations

from collections.abc import Callable
from time import monotonic, sleep
from typing import cast
from uuid import UUID

import psycopg
import pytest
from prefect.settings import PREFECT_API_URL, temporary_settings

from blocks import PraxisStateStore, Workcell
from praxis_core.errors import ServiceRefused
from praxis_core.services.prefect_api import FlowRun, PrefectApi
from praxis_core.settings import PraxisSettings
from praxis_core.state import PraxisState

MINUTES = 2


@pytest.fixture
def run_deployed(stack: PraxisSettings) -> Callable[..., FlowRun]:
    """Start a deployment and wait for the end of its run."""

    def run(name: str, **parameters: object) -> FlowRun:
        with PrefectApi(stack) as api:
            started = api.create_flow_run(api.find_deployment(name).id, parameters)
            return ended(api, started.id)

    return run


def ended(api: PrefectApi, run_id: UUID) -> FlowRun:
    """Wait until Prefect says that a run has ended."""
    deadline = monotonic() + 60 * MINUTES
    while not (flow_run := api.read_flow_run(run_id)).ended:
        if monotonic() > deadline:
            pytest.fail(f"the run is still {flow_run.state_name}")
        sleep(0.2)
    return flow_run


@pytest.fixture
def database(stack: PraxisSettings) -> psycopg.Connection[tuple[object, ...]]:
    """The stack's database, as any other program reads it."""
    return psycopg.connect(stack.addresses().database_url, autocommit=True)


def test_a_serial_dilution_runs_and_is_read_back(
    run_deployed: Callable[..., FlowRun],
    stack: PraxisSettings,
    database: psycopg.Connection[tuple[object, ...]],
) -> None:
    """Prefect says Completed; SQL has steps, commands, wells, summary; PraxisState is archived."""
    flow_run = run_deployed("serial-dilution", factor=2.5)

    assert flow_run.state_type == "COMPLETED", flow_run.state_message
    assert flow_run.name == "serial-dilution on star"
    with database:
        [overview] = database.execute(
            """SELECT status, prefect_state_name, prefect_deployment, summary ->> 'r_squared'
               FROM praxis.run_overview WHERE run_id = %s""",
            [flow_run.id],
        ).fetchall()
        counts = database.execute(
            """SELECT (SELECT count(*) FROM praxis.run_step WHERE run_id = %(run)s),
                      (SELECT count(*) FROM praxis.command WHERE run_id = %(run)s
                         AND task_run_id IS NULL),
                      (SELECT count(*) FROM praxis.measurement WHERE run_id = %(run)s
                         AND well IS NOT NULL),
                      (SELECT count(*) FROM praxis.data_file WHERE run_id = %(run)s)""",
            {"run": flow_run.id},
        ).fetchone()
    assert overview[:3] == ("succeeded", "Completed", "star")
    assert float(str(overview[3])) > 0.99
    assert counts == (14, 0, 96, 1)
    state = PraxisState.open(flow_run.id, stack)
    assert len(state["absorbance"]) == 8
    assert state.ended


def test_the_page_refuses_a_value_out_of_range(run_deployed: Callable[..., FlowRun]) -> None:
    """Prefect checks the form against the ranges of the protocol; no run is created."""
    with pytest.raises(ServiceRefused, match="100"):
        run_deployed("serial-dilution", factor=100)


def test_a_refused_run_tells_all_its_problems_in_prefect(
    run_deployed: Callable[..., FlowRun], database: psycopg.Connection[tuple[object, ...]]
) -> None:
    """What only the workcell can know is refused by the run itself, before any command."""
    flow_run = run_deployed(
        "serial-dilution", assets={"tips": "tips_300_0", "plate": "dye_stock", "stock": "diluent"}
    )

    assert flow_run.state_type == "FAILED"
    for culprit in ("tips_300_0", "dye_stock is a Trough"):
        assert culprit in str(flow_run.state_message)
    with database:
        [status] = database.execute(
            """SELECT status, (SELECT count(*) FROM praxis.command c WHERE c.run_id = r.id)
               FROM praxis.protocol_run r WHERE id = %s""",
            [flow_run.id],
        ).fetchall()
    assert status == ("refused", 0)


async def test_other_flows_use_the_blocks(
    stack: PraxisSettings, run_deployed: Callable[..., FlowRun]
) -> None:
    """Any program that knows the Prefect server loads the blocks and opens what they stand for."""
    flow_run = run_deployed("dose-response", points=3)
    assert flow_run.state_type == "COMPLETED", flow_run.state_message

    with temporary_settings({PREFECT_API_URL: stack.addresses().prefect_api_url}):
        store = cast("PraxisStateStore", await PraxisStateStore.aload("default"))
        block = cast("Workcell", await Workcell.aload("star"))

    assert len(store.open(flow_run.id)["doses_uM"]) == 12
    async with block.open() as workcell:
        await workcell.asset("star").pick_up_tips(workcell.asset("tips_300_01")["A1"])
        await workcell.asset("star").return_tips()
