"""What other programs hear about the state of a run."""

from __future__ import annotations

import json
from dataclasses import dataclass
from enum import StrEnum


class ChangeKind(StrEnum):
    """What happened to the keys of a state."""

    ALL = "all"
    """Anything may have changed: read everything. Comes first, and after each interruption."""
    SET = "set"
    """The keys have new values."""
    DELETE = "delete"
    """The keys are gone."""
    CLEAR = "clear"
    """All keys are gone."""
    END = "end"
    """The run has ended; the state does not change any more."""


@dataclass(frozen=True, slots=True)
class StateChange:
    """One announced change."""

    kind: ChangeKind
    keys: tuple[str, ...] = ()
    """The keys it was about; empty for changes of the whole state."""

    @classmethod
    def from_message(cls, message: bytes) -> StateChange:
        """Read what the scripts publish."""
        content = json.loads(message)
        return cls(ChangeKind(content["op"]), tuple(content["keys"]))
