"""``praxis run watch`` and ``praxis workcell watch``: what happens, while it happens."""

from __future__ import annotations

import asyncio
import json
import sys
from collections.abc import Awaitable, Callable
from contextlib import AbstractContextManager, nullcontext, suppress
from datetime import UTC, datetime
from io import TextIOWrapper
from typing import Annotated, Any, Protocol
from uuid import UUID

import typer
from pydantic import JsonValue
from rich.live import Live

from praxis_core.cli.changes import changes
from praxis_core.cli.console import console, say
from praxis_core.cli.deck_grid import DeckInWords
from praxis_core.cli.opening import journal, run_id_of
from praxis_core.cli.run_seen import RunReader, asked
from praxis_core.cli.screen import picture
from praxis_core.cli.waiting import in_prefect, not_in_history
from praxis_core.errors import PraxisError, RunNotFound, ServiceUnreachable
from praxis_core.execution.exit_codes import ExitCode, code_of_run
from praxis_core.journal.record import Journal
from praxis_core.page.reading import READ_SECONDS, Reader, Sections
from praxis_core.protocol.lifecycle import RunStatus
from praxis_core.redis_connection import connect_async
from praxis_core.settings import PraxisSettings

LOOK_SECONDS = 0.5
"""Between two looks."""

AsJson = Annotated[
    bool, typer.Option("--json", help="Print JSON for scripts: an object a line for each change.")
]
Read = Callable[[], Awaitable[Sections]]


def run(
    run: Annotated[str, typer.Argument(help="Id of the run, or its first characters.")],
    *,
    as_json_: AsJson = False,
) -> None:
    """Watch a run until it ends: how far it is, what it does, asks and measures, and the deck.

    One that is parked, interrupted or in doubt has not ended: its next attempt is watched, too.
    Ctrl-C ends only the watching. The exit code is that of praxis run start.
    """
    settings = PraxisSettings()
    run_id = asyncio.run(run_id_of(settings, run))
    try:
        status = asyncio.run(_watch_run(settings, run_id, _view(as_json_=as_json_)))
    except KeyboardInterrupt:
        say(f"Run {run_id} goes on; it is only no longer watched.")
        raise typer.Exit(ExitCode.LEFT) from None
    if not as_json_:
        console.print(f"Run {run_id} is over. Look at it: praxis run show {run_id}", soft_wrap=True)
    raise typer.Exit(code_of_run(status))


def workcell(
    name: Annotated[str, typer.Argument(help="Name of the workcell.")] = "star",
    *,
    as_json_: AsJson = False,
) -> None:
    """Watch a workcell until Ctrl-C: devices, runs, who waits, questions, commands, the deck."""
    try:
        asyncio.run(watch_workcell(PraxisSettings(), name, _view(as_json_=as_json_)))
    except KeyboardInterrupt:
        raise typer.Exit(ExitCode.LEFT) from None


class View(Protocol):
    """How what is watched is shown."""

    def showing(self) -> AbstractContextManager[object]:
        """Show it while the block runs."""

    def show(self, before: Sections, now: Sections) -> None:
        """Show what is seen, and what has changed."""


class Pictured:
    """In a terminal: one picture, which changes."""

    def __init__(self) -> None:
        self._live = Live(console=console, auto_refresh=False, vertical_overflow="crop")

    def showing(self) -> AbstractContextManager[object]:
        """Show it while the block runs; the last picture stays."""
        return self._live

    def show(self, before: Sections, now: Sections) -> None:  # noqa: ARG002  # all of it is drawn
        """Draw what is seen."""
        self._live.update(picture(now, console), refresh=True)


class Told:
    """A line of text for each change: in a file, or for somebody who reads it later."""

    def showing(self) -> AbstractContextManager[object]:
        """Show it while the block runs."""
        return nullcontext()

    def show(self, before: Sections, now: Sections) -> None:
        """Write what has changed."""
        found = [one for one in changes(_of_now(now, before), now) if one.line]
        newest = [index for index, one in enumerate(found) if one.what in {"command", "step"}]
        progress: Any = now.get("progress")
        for index, one in enumerate(found):
            is_newest = progress and newest and index == newest[-1]
            far = f" [{progress['told']}]" if is_newest else ""
            sys.stdout.write(f"{datetime.now(UTC):%H:%M:%S} {one.line}{far}\n")
        sys.stdout.flush()


class AsObjects:
    """A JSON object on a line for each change: for scripts."""

    def showing(self) -> AbstractContextManager[object]:
        """Show it while the block runs."""
        return nullcontext()

    def show(self, before: Sections, now: Sections) -> None:
        """Write what has changed."""
        for one in changes(before, now):
            told = {"seen_at": datetime.now(UTC).isoformat(), "change": one.what, **one.value}
            sys.stdout.write(json.dumps(told, ensure_ascii=False) + "\n")
        sys.stdout.flush()


