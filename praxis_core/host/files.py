"""The files by which a workcell's host and its watchdog know of each other, beside any database."""

from __future__ import annotations

import fcntl
import json
import os
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path
from time import monotonic, sleep
from typing import IO, TYPE_CHECKING

from pydantic import JsonValue

from praxis_core.errors import HostAlreadyRunning
from praxis_core.settings import PraxisSettings
from praxis_core.workcell.holding import seconds_left
from praxis_core.workcell.remembered import Remembered

if TYPE_CHECKING:  # the watchdog does without PyLabRobot
    from praxis_core.workcell.safe_state import SafeAction

REPLACED = 64
"""Exit code of a host that ended because another one serves its workcell by now."""

LOCK_SECONDS = 1.0
"""How long a lock is asked for: whoever only looks at it holds it for an instant."""


@dataclass(frozen=True, slots=True)
class HostFiles:
    """Where they lie.

    Attributes:
        lock: the host holds its kernel lock; its pid stands in it.
        watch: the watchdog holds its kernel lock; its pid stands in it.
        safe: what must be sent to which device if the host dies.
        kept: what the next host has to know of the devices (``workcell.remembered``).
        spool: what the watchdog did, until a host has brought it into the audit log.
    """

    lock: Path
    watch: Path
    safe: Path
    kept: Path
    spool: Path

    @classmethod
    def of(cls, settings: PraxisSettings, workcell: str) -> HostFiles:
        """Name those of a workcell, and make their folder."""
        folder = settings.run_folder
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        return cls(
            *(
                folder / f"workcell-{workcell}.{ending}"
                for ending in ("lock", "watch", "safe.json", "kept.json", "spool.jsonl")
            )
        )


@dataclass(frozen=True, slots=True)
class SafeCall:
    """One line of the safe-state file: what to send when the host is dead.

    Attributes:
        device: to which device.
        method: the backend's method; None: nothing can be sent, a person has to look.
        reason: why, for people.
        after_seconds: how long after the host's death it is due.
        args: positional arguments, encoded.
        kwargs: keyword arguments, encoded.
        epoch: of the host that said so: a device that a newer one has on another computer refuses.
        due_at: seconds since 1970 at which it is due, when the device is being held already.
        parked: whether a parked run wants it left, also when all processes end in order.
    """

    device: str
    method: str | None
    reason: str
    after_seconds: float = 0.0
    args: tuple[JsonValue, ...] = ()
    kwargs: Mapping[str, JsonValue] = field(default_factory=dict)
    epoch: int | None = None
    due_at: float | None = None
    parked: bool = False

    @classmethod
    def of(cls, action: SafeAction, epoch: int | None = None) -> SafeCall:
        """Take what the table of safe states says."""
        what = (action.device, action.method, action.why, action.after_seconds)
        return cls(*what, action.args, action.kwargs, epoch, action.due_at, action.parked)

    @property
    def seconds_left(self) -> float:
        """How long it is until it is due, if the host is dead from now on."""
        return seconds_left(self.after_seconds, self.due_at)

    def as_json(self) -> dict[str, JsonValue]:
        """Give it as plain values."""
        return {
            "device": self.device,
            "method": self.method,
            "args": list(self.args),
            "kwargs": dict(self.kwargs),
            "reason": self.reason,
            "after_seconds": self.after_seconds,
            "epoch": self.epoch,
            "due_at": self.due_at,
            "parked": self.parked,
        }


def write_safe_calls(path: Path, calls: Iterable[SafeCall]) -> None:
    """Say what must be made safe if this process dies; a reader sees the old list or the new one.

    It is not forced to disk: it must survive the death of a process, not that of the computer, with
    which the watchdog ends as well.
    """
    part = path.with_suffix(".part")
    part.write_text(json.dumps([call.as_json() for call in calls]))
    part.replace(path)


class SafeFile:
    """The safe-state file as the host keeps it: written when it has to say something else."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._written: list[SafeCall] | None = None

    def say(self, calls: list[SafeCall]) -> None:
        """Let this be what must be made safe from now on."""
        if calls != self._written:
            write_safe_calls(self._path, calls)
            self._written = calls


def read_safe_calls(path: Path) -> list[SafeCall]:
    """Read what must be made safe; nothing when nobody said anything."""
    try:
        rows = json.loads(path.read_text())
    except (FileNotFoundError, ValueError):
        return []
    return [SafeCall(**{**row, "args": tuple(row["args"])}) for row in rows]


def write_kept(path: Path, known: Remembered) -> None:
    """Hand on to the next host what it has to know; on disk when this returns."""
    part = path.with_suffix(".part")
    with part.open("w") as file:
        json.dump(asdict(known), file)
        file.flush()
        os.fsync(file.fileno())
    part.replace(path)


def read_kept(path: Path) -> Remembered:
    """Read what an earlier host handed on; nothing when there was none."""
    try:
        return Remembered(**json.loads(path.read_text()))
    except FileNotFoundError:
        return Remembered()


@contextmanager
def locked_by_me(path: Path, workcell: str) -> Iterator[None]:
    """Hold a kernel lock, with this process's pid in the file; the kernel frees it at any death.

    Raises:
        HostAlreadyRunning: another process holds it.
    """
    with path.open("a+") as file:
        deadline = monotonic() + LOCK_SECONDS
        while not _taken(file):
            if monotonic() > deadline:
                raise HostAlreadyRunning(workcell=workcell, pid=holder(path))
            sleep(0.02)
        file.seek(0)
        file.truncate()
        file.write(f"{os.getpid()}\n")
        file.flush()
        yield


def _taken(file: IO[str]) -> bool:
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def holder(path: Path) -> int | None:
    """Say which living process holds a lock; None: nobody does."""
    try:
        file = path.open("r+")
    except FileNotFoundError:
        return None
    with file:
        try:
            # Shared: two who look at once do not take each other for the holder.
            fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except BlockingIOError:
            try:
                return int(file.read())
            except ValueError:  # it is being written
                return None
        return None
