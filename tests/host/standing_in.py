"""Stands in for a workcell's host: holds its lock, answers /health, says what must be made safe.

Run as ``python standing_in.py NAME AFTER_SECONDS``; the real one needs a database.
"""

from __future__ import annotations

import asyncio
import json
import os
import signal
import sys
from pathlib import Path

from praxis_core.host.files import HostFiles, SafeCall, locked_by_me, write_safe_calls
from praxis_core.settings import PraxisSettings


async def _answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    await reader.readuntil(b"\r\n\r\n")
    body = json.dumps({"pid": os.getpid()}).encode()
    writer.write(b"HTTP/1.1 200 OK\r\n\r\n" + body)
    await writer.drain()
    writer.close()
    await writer.wait_closed()
    _asked()


def _asked() -> None:
    """Let the test know that the watchdog has its answer."""
    Path(f"asked-{os.getpid()}").touch()


async def _serve(workcell: str, after_seconds: float) -> None:
    settings, ending = PraxisSettings(), asyncio.Event()
    files = HostFiles.of(settings, workcell)
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, ending.set)
    with locked_by_me(files.lock, workcell):
        call = SafeCall("shaker", "stop_shaking", "it shakes", after_seconds)
        write_safe_calls(files.safe, [call])
        socket = settings.workcell_socket(workcell)
        socket.unlink(missing_ok=True)
        async with await asyncio.start_unix_server(_answer, socket):
            await ending.wait()


if __name__ == "__main__":
    asyncio.run(_serve(sys.argv[1], float(sys.argv[2])))
