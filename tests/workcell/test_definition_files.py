"""A broken workcell file is refused with every fault and its line."""

from __future__ import annotations

from pathlib import Path

import pytest

from praxis_core.errors import WorkcellFaults
from praxis_core.workcell.definition import WorkcellDefinition, load_definition

SHAPE = """\
name: bench
devices:
  shaker:
    frontend: pylabrobot.shaking:Shaker
    backend: not an import path
    simulated_backend: pylabrobot.shaking:ShakerChatterboxBackend
    colour: red
labware:
  - name: plate_01
    at: deck rails 3
  - {name: rack, factory: hamilton_96_tiprack_300uL, at: 7}
"""

SHAKER = """\
name: bench
devices:
  shaker:
    frontend: pylabrobot.shaking:Shaker
    config: {size_x: 1, size_y: 1, size_z: 1, child_location: [0, 0, 0]}
    backend: pylabrobot.shaking:ShakerChatterboxBackend
    simulated_backend: pylabrobot.shaking:ShakerChatterboxBackend
"""

MEANING = """\
name: bench
decks:
  deck: {factory: STARDeck}
devices:
  star:
    frontend: pylabrobot.liquid_handling:LiquidHandler
    deck: dek
    backend: pylabrobot.liquid_handling.backends:STARBackend
    simulated_backend: pylabrobot.liquid_handling.backends:NoSuchBackend
  shaker:
    frontend: pylabrobot.shaking:Shaker
    config: {size_x: 1, size_y: 1}
    backend: pylabrobot.shaking:ShakerChatterboxBackend
    simulated_backend: pylabrobot.shaking:ShakerChatterboxBackend
  pump:
    frontend: pylabrobot.pumps:Pump
    backend: pylabrobot.pumps.chatterbox:PumpChatterboxBackend
    simulated_backend: pylabrobot.pumps.chatterbox:PumpChatterboxBackend
labware:
  - {name: carrier, factory: PLT_CAR_L5AC_A00, at: deck rails 10}
  - {name: plate_01, factory: cor_96_wellplate_360uL_Fb, at: "carrier[0]"}
  - {name: plate_02, factory: cor_96_wellplate_360uL_Fb, at: "carrier[0]"}
  - {name: plate_03, factory: cor_96_wellplate_360uL_Fb, at: "carrier[7]"}
  - {name: plate_04, factory: cor_96_wellplate_360uL_Fb, at: "carier[1]"}
  - {name: plate_05, factory: cor_96_wellplate_360_Fb, at: "carrier[2]"}
  - {name: plate_01, factory: cor_96_wellplate_360uL_Fb, at: "carrier[3]"}
  - {name: rail_less, factory: PLT_CAR_L5AC_A00, at: deck rails 99}
  - {name: overlap, factory: PLT_CAR_L5AC_A00, at: deck rails 12}
  - {name: vague, factory: PLT_CAR_L5AC_A00, at: "over there[x"}
  - name: plate_06
    factory: cor_96_wellplate_360uL_Fb
    at: "carrier[4]"
    contents:
      - {wells: "A1:H1", volume: 5000}
      - {wells: Z9, volume: 10}
places:
  hotel: stacker
  tray: plate_01
"""


def faults(folder: Path, text: str) -> list[str]:
    """Load a definition that must be refused; give its faults, each with its line."""
    file = folder / "bench.yaml"
    file.write_text(text, encoding="utf-8")
    with pytest.raises(WorkcellFaults) as refusal:
        load_definition(file)
    problems = refusal.value.details["problems"]
    assert isinstance(problems, list)
    return [str(problem) for problem in problems]


def test_the_star_workcell_loads(star: WorkcellDefinition) -> None:
    """The definition that comes with the library is without fault."""
    assert star.name == "star"
    assert set(star.devices) == {"star", "reader", "shaker"}


def test_every_fault_of_form_has_its_line(tmp_path: Path) -> None:
    """Missing, unknown and malformed values are all told at once."""
    found = faults(tmp_path, SHAPE)

    assert [fault.split(":")[1] for fault in found] == ["5", "7", "9", "11"]
    assert "colour: Extra inputs are not permitted" in found[1]
    assert "factory: Field required" in found[2]


def test_a_real_workcell_is_not_set_back_by_itself(tmp_path: Path) -> None:
    """The fault names the workcell, the field with its line, and how to mend it."""
    [found] = faults(
        tmp_path, SHAKER.replace("devices:", "mode: real\nrefill: every_run\ndevices:")
    )

    assert found.startswith("bench.yaml:3: refill: every_run sets back pretend decks only")
    assert "workcell bench is real (write refill: by_hand" in found


