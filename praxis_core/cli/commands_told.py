"""The commands of a run by their numbers, as ``--skip`` and ``--redo`` name them."""

from __future__ import annotations

import json
from collections.abc import Iterable
from uuid import UUID

from pydantic import JsonValue
from rich.markup import escape

from praxis_core.assets.description import describe
from praxis_core.cli.console import console, print_json, table
from praxis_core.cli.opening import journal
from praxis_core.execution.decisions import decisions_of
from praxis_core.execution.doing_again import FIRST_BRANCH
from praxis_core.execution.numbered import numbered
from praxis_core.journal.records import CommandRecord, EventRecord
from praxis_core.settings import PraxisSettings
from praxis_core.workcell.changed import CHANGED_GIVEN

Row = dict[str, JsonValue]
Given = dict[tuple[str, int, int], str]
"""How commands were sent that people had changed, by branch, ordinal and attempt."""


async def show_commands(settings: PraxisSettings, run_id: UUID, *, as_json_: bool = False) -> None:
    """Print what counts of a run's commands, what is left out, and what is done next."""
    async with journal(settings) as records:
        decisions = await decisions_of(records, run_id)
        done = await numbered(records, run_id, decisions)
        again = [one for one in await records.recorded(run_id) if _is_again(one)]
        given = _given(await records.events(run_id))
    told = [_row(n, one, _end(one) + _how(one, given)) for n, one in enumerate(done.known, 1)]
    told += [
        {"number": None, "step": "", "command": skip.what, "end": "left out"}
        for skip in decisions.commands.values()
    ]
    told += [_row(None, one, f"done once more: {_end(one)}{_how(one, given)}") for one in again]
    if done.next_one is not None:
        told.append(_row(done.next_number, done.next_one, f"{_end(done.next_one)}; comes next"))
    if as_json_:
        print_json({"commands": [*told]})
        return
    rows = [
        (
            str(one["number"] or "-"),
            *(escape(str(one[name])) for name in ("step", "command", "end")),
        )
        for one in told
    ]
    console.print(table("\nCommands", ("", "step", "command", "end"), rows))


def _row(number: int | None, one: CommandRecord, end: str) -> Row:
    step = one.command.step or ""
    return {"number": number, "step": step, "command": describe(one.command), "end": end}


def _end(one: CommandRecord) -> str:
    if one.outcome is None:
        return "nobody knows"
    return "done" if one.outcome.error is None else f"failed: {one.outcome.error.message}"


def _how(one: CommandRecord, given: Given) -> str:
    return given.get((*one.key, one.command.attempt), "")


def _given(events: Iterable[EventRecord]) -> Given:
    """Say which commands were sent otherwise than they were asked for, and how."""
    found = {}
    for event in events:
        of = event.details
        if event.kind == CHANGED_GIVEN and isinstance(of, dict) and isinstance(of["values"], dict):
            how = ", ".join(f"{name} {json.dumps(value)}" for name, value in of["values"].items())
            place = str(of["branch"]), int(str(of["ordinal"])), int(str(of["attempt"]))
            found[place] = f", with {how}"
    return found


def _is_again(one: CommandRecord) -> bool:
    branch = one.command.branch
    return branch.startswith("r") and int(branch[1:]) > FIRST_BRANCH
