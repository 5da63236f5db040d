"""What a watchdog wrote down reaches the audit log once, whoever is killed meanwhile."""

from __future__ import annotations

from pathlib import Path

import pytest

from praxis_core.errors import HostAlreadyRunning
from praxis_core.host.files import (
    HostFiles,
    SafeCall,
    holder,
    locked_by_me,
    read_safe_calls,
    write_safe_calls,
)
from praxis_core.host.spool import UNREADABLE, Spool, import_spool
from praxis_core.journal.record import Journal
from praxis_core.settings import PraxisSettings


async def _told(journal: Journal) -> list[tuple[str, str]]:
    return [(event.kind, event.message) for event in await journal.events(None)]


async def test_each_line_reaches_the_audit_log_once(journal: Journal, tmp_path: Path) -> None:
    """An import that was cut short before the file was emptied is done again."""
    path = tmp_path / "spool"
    Spool(path).write("host_died", "It died.", pid=7)
    Spool(path).write("made_safe", "It was made safe.")
    before = path.read_bytes()

    assert await import_spool(journal, path) == 2
    path.write_bytes(before)
    Spool(path).write("host_died", "It died.", pid=8)
    assert await import_spool(journal, path) == 1
    assert await import_spool(journal, path) == 0

    assert await _told(journal) == [
        ("host_died", "It died."),
        ("made_safe", "It was made safe."),
        ("host_died", "It died."),
    ]
    [first, *_] = await journal.events(None)
    assert first.details["pid"] == 7
    assert path.read_bytes() == b""


async def test_a_line_cut_short_swallows_no_other(journal: Journal, tmp_path: Path) -> None:
    """The watchdog was killed while it wrote; what it did after is told, and the rest as it is."""
    path = tmp_path / "spool"
    Spool(path).write("host_died", "It died.")
    with path.open("ab") as file:
        file.write(b'{"id": "17", "at": "2026')
    Spool(path).write("made_safe", "It was made safe.")

    assert await import_spool(journal, path) == 3

    assert [kind for kind, _ in await _told(journal)] == ["host_died", UNREADABLE, "made_safe"]


async def test_no_spool_is_nothing_to_import(journal: Journal, tmp_path: Path) -> None:
    """Nothing ever happened to the host."""
    assert await import_spool(journal, tmp_path / "spool") == 0


def test_a_lock_is_held_by_one_and_told_to_others(tmp_path: Path) -> None:
    """The kernel frees it with its holder, so there is no stale one."""
    path = HostFiles.of(PraxisSettings(home=tmp_path), "star").lock
    assert holder(path) is None

    with locked_by_me(path, "star"):
        assert holder(path) is not None
        with pytest.raises(HostAlreadyRunning), locked_by_me(path, "star"):
            pass

    assert holder(path) is None
    with locked_by_me(path, "star"):
        pass


def test_what_must_be_made_safe_is_read_as_it_was_written(tmp_path: Path) -> None:
    """And nothing is there before somebody has said so."""
    path = tmp_path / "safe.json"
    calls = [SafeCall("pump", "halt", "it pumps", 1.5, ([0.0],), {"use_channels": [1]})]
    assert read_safe_calls(path) == []

    write_safe_calls(path, calls)

    assert read_safe_calls(path) == calls
