"""What a command says it does to liquids, tips and labware, read from its encoded arguments.

Needs no PyLabRobot: the forms are those of ``labware.encoding``.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from pydantic import JsonValue

from praxis_core.assets.state import AssetManagerState
from praxis_core.protocol.command import Command

Fields = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class PickTip:
    """A channel takes a tip."""

    channel: int
    spot: str


@dataclass(frozen=True, slots=True)
class DropTip:
    """A channel puts its tip into a tip spot, or drops it into waste."""

    channel: int
    target: str


@dataclass(frozen=True, slots=True)
class Mixing:
    """Repeated drawing and giving; volume in µL."""

    volume: float
    repetitions: int


@dataclass(frozen=True, slots=True)
class Aspirate:
    """A channel draws ``volume`` µL, after mixing."""

    channel: int
    container: str
    volume: float
    mixing: Mixing | None


@dataclass(frozen=True, slots=True)
class Dispense:
    """A channel gives ``volume`` µL, and mixes afterwards."""

    channel: int
    container: str
    volume: float
    mixing: Mixing | None


@dataclass(frozen=True, slots=True)
class Grip:
    """A gripper takes labware."""

    resource: str


@dataclass(frozen=True, slots=True)
class Release:
    """A gripper puts labware down; where, the change of the deck says."""

    resource: str


Operation = PickTip | DropTip | Aspirate | Dispense | Grip | Release


def operations_of(command: Command, state: AssetManagerState) -> list[Operation]:
    """Read the operations of a command.

    Args:
        command: Any backend call.
        state: Says which tips are in a rack and on the 96-head.

    Returns:
        The operations in order; none when the command moves neither liquid nor tips nor labware.
    """
    if command.method in _SINGLE:
        read = _SINGLE[command.method]
        given = [_fields(item) for item in _items(_argument(command, "ops", 0))]
        channels = _items(_argument(command, "use_channels", 1)) or range(len(given))
        pairs = zip(channels, given, strict=False)
        return [read(int(channel), fields) for channel, fields in pairs if fields is not None]
    if command.method in _WHOLE:
        argument, read_whole = _WHOLE[command.method]
        fields = _fields(_argument(command, argument, 0))
        return [] if fields is None else list(read_whole(fields, state, command.device))
    return []


def left_empty(command: Command, state: AssetManagerState) -> tuple[str, list[str]]:
    """Tell from which spots a 96-head takes no tip, for none is there.

    Args:
        command: Any backend call.
        state: Says which spots a rack has.

    Returns:
        The rack and its spots; none when the command is another one.
    """
    if command.method != "pick_up_tips96":
        return "", []
    fields = _fields(_argument(command, "pickup", 0)) or {}
    rack = _name(fields) if fields else ""
    spots = zip(state.racks.get(rack, []), _items(fields.get("tips")), strict=False)
    return rack, [spot for spot, tip in spots if tip is None]


def channels_used(command: Command) -> tuple[int, ...]:
    """Tell which channels a command uses, in order; none when it has no channels of their own."""
    if command.method not in _SINGLE:
        return ()
    given = _items(_argument(command, "ops", 0))
    channels = _items(_argument(command, "use_channels", 1)) or range(len(given))
    return tuple(int(channel) for channel in channels)


def written_channels(channels: Sequence[int]) -> str:
    """Write channels as people do, ``0-3,6``."""
    blocks: list[list[int]] = []
    for one in sorted(channels):
        if blocks and one == blocks[-1][-1] + 1:
            blocks[-1].append(one)
        else:
            blocks.append([one])
    return ",".join(
        str(block[0]) if len(block) == 1 else f"{block[0]}-{block[-1]}" for block in blocks
    )


def on_channels(command: Command, channels: Collection[int]) -> Command:
    """Make the part of a command that is for some of its channels; it keeps its fingerprint.

    Args:
        command: One with channels of its own.
        channels: Those that count.
    """
    used = channels_used(command)
    places = [place for place, channel in enumerate(used) if channel in channels]

    def of_these(value: JsonValue) -> JsonValue:
        # What has a part for each channel: operations, channels, and lists of the backend's own.
        items = _items(value)
        if len(items) != len(used):
            return value
        kept: list[JsonValue] = [items[place] for place in places]
        return {**value, "$tuple": kept} if isinstance(value, dict) else kept

    return replace(
        command,
        args=tuple(map(of_these, command.args)),
        kwargs={name: of_these(value) for name, value in command.kwargs.items()},
    )


def uses_head96(command: Command) -> bool:
    """Whether the channels of a command are those of the 96-head."""
    return command.method.endswith("96")


def _argument(command: Command, name: str, position: int) -> Any:
    if name in command.kwargs:
        return command.kwargs[name]
    return command.args[position] if position < len(command.args) else None


def _fields(data: Any) -> Fields | None:
    """Give the fields of one of PyLabRobot's liquid-handling operations; None for anything else."""
    if not isinstance(data, dict):
        return None
    path, fields = data.get("$data"), data.get("fields")
    is_one = isinstance(path, str) and "liquid_handling.standard:" in path
    return fields if is_one and isinstance(fields, dict) else None


