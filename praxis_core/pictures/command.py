"""What a command concerns, so that it can be found on a picture."""

from __future__ import annotations

from praxis_core.assets.operations import (
    Aspirate,
    Dispense,
    DropTip,
    Grip,
    Operation,
    PickTip,
    operations_of,
)
from praxis_core.assets.state import AssetManagerState
from praxis_core.protocol.command import Command


def concerned(command: Command, contents: AssetManagerState) -> list[str]:
    """Name the device, wells, tip spots, labware and place that a command concerns.

    Args:
        command: Any backend call; of one that tells nothing of them, its device only.
        contents: Says which tips are in a rack and on the 96-head.
    """
    try:
        operations = operations_of(command, contents)
    except (AttributeError, LookupError, TypeError, ValueError):
        operations = []  # written by another version
    names = [command.device, *map(_thing, operations)]
    if command.new_parent is not None:
        names.append(command.new_parent)
    return [*dict.fromkeys(names)]


def _thing(operation: Operation) -> str:
    match operation:
        case PickTip(spot=name) | DropTip(target=name):
            return name
        case Aspirate(container=name) | Dispense(container=name):
            return name
        case Grip(resource=name):
            return name
        case _:
            return operation.resource
