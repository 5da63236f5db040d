"""The runs that a host serves: one session each, whichever connection carries it at the moment.

A session belongs to one attempt of a run. It outlives its connection for the grace period, so that
a run whose process was only slow finds all as it was; after that its devices are made safe. The
session itself stays, so that the same attempt may still come back. A newer attempt takes over.
"""

from __future__ import annotations

import asyncio
import logging
from collections import defaultdict
from dataclasses import dataclass, field
from typing import Any, Protocol, assert_never
from uuid import UUID

from pydantic import JsonValue

from praxis_core.errors import (
    ClaimLost,
    CommandTakenBack,
    HostNotRunning,
    HostReplaced,
    HostVersionMismatch,
    MessageRefused,
    PraxisError,
    WorkcellChanged,
)
from praxis_core.host.wire import (
    VERSION,
    Bye,
    Execute,
    Hello,
    Paused,
    Request,
    Response,
    Restore,
    SleepUntil,
    TakeBack,
    Welcome,
    refusal,
    reply_bytes,
)
from praxis_core.journal.control import Said
from praxis_core.labware.encoding import encode_error
from praxis_core.protocol.command import Command, Outcome
from praxis_core.protocol.lifecycle import RunStatus
from praxis_core.to_the_end import to_the_end
from praxis_core.workcell.clock import Clock
from praxis_core.workcell.link import Attached, Attaching

_log = logging.getLogger(__name__)

_LOOK_SECONDS = 0.02
"""How often it is looked whether a command that is taken back has come so far that it can be."""


class Devices(Protocol):
    """What a host needs of its ``WorkcellRuntime``."""

    clock: Clock

    async def attach(self, asking: Attaching) -> Attached:
        """Give a run its devices, after the commands of its earlier attempts have ended."""

    async def execute(self, command: Command) -> Outcome:
        """Carry out one command; again: tell how it ended, or ends."""

    async def restore(self, run_id: UUID, attempt: int, expected: JsonValue) -> JsonValue:
        """Bring the devices of a run back to the settings that it expects."""

    def take_back(self, command: Command) -> None:
        """Do not send a command that still waits for its turn."""

    def pause_of(self, run_id: UUID) -> Said | None:
        """Tell who has paused a run; None: nobody."""

    async def detach(self, run_id: UUID, ended: RunStatus) -> None:
        """Take the devices back from a run that has ended."""

    async def lost(self, run_id: UUID) -> None:
        """Make the devices of a run safe whose process is gone."""


class Connection(Protocol):
    """The way back to the process of a run."""

    async def send(self, frame: bytes) -> None:
        """Send a message, or nothing when nobody is there any more."""

    async def close(self, last_word: bytes | None = None) -> None:
        """Take no more messages."""


@dataclass(eq=False, slots=True)
class Session:
    """One attempt of a run, as the host knows it."""

    run_id: UUID
    attempt: int
    token: int | None
    connection: Connection | None = None
    """None: its process is away."""
    lost: bool = False
    """The grace period is over, and the devices were made safe."""
    ended: bool = False
    """The run said good-bye."""
    grace: asyncio.Task[None] | None = None
    commands: set[asyncio.Task[None]] = field(default_factory=set)
    """What must come to its end, whoever waits for it."""
    sleeps: set[asyncio.Task[None]] = field(default_factory=set)
    telling: set[asyncio.Task[None]] = field(default_factory=set)
    asked: dict[int, Command] = field(default_factory=dict)
    """Commands without an answer, by the number that the run calls them by."""
    taken_back: set[int] = field(default_factory=set)
    """Numbers of those that the run does not want any more."""

    def older_than(self, hello: Hello) -> bool:
        """Whether somebody has a newer claim on the devices of the run."""
        return (self.attempt, self.token or 0) < (hello.attempt, hello.token or 0)

    def is_of(self, hello: Hello) -> bool:
        """Whether it is the session of the attempt that says hello."""
        return (self.attempt, self.token) == (hello.attempt, hello.token)


