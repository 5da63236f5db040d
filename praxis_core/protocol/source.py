"""The source of a protocol: its text, its hash, and the lines on which its parts stand."""

from __future__ import annotations

import ast
import hashlib
import inspect
import linecache
from collections.abc import Callable, Iterator
from functools import lru_cache
from typing import Any

FunctionNode = ast.FunctionDef | ast.AsyncFunctionDef


class Source:
    """The module that a function was written in, as text and as syntax."""

    def __init__(self, function: Callable[..., Any]) -> None:
        function = inspect.unwrap(function)
        code = function.__code__
        self.file = code.co_filename
        self.text = _text(function)
        self._first_line = code.co_firstlineno
        self._tree = _tree(self.text)
        self._node = self._find(code.co_name, code.co_firstlineno)

    @property
    def hash(self) -> str:
        """SHA-256 of the module's text; line ends do not count."""
        return hashlib.sha256(self.text.encode()).hexdigest()

    @property
    def node(self) -> FunctionNode | None:
        """The function itself; None when there is no text (a prompt keeps none)."""
        return self._node

    def where(self, line: int | None = None) -> str:
        """A place as ``file:line``; by default where the function begins."""
        return f"{self.file}:{line or self._first_line}"

    @property
    def def_line(self) -> int:
        """The line of the function's ``def``."""
        return self._node.lineno if self._node else self._first_line

    def decorator_line(self, name: str) -> int:
        """The line of the decorator called ``name``; where the function begins when it has none."""
        for decorator in self._node.decorator_list if self._node else ():
            named = decorator.func if isinstance(decorator, ast.Call) else decorator
            if ast.unparse(named).rpartition(".")[2] == name:
                return decorator.lineno
        return self._first_line

    def parameter_line(self, name: str) -> int:
        """The line of one parameter."""
        if self._node is not None:
            arguments = self._node.args
            named = [*arguments.posonlyargs, *arguments.args, *arguments.kwonlyargs]
            named += [extra for extra in (arguments.vararg, arguments.kwarg) if extra]
            for argument in named:
                if argument.arg == name:
                    return argument.lineno
        return self.def_line

    def type_checking_line(self, name: str) -> int | None:
        """The line on which ``name`` is imported for type checkers only; None when it is not."""
        for node in ast.walk(self._tree):
            if isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test):
                for statement in _imports(node):
                    if name in {alias.asname or alias.name for alias in statement.names}:
                        return statement.lineno
        return None

    def _find(self, name: str, first_line: int) -> FunctionNode | None:
        for node in ast.walk(self._tree):
            if isinstance(node, FunctionNode) and node.name == name:
                decorators = [decorator.lineno for decorator in node.decorator_list]
                if first_line == min([node.lineno, *decorators]):
                    return node
        return None


def _text(function: Callable[..., Any]) -> str:
    """The lines as Python reads them: every line end is a newline, whatever the file has."""
    code = function.__code__
    linecache.checkcache(code.co_filename)
    return "".join(linecache.getlines(code.co_filename, function.__globals__))


@lru_cache(maxsize=16)
def _tree(text: str) -> ast.Module:
    """The syntax; kept, for all steps of a module are looked up in the same text."""
    try:
        return ast.parse(text)
    except SyntaxError:  # the file was changed after it was loaded; the function is not found then
        return ast.Module(body=[], type_ignores=[])


def _imports(node: ast.AST) -> Iterator[ast.Import | ast.ImportFrom]:
    for statement in ast.walk(node):
        if isinstance(statement, (ast.Import, ast.ImportFrom)):
            yield statement
