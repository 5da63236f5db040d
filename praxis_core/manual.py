"""A hand on the robot: a workcell's frontends for a person, in a notebook or a script.

What is done so is a run of kind ``manual``, through the same orchestrator as any other: it is
claimed and written down, and the host carries it out. Prefect has no part in it.

    async with workcell("star", only=["star", "tips_300_01"]) as wc:
        await wc["star"].pick_up_tips(wc["tips_300_01"]["A1:H1"])
"""

from __future__ import annotations

import asyncio
import difflib
import getpass
import socket
import sys
from collections.abc import Collection, Iterator, Sequence
from functools import partial, wraps
from types import TracebackType
from typing import Any, Self
from uuid import UUID, uuid4

import psutil

from praxis_core.assets.catalogue import Catalogue
from praxis_core.assets.choosing import unusable
from praxis_core.assets.clearance import in_the_way
from praxis_core.errors import PraxisError, RequestError
from praxis_core.execution.page import RunPage
from praxis_core.execution.preflight import known_of
from praxis_core.host.link import HostLink
from praxis_core.journal.database import Database
from praxis_core.journal.record import Journal
from praxis_core.journal.schema import require_current
from praxis_core.orchestrator import Orchestrator, RunRequest
from praxis_core.planning.by_hand import by_hand
from praxis_core.protocol.lifecycle import RunKind, RunStatus
from praxis_core.protocol.running import CurrentRun, current_run
from praxis_core.settings import PraxisSettings
from praxis_core.to_the_end import to_the_end
from praxis_core.workcell.branches import current_branch
from praxis_core.workcell.definition import Refill, WorkcellDefinition

LEFT = "left_in_the_way"
"""Kind of the event that says what somebody left mounted or held."""

_open: dict[UUID, tuple[Workcell, Collection[str]]] = {}
"""What this process has open: it would wait for itself."""


def workcell(
    name: str,
    *,
    only: Collection[str] | None = None,
    wait_seconds: float | None = None,
    settings: PraxisSettings | None = None,
) -> Workcell:
    """Give a workcell to work with by hand; nothing is taken before it is entered, or opened.

    Args:
        name: Its name.
        only: Names of the devices and the labware to take; None: all that a run may be given.
        wait_seconds: How long to wait for what others have; None: as the settings say.
        settings: Where everything is; None: as the environment says.
    """
    return Workcell(name, only, wait_seconds=wait_seconds, settings=settings or PraxisSettings())


