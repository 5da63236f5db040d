"""Which versions of the programs carry a run out."""

from __future__ import annotations

import platform
from functools import cache
from importlib.metadata import version


@cache
def versions() -> dict[str, str]:
    """Give the versions of Praxis, PyLabRobot and Python in this process, by their names."""
    return {
        "Praxis": version("prefect-praxis"),
        "PyLabRobot": version("pylabrobot"),
        "Python": platform.python_version(),
    }
