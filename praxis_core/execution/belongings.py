"""What an attempt has for itself while it is under way: locked assets, claimed devices."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager

from praxis_core.errors import PraxisError
from praxis_core.execution.attempt import Attempt
from praxis_core.journal.record import Journal
from praxis_core.locks import AssetLockManager
from praxis_core.planning.checks import CheckedRequest
from praxis_core.protocol.lifecycle import RunStatus
from praxis_core.to_the_end import to_the_end
from praxis_core.workcell.bench import Bench
from praxis_core.workcell.link import Attached

LOCK_WAIT_SECONDS = 3600.0
"""How long a run waits for assets that another run holds before it is refused."""


class Belongings:
    """The assets of one attempt.

    Args:
        attempt: The attempt.
        checked: Which assets it needs.
        bench: What it works on.
        journal: Where devices are claimed.
        locks: Where assets are locked.
    """

    def __init__(
        self,
        attempt: Attempt,
        checked: CheckedRequest,
        bench: Bench,
        *,
        journal: Journal,
        locks: AssetLockManager,
    ) -> None:
        self._attempt = attempt
        self._checked = checked
        self._bench = bench
        self._journal = journal
        self._locks = locks

    @asynccontextmanager
    async def held(self) -> AsyncIterator[Attached]:
        """Lock the assets, and take up the devices as they are expected; undone on leaving.

        Raises:
            AssetsLocked: another run holds one for too long.
            DeviceError, ServiceError: a device cannot be taken up, or is not as expected.
        """
        async with AsyncExitStack() as locked:
            if self._checked.asset_names:
                workcell = self._attempt.workcell.name
                names = [f"{workcell}/{name}" for name in self._checked.asset_names]
                holder, number = f"run {self._attempt.run_id}", self._attempt.number
                await locked.enter_async_context(
                    self._locks.hold(names, holder, wait_seconds=LOCK_WAIT_SECONDS, attempt=number)
                )
            try:
                yield await self._take_up()
            except BaseException as error:
                await self._let_go_after(error)
                raise
            await to_the_end(self._let_go(RunStatus.SUCCEEDED))

    async def _take_up(self) -> Attached:
        """Claim the devices, and attach to them."""
        attempt, bench = self._attempt, self._bench
        devices = sorted(set(self._checked.asset_names) & set(bench.replica.devices))
        token = None
        if devices:
            token = await self._journal.claim_devices(
                attempt.workcell.name,
                devices,
                run_id=attempt.run_id,
                attempt=attempt.number,
                take_over=attempt.simulated,
            )
        assert attempt.course is not None  # noqa: S101  # for the type checker
        attempt.course.begin(token, attempt.past.attributes if attempt.past else {})
        return await bench.connect(
            self._checked.asset_names, token=token, resuming=attempt.past is not None
        )

    async def _let_go(self, ended: RunStatus) -> None:
        """Give back the devices; of a run that only stopped they stay its own."""
        try:
            await self._bench.disconnect(ended)
        finally:
            if ended.ended:
                await self._journal.release_claims(self._attempt.run_id, self._attempt.number)

    async def _let_go_after(self, error: BaseException) -> None:
        """Let go of the devices without hiding what ended the run."""
        try:
            await to_the_end(self._let_go(self._attempt.status_after(error)))
        except PraxisError as another:
            error.add_note(str(another))
