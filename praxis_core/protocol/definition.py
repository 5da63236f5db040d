"""The definition of a protocol: its name and version, what it takes, what it needs."""

from __future__ import annotations

import hashlib
import inspect
import json
import re
from collections.abc import Callable, Mapping
from typing import Any

from pydantic import BaseModel, ConfigDict

from praxis_core.errors import Problem
from praxis_core.protocol.authoring import ProtocolMark, protocol_mark
from praxis_core.protocol.docstring import docstring
from praxis_core.protocol.faults import Faults, protocol_faults
from praxis_core.protocol.loading import entrypoint_of
from praxis_core.protocol.nondeterminism import ReplayWarning, replay_warnings
from praxis_core.protocol.parameters import AssetRequirement, Parameters, read_parameters
from praxis_core.protocol.source import Source
from praxis_core.protocol.steps import StepDefinition, read_steps

__all__ = [
    "AssetRequirement",
    "ProtocolDefinition",
    "ReplayWarning",
    "StepDefinition",
    "define",
    "parameter_model",
    "validate_parameters",
]

_SEMANTIC_VERSION = re.compile(
    r"(0|[1-9]\d*)\.(0|[1-9]\d*)\.(0|[1-9]\d*)"
    r"(-(0|[1-9]\d*|\d*[a-zA-Z-][0-9a-zA-Z-]*)(\.(0|[1-9]\d*|\d*[a-zA-Z-][0-9a-zA-Z-]*))*)?"
    r"(\+[0-9a-zA-Z-]+(\.[0-9a-zA-Z-]+)*)?",
    re.ASCII,
)
"""https://semver.org"""

_NAME = re.compile(r"[^\s/%&<>](?:[^/%&<>\n\r]{0,98}[^\s/%&<>])?")
"""What Prefect takes as the name of a flow, on one line."""


class ProtocolDefinition(BaseModel):
    """The versioned, validated description of a protocol; plain data, without the function."""

    model_config = ConfigDict(frozen=True)

    name: str
    version: str
    """Semantic version, as the author gave it."""
    description: str
    """The docstring up to its first section."""
    entrypoint: str
    """What ``load_protocol`` takes to find the function: ``module:function``, or a file's path."""
    parameters: dict[str, Any]
    """JSON schema of the scientific parameters."""
    assets: tuple[AssetRequirement, ...]
    state_parameter: str | None
    """Name of the parameter that receives the run's state."""
    steps: tuple[StepDefinition, ...]
    source_hash: str
    """SHA-256 of the text of the protocol's module."""
    content_hash: str
    """SHA-256 of everything that makes this version; where the file lies does not count."""
    warnings: tuple[ReplayWarning, ...] = ()
    """What a resumed run could not repeat exactly."""


def define(function: Callable[..., Any]) -> ProtocolDefinition:
    """Read the definition of a protocol.

    Args:
        function: An async function marked with ``@protocol``.

    Raises:
        ProtocolFaults: the function cannot be a protocol; every fault with file, line and mend.
    """
    faults = _faults_of(function)
    mark = protocol_mark(function)
    _check_function(function, faults)
    _check_mark(mark, faults)
    parameters = read_parameters(function, faults)
    steps = read_steps(function, faults)
    faults.raise_any()
    schema = _schema(parameters, faults.name)
    version = mark.version if mark else ""
    content = {
        "name": faults.name,
        "version": version,
        "parameters": schema,
        # Without what is not said: a new kind of need leaves the versions of others as they are.
        "assets": [asset.model_dump(exclude_none=True) for asset in parameters.assets],
        "state_parameter": parameters.state,
        "steps": [step.model_dump(exclude_none=True) for step in steps],
        "source_hash": faults.source.hash,
    }
    return ProtocolDefinition(
        name=faults.name,
        version=version,
        description=docstring(function).prose,
        entrypoint=entrypoint_of(function),
        parameters=schema,
        assets=parameters.assets,
        state_parameter=parameters.state,
        steps=steps,
        source_hash=faults.source.hash,
        content_hash=_hash(content),
        warnings=replay_warnings(function),
    )


def parameter_model(function: Callable[..., Any]) -> type[BaseModel]:
    """Make the Pydantic model of a protocol's scientific parameters.

    Raises:
        ProtocolFaults: a parameter cannot be used.
    """
    faults = _faults_of(function)
    parameters = read_parameters(function, faults)
    faults.raise_any()
    return parameters.model(faults.name)


def validate_parameters(function: Callable[..., Any], raw: Mapping[str, Any]) -> dict[str, Any]:
    """Turn parameters as a form gives them into what the function takes, defaults filled in.

    Raises:
        pydantic.ValidationError: a value is missing, unknown or refused; it lists all of them.
        ProtocolFaults: a parameter of the function cannot be used.
    """
    return dict(parameter_model(function).model_validate(dict(raw)))


def _faults_of(function: Callable[..., Any]) -> Faults:
    if not inspect.isfunction(inspect.unwrap(function)):
        what = f"{function!r} is not a function"
        raise protocol_faults(repr(function), [Problem("", what, "write: async def ...")])
    mark = protocol_mark(function)
    return Faults(mark.name if mark else function.__name__, Source(function))


def _check_function(function: Callable[..., Any], faults: Faults) -> None:
    source = faults.source
    if source.node is None:
        what = "the source of the function is not in its file (any more)"
        faults.at(0, what, "save the protocol in a file and load it again")
    if inspect.isasyncgenfunction(inspect.unwrap(function)):
        faults.at(source.def_line, "the protocol yields", "return a value, or call run.record(...)")
    elif not inspect.iscoroutinefunction(inspect.unwrap(function)):
        mend = f"write: async def {function.__name__}(...)"
        faults.at(source.def_line, "the protocol is not an async function", mend)


def _check_mark(mark: ProtocolMark | None, faults: Faults) -> None:
    source = faults.source
    line = source.decorator_line("protocol")
    if mark is None:
        faults.at(source.def_line, "the function is not a protocol", "write @protocol above it")
        return
    if not _NAME.fullmatch(mark.name):
        what = f"the name {mark.name!r} cannot be used"
        faults.at(line, what, "use 1 to 100 characters on one line, without / % & < >")
    if not _SEMANTIC_VERSION.fullmatch(mark.version):
        what = f"the version {mark.version!r} is not a semantic version"
        faults.at(line, what, 'write MAJOR.MINOR.PATCH, e.g. version="1.0.0"')


def _schema(parameters: Parameters, name: str) -> dict[str, Any]:
    """The JSON schema, with the order of the form: a database does not keep that of the keys."""
    schema = parameters.model(name).model_json_schema()
    for position, field in enumerate(parameters.fields):
        schema["properties"][field]["position"] = position
    return schema


def _hash(content: dict[str, Any]) -> str:
    text = json.dumps(content, sort_keys=True, ensure_ascii=False, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()
