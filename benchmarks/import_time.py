"""What importing the core costs, in a fresh interpreter with compiled bytecode."""

from __future__ import annotations

import os
import subprocess
import sys
from statistics import median

from benchmarks.row import Row

REPEATS = 9
PROGRAM = """
import sys, time
start = time.perf_counter()
import {modules}
print(time.perf_counter() - start)
if "pylabrobot" in sys.modules:
    raise SystemExit("pylabrobot was imported")
"""

WRITING = ("praxis_core", "praxis_core.protocol", "praxis_core.state")
"""What the author of a protocol imports."""

READING = (*WRITING, "praxis_core.journal.record")
"""What a program that reads the run history imports."""


def rows() -> list[Row]:
    """Import again and again; the medians in seconds."""
    writing, reading = seconds(WRITING), seconds(READING)
    return [
        Row(
            what="import of praxis_core with protocol and state, seconds",
            measured=f"{writing:.2f} s",
            ratio=writing,
            target=0.5,
        ),
        Row(
            what="the same with the journal (SQLAlchemy), seconds",
            measured=f"{reading:.2f} s",
            ratio=reading,
        ),
    ]


def seconds(modules: tuple[str, ...]) -> float:
    """The median time of importing ``modules`` in a new interpreter."""
    environment = {
        name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"
    }
    program = PROGRAM.format(modules=", ".join(modules))
    command = [sys.executable, "-c", program]
    times = []
    for _ in range(REPEATS):
        done = subprocess.run(command, capture_output=True, text=True, check=True, env=environment)
        times.append(float(done.stdout))
    return median(times)
