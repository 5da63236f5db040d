"""Run all benchmarks and write ``docs/benchmarks.md``: ``python -m benchmarks``."""

from __future__ import annotations

import os
import platform
from datetime import UTC, datetime
from pathlib import Path

from benchmarks import import_time, praxis_state, step_overhead

PAGE = Path(__file__).parent.parent / "docs" / "benchmarks.md"

HEAD = """# Benchmarks

Made by `make bench`; ratios of medians measured in turn in one run, so that a slow machine slows
both sides.

| what | measured | ratio | target | met |
| --- | --- | --- | --- | --- |
"""


def main() -> None:
    """Measure, print, write."""
    rows = [*praxis_state.rows(), *step_overhead.rows(), *import_time.rows()]
    lines = "\n".join(row.line() for row in rows)
    machine = f"{os.cpu_count()} cores, {platform.machine()}, Python {platform.python_version()}"
    page = f"{HEAD}{lines}\n\n{datetime.now(UTC):%Y-%m-%d}, {machine}.\n"
    PAGE.write_text(page, encoding="utf-8")
    print(page)


if __name__ == "__main__":
    main()
