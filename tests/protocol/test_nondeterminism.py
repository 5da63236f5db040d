"""What a resumed run could not repeat is named before the run, with its line."""

from __future__ import annotations

import importlib.util
import sys
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from typer.testing import CliRunner

from praxis_core.cli.protocols import app
from praxis_core.protocol import nondeterminism
from praxis_core.protocol.definition import define
from praxis_core.protocol.nondeterminism import replay_warnings

HEAD = """\
import asyncio, logging, os, random, requests, time, uuid
import datetime as dt
from datetime import datetime
from os import environ
from pathlib import Path
from random import randint
import numpy as np
from praxis_core.protocol import protocol, run, step
from pylabrobot.resources import Plate

log = logging.getLogger(__name__)
"""


@pytest.fixture
def protocol_of(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[str], Any]:
    """Load a protocol that is written in a file."""
    for name in ("numpy", "requests"):  # only their names are read
        monkeypatch.setitem(sys.modules, name, ModuleType(name))

    def load(text: str) -> Any:
        file = tmp_path / "mine.py"
        file.write_text(HEAD + text, encoding="utf-8")
        spec = importlib.util.spec_from_file_location("mine", file)
        assert spec is not None
        assert spec.loader is not None
        module = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(module)
        return module.mine

    return load


def body(*lines: str) -> str:
    """A protocol of these lines."""
    return "@protocol\nasync def mine(plate: Plate, time_limit: float = 1.0):\n    " + (
        "\n    ".join(lines)
    )


@pytest.mark.parametrize(
    ("line", "mend"),
    [
        ("x = datetime.now()", "run.now()"),
        ("x = dt.datetime.now(dt.UTC)", "run.now()"),
        ("x = time.time()", "run.now()"),
        ("while time.monotonic() < time_limit: break", "run.now()"),
        ("await asyncio.sleep(60)", "run.sleep"),
        ("time.sleep(time_limit)", "run.sleep"),
        ("x = random.random()", "run.random"),
        ("x = randint(1, 6)", "run.random"),
        ("x = random.Random()", "run.random"),
        ("x = np.random.rand(3)", "run.random"),
        ("x = np.random.default_rng()", "run.random"),
        ("x = f'plate {uuid.uuid4()}'", "run.random"),
        ("x = os.environ['OPERATOR']", "parameter"),
        ("x = environ.get('OPERATOR')", "parameter"),
        ("x = os.getenv('OPERATOR')", "parameter"),
        ("with open('plan.csv') as file: x = file.read()", "run.once"),
        ("x = Path('plan.csv').read_text()", "run.once"),
        ("x = requests.get('http://lims').json()", "run.once"),
        ("import subprocess; subprocess.run(['ls'])", "run.once"),
        ("import time as t; x = t.time()", "run.now()"),
        ("for well in {'A1', 'B1'}: print(well)", "sorted"),
        ("for well in set(plate.get_all_items()): pass", "sorted"),
    ],
)
def test_what_replay_cannot_make_exact_is_named(
    protocol_of: Callable[[str], Any], line: str, mend: str
) -> None:
    """However it was imported; once, with its line and what to write instead."""
    found = replay_warnings(protocol_of(body("pass", line)))

    assert len(found) == 1
    number = HEAD.count("\n") + 4
    assert found[0].where.endswith(f"mine.py:{number}")
    assert mend in found[0].mend
    assert found[0].what.endswith("when a run is resumed")


@pytest.mark.parametrize(
    "line",
    [
        "x = run.now(); await run.sleep(3); x = run.random.random()",
        "await asyncio.sleep(0)",
        "x = random.Random(7).random() + np.random.default_rng(7).random()",
        "x = datetime(2026, 1, 1) + dt.timedelta(seconds=3)",
        "x = time.strptime('2026', '%Y')",
        "print(datetime.now())",
        "log.info('at %s', time.time())",
        "logging.warning('at %s', datetime.now())",
        "x = await run.once('order', lambda: requests.get('http://lims').json())",
        "for well in sorted({'A1', 'B1'}): pass",
        "x = {well for well in {'A1', 'B1'}}",
        "time = run; time.sleep",
        "x = await plate.open() if hasattr(plate, 'open') else Path('a') / 'b'",
        "raise requests.HTTPError('no')",
        "random = plate.get_item; random(0)",
    ],
)
def test_what_replay_repeats_is_not_named(protocol_of: Callable[[str], Any], line: str) -> None:
    """Recorded, seeded, only told to people, or something else of the same name."""
    assert replay_warnings(protocol_of(body(line))) == ()


def test_steps_and_helpers_of_the_module_are_read_too(
    protocol_of: Callable[[str], Any],
) -> None:
    """Each once, though it is named twice; what only run.once calls is left out."""
    found = replay_warnings(
        protocol_of(
            "def helper():\n    return time.time()\n\n"
            "def order():\n    return requests.get('http://lims')\n\n"
            "def unused():\n    return random.random()\n\n"
            "@step\nasync def part(plate: Plate):\n    helper()\n    helper()\n\n"
            + body("await part(plate)", "await run.once('order', order)")
        )
    )

    assert [(one.where.rpartition(":")[2], one.what.split()[0]) for one in found] == [
        (str(HEAD.count("\n") + 2), "time.time()")
    ]


def test_warnings_are_part_of_the_definition(protocol_of: Callable[[str], Any]) -> None:
    """They are stored with it, and refuse nothing."""
    definition = define(protocol_of(body("x = time.time()")))

    copy = type(definition).model_validate_json(definition.model_dump_json())
    assert [one.mend for one in copy.warnings] == [nondeterminism.MENDS["time.time"]]


def test_praxis_protocols_show_tells_them(tmp_path: Path) -> None:
    """A person sees them before the run."""
    file = tmp_path / "mine.py"
    file.write_text(HEAD.replace("requests, ", "").replace("import numpy as np\n", ""))
    file.write_text(file.read_text() + body("x = time.time()"))

    said = CliRunner().invoke(app, ["show", str(file)]).output

    told = " ".join(said.split())
    assert "time.time() may give something else when a run is resumed; use run.now()" in told


def test_the_protocols_of_the_library_have_none() -> None:
    """What this project shows to others can be resumed exactly."""
    from flows.dose_response import dose_response
    from flows.serial_dilution import serial_dilution

    assert replay_warnings(dose_response) == replay_warnings(serial_dilution) == ()
