"""Whether the protocol itself deals with an error that a call may raise."""

from __future__ import annotations

import ast
import sys
from collections.abc import Collection, Iterator
from functools import lru_cache
from pathlib import Path
from types import FrameType
from typing import NamedTuple

from praxis_core.planning.marks import Watch


class _Block(NamedTuple):
    first: int
    last: int
    names: frozenset[str]
    """Of the errors that are caught there."""


def is_caught(errors: Collection[str]) -> bool:
    """Whether code that led here catches one of some errors by its name.

    An ``except Exception`` does not count: it cleans up, or notes what went wrong.

    Args:
        errors: Names of their classes.
    """
    if not errors:
        return False
    frame: FrameType | None = sys._getframe(1)  # noqa: SLF001  # who called is the question
    while frame is not None:
        file, line = frame.f_code.co_filename, frame.f_lineno
        if not Watch.is_engine(file) and any(
            block.first <= line <= block.last and not block.names.isdisjoint(errors)
            for block in _blocks(file)
        ):
            return True
        frame = frame.f_back
    return False


@lru_cache
def _blocks(file: str) -> tuple[_Block, ...]:
    try:
        tree = ast.parse(Path(file).read_text("utf-8"))
    except (OSError, SyntaxError, ValueError):
        return ()
    return tuple(_found(tree))


def _found(tree: ast.AST) -> Iterator[_Block]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Try | ast.TryStar):
            types = [one.type for one in node.handlers if one.type is not None]
            yield _block(node.body, types)
        elif isinstance(node, ast.With | ast.AsyncWith):
            calls = [one.context_expr for one in node.items]
            types = [arg for one in calls if _suppresses(one) for arg in one.args]  # type: ignore[attr-defined]
            yield _block(node.body, types)


def _block(body: list[ast.stmt], types: list[ast.expr]) -> _Block:
    names = {name for one in types for name in _names(one)}
    return _Block(body[0].lineno, body[-1].end_lineno or body[-1].lineno, frozenset(names))


def _suppresses(call: ast.expr) -> bool:
    return isinstance(call, ast.Call) and "suppress" in set(_names(call.func))


def _names(type_: ast.expr) -> Iterator[str]:
    match type_:
        case ast.Name(id=name) | ast.Attribute(attr=name):
            yield name
        case ast.Tuple(elts=several):
            for one in several:
                yield from _names(one)
