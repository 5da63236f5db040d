"""What is shipped is what runs: the wheel holds everything that an installed Praxis reads."""

from __future__ import annotations

import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> zipfile.ZipFile:
    """The wheel of this checkout."""
    folder = tmp_path_factory.mktemp("wheel")
    command = [sys.executable, "-m", "hatchling", "build", "--target", "wheel"]
    subprocess.run([*command, "--directory", str(folder)], cwd=ROOT, check=True, timeout=60)
    [file] = folder.glob("*.whl")
    return zipfile.ZipFile(file)


def test_data_files_are_in_the_wheel(wheel: zipfile.ZipFile) -> None:
    """Deployments, workcells, migrations and the marker of its types."""
    names = set(wheel.namelist())

    assert {"flows/prefect.yaml", "flows/workcells/star.yaml", "praxis_core/py.typed"} <= names
    assert any(name.startswith("praxis_core/journal/migrations/sql/") for name in names)


def test_nothing_else_is_in_the_wheel(wheel: zipfile.ZipFile) -> None:
    """No tests, no benchmarks, no documents that would collide with other packages'."""
    tops = {name.split("/")[0] for name in wheel.namelist()}

    assert {top for top in tops if not top.endswith(".dist-info")} == {
        "praxis_core",
        "flows",
        "tasks",
        "blocks",
    }


def test_prefect_and_the_shell_find_it(wheel: zipfile.ZipFile) -> None:
    """The collection's blocks and the console script are entry points."""
    [entry_points] = [name for name in wheel.namelist() if name.endswith("entry_points.txt")]
    text = wheel.read(entry_points).decode()

    assert "[prefect.collections]\npraxis = blocks" in text
    assert "praxis = praxis_core.__main__:main" in text
