"""Hosts that come and go before a pretend lab, and runs on them."""

from __future__ import annotations

import os
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

from praxis_core.assets.state import AssetManagerState
from praxis_core.journal.record import Journal
from praxis_core.journal.records import AttemptRequest
from praxis_core.protocol.command import Command, Outcome
from praxis_core.simulator.effect_log import read_log
from praxis_core.simulator.lab import Lab
from praxis_core.simulator.lab_link import LabLink
from praxis_core.workcell.branches import Branch, inside_protocol
from praxis_core.workcell.definition import WorkcellDefinition
from praxis_core.workcell.link import Attaching
from praxis_core.workcell.replica import Replica
from praxis_core.workcell.runtime import WorkcellRuntime
from praxis_core.workcell.under_way import under_way

LABWARE = ["plate_01", "tips_300_01", "dye_stock"]
Pipette = Callable[[Replica], Awaitable[None]]


class HostDiedError(Exception):
    """What a run hears of a host that died."""


class World:
    """A pretend lab, and the hosts that come and go before it."""

    def __init__(self, definition: WorkcellDefinition, journal: Journal, folder: Path) -> None:
        self.definition = definition
        self.journal = journal
        self.lab = Lab(definition, folder / "effects.jsonl")
        self.socket = folder / "lab.sock"
        self.runs: list[Attaching] = []
        self.water = False
        """Whether runs that begin are done with water."""
        self.begun_with: dict[UUID, AssetManagerState] = {}
        """What each run that was begun here began with."""
        self._links: list[LabLink] = []

    async def host(
        self, devices: Sequence[str] | None = None, awaited: Sequence[UUID] = ()
    ) -> WorkcellRuntime:
        """Start the next host of the workcell, as the process of a host does.

        Args:
            devices: Those that answer when it starts; None: all.
            awaited: Runs whose processes may come back.
        """
        epoch = await self.journal.begin_host("star", uuid4(), os.getpid())
        link = LabLink(self.socket, epoch)
        self._links.append(link)
        runtime = WorkcellRuntime(
            self.definition, journal=self.journal, reach=link, clock=link.clock, epoch=epoch
        )
        await runtime.connect(devices)
        await runtime.recover(awaited)
        return runtime

    async def close(self) -> None:
        """Let everything end."""
        for link in self._links:
            await link.close()
        await self.lab.close()

    async def begin(
        self,
        runtime: WorkcellRuntime,
        run_id: UUID | None = None,
        devices: Sequence[str] = ("star",),
    ) -> Attaching:
        """Begin an attempt of a run on a host."""
        asking = await self.claim(run_id, devices)
        attached = await runtime.attach(asking)
        if run_id is None:
            self.begun_with[asking.run_id] = AssetManagerState.model_validate(attached.assets)
            snapshot = {"assets": attached.assets}
            await self.journal.start(asking.run_id, assets={}, start_snapshot=snapshot)
        return asking

    async def claim(
        self, run_id: UUID | None = None, devices: Sequence[str] = ("star",)
    ) -> Attaching:
        """Begin an attempt of a run that has not come to a host yet."""
        request = AttemptRequest(
            run_id=run_id or uuid4(),
            run_name="by hand",
            protocol_id=(await self.journal.protocols())[0].id,
            workcell_id=(await self.journal.workcell("star")).id,
            parameters={},
            assets={},
            simulated=True,
            water=self.water,
        )
        attempt = await self.journal.begin_attempt(request)
        token = await self.journal.claim_devices(
            "star", devices, run_id=request.run_id, attempt=attempt, take_over=True
        )
        return Attaching(
            request.run_id, attempt, devices, LABWARE, token, resuming=run_id is not None
        )

    async def carry_out(
        self, run: Attaching, execute: Callable[[Command], Awaitable[Outcome]], protocol: Pipette
    ) -> None:
        """Run a protocol from its start: commands with an outcome are not sent again."""
        known = {one.key: one.outcome for one in await self.journal.recorded(run.run_id)}

        async def claimed(command: Command) -> Outcome:
            outcome = known.get((command.branch, command.ordinal))
            if outcome is not None and command.branch not in {"setup", "stop"}:
                return outcome
            return await execute(replace(command, token=run.token))

        replica = Replica(
            self.definition, claimed, run_id=run.run_id, attempt=run.attempt, water=self.water
        )
        if run.run_id in self.begun_with:
            replica.arrange(self.begun_with[run.run_id])
        await replica.attach(run.devices)
        with inside_protocol(Branch()):
            await protocol(replica)

    def dying(
        self, runtime: WorkcellRuntime, method: str, *, before: bool
    ) -> Callable[[Command], Awaitable[Outcome]]:
        """Execute like a host that is killed with a command: before or after its effect."""
        dead: list[Command] = []

        async def execute(command: Command) -> Outcome:
            if dead:
                raise HostDiedError
            if command.method != method:
                return await runtime.execute(command)
            dead.append(command)
            await self.journal.command_intent(command, runtime.clock.now(), epoch=1)
            device = runtime._place.devices[command.device]  # noqa: SLF001  # nobody else calls it
            args, kwargs = device.arguments(command)
            if not before:
                with under_way(command):
                    await getattr(device.backend, method)(*args, **kwargs)
            raise HostDiedError

        return execute

    def times(self, method: str) -> int:
        """How often something physically happened."""
        effects = read_log(self.lab.world.log.path)
        return sum(one.get("method") == method and one.get("kind") == "effect" for one in effects)


async def transfer(replica: Replica) -> None:
    """Take a tip, draw 100 µL and give them."""
    lh: Any = replica.asset("star")
    await lh.pick_up_tips(replica.asset("tips_300_01")["A1"])
    await lh.aspirate([replica.asset("dye_stock")], vols=[100])
    await lh.dispense([replica.asset("plate_01[A1]")], vols=[100])
