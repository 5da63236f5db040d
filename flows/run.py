"""Run a protocol from a file as a Prefect flow run in this process: ``python -m flows.run SPEC``.

Reads the flow's parameters as JSON from standard input and writes the run's id as one line of JSON,
so that the caller can follow the run in the database while it goes on. With ``--resume RUN`` a run
that stopped goes on under the same id, with the parameters that it had.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import logging
import os
import sys
from contextlib import suppress
from typing import Any
from uuid import UUID

import httpx
from prefect import Flow
from prefect.client.orchestration import get_client
from prefect.exceptions import PrefectException
from prefect.flow_engine import run_flow_async
from prefect.states import Pending
from pydantic import ValidationError

from flows.compile import compile_protocol
from praxis_core.errors import PraxisError, RequestError, RunRefused, SettingsError
from praxis_core.execution.exit_codes import ExitCode, code_of_error, told
from praxis_core.planning.checks import parameter_problems
from praxis_core.protocol.definition import define, validate_parameters
from praxis_core.protocol.loading import load_protocol

PLACES = ("workcell", "assets", "simulate", "carry_from", "priority", "water_run", "until")
"""Parameters of every compiled flow that are not the protocol's."""


async def run(spec: str, parameters: dict[str, Any], resume: UUID | None = None) -> None:
    """Compile the protocol and run it here.

    Args:
        spec: The file.
        parameters: Of the flow; not those of a run that goes on.
        resume: The run that goes on; None: a new one begins.
    """
    if "PREFECT_API_URL" not in os.environ:
        raise SettingsError(
            setting="PREFECT_API_URL",
            what="it is not set, and Prefect would start a server of its own. Run: praxis up",
        )
    protocol = load_protocol(spec)
    flow = compile_protocol(protocol)
    known = {**flow_defaults(flow), **parameters}
    _refuse_unknown(protocol, flow, known)
    try:
        async with get_client() as client:
            pending: Any = Pending()
            if resume is None:
                flow_run = await client.create_flow_run(flow, parameters=known, state=pending)
            else:
                # Forced: Prefect lets no run begin again that has ended, or whose process it has
                # not missed yet. Whether it may go on, the journal decides.
                await client.set_flow_run_state(resume, pending, force=True)
                flow_run = await client.read_flow_run(resume)
                known = {**flow_defaults(flow), **flow_run.parameters}
    except (httpx.HTTPError, PrefectException) as error:
        raise RequestError(
            what=f"Prefect does not take the run: {error}. See: praxis status. "
            "Start what is missing with: praxis up"
        ) from error
    print(json.dumps({"run_id": str(flow_run.id)}), flush=True)  # noqa: T201  # the caller reads it
    sys.stdout = sys.stderr  # and nothing after it: what a protocol prints would fill the pipe
    logging.getLogger("prefect.flow_runs").addFilter(_without_our_trace)
    # From here on what goes wrong is in the log and in the history.
    with suppress(Exception):
        await run_flow_async(flow, flow_run=flow_run, parameters=known)


def _refuse_unknown(function: Any, flow: Flow[..., Any], parameters: dict[str, Any]) -> None:
    """Prefect refuses unknown names with a trace, and before the orchestrator is asked."""
    if parameters.keys() <= flow.parameters.properties.keys():
        return
    definition = define(function)
    scientific = {name: value for name, value in parameters.items() if name not in PLACES}
    try:
        validate_parameters(function, scientific)
    except ValidationError as error:
        problems = parameter_problems(definition, error)
        raise RunRefused(
            protocol=definition.name,
            workcell=parameters["workcell"],
            count=len(problems),
            problems=problems,
        ) from error


def _without_our_trace(record: logging.LogRecord) -> bool:
    """An error of Praxis says what to do; where in Praxis it was raised helps nobody."""
    if record.exc_info and isinstance(record.exc_info[1], PraxisError):
        record.exc_info = None
    return True


def flow_defaults(flow: Any) -> dict[str, Any]:
    """The default of each parameter that has one."""
    properties = flow.parameters.properties
    return {name: schema["default"] for name, schema in properties.items() if "default" in schema}


def main() -> int:
    """Run, and say in one line why not."""
    parser = argparse.ArgumentParser(prog="python -m flows.run")
    parser.add_argument("spec")
    parser.add_argument("--resume", type=UUID)
    parser.add_argument("--json", action="store_true", help="tell an error as JSON")
    given = parser.parse_args()
    try:
        asyncio.run(run(given.spec, json.load(sys.stdin), given.resume))
    except PraxisError as error:
        sys.stderr.write(told(error, str(error), as_json=given.json))
        return code_of_error(error)
    except KeyboardInterrupt:
        return ExitCode.LEFT
    return ExitCode.DONE


if __name__ == "__main__":
    sys.exit(main())
