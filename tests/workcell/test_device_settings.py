"""What devices are set to is known from the commands, and can be set again."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from typing import Any
from uuid import uuid4

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import JsonValue
from pylabrobot.heating_shaking import HeaterShakerBackend
from pylabrobot.heating_shaking.bioshake_backend import BioShake
from pylabrobot.heating_shaking.inheco.thermoshake_backend import (
    InhecoThermoshakeBackend,
)
from pylabrobot.liquid_handling.backends import STARBackend
from pylabrobot.machines.backend import MachineBackend
from pylabrobot.only_fans import FanBackend
from pylabrobot.plate_reading.backend import PlateReaderBackend
from pylabrobot.pumps.backend import PumpArrayBackend, PumpBackend
from pylabrobot.thermocycling.backend import ThermocyclerBackend
from pylabrobot.tilting.tilter_backend import TilterBackend

from praxis_core.protocol.command import Command, Outcome
from praxis_core.protocol.lifecycle import CommandKind, OutcomeStatus, Sent
from praxis_core.workcell.device_settings import SETS, DeviceSettings, settings_of
from praxis_core.workcell.kinds import KINDS, SET_ATTRIBUTES
from praxis_core.workcell.safe_state import SWITCHES

NOW = datetime(2026, 1, 1, tzinfo=UTC)
DONE = Outcome(OutcomeStatus.SUCCEEDED, NOW, NOW)
FAILED = Outcome(OutcomeStatus.FAILED, NOW, NOW, sent=Sent.UNKNOWN)

BACKENDS: dict[str, type[MachineBackend]] = {
    "shaker": HeaterShakerBackend,
    "cycler": ThermocyclerBackend,
    "pumps": PumpArrayBackend,
    "fan": FanBackend,
    "tilter": TilterBackend,
    "reader": PlateReaderBackend,
    "star": STARBackend,
}

MOVES = {
    # What moves something and is not set again behind a person's back.
    "close_gripper halt home move_to_safe approach move_to freedrive_mode end_freedrive_mode",
    "go_to_bucket1 go_to_bucket2 restart get_or_assign_tip_type_index move_picked_up_resource",
    "prepare_for_manual_channel_operation move_channel_x move_channel_y move_channel_z",
}

_numbers = iter(range(10**9))


def command(device: str, method: str, *args: JsonValue, **kwargs: JsonValue) -> Command:
    """A command of a run; each is another one."""
    return Command(
        run_id=uuid4(),
        attempt=1,
        branch="0",
        ordinal=next(_numbers),
        device=device,
        method=method,
        args=args,
        kwargs=kwargs,
        kind=CommandKind.REPEATABLE,
        fingerprint="",
    )


def after(*commands: Command) -> DeviceSettings:
    """The settings after commands that succeeded."""
    settings = DeviceSettings(BACKENDS)
    for each in commands:
        settings.note(each)
        settings.note(each, DONE)
    return settings


def values(settings: DeviceSettings, device: str) -> dict[str, JsonValue]:
    """What each group is set to."""
    return {group: each.value for group, each in settings.current(device).items()}


@pytest.mark.parametrize(
    ("commands", "expected"),
    [
        ([("shaker", "set_temperature", (37.0,), {})], {"temperature": 37.0}),
        (
            [
                ("shaker", "set_temperature", (37.0,), {}),
                ("shaker", "set_temperature", (), {"temperature": 42.0}),
            ],
            {"temperature": 42.0},
        ),
        (
            [("shaker", "set_temperature", (37.0,), {}), ("shaker", "deactivate", (), {})],
            {"temperature": None},
        ),
        (
            [
                ("shaker", "lock_plate", (), {}),
                ("shaker", "start_shaking", (), {"speed": 500}),
            ],
            {"lock": "locked", "shaking": 500},
        ),
        (
            [
                ("shaker", "lock_plate", (), {}),
                ("shaker", "shake_for", (), {"speed": 500, "duration": 60}),
            ],
            {"lock": "unlocked", "shaking": None},
        ),
        ([("shaker", "shake_for", (), {"speed": 500, "duration": 60})], {"shaking": None}),
        ([("cycler", "close_lid", (), {})], {"lid": "closed"}),
        ([("cycler", "set_lid_temperature", ([105.0],), {})], {"lid temperature": [105.0]}),
        (
            [("pumps", "run_continuously", (), {"speed": [5.0, 0.0], "use_channels": [1, 2]})],
            {"pump 1": 5.0, "pump 2": None},
        ),
        (
            [
                ("pumps", "run_continuously", (), {"speed": [5.0], "use_channels": [1]}),
                ("pumps", "halt", (), {}),
            ],
            {"pump 1": None},
        ),
        ([("fan", "turn_on", (), {"intensity": 40})], {"fan": 40}),
        ([("fan", "turn_on_for", (), {"intensity": 40, "duration": 5})], {"fan": None}),
        ([("tilter", "set_angle", (), {"angle": 0})], {"angle": 0}),
        ([("reader", "open", (), {})], {"tray": "open"}),
        ([("reader", "open", (), {}), ("reader", "close", ({"$resource": "p"},), {})], "closed"),
        (
            [("star", SET_ATTRIBUTES, (), {"core_adjustment": 1, "speed": None})],
            {"attribute core_adjustment": 1, "attribute speed": None},
        ),
        ([("star", "aspirate", (), {})], {}),
    ],
)
def test_the_last_setting_of_each_group_counts(commands: list[Any], expected: Any) -> None:
    """By position or by name; what switches off leaves nothing on."""
    settings = after(*(command(d, m, *args, **kwargs) for d, m, args, kwargs in commands))

    expected = {"tray": expected} if isinstance(expected, str) else expected
    assert values(settings, commands[0][0]) == expected


def test_what_takes_time_is_on_while_it_lasts() -> None:
    """A shaker that shakes for an hour has to be stopped when its host dies meanwhile."""
    settings = DeviceSettings(BACKENDS)
    shake = command("shaker", "shake_for", speed=500, duration=3600)

    settings.note(shake)
    assert values(settings, "shaker") == {"shaking": 500}
    assert [call.method for call in settings.calls("shaker")] == ["start_shaking", "shake_for"]

    settings.note(shake, DONE)
    assert values(settings, "shaker") == {"shaking": None}
    assert [call.method for call in settings.calls("shaker")] == ["stop_shaking"]


def test_what_may_be_on_counts_as_on() -> None:
    """A failed start may have started; a failed stop has not stopped."""
    start, stop = command("shaker", "start_shaking", 500), command("shaker", "stop_shaking")
    settings = DeviceSettings(BACKENDS)

    settings.note(start)
    settings.note(start, replace(FAILED, sent=Sent.NONE))
    assert values(settings, "shaker") == {}

    settings.note(start, FAILED)
    settings.note(stop, FAILED)
    assert values(settings, "shaker") == {"shaking": 500}


def test_a_set_up_device_is_set_to_nothing() -> None:
    """Set-up switches everything off, and nothing is known then."""
    settings = after(command("shaker", "start_shaking", 500), command("fan", "turn_on", 10))

    settings.forget("shaker")

    assert values(settings, "shaker") == {}
    assert values(settings, "fan") == {"fan": 10}


def test_differences_come_in_an_order_in_which_they_can_be_sent() -> None:
    """Off first, then doors, lids and locks, then what heats and moves."""
    expected = after(
        command("shaker", "start_shaking", 500),
        command("shaker", "set_temperature", 37.0),
        command("shaker", "lock_plate"),
        command("star", SET_ATTRIBUTES, core_adjustment=2),
        command("cycler", "run_protocol", protocol={"stages": []}, block_max_volume=50),
        command("cycler", "close_lid"),
        command("fan", "turn_off"),
    )
    found = after(command("fan", "turn_on", 10), command("shaker", "set_temperature", 37.0))

    differences = found.differences(expected)

    assert [(each.device, each.expected.method, each.expected.again) for each in differences] == [
        ("fan", "turn_off", True),
        ("star", SET_ATTRIBUTES, True),
        ("cycler", "close_lid", True),
        ("shaker", "lock_plate", True),
        ("shaker", "start_shaking", True),
        ("cycler", "run_protocol", False),
    ]
    assert differences[0].found == 10


calls = st.lists(
    st.one_of(
        st.tuples(
            st.just("shaker"), st.just("set_temperature"), st.integers(4, 6).map(lambda n: (n,))
        ),
        st.tuples(
            st.just("pumps"),
            st.just("run_continuously"),
            st.tuples(st.lists(st.integers(0, 2), min_size=2, max_size=2), st.just([1, 2])),
        ),
        st.sampled_from(
            [
                ("shaker", method, ())
                for method in ("deactivate", "stop_shaking", "lock_plate", "unlock_plate")
            ]
            + [("shaker", "start_shaking", (500,)), ("pumps", "halt", ())]
            + [("cycler", "open_lid", ()), ("cycler", "close_lid", ())]
        ),
    ),
    max_size=8,
)


@given(expected=calls, found=calls)
def test_sending_the_differences_leaves_none(expected: list[Any], found: list[Any]) -> None:
    """Whatever happened on either side, the devices are then as the run expects."""
    wanted = after(*(command(device, method, *args) for device, method, args in expected))
    here = after(*(command(device, method, *args) for device, method, args in found))

    for difference in here.differences(wanted):
        setting = difference.expected
        sent = command(difference.device, setting.method, *setting.args, **setting.kwargs)
        here.note(sent, DONE)

    assert here.differences(wanted) == []


@given(calls)
def test_settings_survive_as_json(done: list[Any]) -> None:
    """They cross to another process and back."""
    settings = after(*(command(device, method, *args) for device, method, args in done))
    copy = DeviceSettings(BACKENDS)

    copy.load(settings.as_json())

    assert [copy.current(name) for name in BACKENDS] == [
        settings.current(name) for name in BACKENDS
    ]


def test_whatever_can_be_repeated_is_a_setting_or_a_move() -> None:
    """A repeatable method that nobody judged would be lost at a resume."""
    moves = {name for line in MOVES for name in line.split()}
    unjudged = [
        f"{cls.__name__}.{method}"
        for cls, methods in KINDS.items()
        for method, kind in methods.items()
        if kind is CommandKind.REPEATABLE
        and method not in moves
        and not settings_of(cls, command("any", method, [1.0], [1]))
        and cls.__name__ != "PumpBackend"  # no workcell takes it
    ]

    assert unjudged == []


def test_every_switch_that_is_made_safe_is_a_setting() -> None:
    """Else a lost run's heater would be forgotten; spins and revolutions end by themselves."""
    forgotten = {
        switch.on
        for cls, switches in SWITCHES.items()
        for switch in switches
        if switch.on not in SETS.get(cls, {}) and not issubclass(cls, PumpBackend)
    }

    assert forgotten == {"spin", "run_revolutions"}


@pytest.mark.parametrize(
    ("backend", "unlocks"), [(BioShake, True), (InhecoThermoshakeBackend, False)]
)
def test_a_shaker_that_locks_has_let_go_of_the_plate_after_shaking(
    backend: type[MachineBackend], *, unlocks: bool
) -> None:
    """Also for whoever did not see that it was locked: a host died between the two."""
    settings, died = DeviceSettings({"shaker": backend}), DeviceSettings({"shaker": backend})
    settings.note(command("shaker", "shake_for", speed=500, duration=60), DONE)
    calls = [one.expected.method for one in died.differences(settings)]
    assert ("unlock_plate" in calls) is unlocks
