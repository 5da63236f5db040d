"""Devices that only exist in the tests of this folder; workcell definitions name them."""

from __future__ import annotations

import asyncio

from pylabrobot.heating_shaking.chatterbox import HeaterShakerChatterboxBackend
from pylabrobot.liquid_handling.backends.hamilton.STAR_chatterbox import STARChatterboxBackend
from pylabrobot.shaking import ShakerBackend


class GatedShaker(ShakerBackend):
    """Shakes for as long as its gate is closed, and remembers what was asked."""

    def __init__(self) -> None:
        super().__init__()
        self.gate = asyncio.Event()
        self.gate.set()
        self.began: list[float] = []
        self.ended: list[float] = []
        self.connected = False

    @property
    def supports_locking(self) -> bool:
        """No lock."""
        return False

    async def setup(self) -> None:
        """Connect."""
        self.connected = True

    async def stop(self) -> None:
        """Let go."""
        self.connected = False

    async def start_shaking(self, speed: float) -> None:
        """Shake until the gate opens."""
        self.began.append(speed)
        await self.gate.wait()
        self.ended.append(speed)

    async def stop_shaking(self) -> None:
        """Stop."""

    async def lock_plate(self) -> None:
        """Nothing to lock."""

    async def unlock_plate(self) -> None:
        """Nothing to unlock."""


class UnpluggedShaker(GatedShaker):
    """Cannot be connected."""

    async def setup(self) -> None:
        """Find no device."""
        raise ConnectionError("nothing answers on this port")


class JammedShaker(GatedShaker):
    """Fails when it is told to shake, with an error of its own choice."""

    async def start_shaking(self, speed: float) -> None:
        """Jam."""
        raise TimeoutError(f"no answer within 30 s at {speed} rpm")


class StuckShaker(GatedShaker):
    """Cannot be disconnected."""

    async def stop(self) -> None:
        """Refuse."""
        raise OSError("the port is gone")


class LeftoverStar(STARChatterboxBackend):
    """A STAR that somebody left with a tip on channel 2 and a plate in its arm."""

    async def request_tip_presence(self) -> list[bool | None]:
        """Sense the tip on channel 2."""
        return [channel == 2 for channel in range(self.num_channels)]

    async def request_plate_in_iswap(self) -> bool:
        """Sense the plate."""
        return True


class SlipperyStar(STARChatterboxBackend):
    """A STAR that cannot hold a tip."""

    async def pick_up_tips(self, ops, use_channels, **options) -> None:  # type: ignore[no-untyped-def] # noqa: ANN001, ANN003, ARG002
        """Fail after the head went down."""
        raise RuntimeError("the tips fell off")


class ClottedStar(STARChatterboxBackend):
    """A STAR whose third channel meets a clot."""

    async def aspirate(self, ops, use_channels, **options) -> None:  # type: ignore[no-untyped-def] # noqa: ANN001, ANN003, ARG002
        """Fail on channel 2 only."""
        from pylabrobot.liquid_handling.errors import ChannelizedError

        raise ChannelizedError({2: RuntimeError("clot detected")})


class WarmingShaker(HeaterShakerChatterboxBackend):
    """Notes each call, and warms by one degree whenever somebody looks."""

    def __init__(self) -> None:
        super().__init__(dummy_temperature=20.0)
        self.calls: list[str] = []
        self.jams = False
        self.shaking = asyncio.Event()

    async def start_shaking(self, speed: float) -> None:
        """Note it."""
        self.calls.append(f"start {speed}")
        self.shaking.set()
        if self.jams:
            raise RuntimeError("jammed while it started")

    async def stop_shaking(self) -> None:
        """Note it."""
        self.calls.append("stop")

    async def lock_plate(self) -> None:
        """Note it."""
        self.calls.append("lock")

    async def unlock_plate(self) -> None:
        """Note it."""
        self.calls.append("unlock")

    async def set_temperature(self, temperature: float) -> None:
        """Begin to warm."""
        self.calls.append(f"warm to {temperature}")

    async def get_current_temperature(self) -> float:
        """Warm by one degree."""
        self._dummy_temperature += 1.0
        return float(self._dummy_temperature)


class FaintShaker(GatedShaker):
    """Its line breaks as often as ``breaks`` says, before or after it did what it was told."""

    def __init__(self) -> None:
        super().__init__()
        self.breaks = 0
        self.refuses = 0
        """How often it says no before it does anything."""
        self.done: list[str] = []

    async def start_shaking(self, speed: float) -> None:
        """Shake, perhaps."""
        self.began.append(speed)
        self._perhaps_refuse()
        self._perhaps_break()

    async def wiggle(self) -> None:
        """Do something that happens once: PyLabRobot knows no such method."""
        self._perhaps_refuse()
        self.done.append("wiggle")
        await self.gate.wait()
        self._perhaps_break()

    async def stop_shaking(self) -> None:
        """Stop."""
        self.done.append("stop")

    def _perhaps_refuse(self) -> None:
        if self.refuses:
            self.refuses -= 1
            raise RuntimeError("it is not ready")

    def _perhaps_break(self) -> None:
        if self.breaks:
            self.breaks -= 1
            raise ConnectionResetError("the line broke")
