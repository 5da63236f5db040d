"""A shaker that writes down what it did, and can be held up; the tests' workcells name it."""

from __future__ import annotations

import asyncio
import os
from pathlib import Path

from pylabrobot.shaking import ShakerBackend


class WritingShaker(ShakerBackend):
    """Appends each beginning and end to a file, and shakes for as long as another file exists.

    Args:
        folder: Where its files are: ``NAME.log`` and ``NAME.gate``.
        name: Its name.
    """

    def __init__(self, folder: str, name: str) -> None:
        super().__init__()
        self._log = Path(folder) / f"{name}.log"
        self._gate = Path(folder) / f"{name}.gate"

    @property
    def supports_locking(self) -> bool:
        """No lock."""
        return False

    async def setup(self) -> None:
        """Connect."""
        self._write("setup")

    async def stop(self) -> None:
        """Let go."""
        self._write("stop")

    async def start_shaking(self, speed: float) -> None:
        """Shake until the gate opens."""
        self._write(f"begin {speed:g}")
        await self._gate_open()
        self._write(f"end {speed:g}")

    async def stop_shaking(self) -> None:
        """Stop."""
        self._write("stopped")

    async def lock_plate(self) -> None:
        """Nothing to lock."""

    async def unlock_plate(self) -> None:
        """Nothing to unlock."""

    async def spill(self, number: int) -> int:
        """Do what nobody may do twice."""
        self._write(f"begin spill {number}")
        await self._gate_open()
        self._write(f"end spill {number}")
        return number

    async def _gate_open(self) -> None:
        while self._gate.exists():  # noqa: ASYNC110  # another process removes it
            await asyncio.sleep(0.002)

    def _write(self, line: str) -> None:
        file = os.open(self._log, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
        os.write(file, f"{line}\n".encode())
        os.close(file)
