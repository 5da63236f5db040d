"""Devices that write down each thing they do, and take their time over it."""

from __future__ import annotations

import asyncio
from random import Random
from threading import current_thread, main_thread
from typing import Any

from pylabrobot.liquid_handling.backends.chatterbox import LiquidHandlerChatterboxBackend
from pylabrobot.liquid_handling.errors import ChannelizedError
from pylabrobot.resources.errors import HasTipError
from pylabrobot.shaking.backend import ShakerBackend

DONE: list[str] = []
"""Every effect of every device, in its order."""


def note(what: str) -> None:
    """Write an effect down; a plan has devices of its own, in a thread of its own."""
    if current_thread() is main_thread():
        DONE.append(what)


CLOGGED: set[int] = set()
"""Channels that draw nothing."""


def clogged() -> set[int]:
    """Tell which channels draw nothing; in a plan every device does what it is told."""
    return CLOGGED if current_thread() is main_thread() else set()


TIMES = Random(7)  # noqa: S311  # repeatable on purpose

UNLUCKY = 13.0


class Handler(LiquidHandlerChatterboxBackend):
    """A liquid handler."""

    async def pick_up_tips(self, ops: Any, use_channels: list[int]) -> None:  # noqa: ARG002
        """Take tips."""
        note(f"pick up {[op.resource.name for op in ops]}")

    async def drop_tips(self, ops: Any, use_channels: list[int]) -> None:  # noqa: ARG002
        """Put tips back."""
        note(f"drop {[op.resource.name for op in ops]}")

    async def aspirate(self, ops: Any, use_channels: list[int]) -> None:
        """Take liquid, but with channels that are clogged."""
        done = [op for op, n in zip(ops, use_channels, strict=True) if n not in clogged()]
        note(f"aspirate {[(op.resource.name, op.volume) for op in done]}")
        failed = set(use_channels) & clogged()
        if failed:
            raise ChannelizedError({n: HasTipError("clogged") for n in sorted(failed)})

    async def dispense96(self, dispense: Any) -> None:  # noqa: ARG002
        """Lose the answer: nobody knows whether it happened."""
        note("dispense with all")
        raise TimeoutError("no answer")

    async def dispense(self, ops: Any, use_channels: list[int]) -> None:  # noqa: ARG002
        """Give liquid."""
        note(f"dispense {[(op.resource.name, op.volume) for op in ops]}")


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
        note(f"stir {speed}")
        if speed == UNLUCKY:
            raise RuntimeError("it slipped")

    async def stop_shaking(self) -> None:
        """Stop."""
        note("stop")

    async def lock_plate(self) -> None:
        """Lock nothing."""

    async def unlock_plate(self) -> None:
        """Unlock nothing."""
