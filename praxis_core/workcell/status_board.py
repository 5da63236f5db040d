"""What each device is doing, for whoever asks or watches."""

from __future__ import annotations

from dataclasses import replace
from functools import partial

from praxis_core.to_the_end import to_the_end
from praxis_core.workcell.live_status import DeviceState, DeviceStatus, LiveStatus
from praxis_core.workcell.workplace import Workplace


class StatusBoard:
    """Shows what each device is doing, and what it holds.

    Args:
        place: Where the devices are.
        live: Where it is published; None: nowhere.
    """

    def __init__(self, place: Workplace, live: LiveStatus | None) -> None:
        self._place = place
        self._live = live
        now = place.clock.now()
        self._statuses = {
            name: DeviceStatus(DeviceState.DISCONNECTED, now) for name in place.devices
        }

    def open(self) -> None:
        """Begin to publish it."""
        if self._live is not None:
            self._live.start()

    async def close(self) -> None:
        """Publish the last of it."""
        if self._live is not None:
            await to_the_end(self._live.stop())

    def show(
        self, device: str, state: DeviceState, *, doing: str | None = None, error: str | None = None
    ) -> None:
        """Say what a device is doing from now on."""
        self._statuses[device] = DeviceStatus(
            state, self._place.clock.now(), doing=doing, error=error
        )
        if self._live is not None:
            self._live.show(device, partial(self.of, device))

    def of(self, device: str) -> DeviceStatus:
        """Give the status of a device."""
        gripper = self._place.books.assets.gripper(device)
        holds = self._place.books.holds(device)
        return replace(self._statuses[device], gripper=gripper, holds=holds)

    def all(self) -> dict[str, DeviceStatus]:
        """Give the status of each device."""
        return {name: self.of(name) for name in self._statuses}
