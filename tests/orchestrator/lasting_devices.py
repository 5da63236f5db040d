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


CLOGGED: dict[str, set[int]] = {}
"""Channels that do nothing, by method."""


def clogged(method: str, use_channels: list[int]) -> set[int]:
    """Tell which channels do nothing; in a plan every device does what it is told."""
    failing = CLOGGED.get(method, set()) if current_thread() is main_thread() else set()
    return failing & set(use_channels)


def working(ops: Any, use_channels: list[int], failing: set[int]) -> list[Any]:
    """Give the operations of the channels that do what they are told."""
    return [op for op, n in zip(ops, use_channels, strict=True) if n not in failing]


def refuse(failing: set[int]) -> None:
    """Say which channels did nothing."""
    if failing:
        raise ChannelizedError({n: HasTipError("clogged") for n in sorted(failing)})


TIMES = Random(7)  # noqa: S311  # repeatable on purpose

UNLUCKY = 13.0


class Handler(LiquidHandlerChatterboxBackend):
    """A liquid handler."""

    async def pick_up_tips(self, ops: Any, use_channels: list[int]) -> None:
        """Take tips."""
        failing = clogged("pick_up_tips", use_channels)
        note(f"pick up {[op.resource.name for op in working(ops, use_channels, failing)]}")
        refuse(failing)

    async def drop_tips(self, ops: Any, use_channels: list[int]) -> None:
        """Put tips back."""
        failing = clogged("drop_tips", use_channels)
        note(f"drop {[op.resource.name for op in working(ops, use_channels, failing)]}")
        refuse(failing)

    async def aspirate(self, ops: Any, use_channels: list[int]) -> None:
        """Take liquid."""
        failing = clogged("aspirate", use_channels)
        done = working(ops, use_channels, failing)
        note(f"aspirate {[(op.resource.name, op.volume) for op in done]}")
        refuse(failing)

    async def dispense96(self, dispense: Any) -> None:  # noqa: ARG002
        """Lose the answer: nobody knows whether it happened."""
        note("dispense with all")
        raise TimeoutError("no answer")

    async def dispense(self, ops: Any, use_channels: list[int]) -> None:
        """Give liquid."""
        failing = clogged("dispense", use_channels)
        done = working(ops, use_channels, failing)
        note(f"dispense {[(op.resource.name, op.volume) for op in done]}")
        refuse(failing)


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
