"""Whether a run may begin: parameters and assets, checked together; all problems told at once."""

from __future__ import annotations

import difflib
import reprlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any

from pydantic import ValidationError
from pydantic_core import ErrorDetails

from praxis_core.assets.choosing import Fact, choose, shortfalls, unusable
from praxis_core.assets.state import AssetManagerState
from praxis_core.assets.water import WATER
from praxis_core.errors import Problem, RunRefused
from praxis_core.planning.binding import Binding, match
from praxis_core.planning.shelf import listed
from praxis_core.protocol.definition import ProtocolDefinition, validate_parameters
from praxis_core.protocol.parameters import AssetRequirement


@dataclass(frozen=True, slots=True)
class CheckedRequest:
    """A request that nothing stands against."""

    parameters: dict[str, Any]
    """The scientific parameters as the function takes them, defaults filled in."""
    assets: Binding
    """Every required asset, and the optional ones that were found."""

    asset_names: tuple[str, ...]
    """What the run has to itself: devices and whole labware, sorted, each once."""


def check_request(  # noqa: PLR0913  # both sides of the question, by name
    definition: ProtocolDefinition,
    function: Callable[..., Any],
    *,
    workcell: str,
    parameters: Mapping[str, Any],
    assets: Mapping[str, object],
    candidates: Mapping[str, object],
    state: AssetManagerState | None = None,
    facts: Mapping[str, Fact] | None = None,
    water: bool = False,
) -> CheckedRequest:
    """Check what a user asks for against what the protocol takes and what the workcell has.

    Args:
        definition: The definition of the protocol.
        function: The protocol itself.
        workcell: Name of the workcell, for messages.
        parameters: Scientific parameters as a form or a file gives them.
        assets: Requirement -> name on the workcell; see :func:`praxis_core.planning.binding.bind`.
        candidates: The workcell's devices and labware by name, as live PyLabRobot objects.
        state: What is in them, so that what nobody named is chosen by what the protocol needs;
            None: nothing is chosen, and no needs are looked at.
        facts: What the catalogue knows of them, by name.
        water: Whether it is to be a water run, for which water stands in for every reagent.

    Raises:
        RunRefused: something is wrong; it lists every problem, with the value and what is allowed.
    """
    if water:
        definition = _with_water(definition)
    values: dict[str, Any] = {}
    problems: list[Problem] = []
    try:
        values = validate_parameters(function, parameters)
    except ValidationError as error:
        problems += parameter_problems(definition, error)
    if state is not None:
        assets, lacking = _chosen(
            definition, candidates, assets, state, facts or {}, workcell=workcell
        )
        problems += lacking
    bound = match(definition.assets, candidates, assets)
    known = {problem.where for problem in problems}
    problems += [problem for problem in bound.problems if problem.where not in known]
    if state is not None:
        told = {problem.what for problem in problems}
        not_given = unusable(bound.wholes, state, facts, workcell=workcell)
        problems += [problem for problem in not_given if problem.what not in told]
    if problems:
        raise RunRefused(
            protocol=definition.name, workcell=workcell, count=len(problems), problems=problems
        )
    return CheckedRequest(values, bound.assets, bound.wholes)


def _with_water(definition: ProtocolDefinition) -> ProtocolDefinition:
    """Let a protocol need water wherever it needs a reagent."""

    def needing(requirement: AssetRequirement) -> AssetRequirement:
        needs = requirement.needs
        if needs is None or needs.reagent is None:
            return requirement
        water = replace(needs, reagent=WATER)
        return requirement.model_copy(update={"needs": water})

    return definition.model_copy(update={"assets": tuple(map(needing, definition.assets))})


def _chosen(  # noqa: PLR0913  # as check_request has it
    definition: ProtocolDefinition,
    candidates: Mapping[str, object],
    assets: Mapping[str, object],
    state: AssetManagerState,
    facts: Mapping[str, Fact],
    *,
    workcell: str,
) -> tuple[Mapping[str, object], list[Problem]]:
    """Choose for requirements that say what they need, and look whether what is named has it."""
    open_ = [one for one in definition.assets if one.needs is not None and one.name not in assets]
    others = [one for one in definition.assets if one not in open_]
    bound = match(others, candidates, {name: one for name, one in assets.items() if one})
    taken = set(bound.wholes)
    choice = choose(open_, candidates, state, facts, taken=taken, workcell=workcell)
    problems = [*choice.problems]
    for requirement in others:
        named = bound.assets.get(requirement.name, [])
        names = [named] if isinstance(named, str) else named
        problems += shortfalls(requirement, names, state, facts, workcell=workcell)
    return {**assets, **choice.assets}, problems


def parameter_problems(definition: ProtocolDefinition, error: ValidationError) -> list[Problem]:
    """Say what Pydantic found in the words of the protocol."""
    return [_parameter_problem(definition, detail) for detail in error.errors(include_url=False)]


def _parameter_problem(definition: ProtocolDefinition, detail: ErrorDetails) -> Problem:
    location = detail["loc"]
    where = f"parameters{_path(location)}"
    name = str(location[0]) if location else ""
    if detail["type"] == "extra_forbidden":
        return Problem(
            where, f"there is no parameter {location[-1]!r}", _instead(definition, location)
        )
    described = _described(definition, name)
    if detail["type"] == "missing":
        return Problem(where, "a value is needed, and none was given", described)
    reason = detail["msg"].removeprefix("Value error, ").removeprefix("Input ")
    return Problem(where, f"{reprlib.repr(detail['input'])} is refused: {reason}", described)


def _path(location: tuple[int | str, ...]) -> str:
    return "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in location)


def _instead(definition: ProtocolDefinition, location: tuple[int | str, ...]) -> str:
    """What the user may have meant by a parameter that does not exist."""
    if len(location) > 1:
        return "leave it out"
    name = str(location[0])
    if name in {asset.name for asset in definition.assets}:
        return f"{name} is an asset: name it under assets"
    if name == definition.state_parameter:
        return "the run provides its state itself: leave it out"
    known = list(definition.parameters.get("properties", {}))
    close = difflib.get_close_matches(name, known, n=1)
    return f"did you mean {close[0]}?" if close else f"it takes: {listed(known)}"


def _described(definition: ProtocolDefinition, name: str) -> str:
    """What the author says about a parameter."""
    schema = definition.parameters.get("properties", {}).get(name, {})
    return str(schema.get("description", ""))
