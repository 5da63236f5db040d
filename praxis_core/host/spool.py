"""What a watchdog did, on disk before it goes on, and from there into the audit log.

The watchdog works without Postgres. The next host brings its lines into the audit log, each once.
"""

from __future__ import annotations

import asyncio
import fcntl
import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any
from uuid import uuid4

from pydantic import JsonValue

if TYPE_CHECKING:  # a watchdog has no database
    from praxis_core.journal.record import Journal

KEY = "spool"
"""Under this key of an event's details stands the line's id."""

UNREADABLE = "watchdog_line_unreadable"

_CLOCK = timedelta(days=1)
"""By how much the clocks of this computer and of the database may differ."""


class Spool:
    """The file of one workcell."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def write(self, kind: str, message: str, **details: JsonValue) -> None:
        """Add a line; it is on disk when this returns.

        Args:
            kind: A word for programs.
            message: A sentence for people.
            details: Data for programs.
        """
        at = datetime.now(UTC).isoformat()
        line = {"id": uuid4().hex, "at": at, "kind": kind, "message": message, "details": details}
        with self._path.open("ab") as file, _alone(file):
            # A line that a killed watchdog left half written must not swallow this one.
            torn = file.tell() and not _ends_with_newline(self._path)
            file.write((b"\n" if torn else b"") + json.dumps(line).encode() + b"\n")
            file.flush()
            os.fsync(file.fileno())


class Importer:
    """Brings the lines of one workcell into the audit log, one after the other.

    Args:
        journal: Whose audit log it is.
        path: The file.
    """

    def __init__(self, journal: Journal, path: Path) -> None:
        self._journal = journal
        self._path = path
        self._one_at_a_time = asyncio.Lock()

    async def bring_in(self) -> None:
        """Bring in what there is; as ``import_spool``."""
        async with self._one_at_a_time:
            await import_spool(self._journal, self._path)


async def import_spool(journal: Journal, path: Path) -> int:
    """Bring what the watchdog wrote into the audit log; each line once, however often it is tried.

    Returns:
        How many lines were new.

    Raises:
        ServiceUnreachable: Postgres does not answer; the lines stay where they are.
    """
    data = _content(path)
    lines = [_read(line) for line in data.splitlines() if line.strip()]
    known = await _known(journal, lines)
    new = [line for line in lines if line["id"] not in known]
    for line in new:
        details = {**line["details"], "at": line["at"], KEY: line["id"]}
        await journal.event(None, line["kind"], line["message"], details)
    _empty(path, len(data))
    return len(new)


def _content(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except FileNotFoundError:
        return b""


def _empty(path: Path, size: int) -> None:
    """Empty the file, unless a newer line came meanwhile: it waits for the next time, with all."""
    if not size:
        return
    with path.open("r+b") as file, _alone(file):
        if len(file.read()) == size:
            file.truncate(0)


def _read(line: bytes) -> dict[str, Any]:
    try:
        return dict(json.loads(line))
    except ValueError:
        said = line.decode(errors="replace")
        at = datetime.now(UTC).isoformat()
        message = "A watchdog was killed while it wrote this down."
        details = {"said": said}
        return {"id": said, "at": at, "kind": UNREADABLE, "message": message, "details": details}


async def _known(journal: Journal, lines: list[dict[str, Any]]) -> set[str]:
    if not lines:
        return set()
    since = min(datetime.fromisoformat(line["at"]) for line in lines) - _CLOCK
    found = set()
    for event in await journal.events(None):
        if event.at >= since and isinstance(event.details, dict):
            found.add(str(event.details.get(KEY)))
    return found


@contextmanager
def _alone(file: IO[bytes]) -> Iterator[None]:
    """Keep the other process off the file; closing it lets go, too."""
    fcntl.flock(file, fcntl.LOCK_EX)
    try:
        yield
    finally:
        file.flush()
        fcntl.flock(file, fcntl.LOCK_UN)


def _ends_with_newline(path: Path) -> bool:
    with path.open("rb") as file:
        file.seek(-1, os.SEEK_END)
        return file.read() == b"\n"
