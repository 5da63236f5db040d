"""Run all benchmarks on the stack, write ``docs/benchmarks.md``.

The stack is started for it if none of it runs, and then stopped again.
"""

from __future__ import annotations

import os
import platform
from datetime import UTC, datetime
from importlib import import_module
from pathlib import Path

from benchmarks.row import Row
from praxis_core.services.environment import environment
from praxis_core.services.stack import down, status, up
from praxis_core.settings import PraxisSettings

PAGE = Path(__file__).parent.parent / "docs" / "benchmarks.md"
BENCHMARKS = (
    "praxis_state",
    "step_overhead",
    "import_time",
    "command",
    "locks",
    "plan",
    "assets",
    "pictures",
    "report",
)

HEAD = """# Benchmarks

Made by `make bench`: ratios of medians measured in turn in one run, so that a slow machine slows
both sides. Absolute times are this machine's.

| what | measured | ratio | target | met |
| --- | --- | --- | --- | --- |
"""


def main() -> None:
    """Measure, print, write."""
    settings = PraxisSettings()
    ran = any(service.state == "running" for service in status(settings))
    try:
        up(settings)
        _measure(settings)
    finally:
        if not ran:
            down(settings)


def _measure(settings: PraxisSettings) -> None:
    os.environ.update(environment(settings))
    rows: list[Row] = []
    for name in BENCHMARKS:
        # Prefect reads its environment when it is imported.
        rows += import_module(f"benchmarks.{name}").rows()
    lines = "\n".join(row.line() for row in rows)
    machine = f"{os.cpu_count()} cores, {platform.machine()}, Python {platform.python_version()}"
    page = f"{HEAD}{lines}\n\n{datetime.now(UTC):%Y-%m-%d}, {machine}.\n"
    PAGE.write_text(page, encoding="utf-8")
    print(page)


if __name__ == "__main__":
    main()
