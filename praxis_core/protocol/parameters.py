"""The parameters of a protocol: assets, the run's state, and what the scientist decides."""

from __future__ import annotations

import difflib
import inspect
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from types import SimpleNamespace
from typing import Annotated, Any, cast, get_args, get_origin, get_type_hints

from pydantic import BaseModel, ConfigDict, Field, ValidationError, create_model
from pydantic.errors import PydanticSchemaGenerationError, PydanticUserError
from pydantic.fields import FieldInfo
from pydantic_core import PydanticSerializationError, SchemaError

from praxis_core.labware.annotations import AssetAnnotation, asset_annotation, mentions_asset
from praxis_core.protocol.docstring import docstring
from praxis_core.protocol.faults import Faults
from praxis_core.protocol.needs import Needs, needs_in

RESERVED = ("workcell", "assets", "simulate", "carry_from", "priority", "water_run")
"""Fields that the form of every run has beside the protocol's own."""

_SAMPLES: dict[str, Any] = {"string": "", "number": 1.0, "integer": 1, "boolean": True}
"""A value of each plain JSON type."""

_MUTABLE = (list, dict, set, bytearray)
_STATE_HINT = "write state: PraxisState"


class AssetRequirement(BaseModel):
    """An asset that a run of the protocol needs."""

    model_config = ConfigDict(frozen=True)

    name: str
    cls: str
    """Import path of its PyLabRobot class, ``module:QualifiedName``."""
    many: bool = False
    """Whether the protocol takes a list of them."""
    optional: bool = False
    """Whether the protocol does without it as well."""
    description: str = ""
    needs: Needs | None = None
    """What it must have when the run begins."""

    @property
    def annotation(self) -> AssetAnnotation:
        """What decides whether a thing fits."""
        return AssetAnnotation(self.cls, many=self.many, optional=self.optional)

    @property
    def kind(self) -> str:
        """The class as people say it, ``"Plate"``."""
        return self.cls.rpartition(":")[2]


@dataclass(frozen=True, slots=True)
class Parameters:
    """The parameters of a protocol, sorted by what they are."""

    fields: dict[str, tuple[Any, Any]]
    """Scientific parameters: annotation and default, as Pydantic's ``create_model`` takes them."""
    assets: tuple[AssetRequirement, ...]
    state: str | None

    def model(self, name: str) -> type[BaseModel]:
        """The Pydantic model of the scientific parameters; it refuses what it does not know."""
        return _model(name, self.fields)


def read_parameters(function: Callable[..., Any], faults: Faults) -> Parameters:
    """Sort the parameters of a protocol and note every fault of theirs."""
    return _Reader(inspect.unwrap(function), faults).read()


