"""What Prefect sees of a compiled protocol."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated

from pydantic import BaseModel, Field
from pylabrobot.resources import Plate

from flows import compile_protocol
from flows.serial_dilution import serial_dilution_flow
from praxis_core.protocol import protocol


class Speed(StrEnum):
    """How fast."""

    SLOW = "slow"
    FAST = "fast"


class Wash(BaseModel):
    """One wash."""

    cycles: int = Field(3, ge=1, le=9, description="How often.")


@protocol(name="wash", version="2.1.0")
async def wash(
    plate: Plate,
    speed: Speed,
    wash: Wash,
    volume: Annotated[float, Field(gt=0, le=300, description="Per well, µL.")] = 100.0,
) -> None:
    """Wash a plate."""


def test_the_form_has_types_ranges_choices_and_descriptions() -> None:
    """Scientific parameters come first, then where and with what the protocol runs."""
    flow = compile_protocol(wash, workcell="bench 2")

    properties = flow.parameters.properties
    assert list(properties)[:3] == ["speed", "wash", "volume"]
    assert set(properties) - {"speed", "wash", "volume"} == {
        "workcell",
        "assets",
        "simulate",
        "carry_from",
        "priority",
        "water_run",
        "until",
    }
    assert properties["volume"]["exclusiveMinimum"] == 0
    assert properties["volume"]["maximum"] == 300
    assert properties["volume"]["description"] == "Per well, µL. (> 0, ≤ 300)"
    assert properties["workcell"]["default"] == "bench 2"
    assert flow.parameters.definitions["Speed"]["enum"] == ["slow", "fast"]
    assert flow.parameters.definitions["Wash"]["properties"]["cycles"]["maximum"] == 9
    assert flow.parameters.required == ["speed", "wash"]


def test_assets_are_not_in_the_form() -> None:
    """A plate cannot be typed into a page; it is named under assets."""
    assert "plate" not in serial_dilution_flow.parameters.properties


def test_the_version_tells_one_source_from_another() -> None:
    """The author's version and the hash of what it stands for."""
    version = compile_protocol(wash).version

    assert version is not None
    assert version.startswith("2.1.0+")


def test_nothing_is_cached_persisted_or_retried_by_the_engine() -> None:
    """Whether something is done again is never decided by Prefect's caches."""
    from tasks.run_step import step_task

    assert serial_dilution_flow.persist_result is False
    assert serial_dilution_flow.retries == 0
    assert step_task.retries == 0
    assert step_task.persist_result is False
    assert step_task.cache_policy is not None
    assert step_task.cache_policy.compute_key(None, {}, {}) is None  # type: ignore[arg-type]
