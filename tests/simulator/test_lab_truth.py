"""The truth of a lab is what its log says, liquid is neither made nor lost, and the books agree."""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any
from uuid import UUID

import orjson
import pytest
from hypothesis import Phase, given, settings
from hypothesis import strategies as st
from pylabrobot.liquid_handling.standard import (
    Drop,
    DropTipRack,
    MultiHeadAspirationPlate,
    MultiHeadDispensePlate,
    Pickup,
    PickupTipRack,
    SingleChannelAspiration,
    SingleChannelDispense,
)
from pylabrobot.resources import Coordinate

from praxis_core.assets.manager import AssetManager
from praxis_core.labware.encoded_error import EncodedError
from praxis_core.labware.encoding import encode
from praxis_core.protocol.command import Command, Outcome
from praxis_core.protocol.lifecycle import CommandKind, OutcomeStatus
from praxis_core.simulator.comparison import differences
from praxis_core.simulator.effect_log import read_log
from praxis_core.simulator.lab import Lab
from praxis_core.workcell.definition import WorkcellDefinition
from praxis_core.workcell.initial_state import initial_assets

AT = datetime(2026, 1, 1, tzinfo=UTC)
NOWHERE = Coordinate.zero()
TIPS = 88 + 8
"""In the rack, and in the one for teaching that a STAR has."""

QUICK = settings(deadline=None, max_examples=12, phases=[Phase.explicit, Phase.generate])
"""Each example builds a deck; what fails is short enough as it is."""

STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("pick_up_tips"), st.integers(1, 12), st.integers(1, 8)),
        st.tuples(st.just("drop_tips"), st.integers(1, 12), st.integers(1, 8)),
        st.tuples(st.just("discard"), st.just(0), st.integers(1, 8)),
        st.tuples(st.just("aspirate"), st.integers(1, 3), st.integers(1, 8), st.floats(1, 150)),
        st.tuples(st.just("dispense"), st.integers(1, 3), st.integers(1, 8), st.floats(1, 150)),
        st.tuples(st.sampled_from(["pick_up_tips96", "drop_tips96"])),
        st.tuples(st.sampled_from(["aspirate96", "dispense96"]), st.floats(1, 100)),
    ),
    min_size=5,
    max_size=30,
)
"""Method, column, how many of its channels, and µL."""


class Bench:
    """A lab in this process, whose star is told things directly."""

    def __init__(self, definition: WorkcellDefinition, log: Path) -> None:
        self.lab = Lab(definition, log)
        self.books = AssetManager(initial_assets(self.lab.world.model))
        self.told = 0

    def get(self, name: str) -> Any:
        """Give a resource."""
        return self.lab.world.model.resources.get(name)

    def truth(self) -> Any:
        """Tell what is so, as a client would hear it."""
        return orjson.loads(orjson.dumps(self.lab.world.truth.dump()))

    async def tell(self, method: str, *args: Any) -> dict[str, Any]:
        """Send one command, and enter it in the books as the host would."""
        find = self.lab.world.model.resources.get
        encoded = [encode(arg, method, find) for arg in args]
        message = await self.lab.devices["star"].answer({"method": method, "args": encoded})
        self.told += 1
        command = Command(
            run_id=UUID(int=1),
            attempt=1,
            branch="0",
            ordinal=self.told,
            device="star",
            method=method,
            args=tuple(encoded),
            kwargs={},
            kind=CommandKind.ONCE,
            fingerprint="",
        )
        error = EncodedError(**message["error"]) if "error" in message else None
        status = OutcomeStatus.SUCCEEDED if error is None else OutcomeStatus.FAILED
        if error is None:
            self.books.apply(command, Outcome(status, AT, AT, error=error), AT)
        return message

    async def step(self, method: str, *how: Any) -> dict[str, Any]:
        """Send one of the random steps."""
        if method.endswith("96"):
            return await self.tell(method, self._whole(method, *how))
        column, count, *volume = how
        channels = list(range(count))
        return await self.tell(
            "drop_tips" if method == "discard" else method,
            [self._one(method, f"{'ABCDEFGH'[n]}{column}", *volume) for n in channels],
            channels,
        )

    def _one(self, method: str, item: str, volume: float = 0.0) -> Any:
        tip = self.get("tips[A1]").make_tip()
        if method == "pick_up_tips":
            spot = self.get(f"tips[{item}]")
            return Pickup(resource=spot, offset=NOWHERE, tip=spot.make_tip())
        if method == "drop_tips":
            return Drop(resource=self.get(f"tips[{item}]"), offset=NOWHERE, tip=tip)
        if method == "discard":
            return Drop(resource=self.get("trash"), offset=NOWHERE, tip=tip)
        operation = SingleChannelAspiration if method == "aspirate" else SingleChannelDispense
        return operation(
            resource=self.get(f"plate[{item}]"), tip=tip, volume=volume, **_any_liquid()
        )

    def _whole(self, method: str, volume: float = 0.0) -> Any:
        rack, plate = self.get("tips"), self.get("plate")
        tips = [spot.make_tip() for spot in rack.get_all_items()]
        if method == "pick_up_tips96":
            there = self.lab.world.truth.tables["tips"]
            present = [
                tip if spot.name in there else None
                for tip, spot in zip(tips, rack.get_all_items(), strict=True)
            ]
            return PickupTipRack(resource=rack, offset=NOWHERE, tips=present)
        if method == "drop_tips96":
            return DropTipRack(resource=rack, offset=NOWHERE)
        kind = MultiHeadAspirationPlate if method == "aspirate96" else MultiHeadDispensePlate
        on_head = self.lab.world.truth.tables["tips"]
        carried = [tip if f"star[96:{n}]" in on_head else None for n, tip in enumerate(tips)]
        return kind(wells=plate.get_all_items(), tips=carried, volume=volume, **_any_liquid())


