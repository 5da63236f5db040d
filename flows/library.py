"""The protocol library: which protocols and workcells come with Praxis."""

from __future__ import annotations

from importlib.resources import files
from importlib.resources.abc import Traversable

PROTOCOLS = (
    "flows.serial_dilution:serial_dilution",
    "flows.dose_response:dose_response",
)
"""Entrypoints; each module also holds the compiled flow, ``<function>_flow``."""


def workcell_files() -> list[Traversable]:
    """The workcell definitions that come with Praxis."""
    folder = files("flows") / "workcells"
    return sorted(
        (file for file in folder.iterdir() if file.name.endswith(".yaml")),
        key=lambda file: file.name,
    )
