"""What a repetition of each backend method would do to the world.

The table is over the base classes of PyLabRobot's backends; a method that nobody classified is
``once``, the kind that is never repeated.
"""

from __future__ import annotations

import re
from typing import Any

from pylabrobot.arms.backend import SCARABackend
from pylabrobot.barcode_scanners.backend import BarcodeScannerBackend
from pylabrobot.centrifuge.backend import CentrifugeBackend, LoaderBackend
from pylabrobot.liquid_handling.backends import LiquidHandlerBackend, STARBackend
from pylabrobot.liquid_handling.backends.hamilton.base import HamiltonLiquidHandler
from pylabrobot.machines.backend import MachineBackend
from pylabrobot.only_fans.backend import FanBackend
from pylabrobot.peeling.backend import PeelerBackend
from pylabrobot.plate_reading.backend import ImagerBackend, PlateReaderBackend
from pylabrobot.powder_dispensing.backend import PowderDispenserBackend
from pylabrobot.pumps.backend import PumpArrayBackend, PumpBackend
from pylabrobot.scales.scale_backend import ScaleBackend
from pylabrobot.sealing.backend import SealerBackend
from pylabrobot.shaking.backend import ShakerBackend
from pylabrobot.storage.backend import IncubatorBackend
from pylabrobot.temperature_controlling.backend import TemperatureControllerBackend
from pylabrobot.thermocycling.backend import ThermocyclerBackend
from pylabrobot.tilting.tilter_backend import TilterBackend

from praxis_core.protocol.lifecycle import CommandKind

LIFECYCLE = frozenset({"setup", "stop"})
"""Methods that connect hardware: the runtime calls them, a run only attaches and detaches."""

LOCAL = frozenset({"set_racks"})
"""Coroutines that only tell a backend about its frontend's resources, on each side its own."""

SET_ATTRIBUTES = "set_attributes"
"""Method name of the command that carries what protocol code wrote on a backend's attributes."""

MOVING = frozenset({"pick_up_resource", "drop_resource"})
"""Methods that grip labware, and put it down."""

TAKE_STOCK = "take_stock"
"""Method name of the command by which a run takes up what people say is in its labware."""

_OBSERVE = CommandKind.OBSERVE
_REPEATABLE = CommandKind.REPEATABLE
_ONCE = CommandKind.ONCE


def _kinds(*, observe: str = "", repeatable: str = "", once: str = "") -> dict[str, CommandKind]:
    return {
        **dict.fromkeys(observe.split(), _OBSERVE),
        **dict.fromkeys(repeatable.split(), _REPEATABLE),
        **dict.fromkeys(once.split(), _ONCE),
    }


KINDS: dict[type[Any], dict[str, CommandKind]] = {
    SCARABackend: _kinds(
        observe="is_gripper_closed get_joint_position get_cartesian_position",
        repeatable="close_gripper halt home move_to_safe approach move_to freedrive_mode"
        " end_freedrive_mode",
        once="open_gripper pick_up_resource drop_resource",
    ),
    BarcodeScannerBackend: _kinds(observe="scan_barcode"),
    CentrifugeBackend: _kinds(
        repeatable="open_door close_door lock_door unlock_door go_to_bucket1 go_to_bucket2"
        " lock_bucket unlock_bucket",
        once="spin",
    ),
    LoaderBackend: _kinds(once="load unload"),
    ShakerBackend: _kinds(repeatable="start_shaking stop_shaking lock_plate unlock_plate"),
    TemperatureControllerBackend: _kinds(
        observe="get_current_temperature", repeatable="set_temperature deactivate"
    ),
    LiquidHandlerBackend: _kinds(
        observe="request_tip_presence",
        repeatable="move_picked_up_resource prepare_for_manual_channel_operation move_channel_x"
        " move_channel_y move_channel_z",
        once="pick_up_tips drop_tips aspirate dispense pick_up_tips96 drop_tips96 aspirate96"
        " dispense96 pick_up_resource drop_resource",
    ),
    # Names that the rule below would misjudge: get_core takes the gripper tools from their rack.
    STARBackend: _kinds(once="get_core"),
    HamiltonLiquidHandler: _kinds(repeatable="get_or_assign_tip_type_index"),
    PlateReaderBackend: _kinds(
        observe="read_luminescence read_absorbance read_fluorescence", repeatable="open close"
    ),
    ImagerBackend: _kinds(observe="capture"),
    TilterBackend: _kinds(repeatable="set_angle"),
    FanBackend: _kinds(repeatable="turn_on turn_off"),
    PeelerBackend: _kinds(repeatable="restart", once="peel"),
    PowderDispenserBackend: _kinds(once="dispense"),
    PumpBackend: _kinds(repeatable="run_continuously halt", once="run_revolutions"),
    PumpArrayBackend: _kinds(repeatable="run_continuously halt", once="run_revolutions"),
    ScaleBackend: _kinds(observe="read_weight get_weight", once="zero tare"),
    SealerBackend: _kinds(
        observe="get_temperature", repeatable="open close set_temperature", once="seal"
    ),
    IncubatorBackend: _kinds(
        observe="get_temperature",
        repeatable="open_door close_door set_temperature start_shaking stop_shaking",
        once="fetch_plate_to_loading_tray take_in_plate",
    ),
    ThermocyclerBackend: _kinds(
        observe="get_block_current_temperature get_block_target_temperature"
        " get_lid_current_temperature get_lid_target_temperature get_lid_open get_lid_status"
        " get_block_status get_hold_time get_current_cycle_index get_total_cycle_count"
        " get_current_step_index get_total_step_count",
        repeatable="open_lid close_lid set_block_temperature set_lid_temperature deactivate_block"
        " deactivate_lid",
        once="run_protocol",
    ),
}
"""Kind of each method of each base class, inherited by the classes under it."""

_READS = re.compile(r"(^|_)(request|sense)_|^_?get_")
"""``get_`` reads only at the beginning of a name: ``iswap_get_plate`` moves a plate."""

_PARKS = re.compile(r"(^|_)park(_|$)|(^|_)home$")


def kind_of(backend: type[MachineBackend], method: str) -> CommandKind:
    """Tell what a second call of ``method`` would do.

    The nearest base class in the table decides. What only one vendor's class has is judged by its
    name: ``request_*``, ``sense_*`` and ``get_*`` read, ``park_*`` and ``home`` may be repeated;
    anything else is ``once``.
    """
    if method == SET_ATTRIBUTES:
        return _REPEATABLE
    if method == TAKE_STOCK:
        return _OBSERVE
    for cls in backend.__mro__:
        kind = KINDS.get(cls, {}).get(method)
        if kind is not None:
            return kind
    if _READS.search(method):
        return _OBSERVE
    return _REPEATABLE if _PARKS.search(method) else _ONCE
