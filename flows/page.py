"""A run's page in Prefect while it is under way: what it waits for, and what it is going to do."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta
from uuid import UUID

from httpx import HTTPError
from prefect.artifacts import acreate_progress_artifact, aupdate_progress_artifact
from prefect.client.orchestration import get_client
from prefect.client.schemas import SetStateStatus, State, StateType
from prefect.exceptions import PrefectException
from prefect.logging import get_run_logger
from prefect.states import Scheduled

from flows.artifact import key_of, publish_plan
from flows.deck import RunDeck
from flows.form import PrefectForm, left_behind
from praxis_core.errors import RunParked
from praxis_core.execution.page import Advance, Form, Said
from praxis_core.orchestrator import RunPage
from praxis_core.planning.plan import Plan

WAITING = "Waiting"
"""Name of the state of a run that waits for assets, or for material."""

PARKED = "Parked"
"""Name of the state of a run that waits without a process."""

NOBODY_KNOWS = timedelta(days=36500)
"""When a run is started again that waits for a person: ``praxis run resume`` comes before."""

AGAIN_SECONDS = 2.0
"""Between two tries to tell Prefect."""

WRITE_SECONDS = 10.0
"""How long a run waits at most until its bar is written."""

OPERATOR = "operator"
"""First word of the tag that names somebody who has answered."""

WATER = "water"
"""Tag of a run that is done with water."""


class PrefectPage(RunPage):
    """The page of one flow run; that it cannot be written ends no run.

    Args:
        run_id: The flow run.
        deployed: Whether it is one of a deployment, which a worker starts.
        links: Markdown that says where more of the run is to be seen.
        deck: Pictures of its deck; None: none are shown.
    """

    via = "prefect"

    def __init__(self, run_id: UUID, *, deployed: bool, links: str, deck: RunDeck | None) -> None:
        self._run_id = run_id
        self._links = links
        self._deck = deck
        self._one_form = asyncio.Lock()
        self._bar: UUID | None = None
        self._open: Form | None = None
        """What is asked just now, or was when the run was parked."""
        # Nobody starts a run of a file again; it waits in its process.
        self.starts_again = deployed

    async def parked(self, parked: RunParked) -> None:
        """Let the worker start the run again; without Prefect's word nothing ends.

        A form that is open stays, unless something has to be done at a time: that the worker starts
        the run then does not depend on people, and no state of Prefect is both.
        """
        while True:
            try:
                if await self._has_left_form(parked) or await self._is_scheduled(parked):
                    return
            except (PrefectException, HTTPError) as error:
                get_run_logger().warning("That it is parked is not on this page: %s", error)
                await asyncio.sleep(AGAIN_SECONDS)

    async def _has_left_form(self, parked: RunParked) -> bool:
        form = self._open
        if form is None or parked.on_time or parked.seconds == 0:
            return False
        if await left_behind(self._run_id, form.number) is not None:
            parked.seconds = 0.0  # filled in at the last moment
            return False
        return await PrefectForm(self._run_id, form, suspended=True).suspend()

    async def _is_scheduled(self, parked: RunParked) -> bool:
        left = NOBODY_KNOWS if parked.seconds is None else timedelta(seconds=parked.seconds)
        state: State[None] = Scheduled(
            scheduled_time=datetime.now(UTC) + left, name=PARKED, message=str(parked)
        )
        async with get_client() as client:
            said = await client.set_flow_run_state(self._run_id, state)
        if said.status != SetStateStatus.ACCEPT:
            get_run_logger().warning("Prefect does not park it: %s", said.details)
        return True

    async def with_water(self) -> None:
        """Give the flow run the tag ``water``."""
        await self.tagged(WATER)

    async def tagged(self, *more: str) -> None:
        """Give the flow run tags, by which people find it."""
        try:
            async with get_client() as client:
                flow_run = await client.read_flow_run(self._run_id)
                tags = {*flow_run.tags, *more}
                if tags != set(flow_run.tags):
                    await client.update_flow_run(self._run_id, tags=tags)
        except (PrefectException, HTTPError) as error:
            told = ", ".join(more)
            get_run_logger().warning("It is not tagged on this page: %s: %s", told, error)

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

    async def advanced(self, advance: Advance) -> None:
        """Show how far it is as a bar, and the deck; the same rows are written anew each time."""
        if advance.share is not None:
            await self._bar_at(advance, advance.share)
        if self._deck is not None:
            await self._deck.goes_on(advance)

    async def ended(self) -> None:
        """Show the deck as the run has left it."""
        if self._deck is not None:
            await self._deck.ended()

    async def _bar_at(self, advance: Advance, share: float) -> None:
        percent = round(100 * share, 1)
        told = "\n\n".join(filter(None, [str(advance), advance.step, self._links]))
        try:
            async with asyncio.timeout(WRITE_SECONDS):
                if self._bar is None:
                    key = key_of("progress", self._run_id)
                    self._bar = await acreate_progress_artifact(percent, key, told)
                else:
                    await aupdate_progress_artifact(self._bar, percent, told)
        except (PrefectException, HTTPError, TimeoutError) as error:
            get_run_logger().debug("How far it is, is not on this page: %s", error)

    async def left_behind(self, run_id: UUID, number: int) -> Said | None:
        """Give what somebody filled in while the run had no process; None: nobody has."""
        try:
            return await left_behind(run_id, number)
        except (PrefectException, HTTPError) as error:
            get_run_logger().warning("Whether it was answered on this page is not known: %s", error)
            return None

    async def asked(self, run_id: UUID, form: Form) -> Said:
        """Show a form until somebody fills it in; one at a time."""
        async with self._one_form:
            self._open = form
            said = await PrefectForm(run_id, form).filled_in()
            self._open = None
        if said.by.strip():
            await self.tagged(f"{OPERATOR}:{said.by.strip()}")
        return said

    async def _show(self, name: str, message: str) -> None:
        # To Prefect it runs all the time: its process is there, and can be cancelled. A run that is
        # being cancelled stays so: Prefect rejects any other state then.
        state: State[None] = State(type=StateType.RUNNING, name=name, message=message)
        try:
            async with get_client() as client:
                await client.set_flow_run_state(self._run_id, state)
        except (PrefectException, HTTPError) as error:
            get_run_logger().warning("That it is %s is not on this page: %s", name, error)
