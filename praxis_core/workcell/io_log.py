"""What went over the lines to the devices: a rotating file per device, each line with its command.

PyLabRobot's own io writes what it sends and receives into Python's logging; beside that stands each
call of a backend with its answer. A line is::

    2026-01-01T12:00:00.123+00:00  <run>/<branch>/<ordinal>  [COM3] write b'...'
"""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from logging.handlers import RotatingFileHandler
from pathlib import Path

from pylabrobot.io import LOG_LEVEL_IO

from praxis_core.workcell.quiet import called_device
from praxis_core.workcell.under_way import command_under_way, tag

CALLS = logging.getLogger("praxis_core.workcell.calls")
"""Takes each call of a backend and its answer, at PyLabRobot's level for io."""

BYTES = 10_000_000
"""Size of a file before the next one is begun."""

FILES = 5
"""How many older files of a device are kept."""

_SOURCES = ("pylabrobot", CALLS.name)
_NO_DEVICE = "other"
"""File of what was written by a thread of PyLabRobot's that no call belongs to."""


class _PerDevice(logging.Handler):
    """Writes each record into the file of the device whose call it belongs to."""

    def __init__(self, folder: Path) -> None:
        super().__init__(LOG_LEVEL_IO)
        self._folder = folder
        self._files: dict[str, RotatingFileHandler] = {}

    def emit(self, record: logging.LogRecord) -> None:
        if record.levelno != LOG_LEVEL_IO:
            return
        command = command_under_way()
        device = called_device() if command is None else command.device
        try:
            self._file(device or _NO_DEVICE).emit(record)
        except OSError:  # a full disk stops no device
            self.handleError(record)

    def _file(self, device: str) -> RotatingFileHandler:
        if device not in self._files:
            file = RotatingFileHandler(
                self._folder / f"{device}.log",
                maxBytes=BYTES,
                backupCount=FILES,
                encoding="utf-8",
                delay=True,
            )
            file.setFormatter(_Line())
            self._files[device] = file
        return self._files[device]

    def close(self) -> None:
        for file in self._files.values():
            file.close()
        self._files.clear()
        super().close()


class _Line(logging.Formatter):
    """One line: when, for which command, what."""

    def format(self, record: logging.LogRecord) -> str:
        at = datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds")
        command = command_under_way()
        what = record.getMessage().replace("\n", "\\n")
        return f"{at}  {'-' if command is None else tag(command)}  {what}"


@contextmanager
def io_logged(folder: Path) -> Iterator[None]:
    """Write what goes over the lines to the devices of this process into files of a folder.

    Args:
        folder: Is made where there is none; a file in it is called after its device.
    """
    folder.mkdir(parents=True, exist_ok=True)
    handler = _PerDevice(folder)
    before = {name: logging.getLogger(name).level for name in _SOURCES}
    for name in _SOURCES:
        logger = logging.getLogger(name)
        logger.addHandler(handler)
        logger.setLevel(min(LOG_LEVEL_IO, logger.level or LOG_LEVEL_IO))
    try:
        yield
    finally:
        for name, level in before.items():
            logging.getLogger(name).removeHandler(handler)
            logging.getLogger(name).setLevel(level)
        handler.close()
