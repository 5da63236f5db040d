"""What is asked of the orchestrator, and what it gives for it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any
from uuid import UUID

from pydantic import JsonValue


@dataclass(frozen=True, slots=True)
class RunRequest:
    """Who wants what to run where."""

    run_id: UUID
    run_name: str
    function: Any
    """The protocol: an async function marked with ``@protocol``."""
    workcell: str
    parameters: Mapping[str, Any] = field(default_factory=dict)
    assets: Mapping[str, str | list[str] | None] = field(default_factory=dict)
    simulate: bool = False
    carry_from: UUID | None = None
    asked_by: str = "unverified"
    with_current_code: bool = False
    """Whether a run that was under way may go on although its protocol's source has changed."""
    priority: int = 0
    """Where it waits for assets together with others, the greater is served first."""
    water: bool = False
    """Whether it is done with water in place of everything else."""


@dataclass(frozen=True, slots=True)
class RunResult:
    """What a run that succeeded leaves."""

    run_id: UUID
    attempt: int
    summary: JsonValue
    """What the protocol returned, as the database keeps it."""