def _any_liquid() -> dict[str, Any]:
    return {
        "offset": NOWHERE,
        "flow_rate": None,
        "liquid_height": None,
        "blow_out_air_volume": None,
        "mix": None,
    }


@contextmanager
def _bench(small: WorkcellDefinition) -> Iterator[Bench]:
    with TemporaryDirectory(prefix="lab") as folder:
        bench = Bench(small, Path(folder) / "log")
        yield bench
        bench.lab.world.log.close()


async def _play(bench: Bench, steps: list[tuple[Any, ...]]) -> int:
    for device in bench.lab.devices.values():
        await device.switch_on()
    refused = 0
    for method, *how in steps:
        refused += "error" in await bench.step(method, *how)
    return refused


def _recomputed(log: Path) -> tuple[dict[str, float], set[str], dict[str, str]]:
    """Add up what each channel did, in the words of the log and nothing else of it."""
    volumes: dict[str, float] = defaultdict(float)
    waste: set[str] = set()
    tips: dict[str, str] = {}
    for record in read_log(log):
        if record["kind"] == "beginning":
            liquids = record["after"]["liquids"].items()
            volumes.update({name: each["volume"] for name, each in liquids})
            tips = {where: tip["name"] for where, tip in record["after"]["tips"].items()}
        for done in record.get("done", []):
            match done:
                case {"do": "pick_up", "channel": channel, "spot": spot}:
                    tips[channel] = tips.pop(spot)
                case {"do": "drop", "channel": channel, "spot": spot}:
                    tips[spot] = tips.pop(channel)
                case {"do": "discard", "channel": channel, "into": into, "volume": volume}:
                    tip = tips.pop(channel)
                    waste.add(tip)
                    volumes[into] += volume
                    volumes[tip] -= volume
                case {"do": "aspirate", "channel": channel, "container": well, "volume": volume}:
                    volumes[well] -= volume
                    volumes[tips[channel]] += volume
                case {"do": "dispense", "channel": channel, "container": well, "volume": volume}:
                    volumes[well] += volume
                    volumes[tips[channel]] -= volume
    return volumes, waste, tips