class _Reader:
    """Reads the parameters of one function; a parameter with a fault is left out of the result."""

    def __init__(self, function: Callable[..., Any], faults: Faults) -> None:
        self._function = function
        self._faults = faults
        self._descriptions = docstring(function).arguments
        self._fields: dict[str, tuple[Any, Any]] = {}
        self._assets: list[AssetRequirement] = []
        self._state: str | None = None

    def read(self) -> Parameters:
        for parameter in inspect.signature(self._function).parameters.values():
            if self._can_be_named(parameter):
                self._sort(parameter)
        return Parameters(self._fields, tuple(self._assets), self._state)

    def _can_be_named(self, parameter: inspect.Parameter) -> bool:
        """Whether a run can pass it by name."""
        name = parameter.name
        if parameter.kind in (parameter.VAR_POSITIONAL, parameter.VAR_KEYWORD):
            stars = "*" if parameter.kind is parameter.VAR_POSITIONAL else "**"
            what = f"takes any number of arguments ({stars}{name})"
            self._faults.of_parameter(name, what, "name each parameter, or take a list")
            return False
        if parameter.kind is parameter.POSITIONAL_ONLY:
            what = "is positional-only, and a run passes parameters by name"
            self._faults.of_parameter(name, what, "remove the / from the signature")
        if name in RESERVED:
            what = "has a name that the form of every run uses itself"
            self._faults.of_parameter(name, what, f"rename it; reserved: {', '.join(RESERVED)}")
        return True

    def _sort(self, parameter: inspect.Parameter) -> None:
        name = parameter.name
        annotation = self._annotation(parameter)
        if name == "state" or _is_praxis_state(annotation):
            self._read_state(parameter, annotation)
        elif annotation is parameter.empty:
            return
        elif (asset := asset_annotation(annotation)) is not None:
            self._read_asset(parameter, annotation, asset)
        elif mentions_asset(annotation):
            shown = inspect.formatannotation(annotation)
            what = f"mentions an asset in a form that cannot be bound: {shown}"
            self._faults.of_parameter(
                name,
                what,
                "an asset is one PyLabRobot class, list[...] of one, or either with | None",
            )
        elif _is_pylabrobot(annotation):
            what = f"is a {annotation.__qualname__}, which is neither a machine nor a resource"
            self._faults.of_parameter(
                name, what, "take the machine itself (e.g. LiquidHandler) or the labware"
            )
        else:
            self._read_field(parameter, annotation)

    def _annotation(self, parameter: inspect.Parameter) -> Any:
        """The annotation itself, or ``empty`` when there is none or it cannot be read."""
        name = parameter.name
        if parameter.annotation is parameter.empty:
            if name in ("self", "cls"):
                what, mend = "belongs to a class", "write the protocol as a function of its own"
                self._faults.of_parameter(name, what, mend)
            elif name != "state":
                mend = f"write {name}: float, {name}: Plate, ..."
                self._faults.of_parameter(name, "has no type annotation", mend)
            return parameter.empty
        try:
            return _resolve(self._function, name, parameter.annotation)
        except NameError as error:
            if name != "state":
                self._note_unknown(name, error.name or str(error))
        except (SyntaxError, AttributeError, TypeError, ImportError) as error:
            what = f"has an annotation that cannot be read, {parameter.annotation!r}: {error}"
            self._faults.of_parameter(name, what, "correct the annotation")
        return parameter.empty

    def _note_unknown(self, name: str, unknown: str) -> None:
        line = self._faults.source.type_checking_line(unknown)
        if line is not None:
            what = f"is annotated {unknown}, which line {line} imports for type checkers only"
            mend = f"import {unknown} outside of `if TYPE_CHECKING:`; a run needs the class itself"
        else:
            what = f"is annotated with {unknown}, which is not known in this file"
            close = difflib.get_close_matches(unknown, self._function.__globals__, n=1)
            mend = f"did you mean {close[0]}?" if close else f"import {unknown}"
        self._faults.of_parameter(name, what, mend)

    def _read_state(self, parameter: inspect.Parameter, annotation: Any) -> None:
        name = parameter.name
        plain = annotation in (parameter.empty, Any, object) or _is_mapping(annotation)
        if not plain and not _is_praxis_state(annotation):
            shown = inspect.formatannotation(annotation)
            what = f"is the run's state by its name, and is annotated {shown}"
            self._faults.of_parameter(name, what, f"{_STATE_HINT}, or rename the parameter")
        if self._state is not None:
            what = f"is a second run state; {self._state!r} is one already"
            self._faults.of_parameter(name, what, "a run has one state; remove one of the two")
        self._state = self._state or name

    def _read_asset(
        self, parameter: inspect.Parameter, annotation: Any, asset: AssetAnnotation
    ) -> None:
        name = parameter.name
        if "<locals>" in asset.cls:
            what = f"is annotated with a class made inside a function, {asset.cls}"
            self._faults.of_parameter(name, what, "define the class at the top of a module")
        if asset.optional and parameter.default is not None:
            what = "may be None, and does not say so by its default"
            self._faults.of_parameter(name, what, "write ... | None = None")
        elif not asset.optional and parameter.default is not parameter.empty:
            what = f"is an asset, and has the default {parameter.default!r}"
            mend = "remove the default, or write ... | None = None when the protocol can do without"
            self._faults.of_parameter(name, what, mend)
        self._assets.append(
            AssetRequirement(
                name=name,
                cls=asset.cls,
                many=asset.many,
                optional=asset.optional,
                description=self._description(name, annotation),
                needs=self._needs(name, annotation, asset),
            )
        )

    def _needs(self, name: str, annotation: Any, asset: AssetAnnotation) -> Needs | None:
        """Give what is asked of an asset; nothing of a class that nobody else can import."""
        found, inside = needs_in(annotation)
        if inside:
            self._faults.of_parameter(
                name,
                "has Needs inside its list",
                "write Annotated[list[...], Needs(...)]: it is said of all of them together",
            )
        if len(found) > 1:
            self._faults.of_parameter(name, "has Needs twice", "write all of it in one Needs(...)")
        if not found or "<locals>" in asset.cls:
            return None
        for what, mend in found[0].faults(asset.load()):
            self._faults.of_parameter(name, what, mend)
        return found[0]

    def _read_field(self, parameter: inspect.Parameter, annotation: Any) -> None:
        name, default = parameter.name, parameter.default
        if needs_in(annotation)[0]:
            what = "has Needs, and is no asset"
            self._faults.of_parameter(name, what, "bounds of a value are Field(gt=..., le=...)")
            return
        if name.startswith("_") or name in dir(BaseModel):
            mend = f"call it e.g. {name.strip('_')}_value"
            self._faults.of_parameter(name, "has a name that Pydantic keeps for itself", mend)
            return
        if isinstance(default, FieldInfo):
            what = "has Field(...) as its default, so a direct call would receive the Field itself"
            mend = f"write {name}: Annotated[<type>, Field(...)] = <default>"
            self._faults.of_parameter(name, what, mend)
            return
        if isinstance(default, _MUTABLE):
            what = f"has a mutable default, {default!r}, which all calls would share"
            self._faults.of_parameter(name, what, "use a tuple, or None")
            return
        description = self._description(name, annotation)
        if description:
            annotation = Annotated[annotation, Field(description=description)]
        field = (annotation, ... if default is parameter.empty else default)
        fault = _field_fault(name, field)
        if fault is None:
            self._fields[name] = field
        else:
            self._faults.of_parameter(name, *fault)

    def _description(self, name: str, annotation: Any) -> str:
        """From ``Field(description=...)``, else from the docstring."""
        extras = get_args(annotation)[1:] if get_origin(annotation) is Annotated else ()
        described = [extra.description for extra in extras if isinstance(extra, FieldInfo)]
        return next(filter(None, described), self._descriptions.get(name, ""))


