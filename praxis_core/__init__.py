"""Praxis: laboratory protocols that remember what physically happened.

What a protocol's author needs is here; everything else has a room of its own::

    from praxis_core import PraxisState, protocol, run, step
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from praxis_core.protocol.authoring import protocol, step
    from praxis_core.protocol.running import run
    from praxis_core.state import PraxisState

__all__ = ["PraxisState", "protocol", "run", "step"]

_HOMES = {
    "PraxisState": "praxis_core.state",
    "protocol": "praxis_core.protocol.authoring",
    "run": "praxis_core.protocol.running",
    "step": "praxis_core.protocol.authoring",
}


def __getattr__(name: str) -> object:
    """Import what a protocol needs on first use, so that a bare import stays cheap."""
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from importlib import import_module

    return getattr(import_module(_HOMES[name]), name)
