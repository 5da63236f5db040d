"""What the frontends of PyLabRobot ask of their backends, recorded while they work."""

from __future__ import annotations

import asyncio
import inspect
from collections.abc import Callable
from contextvars import ContextVar
from dataclasses import dataclass, field
from typing import Any

import pytest
from pylabrobot.centrifuge import Centrifuge
from pylabrobot.centrifuge.chatterbox import CentrifugeChatterboxBackend
from pylabrobot.heating_shaking import HeaterShaker
from pylabrobot.heating_shaking.chatterbox import HeaterShakerChatterboxBackend
from pylabrobot.liquid_handling import LiquidHandler
from pylabrobot.liquid_handling.backends.hamilton.STAR_chatterbox import STARChatterboxBackend
from pylabrobot.liquid_handling.standard import Mix
from pylabrobot.machines.backend import MachineBackend
from pylabrobot.only_fans import Fan
from pylabrobot.only_fans.chatterbox import FanChatterboxBackend
from pylabrobot.plate_reading import PlateReader
from pylabrobot.plate_reading.chatterbox import PlateReaderChatterboxBackend
from pylabrobot.pumps import PumpArray
from pylabrobot.pumps.chatterbox import PumpArrayChatterboxBackend
from pylabrobot.resources import Coordinate, Resource
from pylabrobot.resources.hamilton import STARLetDeck
from pylabrobot.scales import Scale
from pylabrobot.scales.chatterbox import ScaleChatterboxBackend
from pylabrobot.thermocycling import Thermocycler
from pylabrobot.thermocycling.chatterbox import ThermocyclerChatterboxBackend
from pylabrobot.thermocycling.standard import Protocol, Stage, Step
from pylabrobot.tilting import Tilter
from pylabrobot.tilting.chatterbox import TilterChatterboxBackend

from praxis_core.labware.factories import make

_inside: ContextVar[bool] = ContextVar("inside", default=False)


@dataclass(frozen=True)
class Call:
    """One call of a backend method by a frontend, or by the script itself."""

    method: str
    args: tuple[Any, ...]
    kwargs: dict[str, Any]
    result: Any


@dataclass
class Recording:
    """All calls of some scripts, and the resources that they were about."""

    calls: list[Call] = field(default_factory=list)
    resources: dict[str, Resource] = field(default_factory=dict)

    def listen(self, backend: MachineBackend) -> None:
        """Record every awaited method of a backend, but not what it asks of itself."""
        for name, _ in inspect.getmembers(type(backend), inspect.iscoroutinefunction):
            setattr(backend, name, self._listening(name, getattr(backend, name)))

    def _listening(self, name: str, method: Callable[..., Any]) -> Callable[..., Any]:
        async def call(*args: Any, **kwargs: Any) -> Any:
            if _inside.get():
                return await method(*args, **kwargs)
            token = _inside.set(True)
            try:
                result = await method(*args, **kwargs)
            finally:
                _inside.reset(token)
            self.calls.append(Call(name, args, kwargs, result))
            return result

        return call

    def know(self, resource: Resource) -> None:
        """Take a resource and all that stands on it as live."""
        for part in (resource, *resource.get_all_children()):
            self.resources[part.name] = part


@pytest.fixture(scope="session")
def star_deck() -> Any:
    """A STARlet with tips, two plates (one with a lid) and a reservoir; takes seconds to build."""
    deck = STARLetDeck()
    plates = make("PLT_CAR_L5AC_A00", "plates")
    plates[0] = make("cor_96_wellplate_360uL_Fb", "plate_01")
    plates[1] = make("cor_96_wellplate_360uL_Fb", "plate_02", with_lid=True)
    plates[3] = make("agenbio_1_troughplate_190mL_Fl", "reservoir")
    tips = make("TIP_CAR_480_A00", "tips")
    tips[0] = make("hamilton_96_tiprack_300uL_filter", "tips_01")
    tips[1] = make("hamilton_96_tiprack_300uL_filter", "tips_02")
    deck.assign_child_resource(plates, rails=10)
    deck.assign_child_resource(tips, rails=20)
    return deck


@pytest.fixture(scope="session")
def recording(star_deck: Any) -> Recording:
    """Real scripts on a STAR, and one call of nearly everything on the other simulated devices."""
    recording = Recording()
    recording.know(star_deck)
    asyncio.run(_pipette(recording, star_deck))
    asyncio.run(_use_devices(recording))
    return recording


