"""What an attempt has for itself while it is under way, and what stays its own after it."""

from __future__ import annotations

import asyncio
import math
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager

from praxis_core.assets.catalogue import Catalogue
from praxis_core.assets.clearance import in_the_way
from praxis_core.errors import PraxisError, RunNotResumable, RunRefused
from praxis_core.execution.attempt import Attempt
from praxis_core.execution.ending import will_ask
from praxis_core.execution.page import RunPage
from praxis_core.execution.preflight import Preflight
from praxis_core.execution.trail import Tail
from praxis_core.journal.record import Journal
from praxis_core.locks import AssetLockManager, Lease, Wait, holder_of
from praxis_core.planning.checks import CheckedRequest
from praxis_core.protocol.lifecycle import RunStatus
from praxis_core.to_the_end import to_the_end
from praxis_core.workcell.bench import Bench
from praxis_core.workcell.definition import Refill, WorkcellMode
from praxis_core.workcell.link import Attached


class Belongings:
    """The assets of one attempt: its devices and its whole labware.

    On a workcell that is set back for every run nothing outlives a run that has ended, and one that
    has stopped gives way to whoever comes. Else the labware of a run that failed or was cancelled
    stays reserved for it. A rehearsal on a real workcell touches nothing, and so takes nothing.

    Args:
        attempt: The attempt.
        bench: What it works on.
        journal: Where its claims are.
        locks: Where assets are locked.
        page: Where people see what it waits for.
        wait_seconds: How long it waits for what others have before it is refused.
    """

    def __init__(  # noqa: PLR0913  # what meets here, by name
        self,
        attempt: Attempt,
        bench: Bench,
        *,
        journal: Journal,
        locks: AssetLockManager,
        page: RunPage,
        wait_seconds: float = math.inf,
    ) -> None:
        self._attempt = attempt
        self._bench = bench
        self._journal = journal
        self._locks = locks
        self._page = page
        self._wait_seconds = wait_seconds
        self._preflight = Preflight(attempt, bench, journal=journal, page=page)
        self._catalogue = Catalogue(journal.database)
        self._lease: Lease | None = None
        self._set_back = attempt.workcell.refill is Refill.EVERY_RUN
        self._waited = False

    @asynccontextmanager
    async def held(self) -> AsyncIterator[tuple[CheckedRequest, Attached]]:
        """Take the assets, and take up the devices as they are expected; undone on leaving.

        Raises:
            RunRefused: parameters or assets do not fit, or something is missing.
            RunNotResumable: somebody changed what the run goes on with.
            AssetsLocked: another run has something for too long.
            DeviceError, ServiceError: a device cannot be taken up, or is not as expected.
        """
        async with AsyncExitStack() as taken:
            checked = await self._taken(taken)
            try:
                yield checked, await self._take_up(checked)
            except BaseException as error:
                await self._let_go_after(error, checked)
                raise
            await to_the_end(self._let_go(RunStatus.SUCCEEDED, checked))

    async def _taken(self, taken: AsyncExitStack) -> CheckedRequest:
        """Choose assets and take them; choose again if others left too little of them meanwhile."""
        before: tuple[str, ...] = ()
        while True:
            checked = await self._preflight.choose()
            try:
                await taken.enter_async_context(self._locked(checked))
                await self._look_at(checked)
            except RunRefused:
                await taken.aclose()
                if not self._waited or checked.asset_names == before:
                    raise
                before = checked.asset_names
            else:
                return checked

    @asynccontextmanager
    async def _locked(self, checked: CheckedRequest) -> AsyncIterator[None]:
        """Hold what the run needs; a run without assets waits for nobody."""
        attempt = self._attempt
        workcell = attempt.workcell
        if not checked.asset_names or self._is_rehearsal:
            yield
            return
        pretends = workcell.mode is WorkcellMode.SIMULATED
        names = self._full_names(checked.asset_names)
        async with self._locks.hold(
            names,
            holder_of(attempt.run_id),
            wait_seconds=self._wait_seconds,
            attempt=attempt.number,
            priority=attempt.request.priority,
            take_over=pretends and self._set_back,
            on_wait=self._wait,
        ) as lease:
            self._lease = lease
            if self._waited:
                await self._page.going_on()
            try:
                yield
            finally:
                self._lease = None

    @property
    def _is_rehearsal(self) -> bool:
        """Whether it only pretends on a workcell that is real."""
        return self._attempt.simulated and self._attempt.workcell.mode is WorkcellMode.REAL

    async def _wait(self, waits: Sequence[Wait]) -> None:
        """Tell whom the run waits for; each time that this has changed."""
        self._waited = True
        reason = "; ".join(sorted({str(wait) for wait in waits}))
        await self._journal.event(
            self._attempt.run_id,
            "waiting",
            f"Waits: {reason}.",
            [{"asset": wait.asset, "for": wait.held_by, "state": wait.state} for wait in waits],
        )
        await self._page.waiting(reason)

    async def _look_at(self, checked: CheckedRequest) -> None:
        """See that what was taken will do."""
        if self._attempt.past is None:
            await self._preflight.plan(checked)
            return
        if self._set_back or self._is_rehearsal:
            return
        since = self._attempt.past.last.started_at
        assert since is not None  # noqa: S101  # for the type checker
        # What others did with a device, they have undone, or it would still be theirs.
        labware = sorted(set(checked.asset_names) - set(self._bench.replica.devices))
        changed = await self._catalogue.changed_since(
            self._attempt.workcell.name, labware, since, but_by=self._attempt.run_id
        )
        if changed:
            what = f"what it relies on was changed since: {'; '.join(changed)}. Start a new run"
            raise RunNotResumable(run_id=self._attempt.run_id, what=what)
        await self._preflight.plan_the_rest(checked)

    async def _take_up(self, checked: CheckedRequest) -> Attached:
        """Attach to the devices."""
        attempt = self._attempt
        token = None if self._lease is None else self._lease.token
        assert attempt.course is not None  # noqa: S101  # for the type checker
        attempt.course.begin(token, attempt.past.attributes if attempt.past else {})
        past = attempt.past
        return await self._bench.connect(
            checked.asset_names,
            token=token,
            resuming=past is not None,
            begun_with=past.begun_with if past else None,
        )

    async def _let_go(
        self, ended: RunStatus, checked: CheckedRequest, tail: Tail | None = None
    ) -> None:
        """Give back the devices, and reserve what stays the run's own."""
        try:
            await self._bench.disconnect(ended)
        finally:
            lease = self._lease
            if lease is not None:
                await self._reserve(lease, ended, checked, tail)

    async def _let_go_after(self, error: BaseException, checked: CheckedRequest) -> None:
        """Let go of the devices without hiding what ended the run."""
        try:
            ended, tail = self._attempt.status_after(error), self._attempt.tail_of(error)
            await to_the_end(self._let_go(ended, checked, tail))
        except PraxisError as another:
            error.add_note(str(another))
        except asyncio.CancelledError:
            # The lease may be over when Redis does not answer: that is not what the run died of.
            if not isinstance(error, Exception):
                raise

    async def _reserve(
        self, lease: Lease, ended: RunStatus, checked: CheckedRequest, tail: Tail | None
    ) -> None:
        stays = checked.asset_names
        try:
            stays = await self._staying(ended, checked, tail)
        finally:  # where nobody can tell, all stays
            if stays:
                await self._locks.reserve(lease, self._full_names(stays))

    async def _staying(
        self, ended: RunStatus, checked: CheckedRequest, tail: Tail | None
    ) -> tuple[str, ...]:
        """Name what stays the run's own after this attempt."""
        if not ended.ended:
            return checked.asset_names
        preparing = self._attempt.progress.status is RunStatus.PREPARING
        never_began = preparing and self._attempt.past is None
        if ended is RunStatus.SUCCEEDED or never_began or self._set_back:
            return ()
        devices = set(checked.asset_names) & set(self._bench.replica.devices)
        labware = set(checked.asset_names) - devices
        why = await self._in_the_way(devices, labware, tail)
        if not why:
            return tuple(sorted(labware))
        what = f"Its devices stay its own, too ({', '.join(sorted(devices))}): {why}."
        await self._journal.event(self._attempt.run_id, "devices_kept", what)
        return checked.asset_names

    async def _in_the_way(self, devices: set[str], labware: set[str], tail: Tail | None) -> str:
        """Say what keeps the devices from others while the run may be resumed; empty: nothing."""
        run_id, workcell = self._attempt.run_id, self._attempt.workcell
        asks = tail is not None and await will_ask(self._journal, run_id, tail)
        if asks or await self._journal.open_doubts(run_id):
            return "it asks a question"
        state = await self._catalogue.state(workcell.name)
        arms = {name for name in devices if workcell.devices[name].deck is not None}
        return in_the_way(state, run_id, devices, labware, arms=arms)

    def _full_names(self, names: Sequence[str]) -> list[str]:
        return [f"{self._attempt.workcell.name}/{name}" for name in names]
