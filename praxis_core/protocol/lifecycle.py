"""The life of a run and of a step: which states there are and which changes are possible."""

from __future__ import annotations

from enum import StrEnum


class RunKind(StrEnum):
    """What a run carries out."""

    PROTOCOL = "protocol"
    """The code of a protocol; it can be resumed."""
    MANUAL = "manual"
    """What a person does by hand, command by command: nobody can do it once more."""


class RunStatus(StrEnum):
    """Where a run is in its life."""

    PREPARING = "preparing"
    """Accepted; parameters, assets and devices are being checked. Nothing has moved."""
    REFUSED = "refused"
    """Turned down before anything moved."""
    RUNNING = "running"
    """Commands are being carried out."""
    INTERRUPTED = "interrupted"
    """Its process, or the host of its workcell, is gone, and nothing says that the run is over: it
    can be resumed. Also when a resume was refused before anything moved."""
    IN_DOUBT = "in_doubt"
    """Stopped until a person says what a command did; see ``praxis run show``."""
    PARKED = "parked"
    """It waits without a process, with its claims and with its devices as they are set."""
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

_STOPPED = frozenset({RunStatus.FAILED, RunStatus.CANCELLED})

RUN_TRANSITIONS: dict[RunStatus, frozenset[RunStatus]] = {
    # One that was under way before, and cannot be taken up now, stays what it was: interrupted.
    RunStatus.PREPARING: _STOPPED
    | {RunStatus.RUNNING, RunStatus.REFUSED, RunStatus.INTERRUPTED, RunStatus.IN_DOUBT},
    RunStatus.RUNNING: _STOPPED
    | {RunStatus.SUCCEEDED, RunStatus.INTERRUPTED, RunStatus.IN_DOUBT, RunStatus.PARKED},
    # Its connection came back; or a new attempt takes over, and this one has failed.
    RunStatus.INTERRUPTED: _STOPPED | {RunStatus.RUNNING, RunStatus.SUCCEEDED, RunStatus.IN_DOUBT},
    RunStatus.IN_DOUBT: _STOPPED,
    # A new attempt takes over at its time, and this one has ended; or it is given up.
    RunStatus.PARKED: _STOPPED | {RunStatus.IN_DOUBT},
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


class Sent(StrEnum):
    """How much of a failed command reached the device."""

    NONE = "none"
    """Certainly nothing: it may be sent again."""
    SOME = "some"
    """The device answered that it failed: some of it may have happened."""
    UNKNOWN = "unknown"
    """There is no answer: it may have happened wholly, partly or not at all."""


class DoubtSubject(StrEnum):
    """What a person is asked about."""

    COMMAND = "command"
    """Whether a command happened."""
    TAIL = "tail"
    """Whether what a failed attempt did at its end may be done anew."""
    ONCE = "once"
    """Whether an outside effect of the protocol (``run.once``) happened."""


class Answer(StrEnum):
    """What a person says about a doubt."""

    HAPPENED = "happened"
    """It happened wholly; go on after it."""
    DID_NOT_HAPPEN = "did_not_happen"
    """Nothing of it happened, or it was undone: the deck is as before it. Do it again."""
    PARTLY = "partly"
    """It happened on some channels and on the others not at all; do it on those."""
    SKIP = "skip"
    """Nothing of it happened, or it was undone. Leave it out, and go on after it."""
    FAILED = "failed"
    """Tell the protocol that it failed, as the device said; what it touched stays unknown."""
    ABORT = "abort"
    """End the run."""


class OnError(StrEnum):
    """What becomes of a run whose command fails."""

    ASK = "ask"
    """It waits until a person says what to do."""
    RAISE = "raise"
    """Its protocol is told, and ends unless it catches the error."""
