"""What is known of a workcell: what is where, how much of it, and the tips on its heads."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence

from pylabrobot.resources import Container

from praxis_core.assets.manager import AssetManager, ContentsReader
from praxis_core.assets.state import AssetManagerState
from praxis_core.labware.inventory import inventory
from praxis_core.protocol.command import Command, DeckChange, Outcome
from praxis_core.protocol.lifecycle import OutcomeStatus
from praxis_core.workcell.clock import Clock
from praxis_core.workcell.deck_changes import DeckFollower
from praxis_core.workcell.device import Device
from praxis_core.workcell.initial_state import initial_assets
from praxis_core.workcell.model import WorkcellModel

_log = logging.getLogger(__name__)


class Knowledge:
    """Follows what commands do to a workcell; one for all runs that work with it."""

    def __init__(self, model: WorkcellModel, devices: Mapping[str, Device], clock: Clock) -> None:
        self._model = model
        self._devices = devices
        self._clock = clock
        self._initial = initial_assets(model)
        self.assets = AssetManager(self._initial)
        self._tell_readers()

    def _tell_readers(self) -> None:
        for device in self._devices.values():
            if isinstance(device.backend, ContentsReader):
                device.backend.use_contents(self.assets, self._clock.now)

    def follow(self, deck: DeckFollower, changes: Sequence[DeckChange]) -> None:
        """Enter what a run changed on the deck.

        Raises:
            DeckOutOfStep: a change is missing.
        """
        fresh = deck.fresh(changes)
        for new in deck.follow(fresh, self._model.resources):
            self.assets.add(AssetManagerState.model_validate(inventory(new)))
        self.assets.apply_deck_changes(fresh)

    def enter(self, command: Command, outcome: Outcome) -> None:
        """Enter what a command did to contents and places."""
        changes = self.assets.apply(command, outcome, outcome.ended_at)
        flagged = [f"{change.asset}: {change.flag}" for change in changes if change.flag]
        if flagged:
            count = f"{len(flagged)} things are wrong with {command.device}.{command.method}"
            _log.warning("%s: %s", count, "; ".join(flagged[:3]))
        for change in changes:
            container = self._model.resources.find(change.asset)
            if isinstance(container, Container) and isinstance(change.after, float):
                # Simulated level detection asks the tracker.
                container.tracker.set_volume(change.after)
        if command.new_parent is not None and outcome.status is OutcomeStatus.SUCCEEDED:
            drop = command.kwargs.get("drop", command.args[0] if command.args else None)
            match drop:
                case {"fields": {"resource": {"$resource": str(dropped)}}}:
                    self.assets.apply_deck_changes(
                        [DeckChange(0, dropped, command.new_parent, None)]
                    )

    def holds(self, device: str) -> dict[str, str]:
        """Name the labware that stands in or on a device, each with what it stands on."""
        found = {}
        for labware in self._model.definition.labware:
            chain = self.assets.where(labware.name)
            # A reader that stands on a deck holds its plate itself.
            if next((name for name in chain if name in self._devices), None) == device:
                found[labware.name] = chain[0]
        return found
