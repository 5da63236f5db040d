"""What a workcell is: its devices, decks, labware and named places, as one validated document.

A definition is data. It is written as YAML, stored as JSON in the database, and built into
PyLabRobot objects by ``praxis_core.workcell.model``.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Annotated

from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    JsonValue,
    ValidationError,
    model_validator,
)
from pydantic_core import PydanticCustomError

from praxis_core.errors import Problem, WorkcellFaults
from praxis_core.protocol.lifecycle import OnError
from praxis_core.workcell.well_formed import well_formed
from praxis_core.workcell.yaml_lines import Location, YamlFault, read_yaml

Name = Annotated[str, Field(min_length=1, pattern=r"^[A-Za-z_][A-Za-z0-9_ -]*$")]
ImportPath = Annotated[
    str, Field(pattern=r"^[\w.]+:[\w.]+$", examples=["pylabrobot.liquid_handling:LiquidHandler"])
]


class _Part(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class WorkcellMode(StrEnum):
    """What the devices of a workcell are."""

    SIMULATED = "simulated"
    """Pretend devices; nothing real is ever constructed."""
    REAL = "real"
    """Hardware. Each run may still ask for the simulated devices."""


class Refill(StrEnum):
    """How a workcell comes by what runs have used."""

    BY_HAND = "by_hand"
    """What a run used stays used, until somebody brings new labware and says so."""
    EVERY_RUN = "every_run"
    """It is set back to what the definition says before each new run; simulated ones only."""


class DeckDefinition(_Part):
    """A deck: where labware stands under a liquid handler."""

    factory: str = Field(
        min_length=1, description='Deck class or factory of PyLabRobot, e.g. "STARDeck".'
    )
    config: dict[str, JsonValue] = Field(default_factory=dict)


class OnLost(_Part):
    """What a device does when the run that set it is gone: ``off``, or ``{hold_minutes: 240}``."""

    hold_minutes: float = Field(
        ge=0,
        allow_inf_nan=False,
        description="How long it stays as the run set it, then it is switched off; 0: at once.",
    )

    @model_validator(mode="before")
    @classmethod
    def _read(cls, value: object) -> object:
        if value == "off" or value is False:  # YAML reads a bare off as False
            return {"hold_minutes": 0}
        if not isinstance(value, (dict, OnLost)):
            raise PydanticCustomError("on_lost", "write off, or {hold_minutes: 240}")
        return value


_DURATION = re.compile(r"(\d+(?:\.\d+)?) ?(ms|s|min|h)")
_SECONDS = {"ms": 0.001, "s": 1.0, "min": 60.0, "h": 3600.0}


def _seconds(value: object) -> object:
    """Read "500 ms", "2 s" or "1 min"; a bare number is seconds."""
    if not isinstance(value, str):
        return value
    found = _DURATION.fullmatch(value.strip())
    if found is None:
        raise PydanticCustomError("duration", 'write a duration: "500 ms", "2 s", "1 min"')
    return float(found[1]) * _SECONDS[found[2]]


class Retry(_Part):
    """How a method of a device is tried again that has failed: ``{times: 3, wait: 2 s}``.

    What may be repeated is tried again whatever it failed with; what happens once only if it is
    certain that nothing of it was sent.
    """

    times: int = Field(ge=1, le=100, description="How often at most, after the first try.")
    wait: Annotated[
        float, BeforeValidator(_seconds), Field(ge=0, le=86_400, allow_inf_nan=False)
    ] = Field(default=1.0, description='How long before the first of these: "500 ms", "2 s".')
    factor: float = Field(
        default=1.0,
        ge=1,
        le=100,
        allow_inf_nan=False,
        description="By what the wait grows from each to the next.",
    )

    def pause(self, number: int) -> float:
        """Say how many seconds are waited before a retry, counted from 1."""
        return float(self.wait * self.factor ** (number - 1))


class Reaction(_Part):
    """What becomes of a run when a command of a device fails: ``{method: aspirate, then: ask}``."""

    method: str = Field(
        default="", description="Which of its backend's methods fails; unset: any of them."
    )
    error: str = Field(
        default="",
        description="Class of the error, without its module: TooLittleLiquidError; unset: any. Of "
        "an error of several channels, that of any of them.",
    )
    then: OnError = Field(
        description="ask: the run waits until a person says what to do. raise: its protocol is "
        "told, and ends unless it catches the error."
    )

    def is_for(self, method: str, errors: Collection[str]) -> bool:
        """Whether it says what becomes of a failure.

        Args:
            method: What failed.
            errors: Names of the classes of what it failed with.
        """
        return self.method in {"", method} and (not self.error or self.error in errors)


class DeviceDefinition(_Part):
    """A machine: a PyLabRobot frontend and the two backends that may drive it.

    Values of the three configurations are plain JSON, or PyLabRobot's data classes in the encoded
    form of ``praxis_core.labware.encoding`` (``{"$data": "module:Class", "fields": {...}}``). Three
    numbers are enough for a ``Coordinate`` of the frontend.
    """

    frontend: ImportPath
    backend: ImportPath
    simulated_backend: ImportPath
    config: dict[str, JsonValue] = Field(default_factory=dict, description="For the frontend.")
    backend_config: dict[str, JsonValue] = Field(
        default_factory=dict, description="For the backend."
    )
    simulated_config: dict[str, JsonValue] = Field(
        default_factory=dict, description="For the simulated backend."
    )
    deck: Name | None = Field(default=None, description="The deck that a liquid handler works on.")
    at: str | None = Field(
        default=None,
        description='Where a device stands that an arm reaches: "deck at 1100, 150, 120" (mm).',
    )
    temperature: tuple[float, float] | None = Field(
        default=None,
        description="Range in °C that the device must show before a run; unset: any.",
    )
    on_lost: OnLost | None = Field(
        default=None,
        description="What it does when the process of its run is lost; unset: what is safe for a "
        "device of its kind. Nothing is ever dropped, opened or moved.",
    )
    retries: dict[str, Retry] = Field(
        default_factory=dict,
        description="Which of its backend's methods are tried again when they fail, and how; "
        "unset: none. Each try is in the audit trail of the run.",
    )
    on_error: tuple[Reaction, ...] = Field(
        default=(),
        description="What becomes of a run when a command of it fails: the first line counts that "
        "fits; none: what the workcell says.",
    )
    adopts: bool = Field(
        default=True,
        description="Whether the simulated device can be taken up as it is after a crash. One that "
        "cannot is set up again, as some real ones must be: mounted tips are lost.",
    )


class Contents(_Part):
    """What some wells of a piece of labware hold at the beginning of a run."""

    wells: str = Field(
        default="all", description='"all", "A1", "A1:H1" or several of these with commas.'
    )
    volume: float = Field(gt=0, description="µL in each.")
    solutes: dict[str, Annotated[float, Field(ge=0)]] = Field(
        default_factory=dict, description="Concentration of each solute, µM."
    )


class LabwareDefinition(_Part):
    """A carrier, plate, tip rack, trough, ... made by a factory of PyLabRobot."""

    name: Name
    factory: str = Field(
        min_length=1,
        description='Name of the PyLabRobot factory, e.g. "cor_96_wellplate_360uL_Fb".',
    )
    at: str = Field(
        description='"deck rails 7", "deck slot 3", "deck at 100, 200, 50", "carrier[2]", or the '
        "name of a device or labware that holds one thing."
    )
    config: dict[str, JsonValue] = Field(default_factory=dict)
    contents: tuple[Contents, ...] = ()
    used_tips: str | None = Field(
        default=None,
        description='Tip spots that are empty, written like wells; "all": an empty rack.',
    )


class WorkcellDefinition(_Part):
    """Devices and decks that share a physical space, and what stands on them before a run."""

    name: Name
    description: str = ""
    mode: WorkcellMode = WorkcellMode.SIMULATED
    refill: Refill = Field(
        default=Refill.BY_HAND,
        description="by_hand: a run begins with what is there. every_run: the deck is set back to "
        "this definition before each new run, which only pretend decks can.",
    )
    on_error: OnError = Field(
        default=OnError.RAISE,
        description="What becomes of a run when a command fails, unless its device or its protocol "
        "says otherwise. ask: it waits until a person says what to do. raise: its protocol is "
        "told, and ends unless it catches the error.",
    )
    decks: dict[Name, DeckDefinition] = Field(default_factory=dict)
    devices: dict[Name, DeviceDefinition]
    labware: tuple[LabwareDefinition, ...] = ()
    places: dict[str, str] = Field(
        default_factory=dict,
        description='Names that people use, e.g. "carrier 1, site 2": "carrier_plates[1]".',
    )


@dataclass(frozen=True, slots=True)
class Fault:
    """One fault of a definition."""

    where: Location
    """Keys and positions that lead to it."""
    what: str

    @property
    def path(self) -> str:
        """Where it is, for people who have no file with lines."""
        return ".".join(str(part) for part in self.where)


def load_definition(path: Path) -> WorkcellDefinition:
    """Read a workcell definition from a YAML file and check it against PyLabRobot.

    Raises:
        WorkcellFaults: with every fault of the file, each with its line.
        OSError: the file cannot be read.
    """
    try:
        document = read_yaml(path.read_text(encoding="utf-8"))
    except YamlFault as fault:
        raise _faults(path, [Problem(f"{path.name}:{fault.line}", fault.what)]) from None
    faults = [Fault(where, what) for where, what in document.duplicates]
    definition: WorkcellDefinition | None = None
    try:
        definition = WorkcellDefinition.model_validate(document.data)
        faults += _faults_of_meaning(definition)
    except ValidationError as error:
        found = error.errors(include_url=False)
        faults += [Fault(fault["loc"], f"{_last(fault['loc'])}{fault['msg']}") for fault in found]
        faults += _faults_of_the_rest(document.data, [fault["loc"] for fault in found])
    if definition is None or faults:
        lines = sorted((document.line(fault.where), fault.what) for fault in faults)
        raise _faults(path, [Problem(f"{path.name}:{line}", what) for line, what in lines])
    return definition


def _last(where: Location) -> str:
    names = [part for part in where if part != "[key]"]  # Pydantic's word for a bad name
    return f"{names[-1]}: " if names else ""


def _faults_of_meaning(definition: WorkcellDefinition, broken: Iterable[str] = ()) -> list[Fault]:
    from praxis_core.workcell.model import assemble

    return assemble(definition, broken=broken)[1]


def _faults_of_the_rest(data: JsonValue, faults: list[Location]) -> list[Fault]:
    """Check what is left of a definition without the entries that have faults of form."""
    rest = well_formed(data, faults)
    try:
        definition = WorkcellDefinition.model_validate({"name": "unnamed", **rest.data})
    except ValidationError:
        return []  # too little is left, and what is wrong has been told
    return [
        Fault(rest.original(fault.where), fault.what)
        for fault in _faults_of_meaning(definition, rest.broken)
    ]


def _faults(path: Path, problems: list[Problem]) -> WorkcellFaults:
    return WorkcellFaults(name=path.stem, count=len(problems), problems=problems)
