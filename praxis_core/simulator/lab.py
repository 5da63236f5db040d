"""The process of the pretend lab: ``python -m praxis_core.simulator.lab``.

It holds what is physically so on a simulated workcell, as the machines themselves would, and is
reached through a Unix socket: one connection per device, and control connections for whoever wants
to look, to put things, or to have something go wrong (``lab_control.LabControl``).
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import signal
from collections.abc import Awaitable, Callable
from dataclasses import asdict
from pathlib import Path
from typing import Any

from pydantic import JsonValue

from praxis_core.errors import LabRefused, PraxisError
from praxis_core.labware.encoding import encode_error
from praxis_core.protocol.lifecycle import CommandKind
from praxis_core.simulator.faults import KillPoint, fault_of
from praxis_core.simulator.lab_device import DroppedError, LabDevice, Rehearsal, connected
from praxis_core.simulator.wire import LIMIT, Message, line, read
from praxis_core.simulator.world import World
from praxis_core.workcell.definition import WorkcellDefinition
from praxis_core.workcell.kinds import kind_of


class Connection:
    """One client."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader = reader
        self.writer = writer
        self.epoch = 0

    @property
    def alive(self) -> bool:
        """Whether somebody is still there, as far as can be told."""
        return not (self.writer.is_closing() or self.reader.at_eof())

    def send(self, message: Message) -> None:
        """Answer, if somebody is there to hear it."""
        if not self.writer.is_closing():
            self.writer.write(line(message))

    def close(self) -> None:
        """Hang up."""
        self.writer.close()


