"""The run's side of the connection to the host of its workcell.

The connection may be lost at any time: the host is restarted, or this process was stopped for a
while. The link then connects again for ``PRAXIS_HOST_WAIT_SECONDS`` and asks again for whatever has
no answer yet; the host knows commands by their identity and does none of them twice.
"""

from __future__ import annotations

import asyncio
import copy
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import datetime
from itertools import count
from time import monotonic
from typing import Any

from pydantic import JsonValue
from websockets.asyncio.client import ClientConnection, connect, unix_connect
from websockets.exceptions import ConnectionClosed, InvalidStatus, WebSocketException

from praxis_core.errors import (
    DeviceNotConnected,
    DevicesNotConnected,
    HostLost,
    HostNotRunning,
    HostVersionMismatch,
    MessageRefused,
    PraxisError,
    ServiceError,
    SettingsError,
    WorkcellChanged,
)
from praxis_core.host.address import HostAddress, address_of
from praxis_core.host.clock import HostClock
from praxis_core.host.wire import (
    VERSION,
    Bye,
    Execute,
    Hello,
    Paused,
    Refused,
    Reply,
    Request,
    Response,
    Restore,
    SleepUntil,
    TakeBack,
    Welcome,
    hello_bytes,
    read_reply,
    request_bytes,
)
from praxis_core.labware.encoding import decode_error
from praxis_core.protocol.command import Command, Outcome
from praxis_core.protocol.lifecycle import CommandKind, RunStatus
from praxis_core.settings import PraxisSettings
from praxis_core.to_the_end import to_the_end
from praxis_core.workcell.kinds import LIFECYCLE
from praxis_core.workcell.link import Attached, Attaching, Ended, PauseHeard

_FIRST_PAUSE = 0.02
_LONGEST_PAUSE = 0.5
_OPEN_SECONDS = 10.0
"""For the handshake: a host that was stopped accepts connections and says nothing."""
_TURNED_AWAY = (401, 403)

_WILL_PASS = (ServiceError, DevicesNotConnected)
"""Refusals that may be over in a moment: the host is ending, Postgres is being restarted."""

_WILL_NOT_PASS = (SettingsError, HostVersionMismatch, MessageRefused)


@dataclass(slots=True, eq=False)
class _Asked:
    """A request without an answer yet."""

    request: Request
    frame: bytes
    answer: asyncio.Future[Response]
    received: int = 0
    """How many outcomes had been received when it was asked for."""
    sent_on: ClientConnection | None = None
    sent_at: float = 0.0


