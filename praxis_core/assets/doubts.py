"""What was known before a command of which nobody knows whether it happened, and how it comes back.

It comes back only while no other command has touched any of it: afterwards nobody can tell. What
somebody says of a part of it since, stays as it was said, and the rest comes back.
"""

from __future__ import annotations

from collections.abc import Collection

from praxis_core.assets.names import gripper_name, head_of
from praxis_core.assets.state import AssetManagerState, Before
from praxis_core.protocol.command import Command

_PARTS = (
    "containers",
    "tip_spots",
    "used_tips",
    "channels",
    "locations",
    "grippers",
    "grippers_unknown",
)


def identity(command: Command) -> str:
    """Name a command, whatever the attempt."""
    return f"{command.run_id}/{command.branch}/{command.ordinal}"


def remember(state: AssetManagerState, touched: Collection[str], device: str) -> Before:
    """Note what is known of things that a command is about to touch.

    Args:
        state: What is known.
        touched: Names of containers, tip spots, channels, resources and grippers.
        device: Of the command.
    """
    before = Before(
        containers={name: state.containers[name] for name in touched if name in state.containers},
        tip_spots={name: state.tip_spots[name] for name in touched if name in state.tip_spots},
        used_tips={name: state.used_tips[name] for name in touched if name in state.used_tips},
        locations={name: state.locations[name] for name in touched if name in state.locations},
    )
    for name in touched:
        head = head_of(state, name)
        if head is not None:
            before.channels[name] = head[0].get(head[1])
    if gripper_name(device) in touched:
        before.grippers[device] = state.grippers.get(device)
        if device in state.grippers_unknown:
            before.grippers_unknown[device] = state.grippers_unknown[device]
    return before.model_copy(deep=True)


def followed(before: Before, more: Before, device: str) -> Before:
    """Note that a device was set up since, and what was known of all that it touched then.

    Args:
        before: What was known before a command in doubt.
        more: What is known of what the set-up is about to touch.
        device: The device.
    """
    merged = more.model_copy(deep=True)
    put_together = Before(
        **{part: getattr(merged, part) | getattr(before, part) for part in _PARTS},
        set_up=[*before.set_up, device],
        said=before.said,
    )
    for known in before.grippers.keys() - before.grippers_unknown.keys():
        put_together.grippers_unknown.pop(known, None)
    return put_together


def things_of(before: Before) -> set[str]:
    """Name the things that a command touched, and nobody has said anything of since."""
    touched = {*before.containers, *before.tip_spots, *before.channels, *before.locations}
    return (touched | {gripper_name(device) for device in before.grippers}) - {*before.said}


def said_since(before: Before, names: Collection[str]) -> Before:
    """Note what somebody has said since the command: it stays so.

    What it was before still says what the command did to all else.

    Args:
        before: What was known before the command.
        names: What was said of.
    """
    return before.model_copy(update={"said": sorted({*before.said, *names})})


def put_back(before: Before, state: AssetManagerState) -> None:
    """Make it known again."""
    for spot in before.tip_spots:
        state.used_tips.pop(spot, None)
    state.containers |= before.containers
    state.tip_spots |= before.tip_spots
    state.used_tips |= before.used_tips
    state.locations |= before.locations
    for name, tip in before.channels.items():
        head = head_of(state, name)
        if head is None:
            continue
        if tip is None:
            head[0].pop(head[1], None)
        else:
            head[0][head[1]] = tip
    for device, held in before.grippers.items():
        state.grippers[device] = held
        state.grippers_unknown.pop(device, None)
        if device in before.grippers_unknown:
            state.grippers_unknown[device] = before.grippers_unknown[device]
