"""Serial dilution with absorbance readout."""

from __future__ import annotations

from statistics import correlation, fmean, linear_regression
from typing import Annotated

from pydantic import BaseModel, Field
from pylabrobot.liquid_handling import LiquidHandler
from pylabrobot.liquid_handling.standard import Mix
from pylabrobot.plate_reading import PlateReader
from pylabrobot.resources import Plate, TipRack, Trough

from flows.compile import compile_protocol
from praxis_core.protocol import Needs, protocol, run, step
from praxis_core.state import PraxisState

ROWS = 8
LAST_COLUMN = 12
BLANK_COLUMN = LAST_COLUMN
"""Holds diluent only; its mean is subtracted from every reading before the fit."""


class DilutionResult(BaseModel):
    """What the plate says about the dilution."""

    r_squared: float
    """Of the line through log10(absorbance above blank) against the column."""
    measured_factor: float
    """Dilution from column to column, from the slope of that line."""
    expected_factor: float
    blank: float
    """Mean absorbance of the blank column, OD."""
    columns_fitted: int
    """Columns whose signal was above the blank's noise and below the reader's saturation."""


@step("Fill columns 2 to 12 with {volume:g} uL diluent")
async def add_diluent(
    lh: LiquidHandler, tips: TipRack, diluent: Trough, plate: Plate, *, volume: float
) -> None:
    """One column at a time with the same tips: they only ever touch diluent."""
    await lh.pick_up_tips(tips["A1:H1"])
    for column in range(2, LAST_COLUMN + 1):
        await lh.aspirate([diluent] * ROWS, vols=[volume] * ROWS)
        await lh.dispense(plate[f"A{column}:H{column}"], vols=[volume] * ROWS)
    await lh.discard_tips()


@step("Put {volume:g} uL stock into column 1")
async def add_stock(
    lh: LiquidHandler, tips: TipRack, stock: Trough, plate: Plate, *, volume: float
) -> None:
    """The undiluted start of the series."""
    await lh.pick_up_tips(tips["A2:H2"])
    await lh.aspirate([stock] * ROWS, vols=[volume] * ROWS)
    await lh.dispense(plate["A1:H1"], vols=[volume] * ROWS)
    await lh.discard_tips()


@step("Dilute column {column} into column {into}")
async def dilute_column(
    lh: LiquidHandler, tips: TipRack, plate: Plate, *, column: int, into: int, transfer: float
) -> None:
    """Carry ``transfer`` µL on and mix it in; fresh tips for each column."""
    mix = Mix(volume=transfer, repetitions=5, flow_rate=100.0)
    await lh.pick_up_tips(tips[f"A{column + 2}:H{column + 2}"])
    await lh.aspirate(plate[f"A{column}:H{column}"], vols=[transfer] * ROWS)
    await lh.dispense(plate[f"A{into}:H{into}"], vols=[transfer] * ROWS, mix=[mix] * ROWS)
    if into == BLANK_COLUMN - 1:
        await lh.aspirate(plate[f"A{into}:H{into}"], vols=[transfer] * ROWS)
    await lh.discard_tips()


@step("Read absorbance at {wavelength} nm")
async def read_plate(
    lh: LiquidHandler, reader: PlateReader, plate: Plate, *, wavelength: int
) -> list[list[float]]:
    """Carry the plate to the reader, read it, and bring it back to where it stood.

    Returns:
        8 x 12 absorbances, OD.
    """
    home = plate.parent
    await reader.open()
    await lh.move_plate(plate, reader)
    await reader.close()
    [reading] = await reader.read_absorbance(wavelength=wavelength, use_new_return_type=True)
    await reader.open()
    await lh.move_plate(plate, home)
    await reader.close()
    data: list[list[float]] = reading["data"]
    return data


@step("Fit the dilution curve")
async def fit_curve(absorbance: list[list[float]], *, factor: float) -> DilutionResult:
    """Fit the columns above the noise and below saturation, and record the result."""
    result = fit(absorbance, factor=factor)
    await run.record("R²", result.r_squared)
    await run.record("dilution factor", result.measured_factor)
    return result


