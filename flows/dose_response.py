"""Dose-response assay: 96-head replication, incubation, kinetic read."""

from __future__ import annotations

from math import isfinite, log10
from statistics import correlation, fmean, linear_regression
from typing import Annotated

from pydantic import BaseModel, Field
from pylabrobot.heating_shaking import HeaterShaker
from pylabrobot.liquid_handling import LiquidHandler
from pylabrobot.plate_reading import PlateReader
from pylabrobot.resources import Plate, TipRack

from flows.compile import compile_protocol
from praxis_core.protocol import Needs, protocol, run, step
from praxis_core.state import PraxisState


class DoseResponseResult(BaseModel):
    """What the assay says about the inhibitor."""

    ic50_um: float
    """Dose that halves the rate, µM."""
    hill: float
    """Steepness of the curve."""
    r_squared: float
    """Of the line through logit(inhibition) against log10(dose)."""
    rates_od_per_min: list[float]
    """Initial rate of each column, mean of its rows."""


@step("Replicate {volume:g} uL of the dose plate into the assay plate")
async def replicate(
    lh: LiquidHandler, tips: TipRack, doses: Plate, assay: Plate, *, volume: float
) -> None:
    """All 96 wells at once."""
    await lh.pick_up_tips96(tips)
    await lh.aspirate96(doses, volume=volume)
    await lh.dispense96(assay, volume=volume)
    await lh.discard_tips96()


@step("Add {volume:g} uL of {reagent.name}")
async def add_reagent(
    lh: LiquidHandler, tips: TipRack, reagent: Plate, assay: Plate, *, volume: float
) -> None:
    """All 96 wells at once, from a reservoir."""
    await lh.pick_up_tips96(tips)
    await lh.aspirate96(reagent, volume=volume)
    await lh.dispense96(assay, volume=volume)
    await lh.discard_tips96()


@step("Incubate {minutes:g} min at {celsius:g} °C")
async def incubate(
    lh: LiquidHandler, shaker: HeaterShaker, assay: Plate, *, minutes: float, celsius: float
) -> None:
    """On the heater-shaker, and back to where the plate stood."""
    home = assay.parent
    await shaker.set_temperature(celsius)
    await lh.move_plate(assay, shaker)
    await shaker.lock_plate()
    await shaker.shake(speed=300)
    await run.sleep(minutes * 60)
    await shaker.stop_shaking()
    await shaker.unlock_plate()
    await lh.move_plate(assay, home)


@step("Read {points} times every {interval:g} s at {wavelength} nm")
async def read_kinetics(
    lh: LiquidHandler,
    reader: PlateReader,
    assay: Plate,
    *,
    points: int,
    interval: float,
    wavelength: int,
) -> list[list[list[float]]]:
    """Read the plate again and again in the reader, and bring it back.

    Returns:
        ``points`` x 8 x 12 absorbances, OD.
    """
    home = assay.parent
    await reader.open()
    await lh.move_plate(assay, reader)
    await reader.close()
    readings = []
    for point in range(points):
        if point:
            await run.sleep(interval)
        [reading] = await reader.read_absorbance(wavelength=wavelength, use_new_return_type=True)
        readings.append(reading["data"])
    await reader.open()
    await lh.move_plate(assay, home)
    await reader.close()
    return readings


@step("Fit the dose-response curve")
async def fit_response(
    readings: list[list[list[float]]],
    *,
    interval: float,
    doses_um: list[float],
) -> DoseResponseResult:
    """Rates from the kinetics, the curve from the rates; both are recorded."""
    result = fit(readings, interval=interval, doses_um=doses_um)
    await run.record("IC50", result.ic50_um, unit="µM")
    await run.record("R²", result.r_squared)
    return result


