"""The devices of one workcell, by their names."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from praxis_core.errors import DeviceUnknown
from praxis_core.workcell.device import Device


class Devices(Mapping[str, Device]):
    """The devices of one workcell.

    Args:
        workcell: Its name.
        devices: By their names.
    """

    def __init__(self, workcell: str, devices: Mapping[str, Device]) -> None:
        self._workcell = workcell
        self._devices = dict(devices)

    def __getitem__(self, name: str) -> Device:
        """Give a device that there is."""
        return self._devices[name]

    def __iter__(self) -> Iterator[str]:
        """Name them all, in the order of the definition."""
        return iter(self._devices)

    def __len__(self) -> int:
        """Count them."""
        return len(self._devices)

    def named(self, name: str) -> Device:
        """Give a device that somebody asks for.

        Raises:
            DeviceUnknown: the workcell has no such device.
        """
        device = self._devices.get(name)
        if device is None:
            known = ", ".join(self._devices)
            raise DeviceUnknown(workcell=self._workcell, device=name, known=known)
        return device

    def forget_tips(self, name: str) -> None:
        """Let a device, if there is one of this name, carry no tips."""
        if name in self._devices:
            self._devices[name].forget_tips()