def fit(absorbance: list[list[float]], *, factor: float) -> DilutionResult:
    """Fit a line through the logarithm of the signal against the column number.

    Args:
        absorbance: 8 x 12 absorbances, OD; the last column is the blank.
        factor: The dilution factor that was asked for.

    Raises:
        ValueError: fewer than three columns have a usable signal.
    """
    from math import log10

    columns = list(zip(*absorbance, strict=True))
    blanks = columns[BLANK_COLUMN - 1]
    blank = fmean(blanks)
    noise = max(max(blanks) - min(blanks), 0.001)
    points = [
        (float(number), log10(fmean(column) - blank))
        for number, column in enumerate(columns[: BLANK_COLUMN - 1], start=1)
        if 3 * noise < fmean(column) - blank and max(column) < SATURATION_OD
    ]
    if len(points) < 3:  # noqa: PLR2004  # a line through two points always fits
        raise ValueError(
            f"Only {len(points)} columns have a signal between noise and saturation; "
            f"a fit needs three. Blank {blank:.3f} OD, first column {fmean(columns[0]):.3f} OD."
        )
    x, y = zip(*points, strict=True)
    slope = linear_regression(x, y).slope
    return DilutionResult(
        r_squared=correlation(x, y) ** 2,
        measured_factor=10**-slope,
        expected_factor=factor,
        blank=blank,
        columns_fitted=len(points),
    )


SATURATION_OD = 3.5
"""Above this, readers stop being linear."""


def check_volumes(plate: Plate, tips: TipRack, *, volume: float, transfer: float) -> None:
    """Refuse, before anything moves, a series that the plate or the tips cannot hold.

    Raises:
        ValueError: the first column would overflow, or a transfer does not fit into a tip.
    """
    well = plate.get_item("A1").max_volume
    tip = tips.get_item("A1").make_tip().maximal_volume
    if volume + transfer > well or volume + transfer > tip:
        raise ValueError(
            f"{volume:g} µL wells at this factor need {volume + transfer:g} µL at once; a well of "
            f"{plate.name} holds {well:g} µL and a tip {tip:g} µL. Ask for less volume or a larger "
            f"factor."
        )


@protocol(name="serial-dilution", version="1.0.0")
async def serial_dilution(
    lh: LiquidHandler,
    reader: PlateReader,
    tips: Annotated[TipRack, Needs(tips=96)],
    plate: Annotated[Plate, Needs(empty=True)],
    stock: Trough,
    diluent: Trough,
    state: PraxisState,
    factor: Annotated[
        float, Field(gt=1, le=10, description="Dilution from one column to the next.")
    ] = 2.0,
    volume: Annotated[
        float, Field(ge=50, le=150, description="Final volume in each well, µL.")
    ] = 100.0,
    wavelength: Annotated[
        int, Field(ge=230, le=1000, description="Wavelength of the readout, nm.")
    ] = 427,
) -> DilutionResult | None:
    """Dilute a coloured stock along the columns of a 96-well plate and read the absorbance.

    Column 1 holds the stock, columns 2 to 11 the series, column 12 the blank; the eight rows are
    replicates. Uses the 96 tips of one full rack. A water run has no colour to fit, and gives none.

    Args:
        lh: Eight-channel liquid handler with a plate gripper.
        reader: Absorbance reader the gripper reaches.
        tips: A full rack; one column of tips for each transfer.
        plate: An empty, clear, flat-bottom 96-well plate.
        stock: The coloured stock.
        diluent: The buffer to dilute with.
    """
    transfer = volume / (factor - 1)
    check_volumes(plate, tips, volume=volume, transfer=transfer)
    await add_diluent(lh, tips, diluent, plate, volume=volume)
    await add_stock(lh, tips, stock, plate, volume=volume + transfer)
    for column in range(1, BLANK_COLUMN - 1):
        await dilute_column(lh, tips, plate, column=column, into=column + 1, transfer=transfer)
    absorbance = await read_plate(lh, reader, plate, wavelength=wavelength)
    state["absorbance"] = absorbance
    if run.water:
        return None
    return await fit_curve(absorbance, factor=factor)


serial_dilution_flow = compile_protocol(serial_dilution)
