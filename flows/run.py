"""Run a protocol from a file as a Prefect flow run in this process: ``python -m flows.run SPEC``.

Reads the flow's parameters as JSON from standard input and writes the run's id as one line of JSON,
so that the caller can follow the run in the database while it goes on.
"""

from __future__ import annotations

import asyncio
import json
import os
import sys
from typing import Any

from prefect.client.orchestration import get_client
from prefect.flow_engine import run_flow_async
from prefect.states import Pending

from flows.compile import compile_protocol
from praxis_core.errors import PraxisError, SettingsError
from praxis_core.protocol.loading import load_protocol


async def run(spec: str, parameters: dict[str, Any]) -> None:
    """Compile the protocol and run it here."""
    if "PREFECT_API_URL" not in os.environ:
        raise SettingsError(
            setting="PREFECT_API_URL",
            what="it is not set, and Prefect would start a server of its own. Run: praxis up",
        )
    flow = compile_protocol(load_protocol(spec))
    known = {**flow_defaults(flow), **parameters}
    async with get_client() as client:
        flow_run = await client.create_flow_run(flow, parameters=known, state=Pending())
    print(json.dumps({"run_id": str(flow_run.id)}), flush=True)  # noqa: T201  # the caller reads it
    await run_flow_async(flow, flow_run=flow_run, parameters=known)


def flow_defaults(flow: Any) -> dict[str, Any]:
    """The default of each parameter that has one."""
    properties = flow.parameters.properties
    return {name: schema["default"] for name, schema in properties.items() if "default" in schema}


def main() -> int:
    """Run, and say in one line why not."""
    try:
        asyncio.run(run(sys.argv[1], json.load(sys.stdin)))
    except PraxisError as error:
        print(error, file=sys.stderr)  # noqa: T201  # the process's answer
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
