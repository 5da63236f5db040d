"""Nothing leaves a plan: in its threads no connection, process or file is opened for writing.

What a protocol does outside belongs into ``run.once``, which a plan leaves out. What it does
elsewhere is refused here, where Python itself tells of it, and the protocol may catch that.
"""

from __future__ import annotations

import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

_SENDING = frozenset(
    {
        "socket.connect",
        "socket.sendto",
        "socket.sendmsg",
        "socket.getaddrinfo",
        "socket.gethostbyname",
        "subprocess.Popen",
        "os.system",
        "os.posix_spawn",
        "os.fork",
        "os.forkpty",
        "os.exec",
        "os.remove",
        "os.rename",
        "os.rmdir",
        "os.mkdir",
        "shutil.rmtree",
    }
)

_planning: dict[int, Callable[[str], None]] = {}
"""Who is told what was refused, by the identity of the plan's thread."""
_installed = threading.Lock()


class OutsideError(OSError):
    """A plan does nothing outside; write it as ``run.once("what it is", ...)``."""


@contextmanager
def nothing_leaves(refused: Callable[[str], None]) -> Iterator[None]:
    """Refuse in this thread what reaches out.

    Args:
        refused: Is told what it was, before the error is raised.
    """
    _install()
    _planning[threading.get_ident()] = refused
    try:
        yield
    finally:
        del _planning[threading.get_ident()]


def _install() -> None:
    # An audit hook stays for good, so there is one for all plans.
    if _installed.acquire(blocking=False):
        sys.addaudithook(_hear)


def _hear(event: str, args: tuple[Any, ...]) -> None:
    if not _planning:
        return
    refused = _planning.get(threading.get_ident())
    if refused is None or not (event in _SENDING or (event == "open" and _writes(args))):
        return
    if _by_import():
        return
    refused(event)
    raise OutsideError(f"a plan does nothing outside: {event} {args[:1]!r}")


def _writes(args: tuple[Any, ...]) -> bool:
    """Whether a file is opened by its name to be written; modules cache themselves otherwise."""
    path, mode = args[0], args[1]
    return (
        isinstance(path, (str, bytes)) and isinstance(mode, str) and bool(set(mode) & set("wax+"))
    )


def _by_import() -> bool:
    """Whether a module that is imported for the first time writes its compiled form."""
    frame = sys._getframe(2)  # noqa: SLF001  # the audited code
    return frame.f_code.co_filename.startswith("<frozen importlib")