async def _pipette(recording: Recording, deck: Any) -> None:
    backend = STARChatterboxBackend()
    recording.listen(backend)
    star = LiquidHandler(backend=backend, deck=deck)
    recording.know(star)
    await star.setup()
    tips, plate, other = (deck.get_resource(n) for n in ("tips_01", "plate_01", "plate_02"))
    mix = Mix(volume=20, repetitions=3, flow_rate=100)
    await star.pick_up_tips(tips["A1:C1"], use_channels=[0, 3, 7])
    await star.aspirate(
        plate["A1:C1"],
        [10, 20.5, 30],
        use_channels=[0, 3, 7],
        mix=[mix] * 3,
        flow_rates=[50, None, 60],
    )
    await star.dispense(plate["A2:C2"], [10, 20.5, 30], use_channels=[0, 3, 7], blow_out=[True] * 3)
    await star.return_tips()
    await star.pick_up_tips(tips["A2"])
    await star.aspirate(
        deck.get_resource("reservoir")["A1"], [50], lld_mode=[backend.LLDMode.GAMMA]
    )
    await star.discard_tips()
    await star.pick_up_tips96(deck.get_resource("tips_02"))
    await star.aspirate96(deck.get_resource("reservoir"), 50)
    await star.dispense96(plate, 50, mix=mix)
    await star.return_tips96()
    await star.move_lid(other.lid, plate)
    await star.move_plate(other, deck.get_resource("plates")[4])
    await star.move_plate(other, Coordinate(100, 100, 100), pickup_offset=Coordinate(1, 0, -2.5))
    await backend.request_tip_presence()
    await backend.request_machine_configuration()
    await backend.request_extended_configuration()
    await backend.head96_request_firmware_version()
    await backend.request_maximal_ranges_of_x_drives()
    await backend.position_channels_in_z_direction({0: 100.5, 7: 12})


async def _use_devices(recording: Recording) -> None:
    size = {"size_x": 130.0, "size_y": 90.0, "size_z": 100.0}
    place = {"child_location": Coordinate.zero()}
    shaker = HeaterShaker("shaker", **size, **place, backend=HeaterShakerChatterboxBackend())
    reader = PlateReader("reader", **size, backend=PlateReaderChatterboxBackend())
    cycler = Thermocycler("cycler", **size, **place, backend=ThermocyclerChatterboxBackend())
    scale = Scale("scale", **size, backend=ScaleChatterboxBackend(dummy_weight=12.5))
    tilter = Tilter(
        "tilter",
        **size,
        **place,
        backend=TilterChatterboxBackend(),
        hinge_coordinate=Coordinate.zero(),
    )
    centrifuge = Centrifuge(CentrifugeChatterboxBackend(), "centrifuge", **size)
    pump = PumpArray(backend=PumpArrayChatterboxBackend(num_channels=4))
    fan = Fan(backend=FanChatterboxBackend())
    for device in (shaker, reader, cycler, scale, tilter, centrifuge, pump, fan):
        recording.listen(device.backend)
        if isinstance(device, Resource):
            recording.know(device)
        await device.setup()
    plate = make("cor_96_wellplate_360uL_Fb", "plate_03")
    reader.assign_child_resource(plate)
    recording.know(plate)
    await reader.open()
    await reader.close()
    await reader.read_absorbance(450, wells=plate["A1:C3"], use_new_return_type=True)
    await reader.read_luminescence(focal_height=1.5, use_new_return_type=True)
    await shaker.shake(speed=300.0, duration=0)
    await shaker.set_temperature(37)
    await shaker.get_temperature()
    step = Step(temperature=[95.0], hold_seconds=0.01)
    await cycler.set_block_temperature([37.0])
    await cycler.run_protocol(
        Protocol(stages=[Stage(steps=[step], repeats=2)]), block_max_volume=25
    )
    await scale.tare()
    await scale.read_weight()
    await tilter.set_angle(5)
    await pump.run_continuously(speed=[1.5, 2], use_channels=[0, 1])
    await pump.halt()
    await fan.turn_on(intensity=50)
    await centrifuge.spin(g=500, duration=0.1, acceleration=0.5)
    await cycler.get_lid_status()
    await cycler.get_block_status()
