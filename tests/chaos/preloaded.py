"""What the server has imported from which the processes of a trial are forked.

A process of its own would spend two seconds on imports that say nothing about Praxis: Prefect's and
PyLabRobot's. All else an attempt or a host does itself, as anywhere.
"""

import gc

import flows.dose_response
import flows.serial_dilution
import tests.chaos.attempt
import tests.chaos.protocols
import tests.chaos.random_protocols
import tests.chaos.scripts
import tests.chaos.shaking  # noqa: F401

# What is there by now is no garbage; no child is to look through it again.
gc.freeze()
