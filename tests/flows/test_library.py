"""The protocol library: right protocols give the right numbers, wrong ones do not."""

from __future__ import annotations

from typing import Any
from uuid import uuid4

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pylabrobot.liquid_handling import LiquidHandler
from pylabrobot.plate_reading import PlateReader
from pylabrobot.resources import Plate, TipRack, Trough

from flows import dose_response, serial_dilution
from praxis_core.journal.record import Journal
from praxis_core.orchestrator import Orchestrator, RunRequest
from praxis_core.protocol import protocol

DILUTION = {"tips": "tips_300_01", "plate": "plate_01", "stock": "dye_stock"}
ASSAY = {
    "compound_tips": "tips_300_02",
    "enzyme_tips": "tips_300_03",
    "substrate_tips": "tips_300_04",
    "doses": "dose_plate",
    "assay": "plate_02",
}


def run_of(function: Any, assets: dict[str, Any], **parameters: Any) -> RunRequest:
    """A run on the STAR workcell."""
    return RunRequest(uuid4(), "library", function, "star", parameters=parameters, assets=assets)


@pytest.mark.parametrize("factor", [2.0, 4.0])
async def test_the_plate_tells_the_factor_that_was_asked_for(
    orchestrator: Orchestrator, factor: float
) -> None:
    """Absorbances follow from what was pipetted, so the fitted slope is the dilution."""
    result = await orchestrator.run(
        run_of(serial_dilution.serial_dilution, DILUTION, factor=factor)
    )

    assert isinstance(result.summary, dict)
    assert result.summary["r_squared"] > 0.995
    assert result.summary["measured_factor"] == pytest.approx(factor, rel=0.04)


async def test_a_series_that_does_not_fit_moves_nothing(
    orchestrator: Orchestrator, journal: Journal
) -> None:
    """Each parameter is in its range, but together they overflow the first column."""
    request = run_of(serial_dilution.serial_dilution, DILUTION, factor=1.5, volume=150)

    with pytest.raises(ValueError, match="450 µL at once"):
        await orchestrator.run(request)
    assert await journal.commands(request.run_id) == []


@protocol(name="forgotten-mixing", version="1.0.0")
async def one_column_is_forgotten(  # noqa: PLR0913, PLR0917  # a protocol
    lh: LiquidHandler,
    reader: PlateReader,
    tips: TipRack,
    plate: Plate,
    stock: Trough,
    diluent: Trough,
) -> dict[str, Any]:
    """The serial dilution of the library, but column 4 is skipped."""
    await serial_dilution.add_diluent(lh, tips, diluent, plate, volume=100)
    await serial_dilution.add_stock(lh, tips, stock, plate, volume=200)
    for column in (1, 2, 4, 5, 6, 7, 8, 9, 10):
        await serial_dilution.dilute_column(
            lh, tips, plate, column=column, into=column + 1, transfer=100
        )
    absorbance = await serial_dilution.read_plate(lh, reader, plate, wavelength=427)
    return {"column 3": absorbance[0][2], "column 4": absorbance[0][3]}


async def test_a_wrong_protocol_gives_a_wrong_plate(orchestrator: Orchestrator) -> None:
    """Column 4 never got any dye, and the reader shows it."""
    result = await orchestrator.run(run_of(one_column_is_forgotten, DILUTION))

    assert isinstance(result.summary, dict)
    assert result.summary["column 3"] > 1
    assert result.summary["column 4"] < 0.06


async def test_the_assay_finds_the_inhibitor(orchestrator: Orchestrator) -> None:
    """The workcell's inhibitor halves its enzyme's rate at 0.3 µM."""
    result = await orchestrator.run(run_of(dose_response.dose_response, ASSAY))

    assert isinstance(result.summary, dict)
    assert result.summary["ic50_um"] == pytest.approx(0.3, rel=0.1)
    assert result.summary["hill"] == pytest.approx(1.0, abs=0.1)
    assert result.summary["r_squared"] > 0.99


@given(factor=st.floats(1.2, 8), top=st.floats(0.5, 3.4), blank=st.floats(0.03, 0.1))
def test_the_fit_recovers_any_dilution(factor: float, top: float, blank: float) -> None:
    """Without noise the slope is exact, whatever part of the series is measurable."""
    plate = [[blank + top / factor**column for column in range(11)] + [blank]] * 8

    result = serial_dilution.fit(plate, factor=factor)

    assert result.measured_factor == pytest.approx(factor, rel=1e-6)
    assert result.r_squared == pytest.approx(1.0)


def test_a_plate_without_signal_is_not_fitted() -> None:
    """A line through nothing would look like a result."""
    with pytest.raises(ValueError, match="Only 0 columns"):
        serial_dilution.fit([[0.04] * 12] * 8, factor=2)


@given(ic50=st.floats(0.1, 2), hill=st.floats(0.6, 1.4))
def test_the_curve_fit_recovers_any_inhibitor(ic50: float, hill: float) -> None:
    """Rates from the kinetics, the curve from the rates."""
    doses = [9.0 / 3**column for column in range(11)] + [0.0]
    rates = [0.1 / (1 + (dose / ic50) ** hill) for dose in doses]
    readings = [[[0.05 + rate * minute for rate in rates]] * 8 for minute in range(5)]

    result = dose_response.fit(readings, interval=60, doses_um=doses)

    assert result.ic50_um == pytest.approx(ic50, rel=1e-3)
    assert result.hill == pytest.approx(hill, rel=1e-3)
