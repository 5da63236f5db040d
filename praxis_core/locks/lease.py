"""What the asset locks give, and what they say to those who wait."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum


@dataclass(frozen=True, slots=True)
class Lease:
    """Assets that are held by one holder until the lease expires or is released."""

    assets: tuple[str, ...]
    """Sorted, each once."""
    holder: str
    token: int
    """Greater than that of every lease before it, on any asset: whoever acts for a lease shows it,
    and whoever has seen a greater one refuses. Minted by Postgres where there is a journal."""
    attempt: int = 0
    request: str = ""
    """The id under which Redis knows it."""


class WaitState(StrEnum):
    """Why an asset is not given."""

    LEASED = "leased"
    """A process holds it now."""
    RESERVED = "reserved"
    """It belongs to a run without a process, until that is resumed or abandoned."""
    ASKED_BEFORE = "asked before"
    """Somebody whose turn is earlier waits for it, too."""


@dataclass(frozen=True, slots=True)
class Wait:
    """One edge of the graph of who waits for whom."""

    holder: str
    """Who waits."""
    asset: str
    held_by: str
    """For whom."""
    state: WaitState
    since: datetime
    """Since when that one has it, or asks for it."""
    until: datetime | None = field(default=None, compare=False)
    """When a lease ends unless it is renewed."""

    def __str__(self) -> str:
        """Say it in words, without who waits."""
        since = f"{self.since:%Y-%m-%d %H:%M:%S}"
        if self.until is not None:
            return f"{self.asset} is held by {self.held_by} until {_second(self.until)}"
        if self.state is WaitState.RESERVED:
            return f"{self.asset} has been reserved for {self.held_by} since {since}"
        return f"{self.asset} is wanted by {self.held_by}, who asked at {since}"


def _second(time: datetime) -> str:
    return time.isoformat(timespec="seconds")
