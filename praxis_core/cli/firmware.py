"""``praxis run firmware``: what went over the lines to the devices for a run's commands."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Annotated
from uuid import UUID

import typer
from pydantic import JsonValue
from rich.markup import escape

from praxis_core.assets.description import describe
from praxis_core.cli.console import AsJson, console, print_json, say
from praxis_core.cli.opening import journal, run_id_of
from praxis_core.errors import RequestError
from praxis_core.execution.line_log import LineEntry, entries_of, folder_of
from praxis_core.journal.records import CommandRecord, RunRecord
from praxis_core.settings import PraxisSettings

LONGEST = 300
"""Letters of one entry that people are shown; scripts are given all."""

KEPT = "of each device the newest 60 MB are kept, on the computer of its workcell's host"


def firmware(
    run: Annotated[str, typer.Argument(help="Id of the run, or its first characters.")],
    *,
    command: Annotated[
        int | None, typer.Option(min=1, help="The how-manieth command of the run; all of them.")
    ] = None,
    device: Annotated[str | None, typer.Option(help="Only of this device.")] = None,
    as_json_: AsJson = False,
) -> None:
    """Show what was sent to the devices for each command, word by word, and what came back."""
    settings = PraxisSettings()
    found, recorded = asyncio.run(_recorded(settings, asyncio.run(run_id_of(settings, run))))
    chosen = _chosen(found, recorded, command, device)
    entries = _entries(settings, found, {one.command.device for _, one in chosen})
    if as_json_:
        print_json([_as_json(number, one, entries) for number, one in chosen])
        return
    for number, one in chosen:
        console.print(escape(f"{number}  {describe(one.command)}"), style="bold")
        for entry in _of(one, entries):
            console.print(escape(f"    {entry.at:%H:%M:%S.%f}"[:-3] + f" {_short(entry.what)}"))
    silent = sum(not _of(one, entries) for _, one in chosen)
    if silent:
        say(f"Of {silent} of {len(chosen)} commands nothing is here: {KEPT}.")


def _short(what: str) -> str:
    more = len(what) - LONGEST
    return what if more <= 0 else f"{what[:LONGEST]} ... ({more} more: --json)"


def _chosen(
    run: RunRecord, recorded: Sequence[CommandRecord], command: int | None, device: str | None
) -> list[tuple[int, CommandRecord]]:
    """Choose commands, with their numbers as the report and ``praxis deck`` have them."""
    if command is not None and command > len(recorded):
        raise RequestError(what=f"run {run.run_id} has {len(recorded)} commands, no {command}.")
    chosen = [
        (number, one)
        for number, one in enumerate(recorded, 1)
        if command in {None, number} and device in {None, one.command.device}
    ]
    if not chosen:
        devices = ", ".join(sorted({one.command.device for one in recorded})) or "none"
        raise RequestError(what=f"no such command of run {run.run_id}. Its devices: {devices}")
    return chosen


async def _recorded(
    settings: PraxisSettings, run_id: UUID
) -> tuple[RunRecord, list[CommandRecord]]:
    async with journal(settings) as records:
        return await records.run(run_id), await records.recorded(run_id)


def _entries(
    settings: PraxisSettings, run: RunRecord, devices: set[str]
) -> dict[tuple[str, int], list[LineEntry]]:
    folder = folder_of(settings.home_path / "logs", run.workcell)
    found: dict[tuple[str, int], list[LineEntry]] = {}
    for device in sorted(devices):
        for entry in entries_of(folder, device, run.run_id):
            found.setdefault(entry.key, []).append(entry)
    return found


def _of(one: CommandRecord, entries: dict[tuple[str, int], list[LineEntry]]) -> list[LineEntry]:
    return entries.get(one.key, [])


def _as_json(
    number: int, one: CommandRecord, entries: dict[tuple[str, int], list[LineEntry]]
) -> dict[str, JsonValue]:
    return {
        "command": number,
        "device": one.command.device,
        "method": one.command.method,
        # Each call leaves an entry: without one it is not here, or not any more.
        "line": [{"at": entry.at.isoformat(), "what": entry.what} for entry in _of(one, entries)]
        or None,
    }
