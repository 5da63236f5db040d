"""The simulated reader reads what was pipetted."""

from __future__ import annotations

import math
from datetime import timedelta
from typing import Any

import pytest
from pylabrobot.resources import CrossSectionType, Plate, Well, create_ordered_items_2d

from praxis_core.assets.manager import ContentsReader
from praxis_core.errors import ReadingNotConfigured
from praxis_core.labware.factories import make
from praxis_core.simulator.reader import SATURATION, SimulatedPlateReaderBackend, path_length

DYE = {"dye": {"epsilon": 20_000, "peak_nm": 500, "width_nm": 40}}
QUIET = {"noise": 0.0, "background": 0.05, "spectra": DYE}
PLATE = "cor_96_wellplate_360uL_Fb"


async def _absorbances(reader: Any, wavelength: int = 500, wells: Any = None) -> Any:
    [reading] = await reader.read_absorbance(wavelength, wells=wells, use_new_return_type=True)
    return reading["data"]


async def test_absorbance_follows_beer_and_lambert(bay: Any) -> None:
    """Background plus epsilon times concentration times the height of the liquid."""
    here = bay(PLATE)
    here.fill("A1", 100, dye=50)
    here.fill("B1", 200, dye=50)
    here.fill("A2", 200, dye=25, salt=1000)
    data = await _absorbances(await here.reader(**QUIET))
    well = here.plate.get_item("A1")
    centimetres = 100 / (math.pi / 4 * well.get_size_x() ** 2) / 10
    assert 0.2 < centimetres < 0.4
    assert data[0][0] == pytest.approx(0.05 + 20_000 * 50e-6 * centimetres)
    assert data[1][0] == pytest.approx(0.05 + 2 * (data[0][0] - 0.05))
    assert data[0][1] == pytest.approx(data[0][0])
    assert data[7][11] == pytest.approx(0.05)


async def test_absorbance_has_a_spectrum(bay: Any) -> None:
    """Half at half the width from the peak, nearly nothing far away."""
    here = bay(PLATE)
    here.fill("A1", 100, dye=50)
    reader = await here.reader(**QUIET)
    peak, half, far = [(await _absorbances(reader, nm))[0][0] - 0.05 for nm in (500, 520, 700)]
    assert half == pytest.approx(peak / 2)
    assert far == pytest.approx(0)


async def test_a_reader_saturates(bay: Any) -> None:
    """Too dark is too dark."""
    here = bay(PLATE)
    here.fill("A1", 300, dye=1e5)
    assert (await _absorbances(await here.reader(spectra=DYE)))[0][0] == SATURATION


def test_the_height_of_liquid_follows_from_the_cross_section() -> None:
    """µL over mm² is mm; a square well of 3.6 mm holds 12.96 µL per mm, a round one less."""
    square = Well("s", 3.6, 3.6, 11, cross_section_type=CrossSectionType.RECTANGLE)
    round_ = Well("r", 3.6, 3.6, 11, cross_section_type=CrossSectionType.CIRCLE)
    assert path_length(square, 12.96) == pytest.approx(0.1)
    assert path_length(round_, 12.96) == pytest.approx(0.1 * 4 / math.pi)


def _plate_of_1536() -> Plate:
    items = create_ordered_items_2d(
        Well,
        num_items_x=48,
        num_items_y=32,
        dx=10,
        dy=8,
        dz=1,
        item_dx=2.25,
        item_dy=2.25,
        size_x=1.5,
        size_y=1.5,
        size_z=5,
    )
    return Plate("plate", 127, 86, 14, ordered_items=items)


@pytest.mark.parametrize(
    ("factory", "shape"),
    [
        ("celltreat_6_wellplate_16300uL_Fb", (2, 3)),
        ("cellvis_24_wellplate_3600uL_Fb", (4, 6)),
        (PLATE, (8, 12)),
        ("Greiner_384_wellplate_28ul_Fb", (16, 24)),
        (_plate_of_1536, (32, 48)),
    ],
)
async def test_every_plate_is_read_in_rows_of_columns(
    bay: Any, factory: Any, shape: tuple[int, int]
) -> None:
    """PyLabRobot's own simulated reader knows 96 wells only."""
    here = bay(factory)
    here.fill("B3", 20, dye=50_000)
    data = await _absorbances(await here.reader(**QUIET))
    assert (len(data), {len(row) for row in data}) == (shape[0], {shape[1]})
    filled = {(r, c) for r in range(shape[0]) for c in range(shape[1]) if data[r][c] > 0.1}
    assert filled == {(1, 2)}


