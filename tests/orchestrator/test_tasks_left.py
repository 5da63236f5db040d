"""A protocol that ends while tasks of its own still run: nothing moves after its end."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any
from uuid import uuid4

import pytest
from pylabrobot.shaking import Shaker

from praxis_core.journal.record import Journal
from praxis_core.orchestrator import Orchestrator, RunRequest
from praxis_core.protocol import protocol, step
from praxis_core.protocol.lifecycle import RunStatus, StepStatus

LEFT: list[asyncio.Task[None]] = []


@step("Wait")
async def wait_for_ever(began: asyncio.Event) -> None:
    """Say that it began, and never end."""
    began.set()
    await asyncio.Event().wait()


@protocol(name="leaving", version="1.0.0")
async def leaving(shaker: Shaker, *, fail: bool) -> None:
    """Start a step and do not wait for it."""
    began = asyncio.Event()
    LEFT.append(asyncio.create_task(wait_for_ever(began)))
    await began.wait()
    if fail:
        raise ValueError("over")


@pytest.mark.parametrize("fail", [False, True])
async def test_what_a_protocol_leaves_running_ends_with_it(
    orchestrator: Orchestrator,
    journal: Journal,
    store_shaker: Callable[[str], Awaitable[None]],
    fail: bool,
) -> None:
    """As the other branches do when one of several fails: cancelled, and recorded as such."""
    await store_shaker("GatedShaker")
    request = RunRequest(uuid4(), "leave", leaving, "bench", parameters={"fail": fail})

    [ended] = await asyncio.gather(orchestrator.run(request), return_exceptions=True)

    assert isinstance(ended, ValueError) is fail
    assert LEFT[-1].cancelled()
    expected = RunStatus.FAILED if fail else RunStatus.SUCCEEDED
    assert (await journal.run(request.run_id)).status is expected
    [left] = await journal.steps(request.run_id)
    assert left.status is StepStatus.FAILED
    error: Any = left.error
    assert error["type"] == "asyncio.exceptions.CancelledError"
