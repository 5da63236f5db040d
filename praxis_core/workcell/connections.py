"""The connections to the devices of one workcell: made, and let go of."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Sequence
from contextlib import suppress

from praxis_core.errors import DeviceLinkLost, DevicesNotConnected, LabRefused, Problem
from praxis_core.to_the_end import to_the_end
from praxis_core.workcell.adoption import Losses
from praxis_core.workcell.device import Device
from praxis_core.workcell.live_status import DeviceState
from praxis_core.workcell.status_board import StatusBoard
from praxis_core.workcell.workplace import Workplace

SET_UP_SECONDS = 900.0
"""How long somebody waits for a device that is being set up."""


class Connections:
    """Connects devices, and shows how that goes.

    Args:
        place: Where the devices are.
        epoch: Of the host; None: there is none.
        board: Shows how it goes.
        losses: Enters what a device has lost that was set up anew.
    """

    def __init__(
        self, place: Workplace, epoch: int | None, board: StatusBoard, losses: Losses
    ) -> None:
        self._place = place
        self._epoch = epoch
        self._board = board
        self._losses = losses
        self._connecting: dict[str, asyncio.Task[None]] = {}

    @property
    def under_way(self) -> list[str]:
        """Name the devices that are being set up."""
        return [*self._connecting]

    async def connect(self, devices: Iterable[Device]) -> None:
        """Set up those of the devices that are not connected and in use, all at once.

        Raises:
            DevicesNotConnected: naming each that failed; the others are disconnected again.
        """
        new = [one for one in devices if not one.connected and one.quarantine is None]
        self._board.open()
        failures = await to_the_end(self._connect_all(new))
        if failures:
            failures += await self.disconnect(new)
            raise DevicesNotConnected(
                workcell=self._place.definition.name, count=len(failures), problems=failures
            )

    async def _connect_all(self, devices: Sequence[Device]) -> list[Problem]:
        for device in devices:
            self._board.show(device.name, DeviceState.CONNECTING)
        raised = await asyncio.gather(
            *(self._connect(device) for device in devices), return_exceptions=True
        )
        return self._ended(devices, raised, DeviceState.IDLE)

    async def _connect(self, device: Device) -> None:
        """Set a device up; nobody cancels that, but nobody waits for it forever either."""
        task = self._connecting.get(device.name)
        if task is None:
            name = f"connecting {device.name}"
            task = asyncio.create_task(self._set_up(device), name=name)
            self._connecting[device.name] = task
            task.add_done_callback(lambda _: self._connecting.pop(device.name, None))
        await asyncio.wait({task}, timeout=SET_UP_SECONDS)
        if not task.done():
            what = f"it has been asked to get ready for {SET_UP_SECONDS:g} s"
            raise DeviceLinkLost(device=device.name, when="", what=what)
        task.result()

    async def _set_up(self, device: Device) -> None:
        await self._place.reach.connect(device.name, self._epoch)
        anew = not self._place.reach.adopting(device.name)
        if anew:
            self._place.runs.refuse_while_stopped()  # to be set up may move something
        device.set_up_anew = anew
        await device.connect()
        if device.set_up_anew:
            self._place.safekeeping.forget(device.name)
        await self._losses.after_set_up(device)

    async def disconnect(self, devices: Iterable[Device]) -> list[Problem]:
        """Let go of those of the devices that are connected, each after its command in flight.

        Returns:
            What went wrong; the other devices were disconnected all the same.
        """
        return await to_the_end(self._disconnect_all([one for one in devices if one.connected]))

    async def _disconnect_all(self, devices: Sequence[Device]) -> list[Problem]:
        raised = await asyncio.gather(
            *(device.disconnect() for device in devices), return_exceptions=True
        )
        return self._ended(devices, raised, DeviceState.DISCONNECTED)

    def _ended(
        self,
        devices: Sequence[Device],
        raised: Sequence[BaseException | None],
        state: DeviceState,
    ) -> list[Problem]:
        failures = []
        for device, error in zip(devices, raised, strict=True):
            if error is None:
                self._board.show(device.name, state)
            elif isinstance(error, Exception):
                text = f"{type(error).__name__}: {error}"
                self._board.show(device.name, DeviceState.ERROR, error=text)
                failures.append(Problem(device.name, text))
            else:
                raise error
        return failures

    async def reach_again(self, devices: Iterable[str]) -> None:
        """Open lines again that broke while nobody used them; who does not answer is told later."""
        for name in devices:
            if not self._place.reach.connected(name):
                with suppress(DeviceLinkLost, LabRefused):
                    await self._place.reach.reconnect(name)
