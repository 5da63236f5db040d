"""How long a device is held as it is, across the processes that look after it.

Needs no PyLabRobot: the watchdog counts the same time as the hosts before and after it.
"""

from __future__ import annotations

from time import time


def seconds_left(after_seconds: float, due_at: float | None) -> float:
    """Say how long a device is held yet.

    Args:
        after_seconds: How long it is held from the loss on; never longer than that from now on,
            however the computer's clock was set meanwhile.
        due_at: When the hold ends, in seconds since 1970; None: it begins now.
    """
    return after_seconds if due_at is None else min(after_seconds, max(0.0, due_at - time()))
