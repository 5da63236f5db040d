"""Protocols as files: each test writes its own, or takes one with deliberate faults."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from textwrap import dedent

import pytest


@pytest.fixture
def write_file(tmp_path: Path) -> Callable[[str, str], Path]:
    """Write a Python file into the test's folder; gives its path."""

    def write(name: str, text: str) -> Path:
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(dedent(text))
        return path

    return write


@pytest.fixture
def faulty_file(tmp_path: Path) -> Callable[[str], Path]:
    """A copy of a file of ``tests/protocol/faulty``, under the name it would have in a lab."""

    def copy(name: str) -> Path:
        text = (Path(__file__).parent / "faulty" / f"{name}.py.txt").read_text()
        path = tmp_path / f"{name}.py"
        path.write_text(text)
        return path

    return copy
