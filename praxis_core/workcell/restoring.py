"""Devices set again as a run expects them, by commands that are recorded."""

from __future__ import annotations

import inspect
from collections.abc import Awaitable, Callable, Iterable, Mapping
from dataclasses import dataclass

from pydantic import JsonValue
from pylabrobot.machines.machine import Machine

from praxis_core.labware.encoding import decode_error, fingerprint
from praxis_core.protocol.command import Command, Outcome
from praxis_core.protocol.lifecycle import CommandKind
from praxis_core.workcell.attending import AttendedRun
from praxis_core.workcell.device_settings import OFF, Difference
from praxis_core.workcell.kinds import kind_of
from praxis_core.workcell.timed import find
from praxis_core.workcell.workplace import Workplace


@dataclass(frozen=True, slots=True)
class Restoration:
    """Brings devices back to the settings that a run expects."""

    place: Workplace
    execute: Callable[[Command], Awaitable[Outcome]]

    async def restore(self, run: AttendedRun, expected: Mapping[str, JsonValue]) -> list[JsonValue]:
        """Set again what is not as expected, and wait for temperatures.

        Returns:
            A sentence for each setting that was not as expected.
        """
        missing = self.place.safekeeping.missing(expected, run.devices)
        told = await self._set_again(run, missing)
        # All are set by now, so that they are waited for together.
        return told + [said for one in missing if (said := await self._reached(run, one))]

    async def set_again(
        self, run: AttendedRun, expected: Mapping[str, JsonValue]
    ) -> list[JsonValue]:
        """Set again what is not as expected, and wait for nothing; as ``restore``."""
        return await self._set_again(run, self.place.safekeeping.missing(expected, run.devices))

    async def _set_again(self, run: AttendedRun, missing: Iterable[Difference]) -> list[JsonValue]:
        told: list[JsonValue] = [await self._restored(run, one) for one in missing]
        self.place.safekeeping.is_certain(run.devices)
        return told

    async def _restored(self, run: AttendedRun, difference: Difference) -> str:
        device, setting = difference.device, difference.expected
        what = f"{device}: {setting.group} was {difference.found}, expected {setting.value}"
        if not setting.again:
            return f"{what}; it cannot be set again"
        backend = type(self.place.devices.named(device).backend)
        outcome = await self.execute(_restoring(run, difference, backend))
        if outcome.error is not None:
            raise decode_error(outcome.error)
        return f"{what}; set again"

    async def _reached(self, run: AttendedRun, difference: Difference) -> str | None:
        """Wait for a temperature that was set again; say how that ended."""
        command = _reaching(run, difference, self.place.devices.named(difference.device).machine)
        if command is None:
            return None
        outcome = await self.execute(command)
        what = f"{difference.device}: {difference.expected.group} {difference.expected.value}"
        if outcome.error is not None:
            return f"{what} was not reached: {outcome.error.message}"
        seconds = (outcome.ended_at - outcome.started_at).total_seconds()
        return f"{what} was reached again after {seconds:.0f} s"


def _restoring(run: AttendedRun, difference: Difference, backend: type) -> Command:
    """Make the command that sets again what a run expects, on the branch of its attempt."""
    setting, device = difference.expected, difference.device
    kind = kind_of(backend, setting.method)
    return _going_back(run, device, setting.method, setting.args, setting.kwargs, kind)


def _reaching(run: AttendedRun, difference: Difference, machine: Machine) -> Command | None:
    """Make the command that waits for a temperature which was set again; None: there is none.

    It waits as exactly, and as long, as PyLabRobot does when nobody says otherwise.
    """
    setting = difference.expected
    timed = find(machine, _WAITS.get(setting.group, ""))
    if timed is None or setting.value is OFF or not setting.again:
        return None
    usual = inspect.signature(getattr(machine, timed.method)).parameters
    kwargs = {name: usual[name].default for name in ("timeout", "tolerance")}
    if setting.group == "temperature":
        kwargs["target"] = setting.value
    return _going_back(run, difference.device, timed.command, (), kwargs, timed.kind)


_WAITS = {
    "temperature": "wait_for_temperature",
    "block": "wait_for_block",
    "lid temperature": "wait_for_lid",
}
"""What waits for a setting, by its group."""


def _going_back(  # noqa: PLR0913, PLR0917  # the parts of a command
    run: AttendedRun,
    device: str,
    method: str,
    args: tuple[JsonValue, ...],
    kwargs: Mapping[str, JsonValue],
    kind: CommandKind,
) -> Command:
    branch = f"r{run.attempt}"
    return Command(
        run_id=run.run_id,
        attempt=run.attempt,
        branch=branch,
        ordinal=sum(one == branch for one, _ in run.written),
        device=device,
        method=method,
        args=args,
        kwargs=dict(kwargs),
        kind=kind,
        fingerprint=fingerprint(device, method, args, kwargs),
        token=run.token,
    )
