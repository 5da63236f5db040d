"""Messages of the pretend lab: one line of JSON each, over a Unix socket."""

from __future__ import annotations

from asyncio import IncompleteReadError, StreamReader
from typing import Any

import orjson

LIMIT = 64 * 1024 * 1024
"""Bytes of the longest line; a command of a 96-head is 42 kB."""

Message = dict[str, Any]


def line(message: Message) -> bytes:
    """Write a message as one line."""
    return orjson.dumps(message) + b"\n"


async def read(reader: StreamReader) -> Message | None:
    """Read the next message; None: the other side is gone, or sent what is none."""
    try:
        text = await reader.readuntil(b"\n")
        message = orjson.loads(text)
    except (IncompleteReadError, OSError, ValueError):
        return None
    return message if isinstance(message, dict) else None