def fit(
    readings: list[list[list[float]]], *, interval: float, doses_um: list[float]
) -> DoseResponseResult:
    """Fit inhibition against dose.

    Args:
        readings: points x rows x columns absorbances, OD; the last column has no inhibitor.
        interval: Seconds between two readings.
        doses_um: Dose in each column, µM; the last is 0.

    Raises:
        ValueError: fewer than three doses inhibit between 5 and 95 percent.
    """
    minutes = [interval / 60 * number for number in range(len(readings))]
    rates = [
        linear_regression(
            minutes, [fmean(row[column] for row in reading) for reading in readings]
        ).slope
        for column in range(len(doses_um))
    ]
    uninhibited = rates[-1]
    points = []
    for dose, rate in zip(doses_um[:-1], rates[:-1], strict=True):
        inhibition = 1 - rate / uninhibited if uninhibited else float("nan")
        if isfinite(inhibition) and 0.05 < inhibition < 0.95:  # noqa: PLR2004  # logit's usable range
            points.append((log10(dose), log10(inhibition / (1 - inhibition))))
    if len(points) < 3:  # noqa: PLR2004  # a line through two points always fits
        raise ValueError(
            f"Only {len(points)} doses inhibit between 5 and 95 percent; a fit needs three. "
            f"Rates, OD/min: {', '.join(f'{rate:.4f}' for rate in rates)}"
        )
    x, y = zip(*points, strict=True)
    line = linear_regression(x, y)
    return DoseResponseResult(
        ic50_um=10 ** (-line.intercept / line.slope),
        hill=line.slope,
        r_squared=correlation(x, y) ** 2,
        rates_od_per_min=rates,
    )


@protocol(name="dose-response", version="1.0.0")
async def dose_response(
    lh: LiquidHandler,
    reader: PlateReader,
    shaker: HeaterShaker,
    compound_tips: Annotated[TipRack, Needs(tips=96)],
    enzyme_tips: Annotated[TipRack, Needs(tips=96)],
    substrate_tips: Annotated[TipRack, Needs(tips=96)],
    doses: Plate,
    assay: Annotated[Plate, Needs(empty=True)],
    enzyme: Plate,
    substrate: Plate,
    state: PraxisState,
    top_dose: Annotated[
        float, Field(gt=0, le=10_000, description="Dose in column 1 of the dose plate, µM.")
    ] = 100.0,
    dose_factor: Annotated[
        float, Field(gt=1, le=10, description="Dilution of the dose from column to column.")
    ] = 3.0,
    incubation: Annotated[
        float, Field(ge=0, le=24 * 60, description="Pre-incubation with the enzyme, minutes.")
    ] = 15.0,
    temperature: Annotated[
        float, Field(ge=4, le=70, description="Temperature of the pre-incubation, °C.")
    ] = 37.0,
    points: Annotated[int, Field(ge=3, le=100, description="Readings of the kinetics.")] = 6,
    interval: Annotated[
        float, Field(ge=10, le=3600, description="Time between two readings, s.")
    ] = 30.0,
    wavelength: Annotated[
        int, Field(ge=230, le=1000, description="Wavelength of the readout, nm.")
    ] = 405,
) -> DoseResponseResult | None:
    """Measure how a compound inhibits an enzyme: eleven doses, a control, eight replicates.

    The dose plate is replicated with the 96-head (10 µL), enzyme is added (50 µL), the plate is
    pre-incubated on the heater-shaker, substrate starts the reaction (50 µL), and the product's
    colour is read over time. Column 12 is the control without compound. A water run has nothing to
    fit, and gives no result.

    Args:
        lh: Liquid handler with a 96-head and a plate gripper.
        reader: Absorbance reader the gripper reaches.
        shaker: Heater-shaker the gripper reaches.
        compound_tips: A full rack of 96 tips for the compound.
        enzyme_tips: A full rack of 96 tips for the enzyme.
        substrate_tips: A full rack of 96 tips for the substrate.
        doses: The dose plate: doses falling from column 1 to 11, none in column 12.
        assay: An empty, clear, flat-bottom 96-well plate.
        enzyme: Enzyme in assay buffer, in a reservoir the 96-head reaches into.
        substrate: Chromogenic substrate in assay buffer, in such a reservoir.
    """
    await replicate(lh, compound_tips, doses, assay, volume=10.0)
    await add_reagent(lh, enzyme_tips, enzyme, assay, volume=50.0)
    await incubate(lh, shaker, assay, minutes=incubation, celsius=temperature)
    await add_reagent(lh, substrate_tips, substrate, assay, volume=50.0)
    readings = await read_kinetics(
        lh, reader, assay, points=points, interval=interval, wavelength=wavelength
    )
    # 10 µL of compound end up in 110 µL.
    doses_um = [top_dose / dose_factor**column * 10 / 110 for column in range(11)] + [0.0]
    state["doses_uM"] = doses_um
    if run.water:
        return None
    return await fit_response(readings, interval=interval, doses_um=doses_um)


dose_response_flow = compile_protocol(dose_response)
