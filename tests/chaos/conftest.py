"""Worlds of real processes for the tests that kill them."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing
from pathlib import Path
from typing import Any

import pytest

from tests.chaos.report import Report
from tests.chaos.stories import Story
from tests.chaos.world import World

RESULTS = os.environ.get("PRAXIS_CHAOS_RESULTS")
"""Read before the tests make an environment of their own."""

OpenWorld = Callable[..., World]
"""Takes a story, the number of the world when there are several of it, and settings by name."""


@pytest.fixture
def open_world(database_url: str, redis_url: str, tmp_path: Path) -> Iterator[OpenWorld]:
    """Opens the world of a story; it ends with the test."""
    with ExitStack() as opened:

        def make(story: Story, number: int = 1, **own: Any) -> World:
            workcell = story.workcell(number)
            folder = tmp_path / workcell.name
            folder.mkdir()
            places = {
                "home": str(folder),
                "database_url": database_url,
                "redis_url": redis_url,
                "lease_seconds": 5,
                "grace_seconds": 5,
                **own,
            }
            return opened.enter_context(closing(World(folder, workcell, places)))

        yield make


@pytest.fixture(scope="session")
def report() -> Report:
    """Where results are written when ``PRAXIS_CHAOS_RESULTS`` names a file."""
    return Report(Path(RESULTS) if RESULTS else None)
