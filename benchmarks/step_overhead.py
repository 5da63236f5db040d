"""What a step costs beside a bare async Prefect task, measured in turn in the same flow run.

Needs a running stack (``praxis up``).
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from statistics import median
from time import perf_counter

from prefect import task
from prefect.cache_policies import NO_CACHE

from benchmarks.row import Row
from flows import compile_protocol
from praxis_core.protocol import protocol, step

ROUNDS = 150


@task(cache_policy=NO_CACHE)
async def bare() -> None:
    """Nothing, as a Prefect task."""


@step("Nothing")
async def nothing() -> None:
    """Nothing, as a step."""


@protocol(name="step-overhead", version="1.0.0")
async def step_overhead(rounds: int = ROUNDS) -> dict[str, float]:
    """Time a bare task and a step in turn; medians in ms."""
    tasks: list[float] = []
    steps: list[float] = []
    for _ in range(rounds):
        start = perf_counter()
        await bare()
        middle = perf_counter()
        await nothing()
        tasks.append(middle - start)
        steps.append(perf_counter() - middle)
    return {"task_ms": 1000 * median(tasks), "step_ms": 1000 * median(steps)}


step_overhead_flow = compile_protocol(step_overhead)


async def _measure() -> dict[str, float]:
    flow: Callable[[], Awaitable[dict[str, float]]] = step_overhead_flow
    return await flow()


def rows() -> list[Row]:
    """Run the flow in this process."""
    result = asyncio.run(_measure())
    return [
        Row(
            what="one step of a protocol against a bare async Prefect task, same flow run",
            measured=f"{result['step_ms']:.2f} ms against {result['task_ms']:.2f} ms",
            ratio=result["step_ms"] / result["task_ms"],
            target=1.25,
        )
    ]
