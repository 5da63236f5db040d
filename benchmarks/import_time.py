"""What importing the core costs, in a fresh interpreter."""

from __future__ import annotations

import subprocess
import sys
from statistics import median

from benchmarks.row import Row

REPEATS = 7
PROGRAM = """
import sys, time
start = time.perf_counter()
import praxis_core, praxis_core.state, praxis_core.journal.record, praxis_core.protocol.definition
print(time.perf_counter() - start)
if "pylabrobot" in sys.modules:
    raise SystemExit("pylabrobot was imported")
"""


def rows() -> list[Row]:
    """Import again and again; the median in seconds."""
    times = [
        float(
            subprocess.run(
                [sys.executable, "-c", PROGRAM], capture_output=True, text=True, check=True
            ).stdout
        )
        for _ in range(REPEATS)
    ]
    seconds = median(times)
    return [
        Row(
            what="import of praxis_core (state, journal, protocol) without PyLabRobot, seconds",
            measured=f"{seconds:.2f} s",
            ratio=seconds,
            target=0.5,
        )
    ]
