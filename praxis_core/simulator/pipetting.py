"""The physics of channels, tips and liquids.

Written without a look at ``praxis_core.assets.contents``, whose oracle it is.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any

from pylabrobot.liquid_handling.standard import (
    MultiHeadAspirationContainer,
    MultiHeadDispenseContainer,
    PickupTipRack,
)
from pylabrobot.resources import Container, Resource, TipRack, TipSpot
from pylabrobot.resources import Tip as PlrTip
from pylabrobot.resources.errors import HasTipError, NoTipError, TooLittleVolumeError

from praxis_core.labware.inventory import limit
from praxis_core.simulator.act import Act
from praxis_core.simulator.truth import ROUNDING, SPILLED, Liquid, Tip, channel

OneChannel = Callable[[Act, str, Any], None]
"""What one channel does, by its name in the table of tips; raises what a device would answer."""


def each(what: OneChannel) -> Callable[[Act], None]:
    """Let each channel of a call do its part; one that cannot does not keep the others from it."""

    def act(call: Act) -> None:
        operations: Sequence[Any] = call.argument("ops", default=())
        channels = call.argument("use_channels", default=range(len(operations)))
        for number, operation in zip(channels, operations, strict=False):
            _try(call, int(number), what, channel(call.device, number), operation)

    return act


def _try(call: Act, number: int, what: OneChannel, name: str, operation: Any) -> None:
    if number in call.failing:
        return
    try:
        what(call, name, operation)
    except (HasTipError, NoTipError, TooLittleVolumeError) as error:
        call.errors[number] = error


def pick_up(call: Act, name: str, operation: Any) -> None:
    """Take a tip from its spot."""
    _take(call, name, operation.resource)


def drop(call: Act, name: str, operation: Any) -> None:
    """Put the tip into a spot, or throw it away."""
    _leave(call, name, operation.resource)


def aspirate(call: Act, name: str, operation: Any) -> None:
    """Draw; what is not there is air."""
    _draw(call, name, operation.resource, operation)


def dispense(call: Act, name: str, operation: Any) -> None:
    """Give; what is not there is air."""
    _give(call, name, operation.resource, operation)


def pick_up_96(call: Act) -> None:
    """Take the tips of a rack, all at once."""
    pickup: PickupTipRack = call.argument("pickup")
    spots = list(pickup.resource.get_all_items())
    names = [channel(call.device, number, head96=True) for number in range(len(spots))]
    if any(call.draft.tip(name) for name in names):
        what = "the 96-head carries tips already"
        raise HasTipError(what)
    if not any(call.draft.tip(spot.name) for spot in spots):
        what = f"there is no tip in {pickup.resource.name}"
        raise NoTipError(what)
    for number, (name, spot) in enumerate(zip(names, spots, strict=True)):
        if number not in call.failing and call.draft.tip(spot.name) is not None:
            _take(call, name, spot)


def drop_96(call: Act) -> None:
    """Put the tips of the 96-head into a rack, or throw them away."""
    target = call.argument("drop").resource
    carried = list(_carried(call))
    if not carried:
        what = "the 96-head carries no tips"
        raise NoTipError(what)
    spots = list(target.get_all_items()) if isinstance(target, TipRack) else None
    for number, _ in carried:
        if spots is not None and call.draft.tip(spots[number].name) is not None:
            raise HasTipError(f"{spots[number].name} is occupied")
    for number, name in carried:
        if number not in call.failing:
            _leave(call, name, target if spots is None else spots[number])


def aspirate_96(call: Act) -> None:
    """Draw with every channel of the 96-head that carries a tip."""
    _all_channels(call, call.argument("aspiration"), _draw)


def dispense_96(call: Act) -> None:
    """Give with every channel of the 96-head that carries a tip."""
    _all_channels(call, call.argument("dispense"), _give)


def eject_everything(call: Act) -> None:
    """Throw all mounted tips away, as setting a liquid handler up does."""
    for name, _ in list(call.draft.items("tips")):
        if name.startswith(f"{call.device}["):
            _discard(call, name, into="waste")


def tips_on(call: Act) -> dict[str, Tip]:
    """Give the tips on the channels of a device, by the names of the channels."""
    tips = call.draft.items("tips")
    return {name: tip for name, tip in tips if name.startswith(f"{call.device}[")}


def _carried(call: Act) -> Iterator[tuple[int, str]]:
    for number in range(96):
        name = channel(call.device, number, head96=True)
        if call.draft.tip(name) is not None:
            yield number, name


def _all_channels(call: Act, operation: Any, what: Callable[[Act, str, Any, Any], None]) -> None:
    carried = list(_carried(call))
    if not carried:
        message = "the 96-head carries no tips"
        raise NoTipError(message)
    one = isinstance(operation, (MultiHeadAspirationContainer, MultiHeadDispenseContainer))
    for number, name in carried:
        if number in call.failing or operation.tips[number] is None:
            continue
        what(call, name, operation.container if one else operation.wells[number], operation)


def _take(call: Act, name: str, spot: TipSpot) -> None:
    draft = call.draft
    if draft.tip(name) is not None:
        raise HasTipError(f"{name} carries a tip already")
    tip = draft.tip(spot.name)
    if tip is None:
        raise NoTipError(f"there is no tip in {spot.name}")
    draft.put("tips", spot.name, None)
    draft.put("tips", name, tip)
    call.note(do="pick_up", channel=name, spot=spot.name, tip=tip.name)


def _leave(call: Act, name: str, target: Resource) -> None:
    draft = call.draft
    tip = draft.tip(name)
    if tip is None:
        raise NoTipError(f"{name} carries no tip")
    if not isinstance(target, TipSpot):
        _discard(call, name, into=target.name)
        return
    if draft.tip(target.name) is not None:
        raise HasTipError(f"there is a tip in {target.name} already")
    draft.put("tips", name, None)
    draft.put("tips", target.name, tip)
    call.note(do="drop", channel=name, spot=target.name, tip=tip.name)


def _discard(call: Act, name: str, into: str) -> None:
    draft = call.draft
    tip = draft.tip(name)
    if tip is None:
        return
    draft.put("tips", name, None)
    draft.pour(into, tip.liquid)
    draft.put("waste", tip.name, Tip(tip.name, tip.spot, tip.capacity))
    call.note(do="discard", channel=name, into=into, tip=tip.name, volume=tip.liquid.volume)


def _draw(call: Act, name: str, source: Container, operation: Any) -> None:
    tip = _tip(call, name)
    tip = _mix(call, tip, source.name, operation.mix)
    volume = float(operation.volume)
    if tip.liquid.volume + volume > tip.capacity + ROUNDING:
        what = f"{name}: {tip.liquid.volume + volume:g} µL do not fit into {tip.capacity:g} µL"
        raise TooLittleVolumeError(what)
    left, taken = call.draft.liquid(source.name).without(volume)
    call.draft.put("liquids", source.name, left)
    _fill(call, name, tip, tip.liquid.plus(taken, call.draft.now))
    _flag_air(call, name, source.name, volume - taken.volume)
    call.note(do="aspirate", channel=name, container=source.name, volume=taken.volume)


def _give(call: Act, name: str, target: Container, operation: Any) -> None:
    tip = _tip(call, name)
    volume = float(operation.volume)
    left, given = tip.liquid.without(volume)
    call.draft.pour(target.name, given)
    _flag_air(call, name, target.name, volume - given.volume)
    call.note(do="dispense", channel=name, container=target.name, volume=given.volume)
    _run_over(call, target)
    tip = _with(tip, left)
    _fill(call, name, tip, _mix(call, tip, target.name, operation.mix).liquid)


def _tip(call: Act, name: str) -> Tip:
    tip = call.draft.tip(name)
    if tip is None:
        raise NoTipError(f"{name} carries no tip")
    return tip


def _with(tip: Tip, liquid: Liquid) -> Tip:
    return Tip(tip.name, tip.spot, tip.capacity, liquid)


def _fill(call: Act, name: str, tip: Tip, liquid: Liquid) -> None:
    call.draft.put("tips", name, _with(tip, liquid))


def _mix(call: Act, tip: Tip, container: str, mix: Any) -> Tip:
    """Draw and give back, some times; makes a difference only when the tip is not empty."""
    if mix is None or tip.liquid.volume <= 0:
        return tip
    kept = tip.liquid.volume
    outside, inside = call.draft.liquid(container), tip.liquid
    for _ in range(int(mix.repetitions)):
        outside, drawn = outside.without(float(mix.volume))
        inside = inside.plus(drawn, call.draft.now)
        inside, back = inside.without(inside.volume - kept)
        outside = outside.plus(back, call.draft.now)
    call.draft.put("liquids", container, outside)
    return _with(tip, inside)


def _flag_air(call: Act, name: str, container: str, air: float) -> None:
    if air > ROUNDING:
        call.flags.append(f"{name}: {air:.2f} µL of air at {container}")


def _run_over(call: Act, target: Container) -> None:
    most = limit(target)
    there = call.draft.liquid(target.name)
    if most is None or there.volume <= most + ROUNDING:
        return
    kept, over = there.without(there.volume - most)
    call.draft.put("liquids", target.name, kept)
    call.draft.pour(SPILLED, over)
    call.flags.append(f"{over.volume:.2f} µL ran over from {target.name}")


def new_tip(spot: TipSpot, name: str) -> Tip:
    """Give the tip that a spot is filled with."""
    made: PlrTip = spot.make_tip()
    return Tip(name, spot.name, float(made.maximal_volume))


PIPETTING: dict[str, Callable[[Act], None]] = {
    "pick_up_tips": each(pick_up),
    "drop_tips": each(drop),
    "aspirate": each(aspirate),
    "dispense": each(dispense),
    "pick_up_tips96": pick_up_96,
    "drop_tips96": drop_96,
    "aspirate96": aspirate_96,
    "dispense96": dispense_96,
}
"""What each method of a liquid handler does to tips and liquids."""
