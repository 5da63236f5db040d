"""What a plan costs on a workcell that is built already: pre-flight of short and of long protocols.

Prints its table with ``python -m benchmarks.plan``; needs no services.
"""

from __future__ import annotations

import gc
from collections.abc import Callable
from statistics import median
from time import perf_counter
from uuid import uuid4

from pylabrobot.liquid_handling import LiquidHandler
from pylabrobot.resources import Plate, TipRack, Trough

from benchmarks.row import Row
from flows.library import workcell_files
from praxis_core.planning.planner import plan
from praxis_core.protocol import define, protocol
from praxis_core.protocol.command import Command, Outcome
from praxis_core.workcell.definition import WorkcellDefinition, load_definition
from praxis_core.workcell.replica import Replica

SHORT, LONG = 48, 8000
"""Commands."""
REPEATS = 9


@protocol
async def transfers(
    lh: LiquidHandler, tips: TipRack, diluent: Trough, plate: Plate, commands: int
) -> None:
    """Fill and empty columns with eight channels."""
    await lh.pick_up_tips(tips["A1:H1"])
    for number in range((commands - 2) // 2):
        column = plate[f"A{number // 2 % 12 + 1}:H{number // 2 % 12 + 1}"]
        if number % 2:
            await lh.aspirate(column, vols=[10.0] * 8)
            await lh.dispense([diluent] * 8, vols=[10.0] * 8)
        else:
            await lh.aspirate([diluent] * 8, vols=[10.0] * 8)
            await lh.dispense(column, vols=[10.0] * 8)
    await lh.return_tips()


def rows() -> list[Row]:
    """Measure on the STAR of the library."""
    [file] = workcell_files()
    definition = load_definition(file)  # type: ignore[arg-type]  # read_text is all it needs
    built = _seconds(lambda: _replica(definition), 3)
    replica = _replica(definition)
    short = _seconds(lambda: _plan(definition, replica, SHORT), REPEATS)
    long = _seconds(lambda: _plan(definition, replica, LONG), 1)
    return [
        _row(f"plan of a protocol of {SHORT} commands, seconds", short, 0.3),
        _row(f"plan of a protocol of {LONG} commands, seconds", long, 15),
        _row("building a STAR deck anew, which a plan on the run's replica saves, seconds", built),
    ]


def _replica(definition: WorkcellDefinition) -> Replica:
    async def nobody(command: Command) -> Outcome:
        raise AssertionError(command)

    return Replica(definition, nobody, run_id=uuid4(), simulate=True)


def _plan(definition: WorkcellDefinition, replica: Replica, commands: int) -> None:
    assets = {"tips": "tips_300_01", "plate": "plate_01", "diluent": "diluent"}
    parameters = {"commands": commands}
    made = plan(transfers, define(transfers), definition, parameters, assets, replica=replica)
    if len(made.commands) != commands or made.faults:
        raise ValueError(made.faults)


def _seconds(act: Callable[[], object], repeats: int) -> float:
    """Median; once before that is not counted, but for what is measured only once."""
    taken = []
    for _ in range(repeats + (repeats > 1)):
        gc.collect()
        start = perf_counter()
        act()
        taken.append(perf_counter() - start)
    return median(taken[-repeats:])


def _row(what: str, seconds: float, target: float | None = None) -> Row:
    return Row(what=what, measured=f"{seconds:.2f} s", ratio=seconds, target=target)


if __name__ == "__main__":
    print("| what | measured | ratio | target | met |\n| --- | --- | --- | --- | --- |")
    print("\n".join(row.line() for row in rows()))