class Workcell:
    """The devices and the labware of one workcell, in the hand of a person.

    Args:
        name: Name of the workcell.
        only: What to take; None: all that a run may be given.
        wait_seconds: How long to wait for what others have; None: as the settings say.
        settings: Where everything is.
    """

    def __init__(
        self,
        name: str,
        only: Collection[str] | None,
        *,
        wait_seconds: float | None,
        settings: PraxisSettings,
    ) -> None:
        if isinstance(only, str):
            raise RequestError(what=f"only={only!r} is one word; write only=[{only!r}]")
        self.name = name
        self.run_id = uuid4()
        """The run under which it is written down."""
        self._only = None if only is None else list(dict.fromkeys(only))
        self._settings = settings
        if wait_seconds is not None:
            self._settings = settings.model_copy(update={"lock_wait_seconds": wait_seconds})
        self._things: dict[str, Any] = {}
        self._run: CurrentRun | None = None
        self._keeper: asyncio.Task[None] | None = None
        """Carries out the run, for as long as it is open."""
        self._leave: asyncio.Future[Exception | None] | None = None
        """Ends the run: its result is the error of the person's code, if there is one."""

    async def __aenter__(self) -> Self:
        return await self.open()

    async def __aexit__(
        self,
        _kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await to_the_end(self._end(error))
        if error is not None:
            error.__traceback__ = trace  # without the way that it took through the run

    def __getitem__(self, name: str) -> Any:
        """Give a device or labware by its name on the workcell.

        Raises:
            RequestError: it was not taken, or nothing is open.
        """
        if name in self._things:
            return self._things[name]
        self._needed()
        close = difflib.get_close_matches(name, self._things, n=3)
        mend = f"did you mean {' or '.join(close)}?" if close else f"you have: {', '.join(self)}"
        raise RequestError(what=f"{name!r} is not among what you took of {self.name}; {mend}")

    def __iter__(self) -> Iterator[str]:
        return iter(self._things)

    def __repr__(self) -> str:
        state = "open" if self.is_open else "not open"
        return f"<workcell {self.name}, {state}, run {self.run_id}: {', '.join(self)}>"

    @property
    def is_open(self) -> bool:
        """Whether what was taken is still yours."""
        return self._run is not None and self._keeper is not None and not self._keeper.done()

    async def bring(self, resource: Any, place: str) -> None:
        """Move labware to a named place of the workcell, as ``praxis_core.run.bring`` does.

        Raises:
            PlaceUnknown, PlaceOccupied: there is no such place, or something else stands there.
            RequestError: no device that you took has a gripper, or nothing is open.
        """
        await self._needed().bring(resource, place)

    async def record(
        self,
        quantity: str,
        value: float,
        *,
        unit: str = "",
        asset: str | None = None,
        well: str | None = None,
    ) -> None:
        """Write one measurement of your own to the history, as ``praxis_core.run.record`` does.

        Raises:
            RequestError: nothing is open.
        """
        await self._needed().record(quantity, value, unit=unit, asset=asset, well=well)

    async def open(self) -> Self:
        """Take the devices and the labware; ``close`` gives them back.

        Raises:
            RequestError, RunRefused: it cannot be had; nothing has moved.
            AssetsLocked: somebody else has it for too long.
            ServiceError, DeviceError: what it needs does not answer.
        """
        if self._keeper is not None:
            raise RequestError(what=f"{self!r} was opened before; make a new one")
        if current_branch() is not None:
            raise RequestError(what="a protocol has its devices already; name them as parameters")
        opened = asyncio.get_running_loop().create_future()
        self._keeper = asyncio.create_task(self._keep(opened), name=f"by hand on {self.name}")
        try:
            await asyncio.wait({self._keeper, opened}, return_when=asyncio.FIRST_COMPLETED)
        except asyncio.CancelledError:
            self._keeper.cancel()
            await to_the_end(_ended(self._keeper))
            raise
        if not opened.done():
            self._keeper.result()  # raises what it ended by
        return self

    def _needed(self) -> CurrentRun:
        if self._run is None:
            what = f"workcell {self.name} is not open; write: async with workcell({self.name!r})"
            raise RequestError(what=f"{what}, or: await workcell({self.name!r}).open()")
        return self._run

    async def close(self) -> None:
        """Give everything back; a second time does nothing.

        Raises:
            CommandInDoubt: nobody knows whether something happened; the run asks.
            Exception: what ended the run before.
        """
        await to_the_end(self._end(None))

    async def _end(self, error: BaseException | None) -> None:
        keeper, leave = self._keeper, self._leave
        self._run, self._leave, self._things = None, None, {}
        if keeper is None or leave is None:
            return
        if error is not None and not isinstance(error, Exception):
            keeper.cancel()
        elif not leave.done():
            leave.set_result(error)
        await asyncio.wait({keeper})
        if keeper.cancelled():
            return
        ended_by = keeper.exception()
        if ended_by is not None and ended_by is not error:
            raise ended_by

    async def _keep(self, opened: asyncio.Future[None]) -> None:
        """Carry the run out, from open to close."""
        settings = self._settings
        async with Database(settings.addresses().database_url) as database:
            await require_current(database)
            journal = Journal(database)
            stored = await journal.workcell(self.name)
            definition = WorkcellDefinition.model_validate(stored.definition)
            taken = self._only
            if taken is None:
                taken = await _all_of(definition, Catalogue(database))
            _refuse_unknown(taken, definition)
            self._refuse_own(taken)
            orchestrator = Orchestrator(
                journal=journal,
                settings=settings,
                link_for=partial(_link, settings),
                page=_Told(),
            )
            _open[self.run_id] = (self, taken)
            try:
                await orchestrator.run(self._request(definition, taken, opened))
            finally:
                del _open[self.run_id]
                await orchestrator.close()
                await to_the_end(_tell_what_is_left(journal, self.run_id, definition))

    def _refuse_own(self, taken: Sequence[str]) -> None:
        """See that this process does not wait for itself.

        Raises:
            RequestError: it has something of it.
        """
        for other, has in _open.values():
            common = [name for name in taken if name in has]
            if other.name == self.name and common:
                what = f"this process has {', '.join(common[:5])} of it already, as run "
                what += f"{other.run_id}; end that with: await praxis_core.manual.close_all()"
                raise RequestError(what=what)

    def _request(
        self, definition: WorkcellDefinition, taken: Sequence[str], opened: asyncio.Future[None]
    ) -> RunRequest:
        devices = [name for name in taken if name in definition.devices]
        labware = [name for name in taken if name not in definition.devices]
        loop = asyncio.get_running_loop()

        @wraps(by_hand)
        async def work(**arguments: Any) -> None:
            things = [*(arguments.get("devices") or ()), *(arguments.get("labware") or ())]
            self._things = dict(zip([*devices, *labware], things, strict=True))
            self._run = current_run.get()
            leave = self._leave = loop.create_future()
            opened.set_result(None)
            error = await leave
            if error is not None:
                raise error

        process = psutil.Process()
        user, computer = getpass.getuser(), socket.gethostname()
        return RunRequest(
            run_id=self.run_id,
            run_name=f"by hand: {user} on {computer}, process {process.pid}",
            function=work,
            workcell=self.name,
            parameters={
                "computer": computer,
                "process": process.pid,
                "process_began": process.create_time(),
            },
            assets={"devices": devices or None, "labware": labware or None},
            asked_by=user,
            kind=RunKind.MANUAL,
        )


async def close_all() -> None:
    """Give back whatever this process has open: a notebook may have lost its name."""
    for one, _ in [*_open.values()]:
        await one.close()


class _Told(RunPage):
    """Tells the person on standard error."""

    async def waiting(self, reason: str) -> None:
        _say(f"Waits: {reason}. Who that is: praxis why. Interrupt to wait no longer.")

    async def going_on(self) -> None:
        _say("It has what it waited for.")


def _say(what: str) -> None:
    sys.stderr.write(f"{what}\n")
    sys.stderr.flush()


def _link(settings: PraxisSettings, definition: WorkcellDefinition, version: int) -> HostLink:
    return HostLink.to(settings, definition.name, workcell_version=version)


async def _ended(task: asyncio.Task[None]) -> None:
    await asyncio.wait({task})


def _refuse_unknown(taken: Sequence[str], definition: WorkcellDefinition) -> None:
    """See that a workcell has all that is wanted.

    Raises:
        RequestError: it has not.
    """
    labware = [one.name for one in definition.labware]
    known = [*definition.devices, *labware]
    for name in taken:
        if name not in known:
            close = difflib.get_close_matches(name, known, n=3)
            what = f"workcell {definition.name} has nothing called {name!r}; "
            if close:
                raise RequestError(what=f"{what}did you mean {' or '.join(close)}?")
            what += f"its devices: {', '.join(definition.devices)}; its labware: "
            raise RequestError(what=what + ", ".join(labware))


async def _all_of(definition: WorkcellDefinition, catalogue: Catalogue) -> list[str]:
    """Name everything of a workcell that a run may be given."""
    names = [*definition.devices, *(one.name for one in definition.labware)]
    known = await known_of(catalogue, definition)
    if known.state is None:
        return names
    return [name for name in names if not unusable([name], known.state, known.facts)]


async def _tell_what_is_left(
    journal: Journal, run_id: UUID, definition: WorkcellDefinition
) -> None:
    """Say what is mounted or held after a run that began; on a deck that stays as it is."""
    try:
        run = await journal.run(run_id)
        if definition.refill is Refill.EVERY_RUN or run.started_at is None:
            return
        if run.status is RunStatus.IN_DOUBT:
            return  # it asks
        state = await Catalogue(journal.database).state(definition.name)
        devices = {one.asset for one in await journal.claim_history(run_id)}
        why = in_the_way(state, run_id, devices & set(definition.devices), ())
        if why:
            what = f"Left as it is: {why}. Runs that this is in the way of are refused."
            await journal.event(run_id, LEFT, what)
            _say(what)
    except PraxisError as error:
        _say(f"What is left mounted or held could not be found out: {error}")