class HostLink:
    """The devices of one workcell, as one attempt of a run reaches them through the host.

    Args:
        address: Where the host answers.
        workcell: Its name.
        wait_seconds: How long to wait for the host to come (back).
        workcell_version: Of the stored definition that the run is on; None: whichever is served.
    """

    def __init__(
        self,
        address: HostAddress,
        workcell: str,
        *,
        wait_seconds: float = 60.0,
        workcell_version: int | None = None,
    ) -> None:
        self.clock = HostClock(self._sleep_until)
        self.lasting = True
        self.epoch: int | None = None
        """Of the host that answered last."""
        self.pause = PauseHeard()
        self.connections = 0
        """How often the host welcomed this link."""
        self._address = address
        self._workcell = workcell
        self._wait_seconds = wait_seconds
        self._workcell_version = workcell_version
        self._hello: Hello | None = None
        self._connection: ClientConnection | None = None
        self._pending: dict[int, _Asked] = {}
        self._numbers = count(1)
        self._known: dict[int, Ended] = {}
        """Outcomes that may not be durable yet, by the order in which they were received."""
        self._received = 0
        self._keeper: asyncio.Task[None] | None = None
        self._failed: Exception | None = None

    @classmethod
    def to(
        cls, settings: PraxisSettings, workcell: str, *, workcell_version: int | None = None
    ) -> HostLink:
        """Make the link to the host that the settings name.

        Raises:
            SettingsError: they cannot be used.
        """
        return cls(
            address_of(settings, workcell),
            workcell,
            wait_seconds=settings.host_wait_seconds,
            workcell_version=workcell_version,
        )

    async def attach(self, asking: Attaching) -> Attached:
        """Take up devices; commands of the run's earlier attempts have ended when this returns.

        Raises:
            HostNotRunning: nobody answered in time.
            HostVersionMismatch: host and run are of different versions.
            SettingsError: the secret is wrong.
            DeviceError, RequestError: the host refuses; no device was taken up.
        """
        self._hello = Hello(
            version=VERSION,
            workcell=self._workcell,
            run_id=asking.run_id,
            attempt=asking.attempt,
            devices=tuple(asking.devices),
            labware=tuple(asking.labware),
            token=asking.token,
            resuming=asking.resuming,
            workcell_version=self._workcell_version,
        )
        connection, welcome = await self._connect((HostNotRunning, WorkcellChanged))
        self._hello = replace(self._hello, again=True)
        self._connection = connection
        self._keeper = asyncio.create_task(self._keep(connection), name="link to the host")
        return Attached(welcome.assets, welcome.attributes, welcome.last_deck_change)

    async def execute(self, command: Command) -> Outcome:
        """Carry out one command; once it was asked for it comes to its end.

        Raises:
            HostLost: the host went away meanwhile, and did not come back.
            CommandInDoubt: nobody knows whether it happened.
            DeviceError, ServiceError, JournalError: nothing was sent to the device.
        """
        if self._hello is None:
            raise DeviceNotConnected(device=command.device, method=command.method)
        asked = self._ask(lambda number: Execute(number, command), command.name)
        response = await self._answer_or_take_back(asked)
        if response.outcome is None:
            raise MessageRefused(what=f"{command.name} was answered without an outcome")
        return response.outcome

    async def _answer_or_take_back(self, asked: _Asked) -> Response:
        """Wait for the answer; a caller that is cancelled takes back what still waits for its turn.

        Raises:
            CancelledError: the caller was cancelled; only after the answer is there.
        """
        answer = asyncio.ensure_future(self._answer(asked))
        taking_back: asyncio.Task[None] | None = None
        while not answer.done():
            try:
                await asyncio.wait({answer})
            except asyncio.CancelledError:
                if taking_back is None:
                    taking_back = asyncio.create_task(self._take_back(asked))
        if taking_back is not None:
            raise asyncio.CancelledError from answer.exception()
        return answer.result()

    async def _take_back(self, asked: _Asked) -> None:
        with suppress(PraxisError):  # who waits for the command itself hears of it
            taken = self._ask(lambda number: TakeBack(number, asked.request.id), "a command")
            await self._answer(taken)

    async def restore(self, expected: JsonValue) -> JsonValue:
        """Bring the devices back to the settings that the run expects; tell what differed.

        Raises:
            DeviceError, ServiceError, JournalError: they could not be.
        """
        asked = self._ask(lambda number: Restore(number, expected), "the expected settings")
        return (await to_the_end(self._answer(asked))).done

    async def detach(self, ended: RunStatus) -> None:
        """Give up the devices, and with them the connection.

        Raises:
            DeviceError, ServiceError, JournalError: the host could not be told.
        """
        if self._keeper is None:
            return
        try:
            asked = self._ask(lambda number: Bye(number, ended), "the end of the run")
            await to_the_end(self._answer(asked))
        finally:
            await to_the_end(self.close())

    async def close(self) -> None:
        """Let go of the connection without a word: the host waits for this attempt for a while."""
        keeper, self._keeper = self._keeper, None
        if keeper is not None:
            keeper.cancel()
            await asyncio.wait({keeper})
        connection, self._connection = self._connection, None
        if connection is not None:
            await connection.close()
        if self._failed is None:
            self._fail(self._not_running("the link was closed"))

    async def _sleep_until(self, deadline: datetime) -> None:
        asked = self._ask(lambda number: SleepUntil(number, deadline), "a time")
        await self._answer(asked)

    def _ask(self, make: Callable[[int], Request], where: str) -> _Asked:
        """Note a request as the next one; it is sent in this order, now or when it is possible.

        Raises:
            NotEncodable: it cannot be written as JSON.
            ServiceError, DeviceError: the host is given up.
        """
        if self._failed is not None:
            raise _fresh(self._failed)
        number = next(self._numbers)
        request = make(number)
        frame = request_bytes(request, where)
        answer = asyncio.get_running_loop().create_future()
        asked = _Asked(request, frame, answer, self._received)
        self._pending[number] = asked
        return asked

    async def _answer(self, asked: _Asked) -> Response:
        try:
            if self._connection is not None and asked.sent_on is not self._connection:
                await self._send(self._connection, asked)
            response = await asked.answer
        finally:
            self._pending.pop(asked.request.id, None)
        if response.raised is not None:
            raise response.raised
        return response

    async def _send(self, connection: ClientConnection, asked: _Asked) -> None:
        asked.sent_on, asked.sent_at = connection, monotonic()
        with suppress(ConnectionClosed):  # the keeper sends it again
            await connection.send(asked.frame)

    async def _keep(self, connection: ClientConnection) -> None:
        """Read what the host says, and connect again whenever the connection is lost."""
        try:
            while True:
                try:
                    connection = await self._kept(connection)
                except asyncio.CancelledError:
                    # A process that is told to end cancels all its tasks at once, and those of them
                    # that must come to an end still need their answers.
                    if self._keeper is None:
                        raise
        except Exception as error:  # noqa: BLE001  # whoever waits for an answer is told
            self._fail(error)

    async def _kept(self, connection: ClientConnection) -> ClientConnection:
        """Read to the end of a connection, and give the next one."""
        if self._connection is not connection:
            await self._ask_again(connection)
        await self._read(connection)
        self._connection = None
        connection, _ = await self._connect(_WILL_PASS)
        return connection

    async def _read(self, connection: ClientConnection) -> None:
        with suppress(ConnectionClosed):
            while True:
                match read_reply(await connection.recv()):
                    case Response() as response:
                        self._take(response)
                    case Paused(pause=said):
                        self.pause.hear(said)
                    case Refused(error=error):
                        raise decode_error(error)
                    case Welcome():
                        raise MessageRefused(what="the host welcomed this run twice")

    def _take(self, response: Response) -> None:
        asked = self._pending.pop(response.id, None)
        self.clock.hear(response.now, 0.0 if asked is None else monotonic() - asked.sent_at)
        if asked is None:
            return
        if response.outcome is not None and isinstance(asked.request, Execute):
            self._keep_known(asked.request.command, response.outcome, asked.received)
        if not asked.answer.done():
            asked.answer.set_result(response)

    def _keep_known(self, command: Command, outcome: Outcome, received: int) -> None:
        """Keep an outcome for a new host, in case this one dies before it has written it.

        What was received before this command was asked for is durable: no outcome is overtaken by
        a later intent. What observes is answered when it is written, with all that came before it.
        """
        if command.method in LIFECYCLE:
            return
        for number in [number for number in self._known if number <= received]:
            del self._known[number]
        if command.kind is not CommandKind.OBSERVE:
            self._received += 1
            self._known[self._received] = Ended(command, outcome)

    async def _ask_again(self, connection: ClientConnection) -> None:
        """Send all that has no answer, in its order, before anything new."""
        while waiting := [one for one in self._pending.values() if one.sent_on is not connection]:
            for asked in waiting:
                if asked.sent_on is not None and isinstance(asked.request, Execute):
                    asked.request = replace(asked.request, again=True)
                    asked.frame = request_bytes(asked.request, asked.request.command.name)
                await self._send(connection, asked)
        self._connection = connection

    async def _connect(
        self, will_pass: tuple[type[Exception], ...]
    ) -> tuple[ClientConnection, Welcome]:
        """Connect and say hello until the host welcomes the run, or the wait is over."""
        loop = asyncio.get_running_loop()
        deadline = loop.time() + self._wait_seconds
        pause = _FIRST_PAUSE
        while True:
            try:
                return await self._greet(await self._open(max(deadline - loop.time(), 0.1)))
            except (OSError, EOFError, WebSocketException) as error:
                refusal: Exception = self._unreached(error)
            except will_pass as error:
                refusal = error
            if isinstance(refusal, _WILL_NOT_PASS):
                raise refusal
            left = deadline - loop.time()
            if left <= 0:
                raise refusal
            await asyncio.sleep(min(pause, left))
            pause = min(2 * pause, _LONGEST_PAUSE)

    def _unreached(self, error: Exception) -> Exception:
        if isinstance(error, InvalidStatus) and error.response.status_code in _TURNED_AWAY:
            what = f"the host of workcell {self._workcell} at {self._address} refuses it"
            return SettingsError(setting="PRAXIS_WORKCELL_TOKEN", what=what)
        return self._not_running(str(error) or type(error).__name__)

    def _not_running(self, what: str) -> HostNotRunning:
        return HostNotRunning(workcell=self._workcell, address=str(self._address), what=what)

    async def _open(self, seconds: float) -> ClientConnection:
        options: dict[str, Any] = {
            "additional_headers": self._address.headers,
            "compression": None,
            "max_size": None,
            "open_timeout": min(seconds, _OPEN_SECONDS),
            "ping_interval": self._address.silence,
            "ping_timeout": self._address.silence,
            "close_timeout": 1.0,
        }
        uri = self._address.websocket
        if self._address.socket is not None:
            return await unix_connect(str(self._address.socket), uri, **options)
        return await connect(uri, ssl=self._address.tls, **options)

    async def _greet(self, connection: ClientConnection) -> tuple[ClientConnection, Welcome]:
        assert self._hello is not None  # noqa: S101  # for the type checker
        began = monotonic()
        try:
            hello = replace(self._hello, known=tuple(self._known.values()))
            await connection.send(hello_bytes(hello))
            welcome = await self._welcomed(connection)
        except BaseException:
            await to_the_end(connection.close())
            raise
        self.clock.hear(welcome.now, monotonic() - began)
        self._known.clear()  # it is written
        self.epoch = welcome.epoch
        self.connections += 1
        return connection, welcome

    async def _welcomed(self, connection: ClientConnection) -> Welcome:
        """Wait for the welcome; a pause that is told before it is newer than what it says."""
        reply, told = read_reply(await connection.recv()), False
        while isinstance(reply, Paused):
            self.pause.hear(reply.pause)
            reply, told = read_reply(await connection.recv()), True
        welcome = _welcome(reply)
        if not told:
            self.pause.hear(welcome.pause)
        return welcome

    def _fail(self, error: Exception) -> None:
        """Tell everybody who waits for an answer that there will be none."""
        self._failed = error
        for asked in self._pending.values():
            if not asked.answer.done():
                asked.answer.set_exception(self._end_of(asked, error))

    def _end_of(self, asked: _Asked, error: Exception) -> Exception:
        request = asked.request
        if not (
            asked.sent_on and isinstance(error, HostNotRunning) and isinstance(request, Execute)
        ):
            return _fresh(error)
        if request.command.kind is CommandKind.OBSERVE:
            return _fresh(error)
        return HostLost(
            workcell=self._workcell,
            command=request.command.name,
            seconds=self._wait_seconds,
            run_id=request.command.run_id,
        )


def _welcome(reply: Reply) -> Welcome:
    match reply:
        case Welcome():
            return reply
        case Refused(error=error):
            raise decode_error(error)
        case Response() | Paused():
            raise MessageRefused(what="the host answered before it was asked")


def _fresh(error: Exception) -> Exception:
    """Give each of those who are told of an error one of their own."""
    return copy.copy(error) if isinstance(error, PraxisError) else error
