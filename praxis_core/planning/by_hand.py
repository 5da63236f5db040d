"""What a person does by hand, as the journal knows it: a protocol that anybody could have written.

Its code says nothing of what is done; the commands do.
"""

from __future__ import annotations

from pylabrobot.machines.machine import Machine
from pylabrobot.resources import Resource

from praxis_core.protocol.authoring import protocol


@protocol(name="by hand", version="1.0.0")
async def by_hand(
    devices: list[Machine] | None = None,
    labware: list[Resource] | None = None,
    computer: str = "",
    process: int = 0,
    process_began: float = 0.0,
) -> None:
    """Do whatever a person wants, with the devices and the labware that the person has taken.

    Args:
        devices: What moves.
        labware: What is worked on.
        computer: Where the person's process is.
        process: Its id there.
        process_began: When that began, in seconds since 1970; ids are used again.
    """
