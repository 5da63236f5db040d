"""A small workcell whose device the tests can let fail."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest
from pydantic import JsonValue

from praxis_core.journal.record import Journal

StoreShaker = Callable[[str], Awaitable[None]]


@pytest.fixture
def store_shaker(journal: Journal, monkeypatch: pytest.MonkeyPatch) -> StoreShaker:
    """Store a workcell ``bench`` of one shaker, with a backend of ``pretend_devices.py``."""
    monkeypatch.syspath_prepend(str(Path(__file__).parents[1] / "workcell"))

    async def store(backend: str) -> None:
        shaker: JsonValue = {
            "frontend": "pylabrobot.shaking:Shaker",
            "config": {"size_x": 1, "size_y": 1, "size_z": 1, "child_location": [0, 0, 0]},
            "backend": f"pretend_devices:{backend}",
            "simulated_backend": f"pretend_devices:{backend}",
        }
        await journal.store_workcell("bench", {"name": "bench", "devices": {"shaker": shaker}})

    return store
