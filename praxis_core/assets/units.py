"""Volumes and concentrations as people write them."""

from __future__ import annotations

import re

from praxis_core.errors import RequestError

_VOLUMES = {"nl": 1e-3, "ul": 1.0, "µl": 1.0, "μl": 1.0, "ml": 1e3, "l": 1e6}
_CONCENTRATIONS = {"nM": 1e-3, "uM": 1.0, "µM": 1.0, "μM": 1.0, "mM": 1e3, "M": 1e6}
_FIGURE = re.compile(r"([0-9]+(?:\.[0-9]+)?)\s*([^\W\d_]+)")


def read_volume(text: str) -> float:
    """Read a volume with its unit, in µL.

    Raises:
        RequestError: it has none of the units, or is no number.
    """
    match = _FIGURE.fullmatch(text.strip())
    unit = None if match is None else _VOLUMES.get(match[2].lower())
    if match is None or unit is None:
        raise RequestError(what=f"{text!r} is no volume; write 40mL or 350uL")
    return float(match[1]) * unit


def read_solute(text: str) -> tuple[str, float]:
    """Read what is dissolved in something, ``"dye=50uM"``: its name and its µM.

    Raises:
        RequestError: it is not of this form, or has none of the units.
    """
    name, _, figure = text.partition("=")
    match = _FIGURE.fullmatch(figure.strip())
    unit = None if match is None else _CONCENTRATIONS.get(match[2])
    if match is None or unit is None or not name.strip():
        raise RequestError(what=f"{text!r} is no solute; write dye=50uM or salt=1.5mM")
    return name.strip(), float(match[1]) * unit