class Lab:
    """A pretend lab and its wires.

    Args:
        definition: The workcell.
        log: The file of the effect log, with the snapshot beside it; kept across restarts.
    """

    def __init__(self, definition: WorkcellDefinition, log: Path) -> None:
        self.world = World(definition, log)
        self.rehearsal = Rehearsal()
        self.devices = {
            name: LabDevice(name, self.world, self.rehearsal) for name in definition.devices
        }
        self._connections: dict[str, Connection] = {}
        self._clients: set[Connection] = set()
        self._tasks: set[asyncio.Task[None]] = set()
        self._server: asyncio.Server | None = None
        self._controls: dict[str, Callable[[Message], Awaitable[JsonValue] | JsonValue]] = {
            "time": self._set_time,
            "fail": self._fail,
            "kill": self._kill,
            "release": self._release,
            "hang_up": self._hang_up,
            "truth": self._truth,
            "log": self._log,
            "stage": self._stage,
            "hands": self._hands,
            "clock": self._clock,
            "sleep_until": self._sleep_until,
            "thermal": self._thermal,
            "clear": self._clear,
        }

    async def open(self, socket: Path) -> None:
        """Switch the devices on and let clients in."""
        for device in self.devices.values():
            await device.switch_on()
        _make_room(socket)
        self._server = await asyncio.start_unix_server(self._serve, socket, limit=LIMIT)

    async def close(self) -> None:
        """Let nobody in any more, finish what is under way, and write everything down."""
        if self._server is not None:
            self._server.close()
        for client in list(self._clients):
            client.close()
        for device in self.devices.values():
            device.release()
        if self._tasks:
            await asyncio.gather(*self._tasks, return_exceptions=True)
        self.world.close()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        client = Connection(reader, writer)
        self._clients.add(client)
        try:
            hello = await read(reader)
            if hello is None:
                return
            if hello.get("control"):
                client.send({"ok": True, "now": self.world.time.now()})
                await self._requests(client, self._control)
            else:
                await self._serve_device(client, hello)
        finally:
            self._clients.discard(client)
            client.close()

    async def _serve_device(self, client: Connection, hello: Message) -> None:
        name = str(hello.get("device"))
        try:
            self._let_in(client, name, hello)
        except PraxisError as error:
            client.send({"ok": False, "error": asdict(encode_error(error))})
            return
        adopts = self.world.model.definition.devices[name].adopts
        initialised = adopts and self.world.draft().device(name).initialised
        client.send({"ok": True, "initialised": initialised, "now": self.world.time.now()})
        safe = bool(hello.get("safe"))

        async def answer(request: Message) -> Message:
            if safe:
                self._refuse_unsafe(name, str(request.get("method")))
            return await self.devices[name].answer(request)

        try:
            await self._requests(client, answer)
        finally:
            if self._connections.get(name) is client:
                del self._connections[name]

    def _let_in(self, client: Connection, name: str, hello: Message) -> None:
        """Take one connection per device, the one of the newest epoch."""
        request = f"the connection to {name}"
        if name not in self.devices:
            known = ", ".join(self.devices)
            raise LabRefused(request=request, what=f"there is no such device; it has {known}")
        newest = self.world.draft().device(name).epoch
        epoch = newest if hello.get("epoch") is None else int(hello["epoch"])
        if epoch < newest:
            what = f"epoch {epoch} is over, {newest} has come"
            raise LabRefused(request=request, what=what)
        current = self._connections.get(name)
        if current is not None and current.alive and epoch == newest and not hello.get("safe"):
            what = f"it is connected already, with epoch {epoch}"
            raise LabRefused(request=request, what=what)
        if current is not None:
            current.close()
        if epoch > newest:
            draft = self.world.draft()
            connected(draft, name, epoch)
            record: Message = {"kind": "connection", "device": name, "epoch": epoch}
            self.world.commit(record, draft.changes)
        self._connections[name] = client

    def _refuse_unsafe(self, name: str, method: str) -> None:
        backend = type(self.devices[name].backend)
        if kind_of(backend, method) is CommandKind.ONCE or method in {"setup", "stop"}:
            what = f"{method} is nothing that makes a device safe"
            raise LabRefused(request=f"{name}.{method}", what=what)

    async def _requests(
        self, client: Connection, answer: Callable[[Message], Awaitable[Message]]
    ) -> None:
        """Begin requests in the order they come; what was begun goes on when the client goes."""
        while (request := await read(client.reader)) is not None:
            task = asyncio.create_task(self._one(client, request, answer))
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)

    async def _one(
        self,
        client: Connection,
        request: Message,
        answer: Callable[[Message], Awaitable[Message]],
    ) -> None:
        try:
            message = await answer(request)
        except DroppedError:
            client.close()
            return
        except Exception as error:  # noqa: BLE001  # whatever it is, the client has to hear it
            message = {"id": request.get("id"), "error": asdict(encode_error(error))}
            message["sent"] = "none"
        message["now"] = self.world.time.now()
        client.send(message)

    async def _control(self, request: Message) -> Message:
        do = str(request.get("do"))
        if do not in self._controls:
            known = ", ".join(self._controls)
            raise LabRefused(request=do, what=f"it knows {known}")
        if request.get("epoch") is not None:
            self._refuse_replaced(do, int(request["epoch"]))
        without = {"id", "do", "epoch"}
        given = {name: value for name, value in request.items() if name not in without}
        value = self._controls[do](given)
        if asyncio.iscoroutine(value):
            value = await value
        return {"id": request.get("id"), "value": value}

    def _refuse_replaced(self, do: str, epoch: int) -> None:
        """Do nothing for a host after which another one has taken up a device."""
        draft = self.world.draft()
        newest = max((draft.device(name).epoch for name in self.devices), default=0)
        if epoch < newest:
            raise LabRefused(request=do, what=f"epoch {epoch} is over, {newest} has come")

    def _device(self, request: Message) -> str | None:
        name = request.get("device")
        if name is not None and name not in self.devices:
            known = ", ".join(self.devices)
            raise LabRefused(request=str(name), what=f"there is no such device; it has {known}")
        return name

    def _set_time(self, request: Message) -> None:
        key = (self._device(request), request.get("method"))
        self.rehearsal.seconds[key] = float(request["seconds"])

    def _fail(self, request: Message) -> None:
        self._device(request)
        self.rehearsal.faults.waiting.append(fault_of(request))

    def _kill(self, request: Message) -> None:
        self.rehearsal.kills.waiting.append(KillPoint(**request))

    def _release(self, request: Message) -> None:
        wanted = self._device(request)
        for name, device in self.devices.items():
            if wanted in {None, name}:
                device.release()

    def _hang_up(self, request: Message) -> bool:
        client = self._connections.get(str(self._device(request)))
        if client is None or not client.alive:
            return False
        client.close()
        return True

    def _clear(self, _request: Message) -> None:
        self.rehearsal.faults.waiting.clear()
        self.rehearsal.kills.waiting.clear()
        self.rehearsal.seconds.clear()

    def _truth(self, _request: Message) -> Any:
        return self.world.truth.dump()

    def _log(self, request: Message) -> Any:
        return self.world.log.read(int(request.get("after", 0)))

    def _stage(self, request: Message) -> int:
        return self.world.stage(**request)

    def _hands(self, request: Message) -> int | None:
        return self.world.hands(request["changes"], following=bool(request.get("following")))

    def _clock(self, request: Message) -> float:
        self.world.time.skip(float(request.get("skip", 0.0)))
        return self.world.time.now()

    async def _sleep_until(self, request: Message) -> float:
        await self.world.time.sleep_until(float(request["deadline"]))
        return self.world.time.now()

    def _thermal(self, request: Message) -> None:
        name = self._device(request)
        for each in self.devices if name is None else [name]:
            self.rehearsal.lags[each] = float(request["seconds"])


def _make_room(socket: Path) -> None:
    socket.parent.mkdir(parents=True, exist_ok=True)
    socket.unlink(missing_ok=True)


async def serve(definition: WorkcellDefinition, socket: Path, log: Path) -> None:
    """Run a lab until SIGTERM or SIGINT."""
    ended = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, ended.set)
    lab = Lab(definition, log)
    await lab.open(socket)
    try:
        await ended.wait()
    finally:
        await lab.close()
        _make_room(socket)


def main() -> None:
    """Run a lab as a process."""
    parser = argparse.ArgumentParser(prog="praxis_core.simulator.lab", description=__doc__)
    parser.add_argument("--workcell-json", type=Path, required=True, help="its definition")
    parser.add_argument("--socket", type=Path, required=True, help="where clients connect")
    parser.add_argument("--log", type=Path, required=True, help="the effect log")
    given = parser.parse_args()
    definition = WorkcellDefinition.model_validate_json(given.workcell_json.read_bytes())
    with contextlib.suppress(KeyboardInterrupt):
        asyncio.run(serve(definition, given.socket, given.log))


if __name__ == "__main__":
    main()
