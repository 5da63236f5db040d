"""The life of a run and of a step: which states there are and which changes are possible."""

from __future__ import annotations

from enum import StrEnum


class RunStatus(StrEnum):
    """Where a run is in its life."""

    PREPARING = "preparing"
    """Accepted; parameters, assets and devices are being checked. Nothing has moved."""
    REFUSED = "refused"
    """Turned down before anything moved."""
    RUNNING = "running"
    """Commands are being carried out."""
    SUCCEEDED = "succeeded"
    """The protocol returned."""
    FAILED = "failed"
    """The protocol raised an error."""
    CANCELLED = "cancelled"
    """A person or the engine ended the run."""

    @property
    def ended(self) -> bool:
        """Whether nothing of this attempt can happen any more."""
        return self in ENDED


ENDED = frozenset({RunStatus.REFUSED, RunStatus.SUCCEEDED, RunStatus.FAILED, RunStatus.CANCELLED})

RUN_TRANSITIONS: dict[RunStatus, frozenset[RunStatus]] = {
    RunStatus.PREPARING: frozenset(
        {RunStatus.RUNNING, RunStatus.REFUSED, RunStatus.FAILED, RunStatus.CANCELLED}
    ),
    RunStatus.RUNNING: frozenset({RunStatus.SUCCEEDED, RunStatus.FAILED, RunStatus.CANCELLED}),
    # A new attempt of an ended run begins again at PREPARING (Prefect's Retry keeps the run's id).
    RunStatus.REFUSED: frozenset({RunStatus.PREPARING}),
    RunStatus.SUCCEEDED: frozenset({RunStatus.PREPARING}),
    RunStatus.FAILED: frozenset({RunStatus.PREPARING}),
    RunStatus.CANCELLED: frozenset({RunStatus.PREPARING}),
}
"""The one table of run transitions; Postgres checks the same one by trigger."""


class StepStatus(StrEnum):
    """Where a step is in its life."""

    RUNNING = "running"
    """Its function was entered."""
    SUCCEEDED = "succeeded"
    """Its function returned."""
    FAILED = "failed"
    """Its function raised, or the run ended while it was under way."""


class CommandKind(StrEnum):
    """What a repetition of a command would do to the world."""

    OBSERVE = "observe"
    """Reads; may be repeated."""
    REPEATABLE = "repeatable"
    """The same call twice leaves the same state."""
    ONCE = "once"
    """Moves liquid, tips, labware or powder, is relative, or takes time that matters."""


class OutcomeStatus(StrEnum):
    """How a command ended."""

    SUCCEEDED = "succeeded"
    """The device answered without an error."""
    FAILED = "failed"
    """The device or its backend raised an error."""
