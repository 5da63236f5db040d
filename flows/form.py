"""A form on a run's page in Prefect: the flow run is paused, and resumed by who fills it in."""

from __future__ import annotations

import asyncio
import json
from contextlib import suppress
from datetime import timedelta
from http import HTTPStatus
from typing import Any, Literal
from uuid import UUID, uuid4

from httpx import HTTPError
from prefect.client.orchestration import PrefectClient, get_client
from prefect.client.schemas import OrchestrationResult, State, StateType
from prefect.client.schemas.responses import SetStateStatus
from prefect.exceptions import PrefectException, PrefectHTTPStatusError
from prefect.input.run_input import keyset_from_paused_state
from prefect.logging import get_run_logger
from prefect.states import Paused, Suspended

from praxis_core.execution.page import Form, Said
from praxis_core.protocol.asking import ANSWERED_BY
from praxis_core.to_the_end import to_the_end

LOOK_SECONDS = 1.0
"""How often it is looked whether somebody has filled it in."""

AGES = timedelta(days=3650)
"""Prefect fails a run that is paused for longer than it was told; how long we wait, we know."""


MOST_PARTS = 200
"""Of the forms of one question, each of which has three."""

_Part = Literal["schema", "description"]


class PrefectForm:
    """Shows one question of a run on its page.

    Args:
        run_id: The flow run.
        form: The question.
        suspended: Whether the run has no process: Prefect starts it when the form is filled in.
    """

    def __init__(self, run_id: UUID, form: Form, *, suspended: bool = False) -> None:
        self._run_id = run_id
        self._form = form
        # Of its own each time: Prefect takes a key once, and a retried run asks again.
        key = f"{_asked(form.number)}{uuid4().hex[:8]}"
        make = Suspended if suspended else Paused
        self._paused: State[Any] = make(timeout_seconds=int(AGES.total_seconds()), pause_key=key)
        self._paused.message = form.title
        self._keys = keyset_from_paused_state(self._paused)
        self._paused.state_details.run_input_keyset = {
            str(part): key for part, key in self._keys.items()
        }

    async def filled_in(self) -> Said:
        """Show it until somebody fills it in; cancelled, it is taken away.

        That it cannot be shown ends no run: it can be answered elsewhere.
        """
        shown = begun = False
        try:
            while True:
                try:
                    begun = True
                    # Half of it would be left on the page, and nobody would take it away.
                    shown = shown or await to_the_end(self._show())
                    if shown and (said := await self._read()) is not None:
                        return said
                except (PrefectException, HTTPError) as error:
                    get_run_logger().warning("A question is not on this page: %s", error)
                await asyncio.sleep(LOOK_SECONDS)
        except asyncio.CancelledError:
            if begun:
                with suppress(PrefectException, HTTPError):
                    await self._take_away()
            raise

    async def suspend(self) -> bool:
        """Leave it on the page of a run whose process ends; False: Prefect does not take it.

        Raises:
            PrefectException, HTTPError: Prefect does not answer; try again with a new one.
        """
        # The form first: from then on nobody is there who could add it.
        async with get_client() as client:
            await self._save_all(client)
            if _accepted(await client.set_flow_run_state(self._run_id, self._paused)):
                return True
            # Prefect may have taken an earlier one without saying so.
            state = (await client.read_flow_run(self._run_id)).state
        if state is not None and state.is_paused() and not state.state_details.pause_reschedule:
            await self._take_away()
            return await PrefectForm(self._run_id, self._form, suspended=True).suspend()
        return state is not None and state.is_paused()

    async def _show(self) -> bool:
        """Pause the flow run, with the form; False: it cannot be paused just now."""
        async with get_client() as client:
            if not _accepted(await client.set_flow_run_state(self._run_id, self._paused)):
                return False
            await self._save_all(client)
        return True

    async def _save_all(self, client: PrefectClient) -> None:
        described = "\n\n".join(filter(None, [f"**{self._form.title}**", self._form.text]))
        await self._save(client, "schema", _with_name(self._form.schema))
        await self._save(client, "description", described)

    async def _save(self, client: PrefectClient, part: _Part, value: Any) -> None:
        key = self._keys[part]
        await client.create_flow_run_input(self._run_id, key=key, value=json.dumps(value))

    async def _read(self) -> Said | None:
        async with get_client() as client:
            flow_run = await client.read_flow_run(self._run_id)
            if flow_run.state is None or not flow_run.state.is_running():
                return None
            try:
                key = self._keys["response"]
                response = json.loads(await client.read_flow_run_input(self._run_id, key=key))
            except PrefectHTTPStatusError as error:
                if error.response.status_code != HTTPStatus.NOT_FOUND:
                    raise
                response = {}  # it runs again, and nobody has filled the form in
        return _said(response)

    async def _take_away(self) -> None:
        state: State[None] = State(
            type=StateType.RUNNING, name="Running", message="Its form is not shown any more."
        )
        async with get_client() as client:
            flow_run = await client.read_flow_run(self._run_id)
            if flow_run.state is not None and flow_run.state.is_paused():
                await client.set_flow_run_state(self._run_id, state)


async def left_behind(run_id: UUID, number: int) -> Said | None:
    """Give what was filled in of a question and nobody has read; None: nothing.

    Args:
        run_id: The flow run.
        number: Of the question.

    Raises:
        PrefectException, HTTPError: Prefect does not answer.
    """
    async with get_client() as client:
        for name in ("suspended", "paused"):
            prefix = f"{name}-{_asked(number)}"
            found = await client.filter_flow_run_input(run_id, prefix, MOST_PARTS, set())
            for one in reversed(found):
                if one.key.endswith("-response"):
                    return _said(json.loads(one.value))
    return None


def _asked(number: int) -> str:
    """Say what the keys of a question begin with."""
    return f"question-{number}-"


def _said(response: dict[str, Any]) -> Said:
    by = str(response.pop(ANSWERED_BY, ""))
    return Said(response, by)


def _accepted(result: OrchestrationResult[Any]) -> bool:
    return result.status is SetStateStatus.ACCEPT


def _with_name(schema: dict[str, Any]) -> dict[str, Any]:
    """Give the form as Prefect shows it: who answers is asked as well."""
    name = {
        "type": "string",
        "title": "Your name",
        "description": "Written down with the answer; nobody has to sign in yet.",
        "minLength": 1,
        "maxLength": 100,
    }
    fields = {
        **{field: _with_bounds(one) for field, one in schema.get("properties", {}).items()},
        ANSWERED_BY: name,
    }
    placed = {
        field: {**described, "position": place}
        for place, (field, described) in enumerate(fields.items())
    }
    required = [*schema.get("required", []), ANSWERED_BY]
    return {**schema, "properties": placed, "required": required, "additionalProperties": True}


BOUNDS = {
    "exclusiveMinimum": "> {}",
    "minimum": "≥ {}",
    "exclusiveMaximum": "< {}",
    "maximum": "≤ {}",
    "multipleOf": "multiple of {}",
    "minLength": "at least {} characters",
    "maxLength": "at most {} characters",
    "minItems": "at least {}",
    "maxItems": "at most {}",
}
"""What limits an answer, in words."""


def _with_bounds(field: Any) -> dict[str, Any]:
    """Say in a field's description what limits it; Prefect checks that, but does not show it."""
    bounds = ", ".join(text.format(field[name]) for name, text in BOUNDS.items() if name in field)
    if not bounds:
        return {**field}
    return {**field, "description": f"{field.get('description', '')} ({bounds})".strip()}
