"""What was used stays used: after each run tips and volumes are known as they are."""

from __future__ import annotations

import random
from functools import partial

import pytest

from tests.chaos.conftest import OpenWorld
from tests.chaos.library_runs import LIBRARY, Laboratory, Wish, any_wish
from tests.chaos.report import Report
from tests.chaos.stories import DILUTION

MANY = 50


def test_a_few_runs(open_world: OpenWorld) -> None:
    """One of those that ``make chaos`` goes through, and two that want the same rack and plate."""
    laboratory, chance = Laboratory(open_world(LIBRARY)), random.Random()  # noqa: S311
    any_ = laboratory.carry_out(any_wish(chance))
    used = laboratory.carry_out(Wish(DILUTION, None))
    again = laboratory.carry_out(Wish(DILUTION, None))
    assert any_.faults == used.faults == again.faults == []
    assert again.refilled == ["tips_300_01", "plate_01"]


@pytest.mark.chaos
def test_many_runs(open_world: OpenWorld, report: Report) -> None:
    """One after another on one workcell, for as long as nothing is wrong."""
    chance, number = random.Random(), 1  # noqa: S311
    laboratory = Laboratory(open_world(LIBRARY))
    for _ in report.left("library", MANY):
        wish = any_wish(chance)
        facts = {"protocol": wish.story.name, "victim": wish.victim or "nothing"}
        if not report.carry_out("library", facts, partial(laboratory.carry_out, wish)):
            number += 1
            laboratory = Laboratory(open_world(LIBRARY, number))
    rows = report.rows("library")
    assert report.faults("library") == []
    assert sum(row["hit"] for row in rows) > 0.5 * len(rows)
    assert any(row["refilled"] for row in rows)
