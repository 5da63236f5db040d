"""What the server has imported from which the processes of a trial are forked.

A process of its own would spend two seconds on imports that say nothing about Praxis: Prefect's and
PyLabRobot's. All else an attempt or a host does itself, as anywhere.
"""

from __future__ import annotations

import gc
import os
from importlib import import_module

for name in (
    "tests.chaos.attempt",
    "flows.dose_response",
    "flows.serial_dilution",
    "tests.chaos.protocols",
    "tests.chaos.random_protocols",
    "tests.chaos.scripts",
    "tests.chaos.shaking",
    "tests.chaos.sharing",
):
    import_module(name)

# An interrupt from the keyboard is for the tests; a trial comes to its end.
os.setsid()

# What is there by now is no garbage; no child is to look through it again.
gc.freeze()