class Sessions:
    """All sessions of one host.

    Args:
        devices: The runtime of the workcell.
        workcell: Its name.
        version: Of its definition.
        epoch: Of this host.
        grace_seconds: How long the process of a run may be away.
    """

    def __init__(
        self,
        devices: Devices,
        *,
        workcell: str,
        version: int,
        epoch: int | None,
        grace_seconds: float,
    ) -> None:
        self._devices = devices
        self._workcell = workcell
        self._version = version
        self._epoch = epoch
        self._grace_seconds = grace_seconds
        self._sessions: dict[UUID, Session] = {}
        self._entering: defaultdict[UUID, asyncio.Lock] = defaultdict(asyncio.Lock)
        self.stopping = False
        """Nothing more is begun."""
        self.replaced = asyncio.Event()
        """Set when the journal says that a newer host serves the workcell."""
        self.outdated = asyncio.Event()
        """Set when a run is on another version of the workcell, and no other run is in the way."""

    @property
    def now(self) -> float:
        """The time of the workcell's clock, in seconds since 1970."""
        return self._devices.clock.now().timestamp()

    def overview(self) -> list[dict[str, Any]]:
        """Tell which runs there are, for people."""
        return [
            {
                "run_id": str(one.run_id),
                "attempt": one.attempt,
                "connected": one.connection is not None,
                "lost": one.lost,
                "commands": len(one.commands),
            }
            for one in self._sessions.values()
        ]

    def expect(self, run_id: UUID, attempt: int, token: int | None) -> None:
        """Give a run that an earlier host served the grace period to come back."""
        session = Session(run_id, attempt, token)
        self._sessions[run_id] = session
        self._begin_grace(session)

    async def enter(self, hello: Hello, connection: Connection) -> tuple[Session, Welcome]:
        """Take in an attempt that is new, or that comes back.

        Raises:
            HostVersionMismatch: it speaks another version.
            MessageRefused: it wants the host of another workcell.
            HostNotRunning: this host is ending.
            WorkcellChanged: the run is on another version of the workcell's definition.
            ClaimLost: a newer attempt of the run has the devices.
            PraxisError: the runtime refuses it.
        """
        self._refuse_other_versions(hello)
        if self.stopping:
            raise HostNotRunning(workcell=self._workcell, address="its socket", what="it is ending")
        async with self._entering[hello.run_id]:
            known = self._sessions.get(hello.run_id)
            if known is not None and not known.older_than(hello) and not known.is_of(hello):
                raise _superseded(hello.run_id, hello.attempt, "its devices", known.attempt)
            if known is not None:
                await self._end_grace(known)
            try:
                attached = await self._devices.attach(_asking(hello))
            except BaseException:
                if known is not None and known.connection is None:
                    self._begin_grace(known)
                raise
            session = await self._replace(known, hello, connection)
            return session, self._welcome(attached, hello.run_id)

    def _refuse_other_versions(self, hello: Hello) -> None:
        if hello.version != VERSION:
            raise HostVersionMismatch(workcell=self._workcell, theirs=VERSION, ours=hello.version)
        if hello.workcell != self._workcell:
            what = f"it is for workcell {hello.workcell}, and this is the host of {self._workcell}"
            raise MessageRefused(what=what)
        if hello.workcell_version in {None, self._version}:
            return
        others = [one for one in self._sessions.values() if one.run_id != hello.run_id]
        if any(one.connection is not None or not one.lost for one in others):
            what = "it changes to that one when no other run is under way"
        else:
            what = "it is changing to that one"
            self.outdated.set()
        raise WorkcellChanged(
            workcell=self._workcell, theirs=self._version, ours=hello.workcell_version, what=what
        )

    async def _replace(
        self, known: Session | None, hello: Hello, connection: Connection
    ) -> Session:
        session = known
        if known is None or not known.is_of(hello):
            session = Session(hello.run_id, hello.attempt, hello.token)
        assert session is not None  # noqa: S101  # for the type checker
        former = None if known is None else known.connection
        self._sessions[hello.run_id] = session
        session.connection, session.lost = connection, False
        if former is not None:
            by = _superseded(hello.run_id, hello.attempt, "its connection", hello.attempt)
            await former.close(refusal(by))
        return session

    def _welcome(self, attached: Attached, run_id: UUID) -> Welcome:
        return Welcome(
            assets=attached.assets,
            epoch=self._epoch,
            now=self.now,
            attributes={name: dict(values) for name, values in attached.attributes.items()},
            last_deck_change=attached.last_deck_change,
            pause=self._devices.pause_of(run_id),
        )

    def take(self, session: Session, connection: Connection, request: Request) -> None:
        """Begin with a request; commands begin in the order in which they are taken."""
        if self.stopping or session.connection is not connection:
            return  # it will be asked again, of whoever serves the run then
        task = asyncio.create_task(self._respond(session, connection, request))
        tasks = session.sleeps if isinstance(request, SleepUntil) else session.commands
        tasks.add(task)
        task.add_done_callback(tasks.discard)

    async def _respond(self, session: Session, connection: Connection, request: Request) -> None:
        outcome: Outcome | None = None
        done: JsonValue = None
        error: Exception | None = None
        try:
            match request:
                case Execute(command=command):
                    outcome = await self._execute(session, request.id, command)
                case SleepUntil(sleep_until=until):
                    missing = until - self._devices.clock.now()
                    await self._devices.clock.sleep(missing.total_seconds())
                case Restore(restore=expected):
                    done = await self._devices.restore(session.run_id, session.attempt, expected)
                case TakeBack(take_back=number):
                    await self._take_back(session, number)
                case Bye(bye=ended):
                    await self._leave(session, ended)
                case _:
                    assert_never(request)
        except PraxisError as refused:
            error = refused
            if isinstance(refused, HostReplaced):
                self.replaced.set()
        except Exception as fault:  # noqa: BLE001  # whoever asked must have an answer
            _log.exception("a request of run %s failed", session.run_id)
            error = fault
        await connection.send(self._frame(request.id, outcome, done, error))

    def _frame(
        self, number: int, outcome: Outcome | None, done: JsonValue, error: Exception | None
    ) -> bytes:
        encoded = None if error is None else encode_error(error)
        try:
            return reply_bytes(Response(number, self.now, outcome, done, encoded))
        except TypeError as unwritable:
            return reply_bytes(Response(number, self.now, error=encode_error(unwritable)))

    async def _execute(self, session: Session, number: int, command: Command) -> Outcome:
        identity = (command.run_id, command.attempt, command.token)
        if identity != (session.run_id, session.attempt, session.token):
            raise _superseded(command.run_id, command.attempt, command.device, session.attempt)
        session.asked[number] = command
        try:
            return await self._devices.execute(command)
        except asyncio.CancelledError:
            if number not in session.taken_back:
                raise
            raise CommandTakenBack(command=command.name) from None
        finally:
            session.asked.pop(number, None)

    async def _take_back(self, session: Session, number: int) -> None:
        """Take a command back that waits for its turn; one that has begun comes to its end."""
        session.taken_back.add(number)
        while (command := session.asked.get(number)) is not None:
            self._devices.take_back(command)
            await asyncio.sleep(_LOOK_SECONDS)

    def tell_pause(self, run_id: UUID, said: Said | None) -> None:
        """Tell a run that somebody has paused it, or lets it go on."""
        session = self._sessions.get(run_id)
        if session is not None and session.connection is not None:
            task = asyncio.create_task(session.connection.send(reply_bytes(Paused(said))))
            session.telling.add(task)
            task.add_done_callback(session.telling.discard)

    async def _leave(self, session: Session, ended: RunStatus) -> None:
        """Let a run go after its last command."""
        others = session.commands - {asyncio.current_task()}
        if others:
            await asyncio.wait(others)
        try:
            await self._devices.detach(session.run_id, ended)
        finally:
            session.ended = True
            if self._sessions.get(session.run_id) is session:
                del self._sessions[session.run_id]
                self._entering.pop(session.run_id, None)

    def left(self, session: Session, connection: Connection) -> None:
        """Note that a connection is gone; the session waits for another one."""
        if session.connection is connection:
            session.connection = None
            if not session.ended and not self.stopping:
                self._begin_grace(session)

    def _begin_grace(self, session: Session) -> None:
        session.grace = asyncio.create_task(self._grace(session))

    async def _grace(self, session: Session) -> None:
        if not session.lost:
            await asyncio.sleep(self._grace_seconds)
            await to_the_end(self._give_up(session))

    async def _give_up(self, session: Session) -> None:
        session.lost = True
        _log.warning("run %s is away for %g s", session.run_id, self._grace_seconds)
        try:
            await self._devices.lost(session.run_id)
        except Exception:  # noqa: BLE001  # nobody waits for it, and the host must go on for the others
            _log.exception("the devices of run %s could not be made safe", session.run_id)

    async def _end_grace(self, session: Session) -> None:
        if session.grace is not None:
            session.grace.cancel()
            await asyncio.wait({session.grace})
            session.grace = None

    async def stop(self) -> None:
        """Begin nothing more, let what is under way end, and close all connections.

        Devices stay as they are: the next host of the workcell goes on with them.
        """
        self.stopping = True
        sessions = list(self._sessions.values())
        for session in sessions:
            await self._end_grace(session)
        tasks = [task for one in sessions for task in (*one.commands, *one.sleeps)]
        for task in tasks:
            task.cancel()  # what waits for its turn is left to the next host; the rest goes on
        if tasks:
            await asyncio.wait(tasks)
        for session in sessions:
            if session.connection is not None:
                await session.connection.close()


def _asking(hello: Hello) -> Attaching:
    return Attaching(
        run_id=hello.run_id,
        attempt=hello.attempt,
        devices=hello.devices,
        labware=hello.labware,
        token=hello.token,
        # What an attempt did before its connection was lost stays as it is.
        resuming=hello.resuming or hello.again,
        known=hello.known,
    )


def _superseded(run_id: UUID, attempt: int, device: str, newer: int) -> ClaimLost:
    what = (
        f"attempt {newer} of the run has it now"
        if newer > attempt
        else "a newer connection of the run has it now"
    )
    return ClaimLost(run_id=run_id, attempt=attempt, device=device, what=what)
