"""What people decide about a run when they start it or let it go on: options, and their checks."""

from __future__ import annotations

import getpass
import json
from collections.abc import Sequence
from typing import Annotated
from uuid import UUID

import typer
from pydantic import JsonValue

from praxis_core.cli.opening import journal
from praxis_core.errors import DecisionRefused, RequestError
from praxis_core.execution.deciding import Deciding
from praxis_core.execution.decisions import EACH, ask_to_stop, require_step
from praxis_core.execution.past import known_of
from praxis_core.protocol.definition import ProtocolDefinition
from praxis_core.settings import PraxisSettings

Until = Annotated[
    str | None,
    typer.Option(
        metavar="STEP",
        help="Stop after this step: its number or name, as praxis run show prints them.",
    ),
]
StepByStep = Annotated[
    bool, typer.Option("--step-by-step", help="Ask after each step whether to go on.")
]

Skip = Annotated[
    list[str] | None,
    typer.Option(
        metavar="WHICH",
        help="Leave out the next command (its number: praxis run show ID --commands), or what is "
        "left of a step: step:2.",
    ),
]
Redo = Annotated[
    list[str] | None,
    typer.Option(
        metavar="WHICH",
        help="Do once more, before it goes on, what was done: commands 12 or 10-12, or step:2.",
    ),
]
Set = Annotated[
    list[str] | None,
    typer.Option(
        "--set",
        metavar="DEVICE.METHOD.PARAMETER=VALUE",
        help="Call a method otherwise for the rest of the run: lh.aspirate.flow_rates=50, "
        "lh.dispense.offsets=[0,0,1]; =null takes that back.",
    ),
]
By = Annotated[str | None, typer.Option("--by", help="Who decides; else your login name.")]
Value = Annotated[
    str | None,
    typer.Option(metavar="JSON", help="What the protocol is given for what is left out."),
]
Anyway = Annotated[
    bool,
    typer.Option("--anyway", help="Although the plan of the rest says that it cannot go well."),
]


def asked_stop(until: str | None, *, step_by_step: bool) -> str | None:
    """Read after which step a run is to stop.

    Raises:
        RequestError: both a step and each step are asked for.
    """
    if until is not None and step_by_step:
        raise RequestError(what="--until and --step-by-step together; give one of them")
    return EACH if step_by_step else until


async def stop_after(settings: PraxisSettings, run_id: UUID, step: str) -> None:
    """Let a run stop after a step that it has not done yet.

    Raises:
        DecisionRefused: it has done it, or its protocol has none of that name.
    """
    async with journal(settings) as records:
        run = await records.run(run_id)
        stored = await records.protocol(run.protocol)
        require_step(ProtocolDefinition.model_validate(stored.definition), run_id, step)
        done = (await known_of(records, run_id)).steps
        if step in done:
            what = f"step {step} ({done[step].name}) is complete; name one that is still to come"
            raise DecisionRefused(run_id=run_id, what=what)
        await ask_to_stop(records, run_id, getpass.getuser(), step, done)


async def decide(  # what may be decided
    settings: PraxisSettings,
    run_id: UUID,
    skip: Sequence[str] | None,
    redo: Sequence[str] | None,
    value: str | None,
    *,
    changed: Sequence[str] = (),
    anyway: bool = False,
    by: str | None = None,
) -> None:
    """Write down what is left out, done once more or changed, if the run can go on with all of it.

    Raises:
        DecisionRefused: it cannot; nothing is written down.
        RequestError: the value is no JSON, or it is not clear what it is for.
    """
    if value is not None and len(skip or ()) != 1:
        raise RequestError(what="--value is what one --skip gives; name that one alone")
    async with journal(settings) as records:
        deciding = await Deciding.about(records, run_id, by or getpass.getuser())
        for one in skip or ():
            deciding.skip(one, _read(value), has_value=value is not None)
        for one in redo or ():
            deciding.redo(one)
        for one in changed:
            deciding.change(one)
        problems = [] if anyway or not (skip or redo) else await deciding.look_ahead(settings)
        if problems:
            listed = "".join(f"\n- {one}" for one in problems)
            what = f"the rest of it cannot go well then:{listed}\nTo do it all the same: --anyway"
            raise DecisionRefused(run_id=run_id, what=what)
        await deciding.write()


def _read(value: str | None) -> JsonValue:
    if value is None:
        return None
    try:
        read: JsonValue = json.loads(value)
    except ValueError as error:
        raise RequestError(what=f"--value {value!r} is no JSON: {error}") from None
    return read
