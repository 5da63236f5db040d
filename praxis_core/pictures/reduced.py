"""A picture of a deck that is small enough for a text: at worst only what has changed on it."""

from __future__ import annotations

from collections.abc import Collection, Iterator

from praxis_core.assets.state import AssetManagerState
from praxis_core.pictures.built import Built
from praxis_core.pictures.closeup import MOST_BYTES, closeup_svg
from praxis_core.pictures.deck import deck_svg


def reduced_svg(
    found: Built, contents: AssetManagerState, changed: Collection[str] = (), title: str = ""
) -> str:
    """Draw a deck with at most ``closeup.MOST_BYTES``; nobody can point into it.

    Args:
        found: The deck.
        contents: What is where, and what is in it.
        changed: What is drawn, large, if the whole deck would be too large.
        title: What the picture shows, on one line.
    """
    whole = deck_svg(
        found.deck,
        contents,
        title=title,
        called=found.called,
        titles=False,
        most_bytes=MOST_BYTES,
    )
    if len(whole.encode()) <= MOST_BYTES:
        return whole
    return closeup_svg(found.deck, contents, changed, called=found.called)


def changes(before: AssetManagerState, after: AssetManagerState) -> list[str]:
    """Name what is otherwise than before: wells, tip spots, labware, devices."""
    return [*dict.fromkeys(_changes(before, after))]


def _changes(before: AssetManagerState, after: AssetManagerState) -> Iterator[str]:
    for part in ("locations", "containers", "tip_spots", "used_tips", "heads", "heads96"):
        was, is_ = getattr(before, part), getattr(after, part)
        for name, one in is_.items():
            if name not in was or was[name] != one:
                yield name
