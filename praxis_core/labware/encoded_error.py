"""An exception of a backend, as a value that can cross a process border."""

from __future__ import annotations

from dataclasses import dataclass

from pydantic import JsonValue


@dataclass(frozen=True, slots=True)
class EncodedError:
    """An exception as data: rebuilt on the protocol's side as the same class."""

    type: str
    """``module:QualifiedName``."""
    message: str
    args: JsonValue = None
