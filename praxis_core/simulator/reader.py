"""A plate reader that reads what was pipetted.

PyLabRobot's simulated reader returns zeros, and fails on 384 wells.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from random import Random
from typing import Any, Protocol

from pydantic import TypeAdapter
from pylabrobot.plate_reading.backend import PlateReaderBackend
from pylabrobot.resources import CrossSectionType, Plate, Well

from praxis_core.assets.readings import Contents
from praxis_core.errors import ReadingNotConfigured
from praxis_core.simulator.chemistry import Fluorophore, Reaction, Spectrum, react

SATURATION = 4.0
"""The largest absorbance that a reader can tell."""

Solution = dict[str, float]
"""µM of each solute, now."""

_spectra = TypeAdapter(dict[str, Spectrum])
_reactions = TypeAdapter(list[Reaction])
_fluorophores = TypeAdapter(dict[str, Fluorophore])
_emitters = TypeAdapter(dict[str, float])


class HasContents(Protocol):
    """Knows what is in each container."""

    def contents(self, name: str) -> Contents:
        """Give what is in a container."""


class SimulatedPlateReaderBackend(PlateReaderBackend):  # type: ignore[misc]  # PyLabRobot has no types
    """Computes absorbance, fluorescence and luminescence from the contents of the wells.

    All configuration is JSON, so that a workcell definition can hold it. The same protocol reads
    the same numbers again: noise depends on seed, plate, well, wavelength and number of reading.

    Args:
        seed: Of the noise.
        background: Absorbance of an empty plate.
        noise: Standard deviation of an absorbance.
        temperature: °C that the reader reports.
        spectra: Absorption band of each solute: ``{epsilon, peak_nm, width_nm}``.
        reactions: What enzymes do in the wells: ``{enzyme, substrate, product, kcat_per_s, km_uM}``
            and, with an inhibitor, ``{inhibitor, ic50_uM, hill}``.
        fluorescence: Of each solute: ``{brightness, excitation_nm, emission_nm, width_nm}``.
        luminescence: Counts per µM of each solute.

    Raises:
        ValueError: the configuration is not as described.
    """

    def __init__(  # noqa: PLR0913  # its arguments are the keys of its configuration
        self,
        *,
        seed: int = 0,
        background: float = 0.04,
        noise: float = 0.002,
        temperature: float = 25.0,
        spectra: Mapping[str, Any] | None = None,
        reactions: Sequence[Any] = (),
        fluorescence: Mapping[str, Any] | None = None,
        luminescence: Mapping[str, float] | None = None,
    ) -> None:
        super().__init__()
        self.seed = seed
        self.background = background
        self.noise = noise
        self.temperature = temperature
        self.tray_out = False
        self.readings = 0
        self._spectra = _spectra.validate_python(dict(spectra or {}))
        self._reactions = _reactions.validate_python(list(reactions))
        self._fluorescence = _fluorophores.validate_python(dict(fluorescence or {}))
        self._luminescence = _emitters.validate_python(dict(luminescence or {}))
        self._source: tuple[HasContents, Callable[[], datetime], datetime] | None = None

    def use_contents(self, assets: HasContents, clock: Callable[[], datetime]) -> None:
        """Read these assets from now on, at this clock's time.

        Reactions between solutes that are together from the beginning begin now.
        """
        self._source = (assets, clock, clock())

    async def setup(self) -> None:
        """Begin with the tray in."""
        self.tray_out = False

    async def stop(self) -> None:
        """End."""

    async def open(self) -> None:
        """Put the tray out."""
        self.tray_out = True

    async def close(self, plate: Plate | None) -> None:  # noqa: ARG002  # PyLabRobot's signature
        """Take the tray in."""
        self.tray_out = False

    async def read_absorbance(
        self, plate: Plate, wells: list[Well], wavelength: int
    ) -> list[dict[str, Any]]:
        """Read absorbances at one wavelength (nm).

        Returns:
            One reading: ``wavelength``, ``time`` (s since 1970), ``temperature`` (°C) and ``data``,
            rows of columns, None for wells that were not asked.

        Raises:
            ReadingNotConfigured: there are no spectra, or the reader knows no contents.
        """
        if not self._spectra:
            raise ReadingNotConfigured(
                reading="absorbances", what="no solute has a spectrum", setting="spectra"
            )

        def absorbance(well: Well, solution: Solution, volume: float) -> float:
            path = path_length(well, volume)
            return self.background + sum(
                spectrum.absorbance(wavelength, solution.get(solute, 0.0), path)
                for solute, spectrum in self._spectra.items()
            )

        def noisy(value: float, random: Random) -> float:
            return min(value + random.gauss(0, self.noise), SATURATION)

        reading = self._read(plate, wells, f"absorbance {wavelength}", absorbance, noisy)
        return [{"wavelength": wavelength, **reading}]

    async def read_fluorescence(
        self,
        plate: Plate,
        wells: list[Well],
        excitation_wavelength: int,
        emission_wavelength: int,
        focal_height: float,  # noqa: ARG002  # PyLabRobot's signature
    ) -> list[dict[str, Any]]:
        """Read fluorescences in counts; wavelengths in nm.

        Raises:
            ReadingNotConfigured: nothing fluoresces, or the reader knows no contents.
        """
        if not self._fluorescence:
            raise ReadingNotConfigured(
                reading="fluorescences", what="no solute fluoresces", setting="fluorescence"
            )

        def counts(_well: Well, solution: Solution, _volume: float) -> float:
            return sum(
                fluorophore.counts(
                    excitation_wavelength, emission_wavelength, solution.get(solute, 0.0)
                )
                for solute, fluorophore in self._fluorescence.items()
            )

        kind = f"fluorescence {excitation_wavelength} {emission_wavelength}"
        reading = self._read(plate, wells, kind, counts, _counted)
        wavelengths = {"ex_wavelength": excitation_wavelength, "em_wavelength": emission_wavelength}
        return [{**wavelengths, **reading}]

    async def read_luminescence(
        self,
        plate: Plate,
        wells: list[Well],
        focal_height: float,  # noqa: ARG002  # PyLabRobot's signature
    ) -> list[dict[str, Any]]:
        """Read luminescences in counts.

        Raises:
            ReadingNotConfigured: nothing shines, or the reader knows no contents.
        """
        if not self._luminescence:
            raise ReadingNotConfigured(
                reading="luminescences", what="no solute shines", setting="luminescence"
            )

        def counts(_well: Well, solution: Solution, _volume: float) -> float:
            return sum(
                per_micromolar * solution.get(solute, 0.0)
                for solute, per_micromolar in self._luminescence.items()
            )

        return [self._read(plate, wells, "luminescence", counts, _counted)]

    def _read(
        self,
        plate: Plate,
        wells: Sequence[Well],
        kind: str,
        signal: Callable[[Well, Solution, float], float],
        noisy: Callable[[float, Random], float],
    ) -> dict[str, Any]:
        if self._source is None:
            what = "it was not told what the wells contain, which a workcell does"
            raise ReadingNotConfigured(reading=kind, what=what, setting="simulate")
        assets, clock, begun = self._source
        now = clock()
        self.readings += 1
        rows, columns = plate.num_items_y, plate.num_items_x
        # Items are listed column by column.
        places = {well.name: divmod(i, rows) for i, well in enumerate(plate.get_all_items())}
        data: list[list[float | None]] = [[None] * columns for _ in range(rows)]
        for well in wells:
            column, row = places[well.name]
            contents = assets.contents(well.name)
            value = signal(well, self._solution(contents, begun, now), contents.volume)
            key = f"{self.seed}/{plate.name}/{well.name}/{kind}/{self.readings}"
            random = Random(key)  # noqa: S311  # noise, not secrets
            data[row][column] = noisy(value, random)
        return {"time": now.timestamp(), "temperature": self.temperature, "data": data}

    def _solution(self, contents: Contents, begun: datetime, now: datetime) -> Solution:
        """Give what is in a well now; what was pipetted out of it had not reacted."""
        concentrations = {solute: contents.concentration(solute) for solute in contents.amounts}
        if not self._reactions:
            return concentrations
        seconds = {
            solute: (now - contents.since.get(solute, begun)).total_seconds()
            for solute in contents.amounts
        }
        return react(self._reactions, concentrations, seconds)


def path_length(well: Well, volume: float) -> float:
    """Give the height of liquid in a well with upright walls.

    Args:
        well: Round or rectangular.
        volume: µL.

    Returns:
        cm.
    """
    width, depth = well.get_size_x(), well.get_size_y()
    if well.cross_section_type is CrossSectionType.CIRCLE:
        area = math.pi / 4 * width * depth
    else:
        area = width * depth
    return float(volume / area / 10)


def _counted(counts: float, random: Random) -> float:
    """Add the noise of counting."""
    return max(counts + random.gauss(0, math.sqrt(counts)), 0.0)