async def test_wells_that_were_not_asked_are_none(bay: Any) -> None:
    """As PyLabRobot's backends do it; time and temperature are numbers."""
    here = bay(PLATE)
    reader = await here.reader(**QUIET, temperature=37)
    wells = here.plate["A1:B1"]
    [reading] = await reader.read_absorbance(450, wells=wells, use_new_return_type=True)
    assert reading["data"][0][:2] == [pytest.approx(0.05), None]
    assert reading["data"][1][0] == pytest.approx(0.05)
    assert sum(value is not None for row in reading["data"] for value in row) == 2
    assert (reading["wavelength"], reading["temperature"]) == (450, 37)
    assert reading["time"] == here.now.timestamp()


async def test_the_same_run_reads_the_same_numbers(bay: Any) -> None:
    """And another seed, well, wavelength or reading has other noise, of the configured size."""
    here = bay(PLATE)
    first = await here.reader(spectra=DYE, noise=0.01, seed=1)
    one, two = await _absorbances(first), await _absorbances(first)
    again = await _absorbances(await here.reader(spectra=DYE, noise=0.01, seed=1))
    other = await _absorbances(await here.reader(spectra=DYE, noise=0.01, seed=2))
    assert one == again
    assert len({value for data in (one, two, other) for row in data for value in row}) == 3 * 96
    values = [value for row in one for value in row]
    mean = sum(values) / 96
    spread = math.sqrt(sum((value - mean) ** 2 for value in values) / 95)
    assert mean == pytest.approx(0.04, abs=0.005)
    assert spread == pytest.approx(0.01, rel=0.3)


async def test_an_enzyme_makes_product_while_time_passes(bay: Any) -> None:
    """Nothing at first; all of the substrate in the end; with inhibitor, less at any time."""
    here = bay(PLATE)
    here.fill("A1", 100, enzyme=0.001, substrate=50)
    here.fill("A2", 100, enzyme=0.001, substrate=50, drug=1)
    here.fill("A3", 100, enzyme=0.001)
    reader = await here.reader(
        noise=0.0,
        background=0.0,
        spectra={"product": {"epsilon": 18_000, "peak_nm": 405, "width_nm": 50}},
        reactions=[
            {
                "enzyme": "enzyme",
                "substrate": "substrate",
                "product": "product",
                "kcat_per_s": 10,
                "km_uM": 20,
                "inhibitor": "drug",
                "ic50_uM": 1,
            }
        ],
    )
    assert (await _absorbances(reader, 405))[0][0] == 0
    here.wait(60)
    early = (await _absorbances(reader, 405))[0]
    # 60 s at kcat E S / (Km + S), halved at the IC50.
    rate = 10 * 0.001 * 50 / 70
    path = path_length(here.plate.get_item("A1"), 100)
    assert early[0] == pytest.approx(18_000 * 60 * rate * 1e-6 * path, rel=0.01)
    assert early[1] == pytest.approx(early[0] / 2, rel=0.01)
    assert early[2] == 0
    here.wait(1e6)
    assert (await _absorbances(reader, 405))[0][0] == pytest.approx(18_000 * 50e-6 * path)


async def test_a_reaction_begins_when_the_later_partner_comes(bay: Any) -> None:
    """Substrate added after ten minutes has reacted for the rest of the time only."""
    reaction = {
        "enzyme": "e",
        "substrate": "s",
        "product": "p",
        "kcat_per_s": 1,
        "km_uM": 1,
    }
    here = bay(PLATE)
    here.fill("A1", 100, e=0.01, s=1000)
    here.fill("A2", 100, e=0.01, s=1000, since={"s": here.now + timedelta(minutes=10)})
    reader = await here.reader(
        noise=0.0,
        background=0.0,
        spectra={"p": {"epsilon": 1e4, "peak_nm": 405, "width_nm": 50}},
        reactions=[reaction],
    )
    here.wait(20 * 60)
    [first, second, *_] = (await _absorbances(reader, 405))[0]
    assert second == pytest.approx(first / 2, rel=1e-3)