@QUICK
@given(steps=STEPS)
def test_the_truth_is_what_the_log_says(small: WorkcellDefinition, steps: list[Any]) -> None:
    """Tips and volumes add up; no tip and no solute is lost or made; a restart changes nothing."""
    with _bench(small) as bench:
        asyncio.run(_play(bench, steps))
        truth = bench.truth()
        volumes, waste, tips = _recomputed(bench.lab.world.log.path)
        spilled = truth["liquids"].get("spilled", {"volume": 0.0})["volume"]
        assert {where: tip["name"] for where, tip in truth["tips"].items()} == tips
        assert set(truth["waste"]) == waste
        over = 0.0
        for name, liquid in truth["liquids"].items():
            if name != "spilled":
                assert liquid["volume"] >= 0
                over += volumes.get(name, 0.0) - liquid["volume"]
        for tip in truth["tips"].values():
            assert tip["liquid"]["volume"] == pytest.approx(volumes.get(tip["name"], 0), abs=1e-4)
        assert over == pytest.approx(spilled, abs=1e-3)
        dye = sum(
            liquid["amounts"].get("dye", 0.0)
            for liquid in [
                *truth["liquids"].values(),
                *(tip["liquid"] for tip in truth["tips"].values()),
            ]
        )
        assert dye == pytest.approx(8 * 200 * 50)
        assert len(truth["tips"]) + len(truth["waste"]) == TIPS
        bench.lab.world.log.close()
        again = Bench(small, bench.lab.world.log.path)
        assert again.truth() == truth
        bench.lab.world.log = again.lab.world.log


@QUICK
@given(steps=STEPS)
def test_the_books_agree_with_the_truth(small: WorkcellDefinition, steps: list[Any]) -> None:
    """As long as nothing was refused and nothing ran over, bookkeeping and lab say the same."""
    with _bench(small) as bench:
        possible = []
        for device in bench.lab.devices.values():
            asyncio.run(device.switch_on())
        for method, *how in steps:
            before = bench.books.snapshot()
            message = asyncio.run(bench.step(method, *how))
            flags = [r.get("flags") for r in read_log(bench.lab.world.log.path)][-1]
            if "error" in message or flags:
                break
            possible.append((method, *how))
            assert differences(bench.truth(), bench.books.snapshot()) == [], (possible, before)


async def test_the_comparison_finds_what_differs(small: WorkcellDefinition) -> None:
    """A comparison that finds nothing would agree with everything."""
    with _bench(small) as bench:
        await _play(bench, [("pick_up_tips", 1, 2), ("aspirate", 1, 2, 50.0)])
        books: Any = bench.books.snapshot()
        assert differences(bench.truth(), books) == []
        books["containers"]["plate_well_A1"]["volume"] += 1
        books["containers"]["plate_well_B1"]["amounts"]["dye"] = 0.0
        books["tip_spots"]["tips_tipspot_A1"] = True
        del books["heads"]["star"]["1"]
        books["heads"]["star"]["0"]["volume"] = 0
        books["grippers"]["star"] = "other"
        books["locations"]["plate"]["parent"] = "deck"
        assert sorted(differences(bench.truth(), books)) == [
            "plate is on carrier_plates-0, recorded is deck",
            "plate_well_A1: 150 µL, recorded are 151 µL",
            "plate_well_B1: 7500 pmol of dye, recorded are 0 pmol",
            "star holds None, recorded is other",
            "star[0]: 50 µL, recorded are 0 µL",
            "star[1]: a tip, recorded is no tip",
            "tips_tipspot_A1: no tip, recorded is a tip",
        ]


async def test_what_is_recorded_as_unknown_differs_from_nothing(small: WorkcellDefinition) -> None:
    """A wrong figure that counts no more is not wrong; the one beside it is."""
    with _bench(small) as bench:
        await _play(bench, [("pick_up_tips", 1, 2), ("aspirate", 1, 2, 50.0)])
        books: Any = bench.books.snapshot()
        books["containers"]["plate_well_A1"] |= {"volume": 7.0, "unknown": "spilled"}
        books["containers"]["plate_well_B1"]["volume"] += 1
        books["tip_spots"]["tips_tipspot_A1"] = None
        books["heads"]["star"]["0"] |= {"volume": 7.0, "unknown": "spilled"}
        books["heads"]["star"]["5"] = {**books["heads"]["star"]["1"], "there": None}
        books["grippers"]["star"] = "other"
        books["grippers_unknown"]["star"] = "nobody looked"
        books["locations"]["plate"] |= {"parent": "deck", "unknown": "nobody looked"}
        assert differences(bench.truth(), books) == [
            "plate_well_B1: 150 µL, recorded are 151 µL",
        ]
