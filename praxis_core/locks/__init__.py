"""Who may touch what now, in Redis: AssetLockManager."""

from __future__ import annotations

from praxis_core.locks.asset_lock_manager import AssetLockManager, Lease

__all__ = ["AssetLockManager", "Lease"]
