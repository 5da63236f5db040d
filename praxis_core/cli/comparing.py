"""``praxis run diff``: whether a run would do what it did under its code as it is now."""

from __future__ import annotations

import asyncio
import dataclasses
from typing import TYPE_CHECKING, Annotated
from uuid import UUID

import typer
from pydantic import JsonValue
from rich.markup import escape

from praxis_core.cli.console import AsJson, console, print_json, table
from praxis_core.cli.opening import journal, run_id_of
from praxis_core.cli.result import as_json
from praxis_core.protocol.loading import load_protocol
from praxis_core.settings import PraxisSettings

if TYPE_CHECKING:
    from praxis_core.execution.revisiting import Revisited

_MOST_COMMANDS = 20
"""Commands that a person reads."""


def diff(
    run: Annotated[str, typer.Argument(help="Id of the run, or its first characters.")],
    *,
    as_json_: AsJson = False,
) -> None:
    """Compare what a run did with what its code would do now; nothing is sent or written."""
    settings = PraxisSettings()
    run_id = asyncio.run(run_id_of(settings, run))
    found = asyncio.run(compared(settings, run_id))
    if as_json_:
        rest: list[JsonValue] = [one.model_dump(mode="json") for one in found.rest]
        faults: list[JsonValue] = [one.model_dump(mode="json") for one in found.faults]
        plain = dataclasses.replace(found, rest=[], faults=[])
        print_json({**as_json(plain), "rest": rest, "faults": faults})
    else:
        _show(run_id, found)
    if found.divergence:
        raise typer.Exit(1)


async def compared(settings: PraxisSettings, run_id: UUID) -> Revisited:
    """Go through a run once more on paper, under its code as it is now.

    Raises:
        RunNeedsAnswer, RunNotResumable: it cannot go on.
        RunRefused: its protocol takes other parameters or assets now.
    """
    from praxis_core.execution.deciding import present_state
    from praxis_core.execution.decisions import decisions_of
    from praxis_core.execution.revisiting import Revisiting

    async with journal(settings) as records:
        run = await records.run(run_id)
        function = load_protocol((await records.protocol(run.protocol)).entrypoint)
        state = await present_state(records, run_id, run.workcell)
        decisions = await decisions_of(records, run_id)
        found = await Revisiting(records, settings, run_id, function).carry_out(decisions, state)
        return dataclasses.replace(
            found, changed=[f"{one} (by {one.by})" for one in decisions.changes]
        )


def _show(run_id: UUID, found: Revisited) -> None:
    commands = f"{found.known} command{'' if found.known == 1 else 's'}"
    if found.divergence:
        rows = [
            (str(one.number), *map(escape, (one.step, one.then, one.now, one.where)))
            for one in found.differing
        ]
        console.print(f"[red]It would have done something else[/red] than the {commands} it did.")
        columns = ("", "step", "it did", "it would do now", "where")
        console.print(table("\nDifferences", columns, rows))
        if not rows:
            console.print(escape(found.divergence))
        return
    if not found.rest:
        console.print(f"The past is the same for all {commands}; nothing more is planned.")
    else:
        first = found.rest[0]
        console.print(
            f"The past is the same for all {commands}; it goes on at "
            f"{escape(first.where)}: {escape(first.description)}"
        )
        rows = [
            (str(found.known + one.number), escape(one.step or ""), escape(one.description))
            for one in found.rest[:_MOST_COMMANDS]
        ]
        console.print(table("\nThe rest", ("", "step", "command"), rows))
        if len(found.rest) > _MOST_COMMANDS:
            console.print(f"and {len(found.rest) - _MOST_COMMANDS} more")
    for change in found.changed:
        console.print(escape(f"Changed for the rest of it: {change}"))
    if found.condition:
        console.print(f"\nWhat comes after that, a value decides: {escape(found.condition)}")
    for fault in found.faults:
        console.print(f"[red]- {escape(str(fault.problem))}[/red]")
    if not found.faults:
        console.print(f"Go on: praxis run resume {run_id}")
