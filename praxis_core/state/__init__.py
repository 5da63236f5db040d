"""What a run shares, in Redis: PraxisState."""

from __future__ import annotations

from praxis_core.state.changes import ChangeKind, StateChange
from praxis_core.state.praxis_state import PraxisState

__all__ = ["ChangeKind", "PraxisState", "StateChange"]
