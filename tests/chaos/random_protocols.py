"""Protocols that nobody wrote: what they do is made up, and given to them as a parameter.

A program is a list of acts. An act is a list: what it is, and what belongs to it. The acts that
happen at once never use the same channel or the same plate; they do use the same device.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any

from hypothesis import strategies as some
from pylabrobot.heating_shaking import HeaterShaker
from pylabrobot.liquid_handling import LiquidHandler
from pylabrobot.plate_reading import PlateReader
from pylabrobot.resources import Plate, TipRack, Trough

from praxis_core.protocol import protocol, run, step

Act = list[Any]
Program = list[Act]

CHANNELS = range(4)


@protocol(name="chaos-made-up", version="1.0.0")
async def made_up(  # noqa: PLR0913, PLR0917  # what it may use
    lh: LiquidHandler,
    reader: PlateReader,
    shaker: HeaterShaker,
    tips: TipRack,
    plate: Plate,
    other: Plate,
    diluent: Trough,
    program: list[Any],
) -> int:
    """Do what a program says; ``plate`` is pipetted and read, ``other`` is shaken.

    Args:
        lh: Pipettes and carries.
        reader: Reads.
        shaker: Warms and shakes.
        tips: A full rack.
        plate: An empty plate.
        other: An empty plate.
        diluent: A trough.
        program: What to do.

    Returns:
        How many errors were caught.
    """
    bench = _Bench(lh, reader, shaker, plate, other, diluent)
    await lh.move_plate(other, shaker)
    await lh.pick_up_tips(tips["A1:D1"])
    await bench.carry_out(program)
    await lh.discard_tips()
    return bench.caught


@dataclass
class _Bench:
    lh: LiquidHandler
    reader: PlateReader
    shaker: HeaterShaker
    plate: Plate
    other: Plate
    diluent: Trough
    caught: int = 0

    async def carry_out(self, program: Program) -> None:
        """One act after the other."""
        for kind, *words in program:
            act: Callable[..., Awaitable[None]] = getattr(self, kind)
            await act(*words)

    async def step(self, inside: Program) -> None:
        """Do some of it as a step."""
        await part(self, inside)

    async def gather(self, *branches: Program) -> None:
        """Do some of it at once."""
        await asyncio.gather(*(self.carry_out(branch) for branch in branches))

    async def pour(self, channel: int, well: int, volume: float) -> None:
        """From the trough into a well of the channel's own row."""
        vols, channels = [volume], [channel]
        target = self.plate[f"{'ABCD'[channel]}{well}"]
        await self.lh.aspirate([self.diluent], vols=vols, use_channels=channels)
        await self.lh.dispense(target, vols=vols, use_channels=channels)

    async def sense(self) -> None:
        """Call a backend directly."""
        present = await self.lh.backend.request_tip_presence()
        assert [present[channel] for channel in CHANNELS] == [True] * len(CHANNELS)

    async def warm(self, celsius: float) -> None:
        """Set the heater."""
        await self.shaker.set_temperature(celsius)

    async def shake(self, speed: int) -> None:
        """Shake for a moment."""
        await self.shaker.shake(speed=speed, duration=0.001)

    async def door(self) -> None:
        """Open the reader, and close it again."""
        await self.reader.open()
        await self.reader.close()

    async def wait(self, seconds: float) -> None:
        """Let time pass."""
        await run.sleep(seconds)

    async def read(self) -> None:
        """Carry the plate to the reader and back; alone, because of the gripper."""
        home = self.plate.parent
        await self.reader.open()
        await self.lh.move_plate(self.plate, self.reader)
        await self.reader.close()
        await self.reader.read_absorbance(wavelength=427)
        await self.reader.open()
        await self.lh.move_plate(self.plate, home)
        await self.reader.close()

    async def refused(self) -> None:
        """Carry a plate to a reader that is shut: the device refuses, and that is caught."""
        home = self.plate.parent
        try:
            await self.lh.move_plate(self.plate, self.reader)
        except Exception:  # noqa: BLE001  # as people do
            self.caught += 1
        await self.reader.open()
        await self.lh.drop_resource(self.reader)
        await self.lh.move_plate(self.plate, home)
        await self.reader.close()

    async def mistaken(self) -> None:
        """Do what PyLabRobot itself refuses, and catch that."""
        try:
            await self.lh.dispense(self.plate["H12"], vols=[500.0], use_channels=[7])
        except Exception:  # noqa: BLE001  # as people do
            self.caught += 1


@step("A part")
async def part(bench: _Bench, inside: Program) -> None:
    """Do a part of the program."""
    await bench.carry_out(inside)


# --- making them up ------------------------------------------------------------------------------


def _pours(channel: int) -> some.SearchStrategy[Act]:
    return some.tuples(
        some.just("pour"), some.just(channel), some.integers(1, 4), some.sampled_from([5.0, 20.0])
    ).map(list)


def _on_star(channel: int) -> some.SearchStrategy[Program]:
    return some.lists(_pours(channel) | some.just(["sense"]), min_size=1, max_size=3)


_on_shaker = some.lists(
    some.sampled_from([["warm", 30.0], ["warm", 37.0], ["shake", 300], ["shake", 500]]),
    min_size=1,
    max_size=2,
)
_on_reader = some.just([["door"]])


def _nested(branch: some.SearchStrategy[Program]) -> some.SearchStrategy[Program]:
    """As it is, or as a step, or beside a look at the channels."""
    as_step = branch.map(lambda acts: [["step", acts]])
    beside = branch.map(lambda acts: [["gather", acts, [["sense"]]]])
    return branch | as_step | beside


@some.composite
def gathers(draw: some.DrawFn) -> Act:
    """Make up some branches that happen at once, two of them on one device at least."""
    channels = draw(some.permutations(CHANNELS))[: draw(some.integers(2, len(CHANNELS)))]
    branches = [draw(_nested(_on_star(channel))) for channel in channels]
    if draw(some.booleans()):
        branches.append(draw(_nested(_on_shaker)))
    if draw(some.booleans()):
        branches.append(draw(_nested(_on_reader)))
    return ["gather", *branches]


_alone: some.SearchStrategy[Act] = some.sampled_from(
    [["read"], ["refused"], ["mistaken"], ["wait", 600.0], ["sense"]]
)
_plain: some.SearchStrategy[Act] = _alone | some.sampled_from(CHANNELS).flatmap(_pours) | gathers()

_steps: some.SearchStrategy[Act] = some.lists(_plain, min_size=1, max_size=3).map(
    lambda acts: ["step", acts]
)

programs: some.SearchStrategy[Program] = some.lists(
    _plain | _steps,
    min_size=1,
    max_size=5,
)
