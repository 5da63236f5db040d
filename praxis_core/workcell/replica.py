"""The run's side of the boundary: PyLabRobot frontends on a replica of the deck.

Protocol code sees ordinary PyLabRobot objects. What their backends would do on hardware leaves as a
``Command`` and comes back as an ``Outcome``; nothing else crosses.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable, Iterator
from contextlib import contextmanager
from difflib import get_close_matches
from functools import partial
from typing import Any
from uuid import UUID

from pydantic import JsonValue
from pylabrobot.liquid_handling import LiquidHandler
from pylabrobot.machines.backend import MachineBackend
from pylabrobot.machines.machine import Machine
from pylabrobot.resources import Resource
from pylabrobot.resources.errors import ResourceNotFoundError

from praxis_core.assets.state import AssetManagerState
from praxis_core.errors import AssetUnknown, DeviceNotConnected, DeviceUnknown
from praxis_core.labware.encoding import decode, decode_error, encode, fingerprint
from praxis_core.labware.references import name_machine
from praxis_core.protocol.command import Command, Outcome
from praxis_core.protocol.lifecycle import CommandKind, OnError
from praxis_core.protocol.reaction import wanted_on_error
from praxis_core.workcell import timed
from praxis_core.workcell.arranging import arrange, mount, restock
from praxis_core.workcell.attributes import PlainAttributes
from praxis_core.workcell.boundary import shadow
from praxis_core.workcell.branches import Branch, current_branch, outside_protocol
from praxis_core.workcell.deck_changes import DeckRecorder
from praxis_core.workcell.definition import DeviceDefinition, WorkcellDefinition, WorkcellMode
from praxis_core.workcell.kinds import LIFECYCLE, MOVING, SET_ATTRIBUTES, TAKE_STOCK, kind_of
from praxis_core.workcell.memento import Memento
from praxis_core.workcell.model import (
    BackendFor,
    WorkcellModel,
    build,
    real_backend,
    simulated_backend,
)
from praxis_core.workcell.moves import bring, current_destination, name_destinations
from praxis_core.workcell.pending import PendingGuard, Provide
from praxis_core.workcell.raised import raised_by
from praxis_core.workcell.resource_index import ResourceIndex
from praxis_core.workcell.set_up import set_up_once
from praxis_core.workcell.wanted import Provided

Execute = Callable[[Command], Awaitable[Outcome]]
Tell = Callable[[str, str, Any], Any]
"""Gives a protocol what a device answered: device, method and the value."""
CurrentStep = Callable[[], tuple[str | None, UUID | None]]
"""Gives the path and the task-run id of the step that the calling code is part of."""


def no_step() -> tuple[str | None, UUID | None]:
    """Say that the calling code belongs to the root step."""
    return None, None


Fingerprint = Callable[[str, str, tuple[JsonValue, ...], dict[str, JsonValue]], str]


def _not_compared(_device: str, _method: str, _args: object, _kwargs: object) -> str:
    """Make no fingerprint: what is only rehearsed is compared with nothing."""
    return ""


def _as_it_is(_device: str, _method: str, value: Any) -> Any:
    return value


class Replica:
    """The workcell as one run sees it.

    Args:
        definition: The workcell. execute: Carries a command to the devices; it must begin with them
        in the order it is called. run_id: The run that commands belong to. attempt: Its attempt.
        step: Tells which step the calling code is part of. simulate: Stand in for the simulated
        devices although the workcell is real. water: The run is done with water.

    Raises:
        WorkcellFaults: the workcell cannot be built.
    """

    def __init__(  # noqa: PLR0913  # what a command has to say about its origin
        self,
        definition: WorkcellDefinition,
        execute: Execute,
        *,
        run_id: UUID,
        attempt: int = 1,
        step: CurrentStep = no_step,
        simulate: bool = False,
        water: bool = False,
    ) -> None:
        self._water = water
        self._by_hand = False
        self.definition = definition
        self._execute = execute
        self._run_id = run_id
        self._attempt = attempt
        self._step = step
        self._tell: Tell = _as_it_is
        self.provided: Provided | None = None
        """Sees to it that what a pipetting call wants is there; None: nobody does."""
        self._fingerprint: Fingerprint = fingerprint
        self._outside = Branch("outside")
        self._attached: set[str] = set()
        self._met: set[str] = set()
        """Taken up before: what their backends are, each command has told since."""
        self._shared: dict[str, PlainAttributes] = {}
        real = definition.mode is WorkcellMode.REAL and not simulate
        self._model = build(
            definition, partial(self._shadow, real_backend if real else simulated_backend)
        )
        self._deck = DeckRecorder(self._model.roots(), self._model.resources)
        for name, device in self.devices.items():
            name_machine(device, name)
            set_up_once(device)
            timed.install(device, partial(self._send, name))
            if isinstance(device, LiquidHandler):
                PendingGuard(device, partial(self._provide, name))
                name_destinations(device)

    @property
    def model(self) -> WorkcellModel:
        """The live objects of the workcell."""
        return self._model

    def arrange(self, state: AssetManagerState) -> None:
        """Be as the workcell is known to be; to be called before anything moves here."""
        arrange(self._model, state)
        self._deck.forget()

    def take_by_hand(self, branch: Branch, state: AssetManagerState) -> None:
        """Let a person's code work here: it is in no task of the protocol, and finds all as it is.

        Args:
            branch: What its commands count as part of.
            state: What is on the heads; to be called after ``attach``.
        """
        self._outside = branch
        self._by_hand = True
        mount(self._model, state)

    @contextmanager
    def rehearsing(
        self, execute: Execute, step: CurrentStep, tell: Tell, *, compared: bool = False
    ) -> Iterator[None]:
        """Let commands go elsewhere for a while; then everything is just as it was before.

        An error that nobody may catch (``BaseException``) leaves the replica as it is, for good:
        what was rehearsed may go on, and nothing of that may ever reach a device.

        Args:
            execute: Carries them out.
            step: Tells which step the calling code is part of.
            tell: Gives what they answered.
            compared: Whether they are compared with what was done, and so need their fingerprints.
        """
        own = [value for name, value in vars(self).items() if name not in {"_execute", "_step"}]
        before, attributes = Memento(own, beyond=[self]), dict(vars(self))
        self._execute, self._step, self._tell = execute, step, tell
        self._fingerprint = self._fingerprint if compared else _not_compared
        yield
        vars(self).update(attributes)
        before.restore()

    @property
    def devices(self) -> dict[str, Machine]:
        """The frontends by name."""
        return self._model.devices

    @property
    def resources(self) -> ResourceIndex:
        """Every resource by name."""
        return self._model.resources

    def asset(self, name: str) -> Machine | Resource:
        """Give a device, a resource, or an item: ``"plate_01[A1]"``, ``"carrier_plates[2]"``.

        Raises:
            AssetUnknown: the workcell has nothing of that name.
        """
        if name in self.devices:
            return self.devices[name]
        try:
            return self.resources.get(name)
        except ResourceNotFoundError:
            names = [*self.devices, *(resource.name for resource in self.resources)]
            closest = ", ".join(get_close_matches(name, names, n=3, cutoff=0.4)) or "none"
            raise AssetUnknown(asset=name, closest=closest) from None

    async def attach(self, devices: Iterable[str] | None = None) -> None:
        """Take up the devices of a run: their frontends become ready without any hardware moving.

        Args:
            devices: Names; None: all of the workcell.

        Raises:
            DeviceUnknown: the workcell has no such device.
        """
        for name in self.devices if devices is None else devices:
            if name not in self.devices:
                known = ", ".join(self.devices)
                raise DeviceUnknown(workcell=self.definition.name, device=name, known=known)
            await self.devices[name].setup()

    async def detach(self) -> None:
        """Give up all devices, after telling the last changes of the deck; switch nothing off."""
        for name in sorted(self._attached):
            await self._lifecycle(name, "stop")

    async def take_stock(self, device: str, names: Iterable[str]) -> None:
        """Take up what is known to be in some labware by now, as a command of the run.

        Args:
            device: The one that is to work with it.
            names: Of the labware.
        """
        outcome = await self._ordered(device, TAKE_STOCK, (), {"assets": [*sorted(names)]})
        restock(self.resources, AssetManagerState.model_validate(outcome.value))

    async def bring(self, resource: Resource, place: str) -> None:
        """Move labware to a named place of the workcell, with the first gripper of the run.

        Raises:
            PlaceUnknown: the workcell has no such place.
            PlaceOccupied: something else stands there.
            RequestError: no device of this run has a gripper.
        """
        devices = {name: device for name, device in self.devices.items() if name in self._attached}
        await bring(self._model, devices, resource, place)

    def _shadow(self, make: BackendFor, name: str, definition: DeviceDefinition) -> MachineBackend:
        backend = make(name, definition)
        shadow(backend, partial(self._send, name))
        self._shared[name] = PlainAttributes(backend)
        return backend

    def _provide(self, device: str) -> Provide | None:
        return None if self.provided is None else partial(self.provided, device)

    async def _send(
        self, device: str, method: str, args: tuple[Any, ...], kwargs: dict[str, Any]
    ) -> Any:
        if method in LIFECYCLE:
            return await self._lifecycle(device, method)
        if device not in self._attached:
            raise DeviceNotConnected(device=device, method=method)
        known = self.resources.get
        encoded = tuple(encode(arg, f"{device}.{method}({n})", known) for n, arg in enumerate(args))
        named = {
            key: encode(arg, f"{device}.{method}({key})", known) for key, arg in kwargs.items()
        }
        await self._send_written_attributes(device)
        outcome = await self._ordered(device, method, encoded, named)
        return self._tell(device, method, decode(outcome.value, known))

    async def _send_written_attributes(self, device: str) -> None:
        """Let the device's backend follow what protocol code wrote on the shadow."""
        written = self._shared[device].changed()
        if written:
            await self._ordered(device, SET_ATTRIBUTES, (), written)

    async def _ordered(
        self, device: str, method: str, args: tuple[JsonValue, ...], kwargs: dict[str, JsonValue]
    ) -> Outcome:
        """Issue a command as the next one of the calling branch; raise what it failed with."""
        branch = current_branch() or self._outside
        step, task_run_id = self._step()
        command = Command(
            run_id=self._run_id,
            attempt=self._attempt,
            branch=branch.path,
            ordinal=branch.next_ordinal(),
            device=device,
            method=method,
            args=args,
            kwargs=kwargs,
            kind=self._kind(device, method),
            fingerprint=self._fingerprint(device, method, args, kwargs),
            step=step,
            task_run_id=task_run_id,
            deck_changes=self._deck.take(),
            new_parent=current_destination() if method in MOVING else None,
            water=self._water,
            # The person who works by hand sees what fails, and is not asked.
            on_error=OnError.RAISE if self._by_hand else wanted_on_error(),
        )
        outcome = await self._carry(command)
        if outcome.error is not None:
            raise raised_by(command, decode_error(outcome.error))
        return outcome

    async def _lifecycle(self, device: str, method: str) -> None:
        """Attach to or detach from a device; no command of the run's history."""
        command = Command(
            run_id=self._run_id,
            attempt=self._attempt,
            branch=method,
            ordinal=0,
            device=device,
            method=method,
            args=(),
            kwargs={},
            kind=CommandKind.OBSERVE,
            fingerprint=fingerprint(device, method, (), {}),
            deck_changes=self._deck.take(),
        )
        await self._carry(command, follow=device not in self._met)
        if method == "setup":
            self._attached.add(device)
            self._met.add(device)
        else:
            self._attached.discard(device)

    async def _carry(self, command: Command, *, follow: bool = True) -> Outcome:
        with outside_protocol():
            outcome = await self._execute(command)
        if follow:
            self._shared[command.device].take(outcome.attributes, self.resources.get)
        return outcome

    def _kind(self, device: str, method: str) -> CommandKind:
        contains_time = timed.find(self.devices[device], method)
        if contains_time is not None:
            return contains_time.kind
        return kind_of(type(self._backend(device)), method)

    def _backend(self, device: str) -> MachineBackend:
        backend: MachineBackend = self.devices[device].backend
        return backend
