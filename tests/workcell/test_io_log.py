"""What goes over the line to a device can be read afterwards, command by command."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Any

from pylabrobot.io import LOG_LEVEL_IO

from praxis_core.workcell.io_log import io_logged


async def test_each_device_has_a_file_whose_lines_name_their_command(
    shakers: Any, connect: Any, protocol_code: Any, tmp_path: Path
) -> None:
    """Calls and answers, in the file of their device, with run, branch and ordinal."""
    runtime, replica = await connect(shakers(left="GatedShaker", right="JammedShaker"))
    usb = logging.getLogger("pylabrobot.io.usb")
    backend = runtime.model.devices["left"].backend
    original = backend.start_shaking

    async def start_shaking(speed: float) -> None:
        usb.log(LOG_LEVEL_IO, "write: %s", b"ZE0")
        await original(speed)

    backend.start_shaking = start_shaking
    with io_logged(tmp_path / "io"), protocol_code():
        await replica.asset("left").shake(300)

    lines = (tmp_path / "io" / "left.log").read_text().splitlines()
    tags = {line.split("  ")[1] for line in lines}
    assert len(tags) == 1
    assert tags.pop().endswith("/0/0")
    assert [line.split("  ")[2].split()[0] for line in lines] == [
        "start_shaking",
        "write:",
        "start_shaking",
    ]
    assert not (tmp_path / "io" / "right.log").exists()


async def test_what_nobody_wants_to_read_is_not_written(shakers: Any, connect: Any) -> None:
    """Outside of it PyLabRobot's loggers are as they were."""
    before = logging.getLogger("pylabrobot").level
    _, replica = await connect(shakers(left="GatedShaker"))

    await replica.asset("left").shake(300)

    assert logging.getLogger("pylabrobot").level == before
