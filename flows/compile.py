"""A protocol becomes a Prefect flow: its parameters a form, its steps task runs."""

from __future__ import annotations

import inspect
from collections.abc import Awaitable, Callable
from functools import partial
from typing import Annotated, Any, TypeVar, cast, get_args
from uuid import UUID

from prefect import Flow, flow
from prefect.client.schemas.objects import FlowRun
from prefect.context import FlowRunContext
from prefect.exceptions import Pause
from prefect.runtime import flow_run
from prefect.states import Cancelled, Failed
from pydantic import Field, SecretStr, TypeAdapter, ValidationError
from pydantic.fields import FieldInfo

from blocks import PraxisDatabase, PraxisStateStore
from flows.artifact import publish_error, publish_result
from flows.deck import RunDeck
from flows.links import links
from flows.outlasting import outlast_readers
from flows.page import PrefectPage
from flows.telling import low_told, troubles_told
from praxis_core.errors import (
    CommandInDoubt,
    NoRun,
    PraxisError,
    RequestError,
    RunNeedsAnswer,
    RunParked,
    RunStopped,
)
from praxis_core.execution.in_doubt import settled
from praxis_core.host.link import HostLink
from praxis_core.journal.record import Journal
from praxis_core.journal.schema import require_current
from praxis_core.orchestrator import Orchestrator, RunRequest, RunResult
from praxis_core.protocol.definition import define, parameter_model
from praxis_core.protocol.lifecycle import RunStatus
from praxis_core.settings import PraxisSettings
from praxis_core.workcell.definition import WorkcellDefinition
from tasks import run_step

_Given = TypeVar("_Given")

WorkcellName = Annotated[
    str, Field(description="Workcell to run on (praxis workcell list).", min_length=1)
]
AssetNames = Annotated[
    dict[str, str | list[str] | None],
    Field(
        description="The workcell's assets to use: name in the protocol -> name on the workcell. "
        "What is left out is filled in when only one fits; null leaves an optional one out."
    ),
]
Simulate = Annotated[
    bool, Field(description="Rehearse on the simulated devices, even if the workcell is real.")
]
CarryFrom = Annotated[
    UUID | None, Field(description="Start with a copy of this earlier run's PraxisState.")
]
Priority = Annotated[
    int,
    Field(description="Among runs that wait for the same assets the greater is served first."),
]
Until = Annotated[
    str | None,
    Field(
        description='Stop after this step, by its name or its number; "each": ask after every '
        "step. A run that has stopped goes on with praxis run resume."
    ),
]

WaterRun = Annotated[
    bool,
    Field(
        description="Do it with water in place of everything else: real devices and tips, but only "
        "labware that is empty or known to hold water."
    ),
]


def compile_protocol(
    function: Callable[..., Awaitable[Any]],
    *,
    workcell: str = "star",
    blocks: str = "default",
) -> Flow[..., Any]:
    """Compile a protocol into a Prefect flow.

    Args:
        function: An async function marked with ``@protocol``.
        workcell: The workcell that is offered in the form by default.
        blocks: Name of the ``PraxisDatabase`` and ``PraxisStateStore`` block documents to use.

    Returns:
        The flow. Keep it as an attribute of the module, so that Prefect finds it:
        ``flow = compile_protocol(my_protocol)``.

    Raises:
        ProtocolFaults: the protocol cannot be used; every fault with file and line.
    """
    definition = define(function)

    async def run_protocol(**arguments: Any) -> Any:
        return await _run(function, blocks, arguments)

    signature = _signature(function, workcell)
    run_protocol.__name__ = run_protocol.__qualname__ = function.__name__
    run_protocol.__module__ = function.__module__
    run_protocol.__doc__ = _form_help(signature)
    run_protocol.__annotations__ = {
        name: parameter.annotation for name, parameter in signature.parameters.items()
    }
    run_protocol.__signature__ = signature  # type: ignore[attr-defined]  # read by inspect.signature
    make = flow(
        name=definition.name,
        version=f"{definition.version}+{definition.content_hash[:12]}",
        description=definition.description,
        flow_run_name=f"{definition.name} on {{workcell}}",
        # The orchestrator checks parameters and assets together, and records a refusal.
        validate_parameters=False,
        persist_result=False,
        retries=0,
    )
    return make(run_protocol)


def _signature(function: Callable[..., Any], workcell: str) -> inspect.Signature:
    """The form: the protocol's scientific parameters, then where and with what it runs."""
    model = parameter_model(function)
    kind = inspect.Parameter.KEYWORD_ONLY
    parameters = [
        inspect.Parameter(
            name,
            kind,
            default=inspect.Parameter.empty if info.is_required() else info.get_default(),
            annotation=Annotated[info.annotation, info],
        )
        for name, info in model.model_fields.items()
    ]
    places = [
        inspect.Parameter("workcell", kind, default=workcell, annotation=WorkcellName),
        inspect.Parameter("assets", kind, default={}, annotation=AssetNames),
        inspect.Parameter("simulate", kind, default=False, annotation=Simulate),
        inspect.Parameter("carry_from", kind, default=None, annotation=CarryFrom),
        inspect.Parameter("priority", kind, default=0, annotation=Priority),
        inspect.Parameter("water_run", kind, default=False, annotation=WaterRun),
        inspect.Parameter("until", kind, default=None, annotation=Until),
    ]
    return inspect.Signature([*parameters, *places])


