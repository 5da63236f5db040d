"""``ProtocolState``: how far a run has come, step by step."""

from __future__ import annotations

from datetime import datetime
from typing import Any
from uuid import UUID

from pydantic import BaseModel, ConfigDict, Field, JsonValue

from praxis_core.journal.record import Journal
from praxis_core.protocol.lifecycle import RunStatus, StepStatus


class StepProgress(BaseModel):
    """One step of a run."""

    model_config = ConfigDict(frozen=True)

    path: str
    """Position in the protocol: "1", "2", and "2.1" for the first step inside step 2."""
    name: str
    status: StepStatus
    task_run_id: UUID | None = None
    started_at: datetime
    ended_at: datetime | None = None
    error: JsonValue = None


class ProtocolState(BaseModel):
    """The live picture of one attempt of a run; after each step the database holds the same."""

    run_id: UUID
    protocol: str
    attempt: int
    status: RunStatus
    parameters: dict[str, Any] = Field(default_factory=dict)
    assets: dict[str, Any] = Field(default_factory=dict)
    steps: list[StepProgress] = Field(default_factory=list)
    error: JsonValue = None
    water: bool = False
    """Whether the run is done with water in place of everything else."""

    @property
    def current(self) -> StepProgress | None:
        """The step under way that was entered last."""
        running = [step for step in self.steps if step.status is StepStatus.RUNNING]
        return running[-1] if running else None

    def step_started(self, step: StepProgress) -> None:
        """Take in that a step was entered."""
        self.steps.append(step)

    def step_ended(
        self, path: str, status: StepStatus, at: datetime, error: JsonValue = None
    ) -> None:
        """Take in that a step was left."""
        change = {"status": status, "ended_at": at, "error": error}
        self.steps = [
            step.model_copy(update=change) if step.path == path else step for step in self.steps
        ]

    @classmethod
    async def load(cls, journal: Journal, run_id: UUID) -> ProtocolState:
        """Build the state of a run's last attempt from the database.

        Raises:
            RunNotFound: the database knows no such run.
        """
        run = await journal.run(run_id)
        steps = await journal.steps(run_id)
        return cls(
            run_id=run_id,
            protocol=run.protocol,
            attempt=run.attempt,
            status=run.status,
            parameters=run.parameters,
            assets=run.assets,
            error=run.error,
            water=run.water,
            steps=[
                StepProgress(
                    path=step.path,
                    name=step.name,
                    status=step.status,
                    task_run_id=step.task_run_id,
                    started_at=step.started_at,
                    ended_at=step.ended_at,
                    error=step.error,
                )
                for step in steps
                if step.attempt == run.attempt
            ],
        )
