"""Commands that failed and are tried again, because the definition of their workcell says so."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass, replace

from pydantic import JsonValue

from praxis_core.errors import JournalError, ServiceError
from praxis_core.journal.record import Journal
from praxis_core.protocol.command import Command, Outcome
from praxis_core.protocol.lifecycle import CommandKind, Sent
from praxis_core.workcell.clock import Clock
from praxis_core.workcell.definition import Retry, WorkcellDefinition
from praxis_core.workcell.device import Device

TRIED_AGAIN = "tried_again"
"""Kind of the event that tells of a try that failed, and that another one comes."""

_SENT = {Sent.NONE: "nothing of it was sent", Sent.SOME: "the device refused or failed"}

Try = Callable[[], Awaitable[Outcome]]
"""Tries a command once, and says how that ended."""


@dataclass(frozen=True, slots=True)
class Retries:
    """Tries commands again in place, as often as a workcell's definition lets it."""

    definition: WorkcellDefinition
    journal: Journal | None
    """Where each try is written before the next one; None: nowhere."""
    clock: Clock

    async def of(self, device: Device, command: Command, once: Try) -> Outcome:
        """Try a command, and again while it fails and that is allowed.

        A process that is killed between two tries leaves an intent without an outcome: what may be
        repeated is done again then, and all else is asked about, as ever.
        """
        policy = self.definition.devices[device.name].retries.get(command.method)
        outcome = await once()
        for number in range(1, 0 if policy is None else policy.times + 1):
            assert policy is not None  # noqa: S101  # for the type checker
            if not _may_be_repeated(device, command, outcome):
                break
            if not await self._told(command, outcome, number, policy):
                break
            await self.clock.sleep(policy.pause(number))
            learned = outcome.attributes
            outcome = await once()
            outcome = replace(outcome, attributes={**learned, **outcome.attributes})
        return outcome

    async def _told(self, command: Command, outcome: Outcome, number: int, policy: Retry) -> bool:
        """Write down how a try ended; what cannot be written is not tried again."""
        if self.journal is None or outcome.error is None:
            return True
        seconds = policy.pause(number)
        sent = _SENT.get(outcome.sent or Sent.UNKNOWN, "what of it was sent is not known")
        what = (
            f"{command.device}.{command.method} (command {command.branch}/{command.ordinal}) "
            f"failed, try {number} of {policy.times + 1}: {outcome.error.message}; {sent}. "
            f"It is tried again after {seconds:g} s."
        )
        details: JsonValue = {
            "attempt": command.attempt,
            "branch": command.branch,
            "ordinal": command.ordinal,
            "device": command.device,
            "method": command.method,
            "try": number,
            "of": policy.times + 1,
            "error": outcome.error.message,
            "sent": None if outcome.sent is None else outcome.sent.value,
            "started_at": outcome.started_at.isoformat(),
            "ended_at": outcome.ended_at.isoformat(),
            "again_after_seconds": seconds,
        }
        try:
            await self.journal.event(command.run_id, TRIED_AGAIN, what, details)
        except (JournalError, ServiceError):
            return False
        return True


def _may_be_repeated(device: Device, command: Command, outcome: Outcome) -> bool:
    """Whether another try can do no harm: of what happens once, only if nothing of it was sent."""
    if outcome.error is None or device.quarantine is not None:
        return False
    return command.kind is not CommandKind.ONCE or outcome.sent is Sent.NONE
