"""One device of the pretend lab: its simulated backend, and what its calls physically do."""

from __future__ import annotations

import asyncio
import hashlib
import inspect
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from typing import Any

import orjson
from pydantic import JsonValue
from pylabrobot.liquid_handling import LiquidHandler
from pylabrobot.liquid_handling.errors import ChannelizedError
from pylabrobot.machines.backend import MachineBackend
from pylabrobot.machines.machine import Machine

from praxis_core.errors import LabRefused, MethodUnknown
from praxis_core.labware.encoding import decode, encode, encode_error
from praxis_core.simulator.act import Act
from praxis_core.simulator.device_settings import Physics, physics_of, switch_off
from praxis_core.simulator.faults import Fault, FaultPlan, How, KillPoints, wrong
from praxis_core.simulator.gripping import put_down_anything
from praxis_core.simulator.observing import WITHOUT_BACKEND, look_of
from praxis_core.simulator.pipetting import eject_everything
from praxis_core.simulator.reader import SimulatedPlateReaderBackend
from praxis_core.simulator.truth import Draft
from praxis_core.simulator.wire import Message
from praxis_core.simulator.world import World
from praxis_core.workcell.attributes import PlainAttributes
from praxis_core.workcell.boundary import coroutine_methods
from praxis_core.workcell.kinds import LIFECYCLE
from praxis_core.workcell.quiet import device_call, quieten

ADOPT = "adopt"
"""Instead of ``setup``: everything stays as it is."""

THERMAL_LAG = 20.0
"""Seconds in which a temperature comes within 1/e of its set-point."""


@dataclass
class Rehearsal:
    """What somebody asked to be otherwise than usual."""

    faults: FaultPlan = field(default_factory=FaultPlan)
    kills: KillPoints = field(default_factory=KillPoints)
    seconds: dict[tuple[str | None, str | None], float] = field(default_factory=dict)
    """Real seconds that a call takes, by device and method; None: any."""
    lags: dict[str, float] = field(default_factory=dict)
    """Thermal lag by device, s of the lab's clock."""

    def takes(self, device: str, method: str) -> float:
        """Say how many real seconds a call takes; the most exact wish counts."""
        for key in ((device, method), (None, method), (device, None), (None, None)):
            if key in self.seconds:
                return self.seconds[key]
        return 0.0


class DroppedError(Exception):
    """Internal: a fault wants the connection broken; nothing is answered."""


@dataclass
class _Call:
    """One request that is being carried out."""

    method: str
    arguments: Mapping[str, Any]
    args: tuple[Any, ...]
    kwargs: dict[str, Any]
    request: Message
    fault: Fault | None
    physics: Physics | None
    sent: str = "none"
    """``"some"`` when something physical may have happened."""


