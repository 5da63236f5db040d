"""The closed form of an enzyme's kinetics is that of its rate law."""

from __future__ import annotations

import math

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from praxis_core.simulator.chemistry import Reaction, react


def _reaction(kcat: float, km: float) -> Reaction:
    return Reaction(enzyme="e", substrate="s", product="p", kcat_per_s=kcat, km_uM=km)


@settings(deadline=None, max_examples=50)
@given(
    kcat=st.floats(0.1, 100),
    km=st.floats(0.5, 500),
    substrate=st.floats(0.1, 1000),
    left=st.floats(1e-4, 1),
)
def test_depletion_follows_the_rate_law(
    kcat: float, km: float, substrate: float, left: float
) -> None:
    """The time to come down to a part of the substrate is the rate law's, summed up."""
    rate = kcat * 0.01
    steps = 2_000
    step = -math.log(left) / steps  # equal steps of the substrate's logarithm
    middles = (substrate * math.exp(-(i + 0.5) * step) for i in range(steps))
    seconds = sum((km + s) / rate * step for s in middles)
    formed = _reaction(kcat, km).turned_over({"e": 0.01, "s": substrate}, seconds)
    assert formed == pytest.approx(substrate * (1 - left), abs=1e-5 * substrate)


@settings(deadline=None)
@given(
    micromolar=st.floats(0, 1e6),
    km=st.floats(1e-6, 1e6),
    kcat=st.floats(1e-6, 1e6),
    seconds=st.floats(-10, 1e9),
)
def test_no_more_product_than_substrate(
    micromolar: float, km: float, kcat: float, seconds: float
) -> None:
    """Never negative, never more than there was, and always a number."""
    formed = _reaction(kcat, km).turned_over({"e": 1, "s": micromolar}, seconds)
    assert 0 <= formed <= micromolar
    assert math.isfinite(formed)


def test_a_dose_response_has_the_configured_ic50_and_slope() -> None:
    """At the IC50 half the rate, whatever the slope; ten times above, 1/101 with a slope of 2."""
    reaction = Reaction(
        enzyme="e",
        substrate="s",
        product="p",
        kcat_per_s=1,
        km_uM=10,
        inhibitor="i",
        ic50_uM=2,
        hill=2,
    )
    rates = [reaction.turned_over({"e": 1e-6, "s": 100, "i": dose}, 1) for dose in (0, 2, 20)]
    assert rates[1] / rates[0] == pytest.approx(1 / 2, rel=1e-4)
    assert rates[2] / rates[0] == pytest.approx(1 / 101, rel=1e-4)
    assert reaction.turned_over({"e": 1, "s": 100, "i": 1e300}, 1) == pytest.approx(0)


def test_what_one_reaction_makes_another_may_use() -> None:
    """Reactions run in their order; substrate and product together stay what they were."""
    chain = [
        Reaction(enzyme="e", substrate="s", product="p", kcat_per_s=10, km_uM=1),
        Reaction(enzyme="e", substrate="p", product="q", kcat_per_s=10, km_uM=1),
    ]
    now = react(chain, {"e": 1, "s": 5, "p": 0}, {"e": 1e6, "s": 1e6, "p": 1e6})
    assert now["q"] == pytest.approx(5)
    assert now["s"] + now["p"] + now["q"] == pytest.approx(5)
    assert react(chain, {"s": 5}, {"s": 100}) == {"s": 5}