@pytest.mark.parametrize(
    ("written", "said"),
    [
        ("[2.0]", "a calibration is written {calibration: [12.5]"),
        ("{calibration: [2.0]}", "a calibration is written {calibration: [12.5]"),
        ("{calibration: [2.0], calibration_mode: rounds}", "'duration' or 'revolutions'"),
        ("{calibration: [0], calibration_mode: duration}", "outside expected parameters"),
    ],
)
def test_a_pump_is_not_calibrated_by_anything(tmp_path: Path, written: str, said: str) -> None:
    """What PyLabRobot would only notice when something is pumped is a fault of the definition."""
    backend = "pylabrobot.pumps.chatterbox:PumpArrayChatterboxBackend"
    [found] = faults(
        tmp_path,
        f"""\
name: bench
devices:
  pumps:
    frontend: pylabrobot.pumps:PumpArray
    config: {{calibration: {written}}}
    backend: {backend}
    simulated_backend: {backend}
""",
    )

    assert said in found


def test_every_fault_of_meaning_has_its_line(tmp_path: Path) -> None:
    """What PyLabRobot does not know or does not allow is told like a fault of form."""
    found = faults(tmp_path, MEANING)

    expected = {
        7: "no deck is called 'dek'",
        9: "NoSuchBackend",
        10: "size_z",
        17: "use a PumpArray",
        18: "use a PumpArray",
        22: "'plate_01' stands there already",
        23: "has no site 7; it has 0 to 4",
        24: "nothing is called 'carier'",
        25: "Closest: cor_96_wellplate_360uL_Fb",
        26: "two things are called 'plate_01'",
        27: "Rails must be between",
        28: "already occupied by resource 'carrier'",
        29: "is no position",
        34: "do not fit",
        35: "has no 'Z9'",
        37: "nothing is called 'stacker'",
        38: "nothing can be put on 'plate_01'",
    }
    by_line = {int(fault.split(":")[1]): fault for fault in found}
    assert {
        line: text in by_line.get(line, "") for line, text in expected.items()
    } == dict.fromkeys(expected, True)
    assert len(found) == len(expected)


def test_faults_of_form_do_not_hide_faults_of_meaning(tmp_path: Path) -> None:
    """The parts that are well formed are checked against PyLabRobot as well."""
    text = MEANING.replace("{wells: Z9, volume: 10}", "{wells: A1, volume: -1}")
    text = text.replace("{name: plate_02, factory: cor_96_wellplate_360uL_Fb,", "{name: plate_02,")

    found = faults(tmp_path, text)

    assert any("greater than 0" in fault for fault in found)
    assert "bench.yaml:22: factory: Field required" in found
    assert any("Closest: cor_96_wellplate_360uL_Fb" in fault for fault in found)
    assert any(fault.startswith("bench.yaml:26: two things") for fault in found)
    assert not any("Z9" in fault for fault in found)


@pytest.mark.parametrize(
    ("written", "minutes"), [("off", 0), ('"off"', 0), ("{hold_minutes: 30}", 30)]
)
def test_what_a_device_does_when_its_run_is_lost_is_read(
    tmp_path: Path, written: str, minutes: float
) -> None:
    """It is switched off, or holds for a time; YAML's own reading of "off" does not matter."""
    file = tmp_path / "bench.yaml"
    file.write_text(f"{SHAKER}    on_lost: {written}\n    adopts: no\n", encoding="utf-8")

    definition = load_definition(file)

    device = definition.devices["shaker"]
    assert device.on_lost is not None
    assert device.on_lost.hold_minutes == minutes
    assert not device.adopts
    assert WorkcellDefinition.model_validate_json(definition.model_dump_json()) == definition


@pytest.mark.parametrize(
    ("written", "fault"),
    [
        ("hold", "write off, or {hold_minutes: 240}"),
        ("{hold_minutes: -1}", "greater than or equal to 0"),
        ("{hold_minutes: .inf}", "finite number"),
        ("{hold: 3}", "hold: Extra inputs are not permitted"),
    ],
)
def test_what_a_lost_device_cannot_do_has_its_line(
    tmp_path: Path, written: str, fault: str
) -> None:
    """A misspelt on_lost is a fault of the file, not a device that nobody switches off."""
    found = faults(tmp_path, f"{SHAKER}    on_lost: {written}\n")

    line = SHAKER.count("\n") + 1
    assert any(each.startswith(f"bench.yaml:{line}: ") and fault in each for each in found)


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("name: bench\ndevices: {shaker: [}\n", 2),
        ("name: bench\n\tdevices:\n", 2),
        ("name: bench\nname: bank\n", 2),
        ("- just\n- a list\n", 1),
        ("name: bench\n\ndevices: {}\n", 3),
        ("", 1),
    ],
)
def test_what_is_no_workcell_at_all_is_refused(tmp_path: Path, text: str, line: int) -> None:
    """Broken YAML, keys that stand twice, other documents: a fault with a line, no traceback."""
    assert any(fault.startswith(f"bench.yaml:{line}: ") for fault in faults(tmp_path, text))