class LabDevice:
    """A device as the world has it; one call at a time.

    Args:
        name: Its name.
        world: What is there.
        rehearsal: What is to go wrong.
    """

    def __init__(self, name: str, world: World, rehearsal: Rehearsal) -> None:
        self.name = name
        self._world = world
        self._rehearsal = rehearsal
        self._lock = asyncio.Lock()
        self._release = asyncio.Event()
        self._adopts = world.model.definition.devices[name].adopts
        self._methods = frozenset(coroutine_methods(type(self.backend)))
        self._shared = PlainAttributes(self.backend)
        self._changed: dict[str, JsonValue] = {}
        quieten(self.backend)
        if isinstance(self.backend, SimulatedPlateReaderBackend):
            self.backend.use_contents(world, world.time.date)

    @property
    def machine(self) -> Machine:
        """The frontend that holds the simulated backend."""
        return self._world.model.devices[self.name]

    @property
    def backend(self) -> MachineBackend:
        """The simulated backend."""
        backend: MachineBackend = self.machine.backend
        return backend

    async def switch_on(self) -> None:
        """Make the simulated backend ready; physically nothing happens."""
        with device_call():
            await self.machine.setup()
        self._shared.changed()
        told = self._world.truth.tables["attributes"].items()
        prefix = f"{self.name}/"
        self._shared.take(
            {key.removeprefix(prefix): value for key, value in told if key.startswith(prefix)},
            self._world.model.resources.get,
        )
        self._world.projection.follow_all(self._world.truth)

    def release(self) -> None:
        """Let a call that hangs go on."""
        self._release.set()

    async def answer(self, request: Message) -> Message:
        """Carry out one request.

        Returns:
            The answer.

        Raises:
            DroppedError: there is to be none.
        """
        async with self._lock:
            self._changed = dict(request.get("attributes", {}))
            self._shared.take(self._changed, self._world.model.resources.get)
            answer: Message = {"id": request.get("id")}
            call: _Call | None = None
            try:
                self._world.hands(request.get("deck_changes", ()), following=True)
                call = self._call(request)
                answer["value"] = await self._carry_out(call)
            except DroppedError:
                raise
            except Exception as error:  # noqa: BLE001  # whatever a simulated device raises
                self._changed.update(self._shared.changed())
                answer["error"] = asdict(encode_error(error))
                answer["sent"] = "none" if call is None else call.sent
            everything = request["method"] in {ADOPT, *LIFECYCLE}
            answer["state"] = self._shared.all() if everything else self._changed
            return answer

    def _notice(self, draft: Draft) -> None:
        """Let what the simulated backend has been told outlive the lab's process."""
        self._changed.update(self._shared.changed())
        for name, value in self._changed.items():
            draft.put("attributes", f"{self.name}/{name}", value)

    def _call(self, request: Message) -> _Call:
        method = str(request["method"])
        if method not in self._methods | {ADOPT}:
            raise MethodUnknown(
                device=self.name, backend=type(self.backend).__name__, method=method
            )
        find = self._world.model.resources.get
        args = tuple(decode(value, find) for value in request.get("args", ()))
        kwargs = {name: decode(value, find) for name, value in request.get("kwargs", {}).items()}
        return _Call(
            method=method,
            arguments=self._named(method, args, kwargs),
            args=args,
            kwargs=kwargs,
            request=request,
            fault=self._rehearsal.faults.take(self.name, method),
            physics=physics_of(type(self.backend), method),
        )

    def _named(
        self, method: str, args: tuple[Any, ...], kwargs: dict[str, Any]
    ) -> Mapping[str, Any]:
        if method == ADOPT:
            return {}
        bound = inspect.signature(getattr(self.backend, method)).bind(*args, **kwargs)
        return {**bound.arguments, **bound.kwargs}

    async def _carry_out(self, call: _Call) -> JsonValue:
        fault = call.fault
        if fault is not None and fault.how is How.DROP_BEFORE:
            raise DroppedError
        if fault is not None and fault.how is How.HANG:
            await self._hang()
        seconds = self._rehearsal.takes(self.name, call.method)
        if seconds > 0:
            await asyncio.sleep(seconds)
        if fault is not None and fault.how is How.BEFORE and not fault.channels:
            call.sent = "some"
            self._log(call, kind="failed", error=str(fault.raised(frozenset())))
            raise fault.raised(frozenset())
        value = await self._happen(call)
        return await self._told(call, value)

    async def _happen(self, call: _Call) -> JsonValue:
        if call.method in {"setup", "stop", ADOPT}:
            await self._lifecycle(call)
            return None
        if call.physics is None:
            return await self._observe(call)
        return await self._effect(call, call.physics)

    async def _told(self, call: _Call, value: JsonValue) -> JsonValue:
        """Answer what happened, unless a fault wants another answer, or none."""
        fault = call.fault
        if fault is None:
            return value
        if fault.how is How.DROP:
            raise DroppedError
        if fault.how is How.HANG_AFTER:
            await self._hang()
        if fault.how is How.AFTER:
            raise fault.raised(frozenset())
        if fault.how is How.WRONG_READING:
            return wrong(value) if fault.value is None else fault.value
        return value

    async def _hang(self) -> None:
        self._release.clear()
        await self._release.wait()

    async def _observe(self, call: _Call) -> JsonValue:
        look = look_of(type(self.backend), call.method)
        own = None
        if call.method not in WITHOUT_BACKEND:
            own = await self._ask_backend(call)
        call.sent = "some"
        self._rehearsal.kills.reached("before_effect", call.request.get("tag"), effect=False)
        value = own
        if look is not None:
            value = look(self._world.draft(), self.name, self.backend, own)
        self._log(call, kind="observe")
        self._rehearsal.kills.reached("after_effect", call.request.get("tag"), effect=False)
        return self._encoded(call, value)

    async def _effect(self, call: _Call, physics: Physics) -> JsonValue:
        act = self._worked_out(call, physics)
        seen = self._world.log.last
        value = await self._ask_backend(call)
        if self._world.log.last != seen:  # another device has changed something meanwhile
            act = self._worked_out(call, physics)
        call.sent = "some"
        self._commit(call, act)
        if act.holds > 0:
            await self._world.time.sleep_until(act.draft.now + act.holds)
        self._raise_for_channels(call, act)
        return self._encoded(call, value)

    def _worked_out(self, call: _Call, physics: Physics) -> Act:
        """Work out what a call would do, or refuse it."""
        act = self._act(call)
        try:
            physics(act)
        except Exception as error:
            call.sent = "some"
            self._log(call, kind="refused", error=f"{type(error).__name__}: {error}")
            raise
        return act

    def _commit(self, call: _Call, act: Act) -> None:
        tag = call.request.get("tag")
        if not act.draft.changes:  # every channel refused
            self._log(call, kind="refused", error=str(ChannelizedError(act.errors)))
            return
        self._rehearsal.kills.reached("before_effect", tag, effect=True)
        record = self._record(call, "effect")
        record["done"] = act.done
        if act.flags:
            record["flags"] = act.flags
        if act.errors:
            record["errors"] = {str(n): str(error) for n, error in act.errors.items()}
        self._notice(act.draft)
        self._world.commit(record, act.draft.changes)
        self._rehearsal.kills.reached("after_effect", tag, effect=True)

    def _raise_for_channels(self, call: _Call, act: Act) -> None:
        errors = dict(act.errors)
        fault = call.fault
        if fault is not None and act.failing:
            raised = fault.raised(act.failing)
            if not isinstance(raised, ChannelizedError):
                raise raised
            errors.update(raised.errors)
        if errors:
            raise ChannelizedError(errors)

    def _act(self, call: _Call) -> Act:
        draft = self._world.draft()
        failing = frozenset[int]()
        if call.fault is not None:
            failing = call.fault.failing(_channels(call.arguments))
        return Act(
            device=self.name,
            machine=self.machine,
            resources=self._world.model.resources,
            draft=draft,
            arguments=call.arguments,
            new_parent=call.request.get("new_parent"),
            failing=failing,
            lag=self._rehearsal.lags.get(self.name, THERMAL_LAG),
        )

    async def _lifecycle(self, call: _Call) -> None:
        if call.method == ADOPT:
            self._refuse_adoption()
        call.sent = "some"
        if call.method != "setup":
            self._log(call, kind="observe")
            return
        act = self._act(call)
        if isinstance(self.machine, LiquidHandler):
            eject_everything(act)
        put_down_anything(act)
        switch_off(act)
        with device_call():
            await self.backend.setup(*call.args, **call.kwargs)
        self._commit(call, act)

    def _refuse_adoption(self) -> None:
        if not self._adopts:
            what = "a device of this kind cannot be taken up as it is; set it up"
            raise LabRefused(request=f"to adopt {self.name}", what=what)
        if not self._world.draft().device(self.name).initialised:
            what = "it was not set up since it was switched on; set it up"
            raise LabRefused(request=f"to adopt {self.name}", what=what)

    async def _ask_backend(self, call: _Call) -> Any:
        with device_call():
            return await getattr(self.backend, call.method)(*call.args, **call.kwargs)

    def _encoded(self, call: _Call, value: Any) -> JsonValue:
        where = f"the result of {self.name}.{call.method}"
        return encode(value, where, self._world.model.resources.get)

    def _log(self, call: _Call, *, kind: str, error: str | None = None) -> None:
        record = self._record(call, kind)
        if error is not None:
            record["error"] = error
        draft = self._world.draft()
        self._notice(draft)
        self._world.commit(record, draft.changes, durable=False)

    def _record(self, call: _Call, kind: str) -> Message:
        record: Message = {"kind": kind, "device": self.name, "method": call.method}
        tag = call.request.get("tag")
        if tag is not None:
            record["tag"] = tag
        asked = orjson.dumps([call.request.get("args"), call.request.get("kwargs")])
        record["digest"] = hashlib.sha256(asked).hexdigest()[:16]
        if call.fault is not None:
            record["fault"] = call.fault.how
        return record


def connected(draft: Draft, name: str, epoch: int) -> None:
    """Note which epoch a device was connected with."""
    draft.put("devices", name, replace(draft.device(name), epoch=epoch))


def _channels(arguments: Mapping[str, Any]) -> list[int]:
    if "use_channels" in arguments:
        return [int(number) for number in arguments["use_channels"]]
    if "ops" in arguments:
        return list(range(len(arguments["ops"])))
    return list(range(96))
