"""The steps of a protocol, found in its source without running it."""

from __future__ import annotations

import ast
import inspect
from collections.abc import Callable, Iterator
from typing import Any

from pydantic import BaseModel, ConfigDict

from praxis_core.protocol.authoring import StepMark, step_mark
from praxis_core.protocol.docstring import docstring
from praxis_core.protocol.faults import Faults
from praxis_core.protocol.promise import MEND, seconds_in
from praxis_core.protocol.reaction import reaction_in
from praxis_core.protocol.source import Source
from praxis_core.protocol.step_name import may_be


class StepDefinition(BaseModel):
    """One named piece of a protocol."""

    model_config = ConfigDict(frozen=True)

    name: str
    """What people call it; may hold fields of its arguments, ``"Dilute column {column}"``."""
    function: str
    """``module:qualified_name`` of the function."""
    description: str
    since: str | None = None
    """Name of the step after which it comes at most ``max_gap`` seconds later."""
    max_gap: float | None = None


def read_steps(function: Callable[..., Any], faults: Faults) -> tuple[StepDefinition, ...]:
    """Find the steps that a protocol names, itself or in functions of its module, in reading order.

    A step that is reached only through a variable is not found; it is recorded when it runs.
    """
    found: dict[Callable[..., Any], StepMark] = {}
    _visit(inspect.unwrap(function), inspect.unwrap(function).__module__, found, set())
    by_name: dict[str, Source] = {}
    steps = []
    for part, mark in found.items():
        source = Source(part)
        template = mark.name.template
        for fault in mark.name.faults:
            line = source.decorator_line("step")
            faults.elsewhere(source, line, fault, "name arguments of the step, e.g. {column}")
        if not inspect.iscoroutinefunction(part):
            what = f"the step {template!r} is not an async function"
            faults.elsewhere(
                source, source.def_line, what, f"write: async def {part.__name__}(...)"
            )
        if template in by_name:
            first = by_name[template].where(by_name[template].decorator_line("step"))
            what = f"the step name {template!r} is also that of the step at {first}"
            mend = "give each step its own name; a run's history tells them apart by it"
            faults.elsewhere(source, source.decorator_line("step"), what, mend)
        by_name.setdefault(template, source)
        _check_promise(mark, source, faults)
        _check_reaction(mark, source, faults)
        promise = mark.promise
        steps.append(
            StepDefinition(
                name=template,
                function=f"{part.__module__}:{part.__qualname__}",
                description=docstring(part).prose,
                since=promise.name if promise else None,
                max_gap=promise.seconds if promise else None,
            )
        )
    return tuple(steps)


def _check_promise(mark: StepMark, source: Source, faults: Faults) -> None:
    """Say what of a promise about time cannot be read."""
    line, of = source.decorator_line("step"), f"the step {mark.name.template!r}"
    if mark.since is None and mark.max_gap is not None:
        what = f"{of} has max_gap and does not say since which step"
        faults.elsewhere(source, line, what, "name it: since=mix, the function of that step")
    elif mark.max_gap is None and mark.since is not None:
        what = f"{of} has since and does not say how long after"
        faults.elsewhere(source, line, what, 'write also max_gap="10 min"')
    if mark.max_gap is not None and seconds_in(mark.max_gap) is None:
        faults.elsewhere(source, line, f"{of} has max_gap={mark.max_gap!r}", MEND)
    if mark.since is not None and step_mark(mark.since) is None:
        what = f"{of} has since={mark.since!r}, which is no step"
        faults.elsewhere(source, line, what, "name the function of an earlier step: since=mix")


def _check_reaction(mark: StepMark, source: Source, faults: Faults) -> None:
    """Say when nobody can read what becomes of a run whose command fails."""
    if mark.on_error is not None and reaction_in(mark.on_error) is None:
        what = f"the step {mark.name.template!r} has on_error={mark.on_error!r}"
        mend = 'write "ask", to let people say what to do, or "raise"'
        faults.elsewhere(source, source.decorator_line("step"), what, mend)


def gives_a_value(function: Callable[..., Any], title: str) -> bool:
    """Whether a step of a protocol may return something; one that is not found may.

    Args:
        function: The protocol.
        title: What the step was called in a run.
    """
    found: dict[Callable[..., Any], StepMark] = {}
    _visit(inspect.unwrap(function), inspect.unwrap(function).__module__, found, set())
    parts = [part for part, mark in found.items() if may_be(mark.name.template, title)]
    return not parts or any(map(_returns, parts))


def _returns(function: Callable[..., Any]) -> bool:
    """Whether a function has a ``return`` with a value, its inner functions left out."""
    node = Source(function).node
    waiting: list[ast.AST] = [*node.body] if node else []
    while waiting:
        part = waiting.pop()
        value = part.value if isinstance(part, ast.Return) else None
        if value is not None and not (isinstance(value, ast.Constant) and value.value is None):
            return True
        if not isinstance(part, (ast.FunctionDef, ast.AsyncFunctionDef, ast.Lambda, ast.ClassDef)):
            waiting += ast.iter_child_nodes(part)
    return node is None


def _visit(
    function: Callable[..., Any],
    module: str,
    found: dict[Callable[..., Any], StepMark],
    seen: set[Callable[..., Any]],
) -> None:
    """Note the steps that ``function`` names, then those that these name, depth first."""
    if function in seen:
        return
    seen.add(function)
    for thing in _named_in(function):
        mark = step_mark(thing)
        if mark is not None:
            part = inspect.unwrap(mark.function)
            found.setdefault(part, mark)
            _visit(part, module, found, seen)
        elif inspect.isfunction(thing) and thing.__module__ == module:
            _visit(inspect.unwrap(thing), module, found, seen)


def _named_in(function: Callable[..., Any]) -> Iterator[object]:
    """What the names ``f`` and ``module.f`` in a function's body stand for."""
    node = Source(function).node
    names = names_in_scope(function)
    loads = [part for statement in (node.body if node else ()) for part in ast.walk(statement)]
    for part in sorted(filter(_is_name, loads), key=_position):
        thing = _value(part, names)
        if thing is not None:
            yield thing


def names_in_scope(function: Callable[..., Any]) -> dict[str, object]:
    """What the names that a function finds outside itself stand for."""
    names = dict(function.__globals__)
    for name, cell in zip(function.__code__.co_freevars, function.__closure__ or (), strict=True):
        try:
            names[name] = cell.cell_contents
        except ValueError:  # not assigned yet
            continue
    return names


def _is_name(part: ast.AST) -> bool:
    return isinstance(part, (ast.Name, ast.Attribute))


def _position(part: ast.AST) -> tuple[int, int]:
    return (part.lineno, part.col_offset) if isinstance(part, ast.expr) else (0, 0)


def _value(part: ast.AST, names: dict[str, object]) -> object | None:
    if isinstance(part, ast.Name):
        return names.get(part.id)
    if isinstance(part, ast.Attribute):
        owner = _value(part.value, names)
        return vars(owner).get(part.attr) if inspect.ismodule(owner) else None
    return None
