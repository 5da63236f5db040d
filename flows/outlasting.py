"""A run outlasts whoever reads what its process prints: a terminal, a pipe, or Prefect's worker.

When that is gone, each word that is printed raises; and Rich, through which Prefect writes its log,
ends the process then, in the middle of whatever the protocol does. The log in Prefect has it all.
"""

from __future__ import annotations

import logging
import sys
from collections.abc import Iterable
from io import TextIOWrapper
from typing import Any, TextIO, cast

from prefect.logging.handlers import PrefectConsoleHandler


class Outlasting:
    """A stream that goes on without a word when nobody reads it any more.

    Args:
        stream: What is written to.
    """

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream

    def write(self, text: str) -> int:
        """Write as long as somebody reads."""
        try:
            return self._stream.write(text)
        except OSError:
            return len(text)

    def writelines(self, lines: Iterable[str]) -> None:
        """Write several."""
        for line in lines:
            self.write(line)

    def flush(self) -> None:
        """Hand on what was written."""
        try:
            self._stream.flush()
        except OSError:
            return

    def __getattr__(self, name: str) -> Any:
        """Be the stream in all else."""
        return getattr(self._stream, name)


def outlast_readers() -> None:
    """Let this process go on when nobody reads what it prints any more."""
    sys.stdout, sys.stderr = _outlasting(sys.stdout), _outlasting(sys.stderr)
    loggers = [logging.getLogger(), *map(logging.getLogger, logging.root.manager.loggerDict)]
    for handler in {one for logger in loggers for one in logger.handlers}:
        if isinstance(handler, PrefectConsoleHandler):
            handler.console.file = _outlasting(handler.console.file)


def _outlasting(stream: Any) -> TextIO:
    # Nothing but a stream of this process's own: a test or a notebook has others.
    return cast("TextIO", Outlasting(stream)) if isinstance(stream, TextIOWrapper) else stream