def _resolve(function: Callable[..., Any], name: str, annotation: Any) -> Any:
    """The annotation itself; as text, it is looked up where the function was written."""
    carrier = cast("Any", SimpleNamespace(__annotations__={name: annotation}))
    enclosing: Mapping[str, Any] = inspect.getclosurevars(function).nonlocals
    return get_type_hints(carrier, function.__globals__, dict(enclosing), include_extras=True)[name]


def _is_praxis_state(annotation: Any) -> bool:
    """Told by name, with or without ``| None``: the state's room lies above this one."""
    return any(
        base.__name__ == "PraxisState" and base.__module__.startswith("praxis_core.state")
        for option in (annotation, *get_args(annotation))
        if isinstance(option, type)
        for base in option.__mro__
    )


def _is_mapping(annotation: Any) -> bool:
    """Whether a ``state`` parameter is annotated as a dictionary, so that a test may pass one."""
    cls = get_origin(annotation) or annotation  # dict[str, Any] -> dict
    return isinstance(cls, type) and issubclass(cls, Mapping)


def _is_pylabrobot(annotation: Any) -> bool:
    return isinstance(annotation, type) and annotation.__module__.startswith("pylabrobot.")


def _model(name: str, fields: dict[str, tuple[Any, Any]]) -> type[BaseModel]:
    config = ConfigDict(
        title=name,
        extra="forbid",
        allow_inf_nan=False,
        validate_default=True,
        protected_namespaces=(),
    )
    definitions: dict[str, Any] = dict(fields)
    return create_model(name, __config__=config, **definitions)


def _field_fault(name: str, field: tuple[Any, Any]) -> tuple[str, str] | None:
    """What is wrong with one scientific parameter, and how to mend it."""
    shown = inspect.formatannotation(field[0])
    try:
        model = _model(name, {name: field})
        _try_constraints(model, name)
        if field[1] is not ...:
            model().model_dump(mode="json")
    except ValidationError as error:
        reasons = "; ".join(str(detail["msg"]) for detail in error.errors())
        return f"has the default {field[1]!r}, which is refused: {reasons}", "correct the default"
    except PydanticSerializationError as error:
        return f"has a default that the form cannot show: {error}", "use a plain value"
    except (PydanticUserError, SchemaError, TypeError) as error:
        what = f"is annotated {shown}, neither an asset nor a type that Pydantic can check"
        if not isinstance(error, PydanticSchemaGenerationError):
            what += f": {str(error).partition(chr(10))[0]}"
        return what, "use a PyLabRobot class, a number, text, enum, Literal, or a Pydantic model"
    return None


def _try_constraints(model: type[BaseModel], name: str) -> None:
    """Raise the ``TypeError`` that any value would raise for e.g. ``Annotated[str, Field(gt=0)]``.

    Pydantic builds a model with a constraint that its type cannot have, and fails at a value.
    """
    schema = model.model_json_schema()["properties"][name]
    if model.model_fields[name].metadata and schema.get("type") in _SAMPLES:
        with suppress(ValidationError):
            model.model_validate({name: _SAMPLES[schema["type"]]})