def _of_now(now: Sections, before: Sections) -> Sections:
    """Take for known, at the first look, what was over before: nobody wants lines of that."""
    if before:
        return before
    over: dict[str, Callable[[Any], bool]] = {
        "commands": lambda one: one["outcome"] is not None,
        "runs": lambda one: bool(one["ended"]),
        "steps": lambda one: one["status"] != "running",
    }
    return {
        part: [one for one in found if is_over(one)]
        for part, is_over in over.items()
        if isinstance(found := now.get(part), list)
    }


def _view(*, as_json_: bool) -> View:
    if as_json_:
        return AsObjects()
    if isinstance(sys.stdout, TextIOWrapper):
        sys.stdout.reconfigure(errors="replace")  # a sign that it cannot write ends nothing
    is_screen = console.is_terminal and not console.is_dumb_terminal
    return Pictured() if is_screen else Told()


async def _watch_run(settings: PraxisSettings, run_id: UUID, view: View) -> RunStatus:
    async with journal(settings) as records:
        await _begun(settings, records, run_id)
        reader = RunReader(settings, run_id, records)
        seen = await watch(Patient(reader.read).read, view, has_ended)
    status: Any = seen["run"]
    return RunStatus(status["status"])


async def _begun(settings: PraxisSettings, records: Journal, run_id: UUID) -> None:
    """Wait until the history knows a run that Prefect knows."""
    told = False
    while True:
        with suppress(RunNotFound):
            await records.run(run_id)
            return
        flow_run = await asyncio.to_thread(in_prefect, settings, run_id)
        if flow_run is None or flow_run.ended:
            raise not_in_history(settings, run_id)
        if not told:
            say(f"Run {run_id} has not begun; in Prefect it is {flow_run.state_name}.")
            told = True
        await asyncio.sleep(LOOK_SECONDS)


def has_ended(seen: Sections) -> bool:
    """Whether nothing more can happen in a run; nobody knows while it cannot be read."""
    run: Any = seen.get("run")
    return run is not None and not seen.get("trouble") and bool(run["ended"])


async def _words(records: Journal, found: Sections) -> list[Any]:
    """Give the open questions of a workcell with what to type as an answer."""
    questions: Any = found.get("questions") or []
    runs = dict.fromkeys(UUID(one["run"]) for one in questions)
    return [one for run_id in runs for one in await asked(records, run_id)]


def gathered(trouble: Any) -> list[JsonValue]:
    """Say only once what keeps several parts from being read."""
    parts: dict[str, list[str]] = {}
    for one in trouble or ():
        part, _, why = one.partition(": ")
        parts.setdefault(why, []).append(part)
    return [f"not read now, {', '.join(those)}: {why}" for why, those in parts.items()]


class Patient:
    """Reads; what cannot be read now stays as it was, as ``trouble`` says.

    Args:
        read: Reads all there is to see.
    """

    def __init__(self, read: Read) -> None:
        self._read = read
        self._last: Sections = {}
        self._read_at = datetime.now(UTC)

    async def read(self) -> Sections:
        """Read, or give what was read the last time."""
        try:
            async with asyncio.timeout(READ_SECONDS * 2):
                found = await self._read()
        except RunNotFound:
            raise
        except TimeoutError:
            return self._as_it_was(f"No answer in {READ_SECONDS * 2:g} s.")
        except ServiceUnreachable as error:
            return self._as_it_was(f"{error.details['service']} does not answer.")
        except PraxisError as error:
            return self._as_it_was(str(error))
        self._read_at = datetime.now(UTC)
        self._last = {"trouble": [], **found}
        return self._last

    def _as_it_was(self, why: str) -> Sections:
        return {**self._last, "trouble": [f"{why} This is how it was at {self._read_at:%H:%M:%S}."]}


async def watch(read: Read, view: View, over: Callable[[Sections], bool]) -> Sections:
    """Look again and again, and show what is seen, until it is over.

    Args:
        read: Reads all there is to see.
        view: Shows it.
        over: Says of what is seen that nothing comes after it.

    Returns:
        What was seen last.
    """
    before: Sections = {}
    was_over = False
    with view.showing():
        while True:
            now = await read()
            view.show(before, now)
            # Once more, for what was written down just after the end, or an attempt that took over.
            if (is_over := over(now)) and was_over:
                return now
            before, was_over = now, is_over
            await asyncio.sleep(LOOK_SECONDS)


async def watch_workcell(settings: PraxisSettings, name: str, view: View) -> None:
    """Watch a workcell for good.

    Raises:
        WorkcellNotFound: the database knows no such workcell.
        ServiceUnreachable: Postgres does not answer from the beginning.
    """
    redis = connect_async(settings.addresses().redis_url)
    try:
        async with journal(settings) as records:
            await records.workcell(name)
            deck = DeckInWords(name, records)
            reader = Reader(settings, name, records, redis, deck.read)

            async def read() -> Sections:
                found = await reader.read()
                told: Any = found.pop("deck", None)
                return {
                    **found,
                    **(told or {}),
                    "questions": await _words(records, found),
                    "trouble": gathered(found.get("trouble")),
                }

            await watch(Patient(read).read, view, lambda _: False)
    finally:
        await redis.aclose()
