"""What stands against commands as the deck is: no tip on a channel, a well that is dry or full."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import UTC, datetime

from praxis_core.assets.contents import apply
from praxis_core.assets.operations import (
    Aspirate,
    Dispense,
    DropTip,
    PickTip,
    operations_of,
    uses_head96,
)
from praxis_core.assets.state import AssetManagerState
from praxis_core.protocol.command import Command


def lacking(commands: Sequence[Command], state: AssetManagerState) -> Iterator[str]:
    """Say what stands against some commands as things are.

    Args:
        commands: What is to be done, in order.
        state: What is where; it is changed as they would change it.
    """
    at = datetime.now(UTC)
    for command in commands:
        yield from without_tips(command, state)
        for change in apply(state, command, at):
            if change.flag:
                yield f"{change.asset}: {change.flag}"
            elif change.what == "volume" and change.before is None:
                yield f"nobody knows what is in {change.asset}"


def without_tips(command: Command, state: AssetManagerState) -> Iterator[str]:
    """Say which channels carry no tip that are to use one, and of which tips nobody knows."""
    heads = state.heads96 if uses_head96(command) else state.heads
    carried = heads.get(command.device, {})
    for one in operations_of(command, state):
        if isinstance(one, Aspirate | Dispense | DropTip) and one.channel not in carried:
            yield f"channel {one.channel} of {command.device} carries no tip"
        if isinstance(one, PickTip) and state.tip_spots.get(one.spot) is None:
            yield f"nobody knows whether a tip is in {one.spot}"
