"""``praxis demo``: the whole of Praxis in one command."""

from __future__ import annotations

import getpass

from praxis_core.assets.entries import By
from praxis_core.cli.console import console
from praxis_core.cli.refilling import refilled, say_left
from praxis_core.cli.starting import follow_deployed, start_deployed
from praxis_core.services.stack import up
from praxis_core.settings import PraxisSettings

STEPS = 14
"""Steps of the serial dilution: diluent, stock, ten dilutions, readout, fit."""


def demo() -> None:
    """Start everything, run a serial dilution on the simulated STAR workcell, show the result."""
    settings = PraxisSettings()
    up(settings, say=console.print)
    console.print("All labware of workcell star is brought anew: praxis assets refill -w star")
    done, _ = refilled("star", None, By(getpass.getuser(), "new labware for the demo"))
    say_left(done)
    run_id = start_deployed(settings, "serial-dilution", {})
    console.print(f"Serial dilution on workcell star, run {run_id}")
    try:
        follow_deployed(settings, run_id, steps=STEPS)
    finally:
        console.print(
            "\nThe services go on running; look around in Prefect, or: praxis run list. "
            "Stop them with: make down"
        )