def _form_help(signature: inspect.Signature) -> str:
    """The descriptions in the form; Prefect takes them from the docstring alone."""
    lines = []
    for name, parameter in signature.parameters.items():
        [field] = get_args(parameter.annotation)[1:]
        description = " ".join((field.description or "").split())
        lines.append(f"    {name}: {' '.join(filter(None, [description, _range(field)]))}")
    return "\n".join(["Run the protocol.", "", "Args:", *lines])


def _range(field: FieldInfo) -> str:
    """The bounds of a number; the form checks them, but does not show them."""
    signs = {
        "gt": "> {}",
        "ge": "≥ {}",
        "lt": "< {}",
        "le": "≤ {}",
        "multiple_of": "multiple of {}",
    }
    bounds = [
        text.format(getattr(constraint, name))
        for constraint in field.metadata
        for name, text in signs.items()
        if getattr(constraint, name, None) is not None
    ]
    return f"({', '.join(bounds)})" if bounds else ""


def _link(settings: PraxisSettings, workcell: WorkcellDefinition, version: int) -> HostLink:
    """The devices belong to the workcell's host; a flow process comes and goes."""
    return HostLink.to(settings, workcell.name, workcell_version=version)


def _read(kind: type[_Given], given: Any, what: str) -> _Given:
    """Read a value; the form's type is only asked of those who use the form.

    Raises:
        RequestError: it is something else.
    """
    try:
        return TypeAdapter(kind).validate_python(given)
    except ValidationError:
        raise RequestError(what=what) from None


def _this_run() -> FlowRun:
    """Tell which run this is.

    Raises:
        NoRun: it is none: Prefect is not there.
    """
    context = FlowRunContext.get()
    if context is None or context.flow_run is None:
        raise NoRun(what="A compiled protocol")
    return context.flow_run


async def _run(
    function: Callable[..., Awaitable[Any]], blocks: str, arguments: dict[str, Any]
) -> Any:
    outlast_readers()
    this_run = _this_run()
    run_id = this_run.id
    carry_from, priority = arguments.pop("carry_from"), arguments.pop("priority")
    water = arguments.pop("water_run")
    request = RunRequest(
        run_id=run_id,
        run_name=flow_run.name or str(run_id),
        function=function,
        workcell=arguments.pop("workcell"),
        assets=arguments.pop("assets"),
        simulate=arguments.pop("simulate"),
        carry_from=UUID(str(carry_from)) if carry_from else None,
        priority=_read(int, priority, f"priority {priority!r} is no whole number"),
        water=_read(bool, water, f"water_run {water!r} is neither true nor false"),
        until=str(arguments.pop("until") or "") or None,
        parameters=arguments,
    )
    store = cast("PraxisStateStore", await PraxisStateStore.aload(blocks))
    database_block = cast("PraxisDatabase", await PraxisDatabase.aload(blocks))
    settings = PraxisSettings(database_url=database_block.url, redis_url=SecretStr(store.url))
    where = links(settings, run_id, request.workcell)
    async with database_block.open() as database:
        await require_current(database)
        deck = RunDeck(run_id, Journal(database), where) if settings.run_pictures else None
        deployed = this_run.deployment_id is not None
        page = PrefectPage(run_id, deployed=deployed, links=where, deck=deck)
        orchestrator = Orchestrator(
            journal=Journal(database),
            settings=settings,
            run_step=run_step,
            link_for=partial(_link, settings),
            page=page,
        )
        await page.tagged(f"workcell:{request.workcell}", f"protocol:{define(function).name}")
        try:
            result = await _carried_out(orchestrator, request, Journal(database), page, settings)
        except RunStopped as stopped:
            # To Prefect it has ended and can be retried, which is how it goes on.
            return Failed(name="Stopped", message=str(stopped))
        except RunParked as parked:
            # Prefect's word for a process that ends while its run does not.
            raise Pause(str(parked)) from None
        except Exception as error:
            await page.ended()
            await publish_error(Journal(database), run_id, error, where)
            if await _was_aborted(Journal(database), run_id):
                return Cancelled(message="A person has aborted it.")
            raise
        finally:
            await orchestrator.close()
        await page.ended()
        await publish_result(Journal(database), result, where)
        await low_told(Journal(database), result.run_id)
    return result.summary


async def _was_aborted(journal: Journal, run_id: UUID) -> bool:
    try:
        return (await journal.run(run_id)).status is RunStatus.CANCELLED
    except PraxisError:  # what went wrong before is told instead
        return False


async def _carried_out(
    orchestrator: Orchestrator,
    request: RunRequest,
    journal: Journal,
    page: PrefectPage,
    settings: PraxisSettings,
) -> RunResult:
    """Carry a run out; what it is in doubt about is asked, and with the answers it goes on."""
    while True:
        try:
            with troubles_told(request.run_id):
                return await orchestrator.run(request)
        except (CommandInDoubt, RunNeedsAnswer):
            if not await settled(journal, settings, request.run_id, page):
                raise
