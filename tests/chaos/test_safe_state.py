"""Nobody's death leaves a shaker on, or lets a sample go cold that was to be kept warm."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing
from itertools import chain, combinations
from pathlib import Path
from statistics import quantiles

import pytest

from praxis_core.workcell.definition import OnLost, WorkcellDefinition
from tests.chaos.lanes import side_by_side
from tests.chaos.own_services import OwnServices
from tests.chaos.report import Report
from tests.chaos.shaking import story
from tests.chaos.stand import PROMISED, Kill, Stand, Trouble, Victim

OpenStand = Callable[[float], Stand]

LOST = [
    frozenset(some)
    for some in chain.from_iterable(combinations(Victim, size) for size in range(1, 5))
    if {Victim.FLOW, Victim.HOST} & set(some)
]
"""Every set of victims after which nobody looks after the devices."""

SERVICES = [
    frozenset(some)
    for size in (1, 2)
    for some in combinations([Victim.REDIS, Victim.POSTGRES], size)
]

KILLS = [
    *(Kill(victims) for victims in LOST),
    *(Kill(victims, Trouble.REFUSES) for victims in LOST[:2]),
    *(Kill(victims, Trouble.BUSY) for victims in LOST[:2]),
    *(Kill(victims) for victims in SERVICES),
]

TRIALS = {240: 40, 0: 22}
"""How many, by the minutes for which the heater holds its temperature."""


@pytest.fixture
def open_stand(tmp_path: Path) -> Iterator[OpenStand]:
    """Opens a workcell whose heater holds for some minutes when its run is lost."""
    with ExitStack() as opened:

        def make(hold_minutes: float) -> Stand:
            folder = tmp_path / f"hold{hold_minutes:g}"
            services = opened.enter_context(closing(OwnServices(folder)))
            workcell = _holding(story(folder).workcell(), hold_minutes)
            return opened.enter_context(closing(Stand(folder, services, workcell)))

        yield make


def test_nothing_is_left_on(open_stand: OpenStand) -> None:
    """Two of the kills that ``make chaos`` goes through."""
    stand = open_stand(240)
    assert stand.carry_out(Kill(frozenset([Victim.HOST]))).faults == []
    victims = frozenset([Victim.FLOW, Victim.POSTGRES])
    assert stand.carry_out(Kill(victims)).faults == []


@pytest.mark.chaos
def test_whatever_dies(open_stand: OpenStand, report: Report) -> None:
    """Everything, alone and together, with a heater that holds and one that may not."""

    def each(stand: Stand, number: int) -> None:
        kill = KILLS[number % len(KILLS)]
        facts = {"kill": str(kill), "on_lost": stand.on_lost, "number": number}
        if not report.carry_out("safe", facts, lambda: stand.carry_out(kill)):
            stand.renew()

    parts = []
    for minutes, count in TRIALS.items():
        stand = open_stand(minutes)
        done = {row["number"] for row in report.rows("safe", on_lost=stand.on_lost)}
        parts.append(([stand], sorted(set(range(count)) - done)))
    side_by_side(parts, each)
    rows = report.rows("safe")
    assert report.faults("safe") == []
    assert len(rows) >= 60
    late = [
        row["off_after"]
        for row in rows
        if row["off_after"] is not None and Trouble.REFUSES not in row["kill"]
    ]
    assert quantiles(late, n=100)[98] < PROMISED


def _holding(workcell: WorkcellDefinition, minutes: float) -> WorkcellDefinition:
    shaker = workcell.devices["shaker"].model_copy(update={"on_lost": OnLost(hold_minutes=minutes)})
    return workcell.model_copy(update={"devices": {**workcell.devices, "shaker": shaker}})
