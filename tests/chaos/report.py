"""What the chaos tests found, one JSON line for each trial, and the page made of it."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path
from threading import Lock
from typing import Any


class Report:
    """A file of results; each trial is in it as soon as it has ended."""

    def __init__(self, path: Path | None) -> None:
        self._path = path
        self._lock = Lock()

    def add(self, table: str, result: Any) -> None:
        """Write down one trial."""
        if self._path is not None:
            row = result if isinstance(result, dict) else asdict(result)
            line = json.dumps({"table": table, **row}, default=str)
            with self._lock, self._path.open("a", encoding="utf-8") as file:
                file.write(line + "\n")
