"""Devices that write down each thing they do, and take their time over it."""

from __future__ import annotations

import asyncio
from random import Random
from typing import Any

from pylabrobot.liquid_handling.backends.chatterbox import LiquidHandlerChatterboxBackend
from pylabrobot.shaking.backend import ShakerBackend

DONE: list[str] = []
"""Every effect of every device, in its order."""

TIMES = Random(7)  # noqa: S311  # repeatable on purpose

UNLUCKY = 13.0


class Handler(LiquidHandlerChatterboxBackend):
    """A liquid handler."""

    async def pick_up_tips(self, ops: Any, use_channels: list[int]) -> None:  # noqa: ARG002
        """Take tips."""
        DONE.append(f"pick up {[op.resource.name for op in ops]}")

    async def drop_tips(self, ops: Any, use_channels: list[int]) -> None:  # noqa: ARG002
        """Put tips back."""
        DONE.append(f"drop {[op.resource.name for op in ops]}")

    async def aspirate(self, ops: Any, use_channels: list[int]) -> None:  # noqa: ARG002
        """Take liquid."""
        DONE.append(f"aspirate {[(op.resource.name, op.volume) for op in ops]}")

    async def dispense96(self, dispense: Any) -> None:  # noqa: ARG002
        """Lose the answer: nobody knows whether it happened."""
        DONE.append("dispense with all")
        raise TimeoutError("no answer")

    async def dispense(self, ops: Any, use_channels: list[int]) -> None:  # noqa: ARG002
        """Give liquid."""
        DONE.append(f"dispense {[(op.resource.name, op.volume) for op in ops]}")


class Stirrer(ShakerBackend):
    """Something that stirs, faster or slower; at one speed it fails."""

    @property
    def supports_locking(self) -> bool:
        """It locks nothing."""
        return False

    async def setup(self) -> None:
        """Be ready."""

    async def stop(self) -> None:
        """Be gone."""

    async def start_shaking(self, speed: float) -> None:
        """Stir for a moment."""
        for _ in range(TIMES.randrange(6)):
            await asyncio.sleep(0)
        DONE.append(f"stir {speed}")
        if speed == UNLUCKY:
            raise RuntimeError("it slipped")

    async def stop_shaking(self) -> None:
        """Stop."""
        DONE.append("stop")

    async def lock_plate(self) -> None:
        """Lock nothing."""

    async def unlock_plate(self) -> None:
        """Unlock nothing."""
