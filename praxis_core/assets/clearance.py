"""Whether somebody else may work with devices although the run that had them may come back."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from uuid import UUID

from praxis_core.assets.manager import AssetManager
from praxis_core.assets.state import AssetManagerState


def in_the_way(
    state: AssetManagerState,
    run_id: UUID,
    devices: Collection[str],
    labware: Collection[str],
    *,
    arms: Collection[str] = (),
) -> str:
    """Say what keeps the devices of a run from others; empty: nothing does.

    Args:
        state: What is where.
        run_id: The run.
        devices: Its devices.
        labware: Its labware.
        arms: Those devices that have a deck of their own, on which labware is in nobody's way.
    """
    return next(_reasons(state, run_id, devices, labware, arms), "")


def _reasons(
    state: AssetManagerState,
    run_id: UUID,
    devices: Collection[str],
    labware: Collection[str],
    arms: Collection[str],
) -> Iterator[str]:
    if not state.locations:
        yield "nobody knows what is where"
    manager = AssetManager(state)
    if manager.in_doubt(run_id):
        yield "nobody knows whether a command of it happened"
    for device in sorted(devices):
        yield from _on(device, state)
    inside = set(devices) - set(arms)
    for name in sorted(labware):
        place = state.locations.get(name)
        if place is None or place.unknown:
            yield f"nobody knows where {name} is"
        else:
            yield from (f"{name} is in {one}" for one in inside.intersection(manager.where(name)))


def _on(device: str, state: AssetManagerState) -> Iterator[str]:
    for heads in (state.heads, state.heads96):
        if any(tip.there is not False for tip in heads.get(device, {}).values()):
            yield f"{device} carries tips"
    held = state.grippers.get(device)
    if held is not None or device in state.grippers_unknown:
        yield f"the gripper of {device} holds {held or 'something, perhaps'}"
