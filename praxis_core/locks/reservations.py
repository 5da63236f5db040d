"""Whose an asset is, whatever Redis knows: the open claims in Postgres."""

from __future__ import annotations

from collections.abc import Collection
from datetime import datetime
from typing import TYPE_CHECKING
from uuid import UUID

from praxis_core.errors import LockError
from praxis_core.locks.lease import Lease

if TYPE_CHECKING:
    from praxis_core.journal.record import Journal
    from praxis_core.locks.store import Asking

_HOLDER = "run "


class Reservations:
    """Claims of runs on the assets of one workcell, under the names that the locks use.

    Args:
        journal: Where they are.
    """

    def __init__(self, journal: Journal) -> None:
        self._journal = journal

    async def claim(self, asking: Asking, *, take_over: bool) -> int:
        """Give all that is asked for to the run that asks; give the token.

        Raises:
            DeviceClaimed: another run keeps one of them.
            JournalError: the attempt has ended.
        """
        workcell, names = _on_workcell(asking.assets)
        return await self._journal.claim_assets(
            workcell,
            names,
            run_id=_run(asking.holder),
            attempt=asking.attempt,
            take_over=take_over,
        )

    async def kept(
        self, asking: Asking, *, take_over: bool
    ) -> dict[str, tuple[str, datetime] | None]:
        """Tell for each asset that is asked for who keeps it (or has it already), since when."""
        workcell, names = _on_workcell(asking.assets)
        found = await self._journal.kept_from(
            workcell, names, run_id=_run(asking.holder), take_over=take_over
        )
        kept = {f"{workcell}/{name}": (holder_of(run), at) for name, (run, at) in found.items()}
        return {asset: kept.get(asset) for asset in asking.assets}

    async def of(self, asking: Asking) -> frozenset[str]:
        """Tell which of the assets belong already to the run that asks."""
        workcell, names = _on_workcell(asking.assets)
        run_id = _run(asking.holder)
        claims = await self._journal.claims(workcell)
        mine = {claim.asset for claim in claims if claim.run_id == run_id}
        return frozenset(f"{workcell}/{name}" for name in mine & names)

    async def has(self, lease: Lease) -> bool:
        """Tell whether all of a lease's assets still belong to it."""
        workcell, names = _on_workcell(lease.assets)
        claims = await self._journal.claims(workcell)
        return names <= {claim.asset for claim in claims if claim.token == lease.token}

    async def give_back(self, lease: Lease, assets: Collection[str]) -> frozenset[str]:
        """End the claims of a lease on some of its assets; give those that it still had."""
        if not assets:
            return frozenset()
        workcell, names = _on_workcell(assets)
        released = await self._journal.release_claims(
            _run(lease.holder), lease.attempt, names, token=lease.token
        )
        return frozenset(f"{workcell}/{name}" for name in released)

    async def undo(self, asking: Asking, before: Collection[str]) -> frozenset[str]:
        """End the claims that a request made, but those that its run had before; give them."""
        mine = set(asking.assets) - set(before)
        if not mine:
            return frozenset()
        workcell, names = _on_workcell(mine)
        released = await self._journal.release_claims(_run(asking.holder), asking.attempt, names)
        return frozenset(f"{workcell}/{name}" for name in released)

    async def free(self, holder: str, assets: Collection[str]) -> None:
        """End what a run has, whichever attempt claimed it."""
        _, names = _on_workcell(assets)
        await self._journal.release_claims(_run(holder), None, names)


def holder_of(run_id: UUID) -> str:
    """Give the name under which a run holds assets."""
    return f"{_HOLDER}{run_id}"


def _run(holder: str) -> UUID:
    try:
        return UUID(holder.removeprefix(_HOLDER))
    except ValueError:
        what = f"{holder!r} is no run; only runs have claims: name it with holder_of(run_id)"
        raise LockError(assets="", what=what) from None


def _on_workcell(assets: Collection[str]) -> tuple[str, frozenset[str]]:
    """Split ``workcell/name``: a run is on one workcell, and its claim is one transaction."""
    parts = [asset.partition("/") for asset in assets]
    workcells = {workcell for workcell, _, name in parts if name}
    if len(workcells) != 1 or not all(name for _, _, name in parts):
        what = "name assets of one workcell, each as workcell/name"
        raise LockError(assets=", ".join(sorted(assets)), what=what)
    return workcells.pop(), frozenset(name for _, _, name in parts)