async def test_fluorescence_is_counted_at_its_wavelengths(bay: Any) -> None:
    """Proportional to the concentration, with the noise of counting."""
    here = bay(PLATE)
    here.fill("A1", 100, gfp=10)
    here.fill("A2", 100, gfp=20)
    reader = await here.reader(
        fluorescence={"gfp": {"brightness": 1e6, "excitation_nm": 488, "emission_nm": 509}}
    )
    [reading] = await reader.read_fluorescence(488, 509, 5.0, use_new_return_type=True)
    assert reading["data"][0][0] == pytest.approx(1e7, rel=0.01)
    assert reading["data"][0][1] == pytest.approx(2e7, rel=0.01)
    assert reading["data"][0][2] == 0
    assert (reading["ex_wavelength"], reading["em_wavelength"]) == (488, 509)
    [red] = await reader.read_fluorescence(590, 620, 5.0, use_new_return_type=True)
    assert red["data"][0][0] < 1e3


async def test_luminescence_is_counted(bay: Any) -> None:
    """Proportional to the concentration."""
    here = bay(PLATE)
    here.fill("A1", 100, luciferin=10)
    reader = await here.reader(luminescence={"luciferin": 1e5})
    [reading] = await reader.read_luminescence(focal_height=5, use_new_return_type=True)
    assert reading["data"][0][0] == pytest.approx(1e6, rel=0.01)


async def test_what_is_not_configured_is_told(bay: Any) -> None:
    """Zeros would look like a result."""
    here = bay(PLATE)
    reader = await here.reader()
    with pytest.raises(ReadingNotConfigured, match="Set spectra in the simulated configuration"):
        await reader.read_absorbance(450, use_new_return_type=True)
    with pytest.raises(ReadingNotConfigured, match="Set fluorescence in"):
        await reader.read_fluorescence(488, 509, 5.0, use_new_return_type=True)
    with pytest.raises(ReadingNotConfigured, match="Set luminescence in"):
        await reader.read_luminescence(5.0, use_new_return_type=True)
    alone = SimulatedPlateReaderBackend(spectra=DYE)
    with pytest.raises(ReadingNotConfigured, match="not told what the wells contain"):
        await alone.read_absorbance(here.plate, [], 450)


@pytest.mark.parametrize(
    "config",
    [
        {"spectra": {"dye": {"epsilon": -1, "peak_nm": 500, "width_nm": 40}}},
        {"spectra": {"dye": {"epsilon": 1, "peak": 500, "width_nm": 40}}},
        {"reactions": [{"enzyme": "e"}]},
        {
            "reactions": [
                {
                    "enzyme": "e",
                    "substrate": "s",
                    "product": "p",
                    "kcat_per_s": 1,
                    "km_uM": 1,
                    "inhibitor": "drug",
                }
            ]
        },
    ],
)
def test_a_wrong_configuration_is_refused_at_once(config: dict[str, Any]) -> None:
    """Not at the first reading, hours later."""
    with pytest.raises(ValueError, match="validation error"):
        SimulatedPlateReaderBackend(**config)


async def test_the_tray_goes_out_and_in(bay: Any) -> None:
    """Protocols open the reader to load it."""
    here = bay(PLATE)
    reader = await here.reader(**QUIET)
    await reader.open()
    assert reader.backend.tray_out
    await reader.close()
    assert not reader.backend.tray_out
    await reader.stop()


def test_the_reader_is_given_the_contents_by_the_runtime() -> None:
    """The runtime asks each backend whether it reads contents."""
    assert isinstance(SimulatedPlateReaderBackend(), ContentsReader)
    assert not isinstance(make(PLATE, "plate"), ContentsReader)
