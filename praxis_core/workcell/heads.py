"""Which tips are on the heads of the runtime's own liquid handlers.

A run's frontends never touch these trackers, and the runtime calls backends directly; yet backends
look at them (a simulated ``request_tip_presence`` answers from them). So the runtime does for its
heads what PyLabRobot's frontend does: note what is about to happen, then commit it channel by
channel, or roll back.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from functools import lru_cache
from typing import Any

from pylabrobot.liquid_handling import LiquidHandler
from pylabrobot.liquid_handling.errors import ChannelizedError
from pylabrobot.machines.machine import Machine
from pylabrobot.resources import TipTracker


class HeadsInStep:
    """The heads of one device during one call of its backend."""

    def __init__(self, machine: Machine, method: str, arguments: Mapping[str, Any]) -> None:
        self._trackers: dict[int, TipTracker] = {}
        if isinstance(machine, LiquidHandler) and method in _NOTES:
            self._trackers = _NOTES[method](machine, arguments)

    def succeeded(self) -> None:
        """Everything that was noted happened."""
        for tracker in self._trackers.values():
            tracker.commit()

    def failed(self, error: BaseException) -> None:
        """Only what the error does not name happened; of an error without channels, nothing."""
        for channel, tracker in self._trackers.items():
            if isinstance(error, ChannelizedError) and channel not in error.errors:
                tracker.commit()
            else:
                tracker.rollback()


def moves_tips(method: str) -> bool:
    """Whether a method of a backend changes which tips are on its heads."""
    return method in _NOTES


def bound_arguments(
    method: Callable[..., Any], args: tuple[Any, ...], kwargs: Mapping[str, Any]
) -> Mapping[str, Any]:
    """Name the arguments of a call; none when they do not fit, which the call itself will say."""
    try:
        return _signature(method).bind(*args, **kwargs).arguments
    except TypeError:
        return {}


def _signature(method: Callable[..., Any]) -> inspect.Signature:
    function = getattr(method, "__func__", None)
    return inspect.signature(method) if function is None else _signature_of_bound(function)


@lru_cache(maxsize=1024)
def _signature_of_bound(function: Callable[..., Any]) -> inspect.Signature:
    signature = inspect.signature(function)
    return signature.replace(parameters=list(signature.parameters.values())[1:])


def _note_pick_up(handler: LiquidHandler, arguments: Mapping[str, Any]) -> dict[int, TipTracker]:
    noted = {}
    for channel, pickup in zip(arguments["use_channels"], arguments["ops"], strict=False):
        noted[channel] = handler.head[channel]
        if not noted[channel].has_tip:
            noted[channel].add_tip(pickup.tip, origin=pickup.resource, commit=False)
    return noted


def _note_drop(handler: LiquidHandler, arguments: Mapping[str, Any]) -> dict[int, TipTracker]:
    noted = {channel: handler.head[channel] for channel in arguments["use_channels"]}
    _note_removal(noted)
    return noted


def _note_pick_up96(handler: LiquidHandler, arguments: Mapping[str, Any]) -> dict[int, TipTracker]:
    for channel, tip in enumerate(arguments["pickup"].tips):
        if tip is not None and not handler.head96[channel].has_tip:
            handler.head96[channel].add_tip(tip, commit=False)
    return dict(handler.head96)


def _note_drop96(handler: LiquidHandler, _arguments: Mapping[str, Any]) -> dict[int, TipTracker]:
    _note_removal(handler.head96)
    return dict(handler.head96)


def _note_removal(trackers: Mapping[int, TipTracker]) -> None:
    for tracker in trackers.values():
        if tracker.has_tip:
            tracker.remove_tip()


_NOTES: dict[str, Callable[[LiquidHandler, Mapping[str, Any]], dict[int, TipTracker]]] = {
    "pick_up_tips": _note_pick_up,
    "drop_tips": _note_drop,
    "pick_up_tips96": _note_pick_up96,
    "drop_tips96": _note_drop96,
}
