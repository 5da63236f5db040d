"""What in a protocol's source a resumed run could not repeat exactly.

A run goes on after a crash by running the protocol again from its beginning, with the recorded
answers of its devices. What a protocol learns otherwise (the time, random numbers, files, the
network) may be another the second time. The calls that ask for such things are found in the source;
they are warnings, for many do no harm (a time in a message).
"""

from __future__ import annotations

import ast
import builtins
import inspect
import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import PurePath
from typing import Any

from pydantic import BaseModel, ConfigDict

from praxis_core.protocol.authoring import step_mark
from praxis_core.protocol.running import Run
from praxis_core.protocol.source import Source
from praxis_core.protocol.steps import names_in_scope


class ReplayWarning(BaseModel):
    """A call that may give something else when a run is resumed."""

    model_config = ConfigDict(frozen=True)

    where: str
    """``file:line``."""
    what: str
    mend: str
    """What to write instead."""


_TIME = "use run.now(), which a resumed run gives again"
_WAIT = "use await run.sleep(...), which a resumed run waits for no second time"
_RANDOM = "use run.random, which gives a resumed run the same numbers"
_SETTING = "make it a parameter of the protocol"
_OUTSIDE = 'use await run.once("name", ...), which does it once and remembers the result'
_ORDER = "use sorted(...): the order of a set is another in each process"

MENDS: dict[str, str] = {
    "datetime.datetime.now": _TIME,
    "datetime.datetime.today": _TIME,
    "datetime.datetime.utcnow": _TIME,
    "datetime.date.today": _TIME,
    "time.time": _TIME,
    "time.time_ns": _TIME,
    "time.monotonic": _TIME,
    "time.perf_counter": _TIME,
    "time.ctime": _TIME,
    "time.localtime": _TIME,
    "time.gmtime": _TIME,
    "time.strftime": _TIME,
    "time.sleep": _WAIT,
    "asyncio.sleep": _WAIT,
    "random": _RANDOM,
    "numpy.random": _RANDOM,
    "secrets": _RANDOM,
    "uuid.uuid1": _RANDOM,
    "uuid.uuid4": _RANDOM,
    "os.urandom": _RANDOM,
    "os.environ": _SETTING,
    "os.getenv": _SETTING,
    "builtins.input": _SETTING,
    "builtins.open": _OUTSIDE,
    "io.open": _OUTSIDE,
    "pathlib.Path().open": _OUTSIDE,
    "pathlib.Path().read_text": _OUTSIDE,
    "pathlib.Path().read_bytes": _OUTSIDE,
    "pathlib.Path().write_text": _OUTSIDE,
    "pathlib.Path().write_bytes": _OUTSIDE,
    "pathlib.Path().exists": _OUTSIDE,
    "os.listdir": _OUTSIDE,
    "os.system": _OUTSIDE,
    "os.popen": _OUTSIDE,
    "glob.glob": _OUTSIDE,
    "pandas.read_csv": _OUTSIDE,
    "pandas.read_excel": _OUTSIDE,
    "numpy.load": _OUTSIDE,
    "numpy.loadtxt": _OUTSIDE,
    "numpy.genfromtxt": _OUTSIDE,
    "subprocess": _OUTSIDE,
    "asyncio.create_subprocess_exec": _OUTSIDE,
    "asyncio.create_subprocess_shell": _OUTSIDE,
    "requests": _OUTSIDE,
    "httpx": _OUTSIDE,
    "aiohttp": _OUTSIDE,
    "urllib.request": _OUTSIDE,
    "http.client": _OUTSIDE,
    "smtplib": _OUTSIDE,
    "socket": _OUTSIDE,
    "sqlite3": _OUTSIDE,
    "psycopg": _OUTSIDE,
}
"""What to use instead, by the dotted name of a function, a module, or an attribute."""

_SAYS = {_WAIT: "waits again", _OUTSIDE: "happens again"}

_ENVIRONMENT = "os.environ"

_SEEDED = frozenset(
    {"random.Random", "numpy.random.default_rng", "numpy.random.RandomState", "random.seed"}
)
"""Give the same numbers again when they are given a seed."""

_LOGS = frozenset({"debug", "info", "warning", "error", "exception", "critical", "log"})


def replay_warnings(function: Callable[..., Any]) -> tuple[ReplayWarning, ...]:
    """Find what a protocol learns otherwise than through its run.

    Args:
        function: The protocol. It is read together with the steps and functions of its module that
            it names; what stands within ``run.once(...)`` is left out.
    """
    function = inspect.unwrap(function)
    found: list[ReplayWarning] = []
    waiting, seen = [function], {function}
    while waiting:
        reader = _Reader(waiting.pop(0))
        reader.read()
        found += reader.warnings
        new = [part for part in reader.parts if part.__module__ == function.__module__]
        waiting += [part for part in dict.fromkeys(new) if part not in seen]
        seen.update(new)
    return tuple(found)


