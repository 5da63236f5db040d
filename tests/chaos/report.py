"""What the chaos tests found: one JSON line for each trial, from which ``page`` makes the page."""

from __future__ import annotations

import json
import os
import platform
import subprocess
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from threading import Lock
from time import monotonic
from typing import Any, Protocol

ROOT = Path(__file__).parents[2]

MACHINE = f"{os.cpu_count()} cores, {platform.system()} {platform.machine()}"

Row = Mapping[str, Any]


class Verdict(Protocol):
    """A dataclass that says what became of a trial."""

    @property
    def faults(self) -> Sequence[str]:
        """What broke the promise; empty: nothing."""


class Report:
    """The trials of one commit; each is written down as soon as it has ended.

    A file that has some of them already is gone on with: these are not carried out again. Trials of
    another commit are put aside.

    Args:
        path: The file; None: what was found is forgotten with this report.
    """

    def __init__(self, path: Path | None) -> None:
        self._path = path
        self._lock = Lock()
        self._rows: list[Row] = []
        self._about: dict[str, str] = {"machine": MACHINE}
        if path is not None:
            self._about["commit"] = _commit()
            self._rows = self._going_on(path)

    def carry_out(self, table: str, facts: Mapping[str, Any], work: Callable[[], Verdict]) -> bool:
        """Carry out one trial; an error is a fault of it, and no reason not to go on with others.

        Args:
            table: Where it belongs, one of ``page.TABLES``.
            facts: What is known before; it is told by them from others.
            work: The trial; gives a dataclass.

        Returns:
            Whether nothing is wrong.
        """
        began = monotonic()
        try:
            result: Any = work()
            found = {**asdict(result), "faults": list(result.faults)}
        except Exception as error:  # noqa: BLE001  # whatever it is, it belongs to this trial
            found = {"faults": [f"{type(error).__name__}: {error}"], "seconds": monotonic() - began}
        self._add({"table": table, "at": datetime.now(UTC), **self._about, **facts, **found})
        return not found["faults"]

    def rows(self, table: str, **facts: Any) -> list[Row]:
        """List the trials of a table, those of which these facts are true."""
        return [row for row in self._rows if row["table"] == table and facts.items() <= row.items()]

    def left(self, table: str, count: int, **facts: Any) -> range:
        """Number the trials of a kind that are still to be carried out, of so many in all."""
        return range(len(self.rows(table, **facts)), count)

    def faults(self, table: str, **facts: Any) -> list[str]:
        """List all that broke a promise."""
        return [fault for row in self.rows(table, **facts) for fault in row["faults"]]

    def _add(self, row: Row) -> None:
        line = json.dumps(row, default=str)
        with self._lock:
            self._rows.append(json.loads(line))
            if self._path is not None:
                with self._path.open("a", encoding="utf-8") as file:
                    file.write(line + "\n")

    def _going_on(self, path: Path) -> list[Row]:
        rows = list(read(path)) if path.exists() else []
        others = {row["commit"] for row in rows} - {self._about["commit"]}
        if not others:
            return rows
        path.rename(path.with_suffix(f".{min(others)}.jsonl"))
        return []


def read(path: Path) -> Iterator[Row]:
    """Read the trials of a file."""
    for line in path.read_text(encoding="utf-8").splitlines():
        yield json.loads(line)


def _commit() -> str:
    """Name what is tested; what is not committed has no name, and so no results."""
    changed = _git("status", "--porcelain", "--untracked-files=no", "--", ".", ":!docs")
    assert not changed, f"results are those of a commit; commit or take back:\n{changed}"
    return _git("rev-parse", "--short=12", "HEAD")


def _git(*words: str) -> str:
    command = ["git", *words]  # the one that is on the path
    return subprocess.run(command, cwd=ROOT, check=True, capture_output=True, text=True).stdout[:-1]
