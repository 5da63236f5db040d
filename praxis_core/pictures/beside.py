"""What belongs to a deck and stands nowhere on it, and what the signs of a picture mean."""

from __future__ import annotations

from collections.abc import Mapping

from pylabrobot.resources import Resource

from praxis_core.assets.state import AssetManagerState, MountedTip
from praxis_core.pictures.labware import LabwareDrawer
from praxis_core.pictures.liquids import PLAIN, Tints, concentration, highest, told
from praxis_core.pictures.places import Places
from praxis_core.pictures.svg import UNKNOWN, Block, width_of, words

_TEXT = 16.0
_CHANNELS = 8
"""How many channels are shown, at least."""
_ROWS96 = 8
_COLUMNS96 = 12


def beside(
    found: Places,
    contents: AssetManagerState,
    labware: LabwareDrawer,
) -> list[Block]:
    """Draw what grippers and channels hold, and what is lost."""
    blocks = [
        channels(device, tips, labware) for device, tips in sorted(contents.heads.items()) if tips
    ]
    blocks += [
        head96(device, tips, labware) for device, tips in sorted(contents.heads96.items()) if tips
    ]
    blocks += [
        framed(in_gripper(device, resource, unknown), unknown, resource, labware)
        for device, resource in sorted(found.held.items())
        for unknown in [contents.grippers_unknown.get(device, "")]
    ]
    blocks += [
        framed(nowhere(resource), contents.locations[name].unknown, resource, labware)
        for name, resource in sorted(found.lost.items())
    ]
    return blocks


def channels(device: str, tips: Mapping[int, MountedTip], labware: LabwareDrawer) -> Block:
    """Draw the single channels of a device, with the tips that they carry, or may."""
    count = max(_CHANNELS, max(tips, default=0) + 1)
    drawn = [words(0, _TEXT, f"channels of {device}", _TEXT)]
    for channel in range(count):
        at = f'<g transform="translate({10 + 22 * channel} 34)">'
        drawn.append(f"{at}{_channel(tips.get(channel), labware, 16)}</g>")
        drawn.append(words(10 + 22 * channel, 58, str(channel), 12, anchor="middle"))
    width = max(22.0 * count, width_of(f"channels of {device}", _TEXT))
    return Block(width, 62, "".join(drawn))


def head96(device: str, tips: Mapping[int, MountedTip], labware: LabwareDrawer) -> Block:
    """Draw the 96-head of a device."""
    drawn = [words(0, _TEXT, f"96-head of {device}", _TEXT)]
    for channel in range(_ROWS96 * _COLUMNS96):
        column, row = divmod(channel, _ROWS96)
        at = f'<g transform="translate({5 + 9 * column} {29 + 9 * row})">'
        drawn.append(f"{at}{_channel(tips.get(channel), labware, 7.5)}</g>")
    return Block(
        max(9.0 * _COLUMNS96, width_of(f"96-head of {device}", _TEXT)), 100, "".join(drawn)
    )


def _channel(tip: MountedTip | None, labware: LabwareDrawer, width: float) -> str:
    if tip is None or tip.there is False:
        dot = f'stroke-width="{width / 4:g}" stroke-linecap="round"'
        return f'<path d="M0 0h.01" class="no" {dot}/>'
    unknown = "nobody knows whether it carries a tip; " if tip.there is None else ""
    return f"<g>{labware.title(unknown + told(tip))}{labware.tip_at(tip, width)}</g>"


def in_gripper(device: str, resource: Resource, unknown: str) -> str:
    """Say what a gripper holds, or may."""
    return f"gripper of {device} {'may hold' if unknown else 'holds'} {resource.name}"


def nowhere(resource: Resource) -> str:
    """Say that nobody knows where something stands."""
    return f"{resource.name}: nobody knows where"


def framed(
    text: str, unknown: str, resource: Resource, labware: LabwareDrawer, size: float = _TEXT
) -> Block:
    """Draw labware that stands on nothing; in a hatched frame when its place is unknown."""
    width, depth = float(resource.get_size_x()), float(resource.get_size_y())
    title = labware.title(
        f"{resource.name}: {labware.summary(resource)}" + (unknown and f"; {unknown}")
    )
    frame = f"url(#{UNKNOWN})" if unknown else "none"
    ends = (
        f'<rect x="0" y="24" width="{width + 16:g}" height="{depth + 16:g}" fill="{frame}" '
        'stroke="#7b828c" stroke-width="1.5"/>'
    )
    body = f'<g transform="translate(8 {depth + 32:g})">{title}{labware.draw(resource)}</g>'
    wide = max(width + 16, width_of(text, size))
    return Block(wide, depth + 42, words(0, 18, text, size) + ends + body)


def legend(contents: AssetManagerState, tints: Tints, *, outlined: bool) -> list[Block]:
    """Say what the colours and signs mean that occur, or may."""
    here = highest(contents)
    signs = [
        (_disc(f'stroke="{tints.darkest(solute)}"'), f"{solute}, darkest: {concentration(most)}")
        for solute, most in tints.most.items()
        if solute in here
    ]
    if any(one.volume > 0 and not one.amounts for one in contents.containers.values()):
        signs.append((_disc(f'stroke="{PLAIN}"'), "nothing dissolved"))
    signs.append((_disc(f'stroke="url(#{UNKNOWN})"'), "nobody knows"))
    if contents.tip_spots:
        signs.append((_disc('class="ti"'), "new tip"))
        ring = _disc('class="ti"') + _disc('class="em"', 8)
        signs += [(ring, "used tip"), (_disc('class="no"', 4), "no tip")]
    if outlined:
        frame = '<path d="M3 3h16v16h-16z" class="h1"/><path d="M3 3h16v16h-16z" class="h2"/>'
        signs.append((frame, "the command"))
    return [
        Block(28 + width_of(text, _TEXT), 22, sign + words(28, 17, text, _TEXT))
        for sign, text in signs
    ]


def _disc(stroke: str, width: float = 14) -> str:
    return f'<path d="M11 11h.01" {stroke} stroke-width="{width:g}" stroke-linecap="round"/>'
