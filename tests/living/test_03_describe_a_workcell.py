"""A workcell is described in a YAML file: devices, decks, labware, and names for places."""

from __future__ import annotations

from pathlib import Path

import pytest

from praxis_core.errors import WorkcellFaults
from praxis_core.workcell.definition import load_definition
from praxis_core.workcell.runtime import WorkcellRuntime

BENCH = """\
name: bench
decks:
  deck: {factory: STARLetDeck}
devices:
  star:
    frontend: pylabrobot.liquid_handling:LiquidHandler
    deck: deck
    backend: pylabrobot.liquid_handling.backends:STARBackend
    simulated_backend: pylabrobot.liquid_handling.backends:LiquidHandlerChatterboxBackend
labware:
  - {name: carrier, factory: PLT_CAR_L5AC_A00, at: deck rails 10}
  - name: plate
    factory: cor_96_wellplate_360uL_Fb
    at: "carrier[0]"
    contents:
      - {wells: "A1:H1", volume: 200, solutes: {tartrazine: 50}}
places:
  front: "carrier[0]"
  back: "carrier[4]"
"""


def test_a_definition_says_what_is_where(tmp_path: Path) -> None:
    """From the file alone the runtime knows the labware, its contents, and what stands where."""
    file = tmp_path / "bench.yaml"
    file.write_text(BENCH, encoding="utf-8")

    runtime = WorkcellRuntime(load_definition(file))

    assert runtime.stands_at("front") == "plate"
    assert runtime.stands_at("back") is None
    assert runtime.where("plate") == ("carrier-0", "carrier", "deck", "star")
    well = runtime.assets.contents("plate_well_A1")
    assert (well.volume, well.concentration("tartrazine")) == (200, 50)
    assert runtime.status()["star"].state == "disconnected"


def test_a_broken_definition_is_refused_with_every_fault(tmp_path: Path) -> None:
    """A wrong factory, a wrong place and a wrong name: told together, each with its line."""
    file = tmp_path / "bench.yaml"
    broken = BENCH.replace("cor_96_wellplate_360uL_Fb", "cor_96_plate").replace("[4]", "[5]")
    file.write_text(broken.replace("devices:\n  star:", "devices:\n  9*:"), encoding="utf-8")

    with pytest.raises(WorkcellFaults) as refusal:
        load_definition(file)

    message = str(refusal.value)
    assert "bench.yaml:5: 9*: String should match pattern" in message
    assert "bench.yaml:13: No labware of PyLabRobot is made by 'cor_96_plate'" in message
    assert "bench.yaml:19: 'carrier' has no site 5; it has 0 to 4" in message
