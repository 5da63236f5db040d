"""What went over a device's line for a run is read from the logs that its host writes."""

from __future__ import annotations

from pathlib import Path
from uuid import UUID

import pytest

from praxis_core.execution.line_log import entries_of, folder_of

RUN, OTHER = UUID(int=1), UUID(int=2)


def line(second: int, run_id: UUID, ordinal: int, what: str) -> str:
    """A line as the host writes it."""
    return f"2026-01-01T12:00:{second:02d}.123+00:00  {run_id}/0.1/{ordinal}  {what}\n"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Logs of two files; the newer one ends where the host was killed."""
    folder = folder_of(tmp_path, "star")
    folder.mkdir()
    (folder / "star.log.1").write_text(line(1, RUN, 0, "write b'C0TP  id0001'"))
    (folder / "star.log").write_text(
        line(2, RUN, 0, "read b'C0TPid0001er00/00'")
        + line(3, OTHER, 1, "write b'C0AS'")
        + "2026-01-01T12:00:04.123+00:00  -  a line of no command\n"
        + line(5, RUN, 1, "µ  two blanks")
        + line(6, RUN, 2, "")[:-10]
    )
    (folder / "star.log.old").write_text(line(9, RUN, 9, "somebody's copy"))
    return folder


def test_older_files_come_first_and_other_runs_do_not(folder: Path) -> None:
    """What a killed host has cut off is left out."""
    found = list(entries_of(folder, "star", RUN))

    assert [(one.key, one.what) for one in found] == [
        (("0.1", 0), "write b'C0TP  id0001'"),
        (("0.1", 0), "read b'C0TPid0001er00/00'"),
        (("0.1", 1), "µ  two blanks"),
    ]
    assert f"{found[0].at:%H:%M:%S.%f}" == "12:00:01.123000"


def test_the_newest_bytes_are_read_alone(folder: Path) -> None:
    """For questions, which need no more and are asked at once."""
    found = entries_of(folder, "star", RUN, newest_bytes=180)

    assert [one.what for one in found] == ["µ  two blanks"]


def test_of_a_device_without_a_log_nothing_is_known(folder: Path) -> None:
    """Its host is on another computer, or it was never used."""
    assert not list(entries_of(folder, "reader", RUN))
