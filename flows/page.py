"""A run's page in Prefect while it is under way: what it waits for, and what it is going to do."""

from __future__ import annotations

import asyncio
from uuid import UUID

from httpx import HTTPError
from prefect.client.orchestration import get_client
from prefect.client.schemas import State, StateType
from prefect.exceptions import PrefectException
from prefect.logging import get_run_logger

from flows.artifact import publish_plan
from flows.form import PrefectForm
from praxis_core.execution.page import Form, Said
from praxis_core.orchestrator import RunPage
from praxis_core.planning.plan import Plan

WAITING = "Waiting"
"""Name of the state of a run that waits for assets, or for material."""

WATER = "water"
"""Tag of a run that is done with water."""


class PrefectPage(RunPage):
    """The page of one flow run; that it cannot be written ends no run.

    Args:
        run_id: The flow run.
    """

    via = "prefect"

    def __init__(self, run_id: UUID) -> None:
        self._run_id = run_id
        self._one_form = asyncio.Lock()

    async def with_water(self) -> None:
        """Give the flow run the tag ``water``."""
        try:
            async with get_client() as client:
                flow_run = await client.read_flow_run(self._run_id)
                tags = {*flow_run.tags, WATER}
                await client.update_flow_run(self._run_id, tags=tags)
        except (PrefectException, HTTPError) as error:
            get_run_logger().warning("That it is a water run is not on this page: %s", error)

    async def waiting(self, reason: str) -> None:
        """Show the state "Waiting", with the reason."""
        await self._show(WAITING, f"Waits for assets: {reason}")

    async def short(self, reason: str) -> None:
        """Show the state "Waiting", with what is missing."""
        await self._show(WAITING, reason)

    async def closed(self, reason: str) -> None:
        """Show the state "Waiting", with what its workcell was told."""
        await self._show(WAITING, reason)

    async def paused(self, by: str, reason: str) -> None:
        """Show the state "Paused by" somebody, with who, when and why."""
        await self._show(f"Paused by {by}", reason)

    async def going_on(self) -> None:
        """Show that it runs again."""
        await self._show("Running", "It has what it waited for.")

    async def planned(self, plan: Plan) -> None:
        """Write the plan beside the logs."""
        await publish_plan(self._run_id, plan)

    async def asked(self, run_id: UUID, form: Form) -> Said:
        """Show a form until somebody fills it in; one at a time."""
        async with self._one_form:
            return await PrefectForm(run_id, form).filled_in()

    async def _show(self, name: str, message: str) -> None:
        # To Prefect it runs all the time: its process is there, and can be cancelled. A run that is
        # being cancelled stays so: Prefect rejects any other state then.
        state: State[None] = State(type=StateType.RUNNING, name=name, message=message)
        try:
            async with get_client() as client:
                await client.set_flow_run_state(self._run_id, state)
        except (PrefectException, HTTPError) as error:
            get_run_logger().warning("That it is %s is not on this page: %s", name, error)
