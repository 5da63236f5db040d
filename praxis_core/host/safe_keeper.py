"""Makes the devices of a workcell safe while no host looks after them."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterable
from pathlib import Path
from time import monotonic
from typing import Protocol

from pydantic import JsonValue

from praxis_core.errors import DeviceError, DeviceLinkLost, LabRefused
from praxis_core.host.files import SafeCall, read_safe_calls
from praxis_core.simulator.wire import LIMIT, line, read

ANSWER_SECONDS = 2.0
"""How long a device is given to answer; the next host waits for the first try."""

TRY_EVERY = 1.0
"""Seconds between two tries with a device that did not answer."""

Send = Callable[[SafeCall], Awaitable[None]]
"""Sends one call to its device, without any set-up.

Raises:
    DeviceError: the device cannot be reached, or refuses.
"""


class Tell(Protocol):
    """Writes down what was done."""

    def __call__(self, kind: str, message: str, **details: JsonValue) -> None:
        """Write it down; it is on disk when this returns."""


class SafeKeeper:
    """Carries out what the dead host had asked for, each in its time, until the next is there."""

    def __init__(self, file: Path, send: Send, tell: Tell) -> None:
        self._file = file
        self._send = send
        self._tell = tell
        self._told: set[tuple[str, str | None, str]] = set()
        self._later: asyncio.Task[None] | None = None

    async def begin(self) -> None:
        """Send what is due now; go on with the rest, and with what failed, in the background."""
        self.hand_over()
        began = monotonic()
        calls = read_safe_calls(self._file)
        left = [(call.seconds_left, call) for call in calls]
        failed = await self._send_all(call for seconds, call in left if seconds <= 0)
        due = [(began + seconds, call) for seconds, call in left if seconds > 0]
        due += [(monotonic() + TRY_EVERY, call) for call in failed]
        if due:
            self._later = asyncio.create_task(self._keep(due), name="making devices safe")

    def hand_over(self) -> None:
        """Leave the rest to a host that is there again."""
        if self._later is not None:
            self._later.cancel()
            self._later = None
        self._told.clear()

    async def finish(self) -> None:
        """Send all of it now, also what was to be held: nobody will be there to end that.

        What a parked run wants left is left, until the next watchdog looks after it.
        """
        self.hand_over()
        calls = read_safe_calls(self._file)
        parked = [call for call in calls if call.parked]
        failed = await self._send_all(call for call in calls if not call.parked)
        for call in parked:
            what = f"{call.device} is left as it is, since a parked run needs it: {call.reason}."
            self._tell("left_parked", what, device=call.device, due_at=call.due_at)
        if not failed and not parked:
            self._file.unlink(missing_ok=True)

    async def stop(self) -> None:
        """Send nothing any more."""
        later = self._later
        self.hand_over()
        if later is not None:
            await asyncio.wait({later})

    async def _keep(self, due: list[tuple[float, SafeCall]]) -> None:
        while due:
            due.sort(key=lambda one: one[0])
            await asyncio.sleep(max(0.0, due[0][0] - monotonic()))
            now = monotonic()
            failed = await self._send_all(call for at, call in due if at <= now)
            due = [(at, call) for at, call in due if at > now]
            due += [(monotonic() + TRY_EVERY, call) for call in failed]

    async def _send_all(self, calls: Iterable[SafeCall]) -> list[SafeCall]:
        """Send to all devices at once; give what may be tried again."""
        wanted = list(calls)
        results = await asyncio.gather(*(self._try(call) for call in wanted))
        # Written down when all is sent: a device must not wait for the disk.
        for call, problem in zip(wanted, results, strict=True):
            self._write_down(call, problem)
        return [
            call
            for call, problem in zip(wanted, results, strict=True)
            if problem is not None and call.method is not None
        ]

    async def _try(self, call: SafeCall) -> str | None:
        if call.method is None:
            return call.reason
        try:
            async with asyncio.timeout(ANSWER_SECONDS):
                await self._send(call)
        except TimeoutError:
            return f"it did not answer within {ANSWER_SECONDS:.0f} s"
        except DeviceError as error:
            return str(error)
        return None

    def _write_down(self, call: SafeCall, problem: str | None) -> None:
        details: dict[str, JsonValue] = {"device": call.device, "method": call.method}
        if problem is None:
            message = (
                f"{call.device}.{call.method} was sent: {call.reason}, and nobody looks after it."
            )
            self._tell("made_safe", message, **details)
        elif (key := (call.device, call.method, call.reason)) not in self._told:
            self._told.add(key)
            message = f"{call.device} could not be made safe: {problem}."
            self._tell("not_made_safe", message, reason=call.reason, **details)


async def send_to_lab(socket: Path, call: SafeCall) -> None:
    """Send a call to a device of the pretend lab, without setting it up.

    Raises:
        DeviceLinkLost: the lab does not answer.
        LabRefused: the device refuses.
    """
    greeting = {"device": call.device, "safe": True, "epoch": call.epoch}
    request = {"id": 1, "method": call.method, "args": list(call.args), "kwargs": {**call.kwargs}}
    try:
        reader, writer = await asyncio.open_unix_connection(str(socket), limit=LIMIT)
        try:
            writer.write(line(greeting) + line(request))
            hello, answer = await read(reader), await read(reader)
        finally:
            writer.close()
    except OSError as error:
        raise DeviceLinkLost(device=call.device, when="", what=str(error)) from error
    if hello is not None and not hello.get("ok"):
        answer = hello
    if answer is None:
        raise DeviceLinkLost(device=call.device, when="", what="the lab said nothing")
    refused = answer.get("error")
    if refused is not None:
        what = refused.get("message", refused) if isinstance(refused, dict) else refused
        raise LabRefused(device=call.device, request=call.method, what=what)
