"""A run's process that does nothing but commands: ``client.py RUN ATTEMPT TOKEN COUNT``."""

from __future__ import annotations

import asyncio
import sys
from uuid import UUID

from pydantic import JsonValue

from praxis_core.errors import PraxisError
from praxis_core.host.link import HostLink
from praxis_core.labware.encoding import fingerprint
from praxis_core.protocol.command import Command
from praxis_core.protocol.lifecycle import CommandKind, RunStatus
from praxis_core.settings import PraxisSettings
from praxis_core.workcell.link import Attaching


def say(what: str) -> None:
    """Tell the test."""
    sys.stdout.write(f"{what}\n")
    sys.stdout.flush()


async def run(run_id: UUID, attempt: int, token: int, count: int) -> None:
    """Spill ``count`` times, telling each."""
    link = HostLink.to(PraxisSettings(), "bench")
    await link.attach(Attaching(run_id, attempt, ["left"], token=token))
    say("attached")
    for number in range(count):
        arguments: tuple[JsonValue, ...] = (number,)
        command = Command(
            run_id,
            attempt,
            "0",
            number,
            "left",
            "spill",
            arguments,
            {},
            kind=CommandKind.ONCE,
            fingerprint=fingerprint("left", "spill", arguments, {}),
            token=token,
        )
        outcome = await link.execute(command)
        say(f"spilled {outcome.value}")
    await link.detach(RunStatus.SUCCEEDED)


if __name__ == "__main__":
    _, run_id, attempt, token, count = sys.argv
    try:
        asyncio.run(run(UUID(run_id), int(attempt), int(token), int(count)))
    except PraxisError as error:
        say(type(error).__name__)
        sys.exit(3)
