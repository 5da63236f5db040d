"""Text that every store takes: Postgres holds neither NUL nor half a pair of surrogates."""

from __future__ import annotations


def is_storable(text: str) -> bool:
    """Whether a database can hold the text."""
    if text.isascii():
        return "\x00" not in text
    return "\x00" not in text and not any("\ud800" <= character <= "\udfff" for character in text)


def as_storable(text: str) -> str:
    """Give text that a database can hold; what it cannot is shown as a replacement character."""
    if is_storable(text):
        return text
    return text.replace("\x00", "\ufffd").encode("utf-8", "replace").decode()