@dataclass
class _Reader:
    """Reads the body of one function."""

    function: Callable[..., Any]
    warnings: list[ReplayWarning] = field(default_factory=list)
    parts: list[Callable[..., Any]] = field(default_factory=list)
    """Functions that the body names."""

    def __post_init__(self) -> None:
        self._source = Source(self.function)
        self._imported: dict[str, str] = {}
        """Dotted names of what the body itself imports."""
        self._names = names_in_scope(self.function)
        self._local = {*self.function.__code__.co_varnames, *self.function.__code__.co_cellvars}

    def read(self) -> None:
        node = self._source.node
        for statement in node.body if node else ():
            self._imported.update(_imports(statement))
        for statement in node.body if node else ():
            self._visit(statement)

    def _visit(self, node: ast.AST) -> None:
        if isinstance(node, ast.Call):
            if self._is_harmless(node):
                return
            self._call(node)
        elif isinstance(node, (ast.For, ast.AsyncFor)):
            self._loop(node.iter)
        elif isinstance(node, ast.ListComp):
            self._loop(node.generators[0].iter)
        if isinstance(node, (ast.Name, ast.Attribute)) and self._dotted(node) == _ENVIRONMENT:
            self._warn(node, _ENVIRONMENT, _ENVIRONMENT)
        if isinstance(node, ast.Name):
            self._name(node)
        for child in ast.iter_child_nodes(node):
            self._visit(child)

    def _is_harmless(self, call: ast.Call) -> bool:
        """Whether what is asked within this call is recorded, or only told to people."""
        name = self._dotted(call.func) or ""
        if name == "builtins.print" or name.startswith("logging."):
            return True
        if not isinstance(call.func, ast.Attribute) or not isinstance(call.func.value, ast.Name):
            return False
        owner = self._names.get(call.func.value.id)
        is_log = "log" in call.func.value.id.lower() and call.func.attr in _LOGS
        return is_log or (isinstance(owner, Run) and call.func.attr == "once")

    def _call(self, call: ast.Call) -> None:
        name = self._dotted(call.func)
        if name is None or name.startswith(_ENVIRONMENT):  # found where it is named
            return
        given = bool(call.args or call.keywords)
        if name in _SEEDED and given:
            return
        if name == "asyncio.sleep" and call.args and _is_zero(call.args[0]):
            return
        if name in {"time.localtime", "time.gmtime", "time.ctime"} and given:
            return
        self._warn(call, name, f"{_for_people(name)}()")

    def _loop(self, iterated: ast.expr) -> None:
        is_set = isinstance(iterated, (ast.Set, ast.SetComp)) or (
            isinstance(iterated, ast.Call)
            and self._dotted(iterated.func) in {"builtins.set", "builtins.frozenset"}
        )
        if is_set:
            self._add(iterated, "a loop over a set", _ORDER)

    def _name(self, node: ast.Name) -> None:
        thing = None if node.id in self._local else self._names.get(node.id)
        mark = step_mark(thing)
        thing = mark.function if mark else thing
        if inspect.isfunction(thing):
            self.parts.append(inspect.unwrap(thing))

    def _warn(self, node: ast.expr, name: str, told: str) -> None:
        mend = _mend(name)
        if mend is not None:
            self._add(node, told, mend)

    def _add(self, node: ast.expr, told: str, mend: str) -> None:
        what = f"{told} {_SAYS.get(mend, 'may give something else')} when a run is resumed"
        warning = ReplayWarning(where=self._source.where(node.lineno), what=what, mend=mend)
        if warning not in self.warnings:
            self.warnings.append(warning)

    def _dotted(self, node: ast.expr) -> str | None:
        """Name what an expression stands for by where it is defined; None when nobody can say."""
        if isinstance(node, ast.Name):
            if node.id in self._imported:
                return self._imported[node.id]
            known = node.id not in self._local and node.id in self._names
            return _path(self._names[node.id]) if known else _builtin(node.id, self._local)
        if isinstance(node, ast.Attribute):
            owner = self._dotted(node.value)
            return None if owner is None else f"{owner}.{node.attr}"
        if isinstance(node, ast.Call):
            made = self._dotted(node.func)
            return None if made is None else f"{made}()"
        return None


def _path(thing: object) -> str | None:
    if inspect.ismodule(thing):
        return thing.__name__
    if thing is os.environ:
        return _ENVIRONMENT
    if isinstance(thing, type) and issubclass(thing, PurePath):
        return "pathlib.Path"  # its module is another in later Pythons
    if isinstance(thing, type) or inspect.isroutine(thing):
        owner = getattr(thing, "__self__", None)
        if owner is not None and not inspect.ismodule(owner):  # random.random is a bound method
            return f"{type(owner).__module__}.{thing.__name__}"
        return f"{thing.__module__}.{thing.__qualname__}"
    return None


def _builtin(name: str, local: set[str]) -> str | None:
    return f"builtins.{name}" if name not in local and hasattr(builtins, name) else None


def _imports(statement: ast.stmt) -> Iterator[tuple[str, str]]:
    for node in ast.walk(statement):
        if isinstance(node, ast.Import):
            for alias in node.names:
                whole = alias.name if alias.asname else alias.name.partition(".")[0]
                yield alias.asname or whole, whole
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            for alias in node.names:
                yield alias.asname or alias.name, f"{node.module}.{alias.name}"


def _mend(name: str) -> str | None:
    """Find what to use instead of a name, or of the module that it belongs to."""
    if name.endswith("Error"):  # raised, not asked
        return None
    parts = name.split(".")
    for length in range(len(parts), 0, -1):
        mend = MENDS.get(".".join(parts[:length]))
        if mend is not None:
            # What a method of an answer gives is no new question.
            return None if "()" in ".".join(parts[length:]) else mend
    return None


def _for_people(name: str) -> str:
    return name.removeprefix("builtins.").replace("()", "(...)")


def _is_zero(node: ast.expr) -> bool:
    return isinstance(node, ast.Constant) and node.value == 0
