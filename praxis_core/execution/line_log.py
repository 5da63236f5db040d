"""What went over the lines to the devices, read from the logs that their host writes."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from uuid import UUID

_PARTS = 3


@dataclass(frozen=True, slots=True)
class LineEntry:
    """One thing that was sent to a device, or came from it."""

    device: str
    branch: str
    """Of the command that it belongs to."""
    ordinal: int
    at: datetime
    what: str
    """As it was written, in one line; bytes as Python writes them."""

    @property
    def key(self) -> tuple[str, int]:
        """The command that it belongs to, within its run."""
        return self.branch, self.ordinal


def folder_of(logs: Path, workcell: str) -> Path:
    """Say where a workcell's host writes what goes over its lines."""
    return logs / f"workcell-{workcell}-io"


def entries_of(
    folder: Path, device: str, run_id: UUID, *, newest_bytes: int | None = None
) -> Iterator[LineEntry]:
    """Read what went over a device's line for the commands of a run, oldest first.

    Args:
        folder: Of the workcell.
        device: Its name.
        run_id: The run.
        newest_bytes: Read no more than these at the end of the newest file; None: all files.

    Yields:
        What is kept, and is here: a log that has grown too long loses its oldest file.
    """
    mine = f"  {run_id}/".encode()
    files = _oldest_first(folder, device)
    for file in files if newest_bytes is None else files[-1:]:
        with suppress(OSError), file.open("rb") as log:  # it may be given its next number now
            if newest_bytes is not None:
                log.seek(max(file.stat().st_size - newest_bytes, 0))
            for line in log:
                entry = _entry(device, line) if mine in line else None
                if entry is not None:
                    yield entry


def _oldest_first(folder: Path, device: str) -> list[Path]:
    older = [
        (int(file.suffix[1:]), file)
        for file in folder.glob(f"{device}.log.*")
        if file.suffix[1:].isdigit()
    ]
    return [*(file for _, file in sorted(older, reverse=True)), folder / f"{device}.log"]


def _entry(device: str, line: bytes) -> LineEntry | None:
    """Read ``TIME  RUN/BRANCH/ORDINAL  WHAT``; None: a line that the end of a process cut off."""
    parts = line.decode("utf-8", "replace").rstrip("\n").split("  ", _PARTS - 1)
    if len(parts) < _PARTS:
        return None
    try:
        _, branch, ordinal = parts[1].split("/")
        return LineEntry(device, branch, int(ordinal), datetime.fromisoformat(parts[0]), parts[2])
    except ValueError:
        return None
