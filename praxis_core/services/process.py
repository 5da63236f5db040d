"""Processes that outlive the one that started them: known by pid and birth, ended politely."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path

import psutil

from praxis_core.errors import ServiceDidNotStart

LOG_LIMIT = 10_000_000
"""Bytes after which a log is put aside (one older log is kept) when its service starts."""

POLL_SECONDS = 0.02

MARK = "PRAXIS_SERVICE"
"""Variable in the environment of a service and of all that it starts: its name and its home."""

# A child must be waited for by its parent, or it stays a zombie while this process lives.
_children: dict[int, subprocess.Popen[bytes]] = {}


@dataclass(frozen=True)
class ProcessRecord:
    """One process for ever: a pid is given again, a pid with its birth is not.

    Attributes:
        pid: its number.
        birth: when it started.
        configuration: digest of what it was started with, for a service that must be started anew
            when that changes.
    """

    pid: int
    birth: str
    configuration: str = ""

    @property
    def alive(self) -> bool:
        """It runs; a zombie does not."""
        return birth_of(self.pid) == self.birth

    @property
    def uptime_seconds(self) -> float | None:
        """Seconds since it started, or nothing when it has ended."""
        if not self.alive:
            return None
        try:
            return max(0.0, time.time() - psutil.Process(self.pid).create_time())
        except psutil.Error:
            return None


def birth_of(pid: int) -> str | None:
    """Say when a process started, as a text to compare; nothing when it has ended or is a zombie.

    On Linux it is counted from the boot, because the clock of a machine may be set at any time.
    """
    child = _children.get(pid)
    if child is not None and child.poll() is not None:
        del _children[pid]
        return None
    try:
        status = Path(f"/proc/{pid}/stat").read_bytes()
        boot = Path("/proc/sys/kernel/random/boot_id").read_text().strip()
    except OSError:
        return _portable_birth(pid)
    # The name in brackets is the second field and may hold anything, brackets too.
    fields = status.rpartition(b")")[2].split()
    # The first thread of a killed process may be a zombie while others still hold its ports.
    ended = fields[0] in (b"Z", b"X") and int(fields[17]) <= 1
    return None if ended else f"{boot}:{fields[19].decode()}"


def _portable_birth(pid: int) -> str | None:
    try:
        process = psutil.Process(pid)
        return None if process.status() == psutil.STATUS_ZOMBIE else str(process.create_time())
    except psutil.Error:
        return None


def record_of(pid: int) -> ProcessRecord | None:
    """Make the record of a running process."""
    birth = birth_of(pid)
    return None if birth is None else ProcessRecord(pid, birth)


def read_record(path: Path) -> ProcessRecord | None:
    """Read the record in a file; nothing when there is none, or its process has ended."""
    try:
        data = json.loads(path.read_text())
        configuration = str(data.get("configuration", ""))
        record = ProcessRecord(int(data["pid"]), str(data["birth"]), configuration)
    except (OSError, ValueError, KeyError, TypeError):
        return None
    return record if record.alive else None


def running(path: Path, mark: str, argument: str) -> ProcessRecord | None:
    """Read the record of a service, or find it by its mark and write the record anew.

    A start that is killed may leave a service without a record; a second one over the same data
    would be the end of it.

    Args:
        path: where the record is.
        mark: what the service was started with.
        argument: a word of its command line that nothing has which it starts, and which inherits
            the mark.
    """
    known = read_record(path)
    if known is None and path.parent.exists():
        known = next((one for one in marked(mark) if _has_argument(one.pid, argument)), None)
        if known is not None:
            write_record(path, known)
    return known


def marked(mark: str) -> list[ProcessRecord]:
    """List the processes that carry a mark: the service, and what it started."""
    found = []
    for candidate in psutil.process_iter():
        try:
            if candidate.environ().get(MARK) == mark:
                found.append(record_of(candidate.pid))
        except psutil.Error:
            continue
    return [record for record in found if record is not None]


def _has_argument(pid: int, word: str) -> bool:
    try:
        return word in psutil.Process(pid).cmdline()
    except psutil.Error:
        return False


def write_record(path: Path, record: ProcessRecord) -> None:
    """Write the record of a process; a reader sees the old one or the new one, never a part."""
    part = path.with_suffix(".part")
    part.write_text(json.dumps(asdict(record)))
    part.replace(path)


def start(  # noqa: PLR0913 (the words of a process: each has its own meaning)
    argv: Sequence[str | Path],
    *,
    log: Path,
    folder: Path,
    environment: Mapping[str, str],
    mark: str,
    user: int | None = None,
    group: int | None = None,
) -> ProcessRecord:
    """Start a process in a session of its own, so that the end of this one does not end it.

    Args:
        argv: the program by its path, and its arguments.
        log: file to which its output is appended.
        folder: its working directory.
        environment: all of its environment, but for the mark.
        mark: what it is known by when its record is lost.
        user: run as this user id; the caller's when left out.
        group: run as this group id.
    """
    if log.exists() and log.stat().st_size > LOG_LIMIT:
        log.replace(log.with_suffix(".log.1"))
    with log.open("ab") as output:
        child = subprocess.Popen(  # noqa: S603 (programs of this installation)
            [str(word) for word in argv],
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            cwd=folder,
            env={**environment, MARK: mark},
            start_new_session=True,
            user=user,
            group=group,
            extra_groups=None if user is None else [],
        )
    _children[child.pid] = child
    return record_of(child.pid) or ProcessRecord(child.pid, "ended")


def wait_until(condition: Callable[[], bool], seconds: float) -> bool:
    """Wait for a condition; say whether it came true in time."""
    deadline = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > deadline:
            return False
        time.sleep(POLL_SECONDS)
    return True


def wait_ready(
    service: str, record: ProcessRecord, ready: Callable[[], bool], *, log: Path, seconds: float
) -> None:
    """Wait until a service that was just started answers.

    Raises:
        ServiceDidNotStart: it ended, or did not answer in time; the message ends with its log.
    """
    wait_until(lambda: ready() or not record.alive, seconds)
    if record.alive and ready():
        return
    what = f"no answer within {seconds:.0f} s" if record.alive else "it ended at once"
    raise ServiceDidNotStart(service=service, what=f"{what}\n{tail(log)}", log=str(log))


def send(number: signal.Signals, record: ProcessRecord) -> None:
    """Send a signal to a process, unless it has ended."""
    if record.alive:
        with suppress(ProcessLookupError):
            os.kill(record.pid, number)


def stop(steps: Iterable[tuple[signal.Signals, float]], *records: ProcessRecord) -> None:
    """End processes: each signal in turn, with the seconds they are given, and at last SIGKILL."""
    for number, seconds in (*steps, (signal.SIGKILL, 10.0)):
        for record in records:
            send(number, record)
        if wait_until(lambda: not any(record.alive for record in records), seconds):
            return


def tail(log: Path, lines: int = 12) -> str:
    """Give the last lines of a log."""
    try:
        with log.open("rb") as file:
            file.seek(max(0, log.stat().st_size - 8192))
            return "\n".join(file.read().decode(errors="replace").splitlines()[-lines:])
    except OSError:
        return ""