def _items(data: Any) -> list[Any]:
    match data:
        case list():
            return data
        case {"$tuple": list(items)}:
            return items
        case _:
            return []


def _name(fields: Fields, field: str = "resource") -> str:
    return str(fields[field]["$resource"])


def _number(data: Any) -> float:
    return float(data["$float"] if isinstance(data, dict) else data)


def _mixing(fields: Fields) -> Mixing | None:
    mix = fields.get("mix")
    if mix is None:
        return None
    return Mixing(_number(mix["fields"]["volume"]), int(_number(mix["fields"]["repetitions"])))


def _pick_tip(channel: int, fields: Fields) -> PickTip:
    return PickTip(channel, _name(fields))


def _drop_tip(channel: int, fields: Fields) -> DropTip:
    return DropTip(channel, _name(fields))


def _aspirate(channel: int, fields: Fields) -> Aspirate:
    return Aspirate(channel, _name(fields), _number(fields["volume"]), _mixing(fields))


def _dispense(channel: int, fields: Fields) -> Dispense:
    return Dispense(channel, _name(fields), _number(fields["volume"]), _mixing(fields))


def _pick_tips(fields: Fields, state: AssetManagerState, _device: str) -> Iterator[Operation]:
    rack = state.racks.get(_name(fields), [])
    for channel, tip in enumerate(_items(fields["tips"])):
        if tip is not None:
            # A tip is called after the spot it was made in.
            made_in = str(tip["$tip"]["name"]).partition("#")[0]
            yield PickTip(channel, rack[channel] if channel < len(rack) else made_in)


def _drop_tips(fields: Fields, state: AssetManagerState, device: str) -> Iterator[Operation]:
    target = _name(fields)
    rack = state.racks.get(target)
    for channel in sorted(state.heads96.get(device, {})):
        # A tip over the edge of a small rack, where somebody says one is, falls as into a waste.
        spot = rack[channel] if rack is not None and channel < len(rack) else target
        yield DropTip(channel, spot)


def _targets(fields: Fields) -> Iterator[tuple[int, str]]:
    """Pair the channels that carry a tip with their wells; a trough serves all of them."""
    tips = _items(fields["tips"])
    if "container" in fields:
        targets = [_name(fields, "container")] * len(tips)
    else:
        targets = [str(well["$resource"]) for well in _items(fields["wells"])]
    for channel, (tip, target) in enumerate(zip(tips, targets, strict=False)):
        if tip is not None:
            yield channel, target


def _aspirate_all(fields: Fields, _state: AssetManagerState, _device: str) -> Iterator[Operation]:
    volume, mixing = _number(fields["volume"]), _mixing(fields)
    for channel, container in _targets(fields):
        yield Aspirate(channel, container, volume, mixing)


def _dispense_all(fields: Fields, _state: AssetManagerState, _device: str) -> Iterator[Operation]:
    volume, mixing = _number(fields["volume"]), _mixing(fields)
    for channel, container in _targets(fields):
        yield Dispense(channel, container, volume, mixing)


def _grip(fields: Fields, _state: AssetManagerState, _device: str) -> Iterator[Operation]:
    yield Grip(_name(fields))


def _release(fields: Fields, _state: AssetManagerState, _device: str) -> Iterator[Operation]:
    yield Release(_name(fields))


_SINGLE: dict[str, Callable[[int, Fields], Operation]] = {
    "pick_up_tips": _pick_tip,
    "drop_tips": _drop_tip,
    "aspirate": _aspirate,
    "dispense": _dispense,
}

_WHOLE: dict[str, tuple[str, Callable[[Fields, AssetManagerState, str], Iterator[Operation]]]] = {
    "pick_up_tips96": ("pickup", _pick_tips),
    "drop_tips96": ("drop", _drop_tips),
    "aspirate96": ("aspiration", _aspirate_all),
    "dispense96": ("dispense", _dispense_all),
    "pick_up_resource": ("pickup", _grip),
    "drop_resource": ("drop", _release),
}
