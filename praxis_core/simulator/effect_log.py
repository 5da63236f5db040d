"""The pretend lab's own record: one line of JSON per thing that happened, on the disk for sure."""

from __future__ import annotations

import fcntl
import os
from array import array
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import orjson

from praxis_core.errors import LabRefused

Record = dict[str, Any]


class EffectLog:
    """An append-only file that one lab writes.

    A line that was not wholly written belongs to nothing that anybody was told, and is cut off.

    Args:
        path: The file; made where there is none.

    Raises:
        LabRefused: another lab is writing it.
    """

    def __init__(self, path: Path) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        self.path = path
        self._file = os.open(path, os.O_RDWR | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(self._file)
            what = "another pretend lab is writing this log; end that one first"
            raise LabRefused(request=str(path), what=what) from None
        self._cut_torn_line()
        self._size = 0
        self._begins = array("Q")
        with path.open("rb") as file:
            for text in file:
                self._note(text)

    @property
    def last(self) -> int:
        """Number of the last record; 0: there is none."""
        return len(self._begins)

    def append(self, record: Record, *, durable: bool = True) -> int:
        """Write one record.

        Args:
            record: JSON; its number ``n`` is given to it here.
            durable: Whether it has to be on the disk when this returns.

        Returns:
            Its number: 1, 2, 3, ...
        """
        text = orjson.dumps({"n": self.last + 1, **record}) + b"\n"
        written = os.write(self._file, text)
        while written < len(text):
            written += os.write(self._file, text[written:])
        self._note(text)
        if durable:
            os.fdatasync(self._file)
        return self.last

    def read(self, after: int = 0) -> list[Record]:
        """Read the records after this number; what comes before them takes no time."""
        if after >= self.last:
            return []
        begin = self._begins[max(after, 0)]
        with self.path.open("rb") as file:
            file.seek(begin)
            return [orjson.loads(text) for text in file]

    def _note(self, text: bytes) -> None:
        """Remember where a record begins."""
        self._begins.append(self._size)
        self._size += len(text)

    def close(self) -> None:
        """End writing."""
        os.fsync(self._file)
        os.close(self._file)

    def _cut_torn_line(self) -> None:
        size = os.fstat(self._file).st_size
        whole = size
        while whole > 0:
            begin = max(whole - 65536, 0)
            end = os.pread(self._file, whole - begin, begin).rfind(b"\n")
            if end >= 0:
                whole = begin + end + 1
                break
            whole = begin
        if whole != size:
            os.ftruncate(self._file, whole)


def read_log(path: Path, after: int = 0) -> Iterator[Record]:
    """Read a log, also one that is being written.

    Args:
        path: The file; where there is none, nothing happened.
        after: Number of the last record to leave out.
    """
    if not path.exists():
        return
    with path.open("rb") as file:
        for text in file:
            if not text.endswith(b"\n"):
                return
            record = orjson.loads(text)
            if record["n"] > after:
                yield record
