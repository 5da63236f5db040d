"""What dissolved things absorb, emit and turn into. Concentrations in µM, times in seconds."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

_FULL_WIDTH = 4 * math.log(2)
"""Makes the width of a Gaussian its full width at half its height."""


_EXACT = 1e-12
"""Where the search for a root ends."""

_LARGEST_EXPONENT = 700.0
"""Beyond it ``exp`` overflows."""


class _Frozen(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Spectrum(_Frozen):
    """One absorption band."""

    epsilon: float = Field(gt=0)
    """Molar absorption coefficient at the peak, 1/(M cm)."""
    peak_nm: float = Field(gt=0)
    width_nm: float = Field(gt=0)
    """Full width at half height."""

    def absorbance(self, wavelength: float, concentration: float, path: float) -> float:
        """Give the absorbance by Beer and Lambert.

        Args:
            wavelength: nm.
            concentration: µM.
            path: Length of the light's way through the liquid, cm.
        """
        epsilon = self.epsilon * _band(wavelength, self.peak_nm, self.width_nm)
        return epsilon * concentration * 1e-6 * path


class Fluorophore(_Frozen):
    """What is emitted by one solute when light excites it."""

    brightness: float = Field(gt=0)
    """Counts per µM at the peaks."""
    excitation_nm: float = Field(gt=0)
    emission_nm: float = Field(gt=0)
    width_nm: float = Field(default=30, gt=0)
    """Full width at half height of both bands."""

    def counts(self, excitation: float, emission: float, concentration: float) -> float:
        """Give the signal; wavelengths in nm, concentration in µM."""
        excited = _band(excitation, self.excitation_nm, self.width_nm)
        return (
            self.brightness
            * concentration
            * excited
            * _band(emission, self.emission_nm, self.width_nm)
        )


class Reaction(_Frozen):
    """An enzyme turns substrate into product, by Michaelis and Menten."""

    enzyme: str
    substrate: str
    product: str
    kcat_per_s: float = Field(gt=0)
    km: float = Field(gt=0, alias="km_uM")
    inhibitor: str | None = None
    ic50: float | None = Field(default=None, gt=0, alias="ic50_uM")
    hill: float = Field(default=1, gt=0)

    @model_validator(mode="after")
    def _inhibitor_has_ic50(self) -> Self:
        if (self.inhibitor is None) != (self.ic50 is None):
            what = "inhibitor and ic50_uM go together"
            raise ValueError(what)
        return self

    def turned_over(self, concentrations: Mapping[str, float], seconds: float) -> float:
        """Give how much substrate (µM) has become product after a time, depletion included.

        The inhibitor lowers the rate by ``1 / (1 + (c / IC50) ** hill)``, whatever the substrate.
        """
        substrate = concentrations.get(self.substrate, 0.0)
        rate = self.kcat_per_s * concentrations.get(self.enzyme, 0.0)
        rate *= self._uninhibited(concentrations)
        if substrate <= 0 or rate <= 0 or seconds <= 0:
            return 0.0
        # The integrated rate law: s + ln s = s0 + ln s0 - rate t / Km, with s in units of Km.
        start = substrate / self.km + math.log(substrate) - math.log(self.km)
        left = _omega(start - rate * seconds / self.km) * self.km
        return min(max(substrate - left, 0.0), substrate)

    def _uninhibited(self, concentrations: Mapping[str, float]) -> float:
        """Give the part of the rate that the inhibitor leaves."""
        dose = 0.0 if self.inhibitor is None else concentrations.get(self.inhibitor, 0.0)
        if self.ic50 is None or dose <= 0:
            return 1.0
        exponent = self.hill * (math.log(dose) - math.log(self.ic50))
        return 1 / (1 + math.exp(min(exponent, _LARGEST_EXPONENT)))


def react(
    reactions: Sequence[Reaction],
    concentrations: Mapping[str, float],
    seconds: Mapping[str, float],
) -> dict[str, float]:
    """Let reactions run, one after the other.

    Args:
        reactions: What can happen.
        concentrations: µM of each solute as pipetted.
        seconds: How long each solute has been there; a reaction began when the later one of enzyme
            and substrate came.

    Returns:
        µM of each solute now.
    """
    now = dict(concentrations)
    for reaction in reactions:
        together = min(seconds.get(reaction.enzyme, 0.0), seconds.get(reaction.substrate, 0.0))
        formed = reaction.turned_over(now, together)
        if formed > 0:
            now[reaction.substrate] -= formed
            now[reaction.product] = now.get(reaction.product, 0.0) + formed
    return now


def _band(wavelength: float, peak: float, width: float) -> float:
    return math.exp(-_FULL_WIDTH * ((wavelength - peak) / width) ** 2)


def _omega(x: float) -> float:
    """Solve ``w + ln w = x`` for w > 0, by Newton's method on ``ln w``."""
    log = x if x < 1 else math.log(x)
    for _ in range(60):
        step = (log + math.exp(log) - x) / (1 + math.exp(log))
        log -= step
        if abs(step) < _EXACT:
            break
    return math.exp(log)
