"""Who may touch what now, in Redis: AssetLockManager."""

from __future__ import annotations

from praxis_core.locks.asset_lock_manager import AssetLockManager, OnWait
from praxis_core.locks.lease import Lease, Wait, WaitState
from praxis_core.locks.request import Request
from praxis_core.locks.reservations import holder_of

__all__ = ["AssetLockManager", "Lease", "OnWait", "Request", "Wait", "WaitState", "holder_of"]
