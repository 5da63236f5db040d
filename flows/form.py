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
from prefect.states import Paused

from praxis_core.execution.page import Form, Said
from praxis_core.protocol.asking import ANSWERED_BY

LOOK_SECONDS = 1.0
"""How often it is looked whether somebody has filled it in."""

AGES = timedelta(days=3650)
"""Prefect fails a run that is paused for longer than it was told; how long we wait, we know."""


_Part = Literal["schema", "description"]


class PrefectForm:
    """Shows one question of a run on its page.

    Args:
        run_id: The flow run.
        form: The question.
    """

    def __init__(self, run_id: UUID, form: Form) -> None:
        self._run_id = run_id
        self._form = form
        # Of its own each time: Prefect takes a key once, and a retried run asks again.
        key = f"question-{form.number}-{uuid4().hex[:8]}"
        self._paused: State[Any] = Paused(timeout_seconds=int(AGES.total_seconds()), pause_key=key)
        self._paused.message = form.title
        self._keys = keyset_from_paused_state(self._paused)
        self._paused.state_details.run_input_keyset = {
            str(part): key for part, key in self._keys.items()
        }

    async def filled_in(self) -> Said:
        """Show it until somebody fills it in; cancelled, it is taken away.

        That it cannot be shown ends no run: it can be answered elsewhere.
        """
        shown = False
        try:
            while True:
                try:
                    shown = shown or await self._show()
                    if shown and (said := await self._read()) is not None:
                        return said
                except (PrefectException, HTTPError) as error:
                    get_run_logger().warning("A question is not on this page: %s", error)
                await asyncio.sleep(LOOK_SECONDS)
        except asyncio.CancelledError:
            if shown:
                with suppress(PrefectException, HTTPError):
                    await self._take_away()
            raise

    async def _show(self) -> bool:
        """Pause the flow run, with the form; False: it cannot be paused just now."""
        async with get_client() as client:
            if not _accepted(await client.set_flow_run_state(self._run_id, self._paused)):
                return False
            described = "\n\n".join(filter(None, [f"**{self._form.title}**", self._form.text]))
            await self._save(client, "schema", _with_name(self._form.schema))
            await self._save(client, "description", described)
        return True

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
        by = str(response.pop(ANSWERED_BY, ""))
        return Said(response, by)

    async def _take_away(self) -> None:
        state: State[None] = State(
            type=StateType.RUNNING, name="Running", message="It was answered elsewhere."
        )
        async with get_client() as client:
            flow_run = await client.read_flow_run(self._run_id)
            if flow_run.state is not None and flow_run.state.is_paused():
                await client.set_flow_run_state(self._run_id, state)


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
