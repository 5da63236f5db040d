"""The commands of runs: let through, taken each in its turn, and carried out."""

from __future__ import annotations

from dataclasses import dataclass

from pydantic import JsonValue

from praxis_core.errors import DeviceNotConnected, PraxisError
from praxis_core.protocol.command import Command, Outcome
from praxis_core.protocol.lifecycle import OutcomeStatus
from praxis_core.workcell.attending import AttendedRun
from praxis_core.workcell.device import Device
from praxis_core.workcell.exactly_once import Enter, ExactlyOnce, refuse_quarantined
from praxis_core.workcell.in_flight import InFlight
from praxis_core.workcell.kinds import LIFECYCLE, SET_ATTRIBUTES, TAKE_STOCK
from praxis_core.workcell.meter import Meter, Stopwatch
from praxis_core.workcell.stage import Stage
from praxis_core.workcell.water_only import WaterOnly
from praxis_core.workcell.workplace import Workplace


@dataclass(frozen=True, slots=True)
class Commands:
    """Carries out the commands of runs, one at a time per device."""

    place: Workplace
    stage: Stage
    exactly_once: ExactlyOnce
    water: WaterOnly
    """Looks at the commands of water runs."""
    meter: Meter | None = None
    """Counts what becomes of each; None: nobody does."""

    async def execute(self, command: Command) -> Outcome:
        """Carry out one command; see ``WorkcellRuntime.execute``."""
        device = self.place.devices.named(command.device)
        run = self.place.runs.of(command)
        same = self.place.in_flight.find(command)
        if same is not None:
            return await same.outcome()
        self._refuse_unless_usable(device, run, command)
        self.stage.used = True
        await self._change_deck(run, command)
        if command.method in LIFECYCLE:
            return self._attended(device, command)

        async def in_turn(in_flight: InFlight) -> Outcome:
            while True:
                await run.until_it_goes_on()
                async with device.turn(command):
                    # All may be otherwise than when the command began to wait for its turn.
                    self._refuse_unless_usable(device, run, command)
                    await self.water.require(command)
                    if run.waits:
                        continue
                    in_flight.begin()
                    return await self._carry_out(run, device, command)

        return await self.place.in_flight.start(command, in_turn).outcome()

    async def _carry_out(self, run: AttendedRun, device: Device, command: Command) -> Outcome:
        if command.method == TAKE_STOCK:
            return await self._take_stock(run, device, command)
        return await self.exactly_once.carry_out(run, device, command)

    async def _take_stock(self, run: AttendedRun, device: Device, command: Command) -> Outcome:
        """Know what people say is in some labware of a run, and tell the run."""
        given = command.kwargs.get("assets")
        names = [str(name) for name in given] if isinstance(given, list) else []
        books = self.place.books

        async def look() -> tuple[JsonValue, Enter]:
            state = await books.contents(names)
            said = state.model_dump(mode="json")
            return said, lambda _, outcome: books.recounted(state, outcome.ended_at)

        return await self.exactly_once.look(run, device, command, look)

    def _refuse_unless_usable(self, device: Device, run: AttendedRun, command: Command) -> None:
        try:
            self._require_usable(device, run, command)
        except PraxisError as error:
            if self.meter is not None:
                self.meter.ended(command, error, Stopwatch())
            raise

    def _require_usable(self, device: Device, run: AttendedRun, command: Command) -> None:
        run.refuse_stopped()  # else a device that was let go of would be to blame
        if not device.connected and device.quarantine is None:
            raise DeviceNotConnected(device=device.name, method=command.method)
        run.allow(command)
        refuse_quarantined(self.place.definition.name, device)

    async def _change_deck(self, run: AttendedRun, command: Command) -> None:
        """Enter what the run has changed on the deck; a device sees the rest by itself."""
        self.place.books.follow(run.deck, command.deck_changes)
        if command.method in LIFECYCLE | {SET_ATTRIBUTES} and command.deck_changes:
            await self.place.reach.hands(command.deck_changes)

    def _attended(self, device: Device, command: Command) -> Outcome:
        """Answer ``setup`` and ``stop``: the run has the device already, and nothing moves."""
        self.place.books.tell(f"run {command.run_id} has put it there")
        now = self.place.clock.now()
        return Outcome(OutcomeStatus.SUCCEEDED, now, now, attributes=device.attributes())
