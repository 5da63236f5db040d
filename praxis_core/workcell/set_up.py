"""``setup`` and ``stop`` in a script, within a run that has its devices already.

Scripts that others wrote begin with ``await lh.setup()`` and end with ``await lh.stop()``. To a run
they mean: take up the device, and give it up; nothing moves.
"""

from __future__ import annotations

import functools
from collections.abc import Awaitable, Callable
from typing import Any

from pylabrobot.machines.machine import Machine


def set_up_once(machine: Machine) -> None:
    """Let a frontend of the run's side be set up again and again.

    PyLabRobot's liquid handler refuses a second set-up, and forgets the tips on its heads in one
    after ``stop``; here they are still on, for no hardware was set up.
    """
    setup: Callable[..., Awaitable[None]] = machine.setup
    known = False

    @functools.wraps(setup)
    async def once(**options: Any) -> None:
        nonlocal known
        if machine.setup_finished:
            return
        if known:
            await machine.backend.setup(**options)
            machine._setup_finished = True  # noqa: SLF001  # as Machine.setup does
            return
        await setup(**options)
        known = True

    vars(machine)["setup"] = once
