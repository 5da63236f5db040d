"""Follow a run in the database and show how far it is."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any
from uuid import UUID

from rich.progress import BarColumn, Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

from praxis_core.assets.shortages import Shortages
from praxis_core.cli.console import console, say
from praxis_core.cli.opening import journal
from praxis_core.errors import RunNotFound
from praxis_core.execution.protocol_state import ProtocolState
from praxis_core.journal.questions import Questions
from praxis_core.journal.record import Journal
from praxis_core.protocol.lifecycle import RunStatus, StepStatus
from praxis_core.settings import PraxisSettings

LOOK_EVERY = 0.25
"""Seconds between two looks at the database."""

LOOKS_PER_QUESTION = 8
"""How many looks pass between two questions whether the run's process still works."""


async def follow(
    settings: PraxisSettings,
    run_id: UUID,
    *,
    over: Callable[[], bool],
    quiet: bool = False,
    steps: int | None = None,
    after_attempt: int = 0,
) -> RunStatus | None:
    """Show the progress of a run until it has ended, or nobody works on it any more.

    Args:
        settings: Where the stack is.
        run_id: The run.
        over: Says that nobody works on the run any more; asked every two seconds.
        quiet: Show nothing, only wait.
        steps: How many steps it will have, when that is known; else the bar follows the last
            successful run of the same protocol.
        after_attempt: The last attempt before it was resumed: the next one is shown.

    Returns:
        The run's status in the history, which is no final one when its process was killed; None
        when it ended before its attempt entered the history.
    """
    bar = Progress(
        SpinnerColumn(),
        BarColumn(bar_width=30),
        TextColumn("{task.fields[count]}"),
        TextColumn("{task.description}"),
        TimeElapsedColumn(),
        console=console,
        disable=quiet,
        transient=True,
    )
    looks, told = 0, ""
    async with journal(settings) as records:
        with bar:
            shown = bar.add_task("waiting for the worker", total=None, count="")
            while True:
                looks += 1
                # Asked first: what ends meanwhile is in the history at the look that follows.
                lost = looks % LOOKS_PER_QUESTION == 0 and over()
                state = await _look(records, run_id, after_attempt)
                if state is not None:
                    steps = steps or await _usual_steps(records, state)
                    bar.update(shown, **_shown(state, steps))
                if looks % LOOKS_PER_QUESTION == 0 and state is not None and not quiet:
                    told = await _tell_waits(records, state, told)
                if lost or (
                    state is not None and (state.status.ended or state.status is RunStatus.PARKED)
                ):
                    return None if state is None else state.status
                await asyncio.sleep(LOOK_EVERY)


async def _tell_waits(records: Journal, state: ProtocolState, told: str) -> str:
    """Say what a run waits for, once; give what was said."""
    waits = await _waits(records, state)
    if waits and waits != told:
        say(waits)
    return waits


async def _waits(records: Journal, state: ProtocolState) -> str:
    run_id = state.run_id
    if state.status is RunStatus.PREPARING:
        events = await records.events(run_id)
        waits = [event.message for event in events if event.kind == "waiting"]
        return f"{waits[-1]} What to do: praxis why {run_id}" if waits else ""
    shortage = await Shortages(records.database).of(run_id)
    if shortage is not None:
        return shortage.message
    asked = [doubt.what for doubt in await records.open_doubts(run_id)]
    asked += [one.title for one in await Questions(records.database).open(run_id)]
    more = f"To answer: praxis run show {run_id}"
    what = "; ".join(asked)
    return f"It asks: {what}{'' if what.endswith('?') else '.'} {more}" if asked else ""


def _shown(state: ProtocolState, steps: int | None) -> dict[str, Any]:
    return {
        "total": max(steps, len(state.steps)) if steps else None,
        "completed": sum(step.status is StepStatus.SUCCEEDED for step in state.steps),
        "count": f"step {len(state.steps)}" + (f" of {steps}" if steps else ""),
        "description": state.current.name if state.current else str(state.status),
    }


async def _look(records: Journal, run_id: UUID, after_attempt: int) -> ProtocolState | None:
    try:
        state = await ProtocolState.load(records, run_id)
    except RunNotFound:
        return None
    return state if state.attempt > after_attempt else None


async def _usual_steps(records: Journal, state: ProtocolState) -> int | None:
    for run in await records.runs(limit=20):
        if run.protocol == state.protocol and run.status is RunStatus.SUCCEEDED:
            return len({step.path for step in await records.steps(run.run_id)})
    return None
