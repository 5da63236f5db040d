"""Finding a protocol by its module or by its file.

A file is imported under its module's own name wherever it has one, for a second copy of a module
would have classes and steps of its own. A file that no import finds gets a name that no module has,
so that it hides nothing and is not hidden, whatever it is called.
"""

from __future__ import annotations

import difflib
import hashlib
import importlib.util
import re
import sys
import sysconfig
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from importlib import import_module
from importlib.machinery import ModuleSpec, PathFinder
from inspect import isfunction, unwrap
from pathlib import Path
from types import ModuleType
from typing import Any

from praxis_core.errors import Problem, ProtocolNotFound
from praxis_core.protocol.authoring import protocol_mark
from praxis_core.protocol.faults import protocol_faults
from praxis_core.protocol.source import Source

_FILE = re.compile(r"(?P<path>.*\.py)(?::(?P<function>[^:/\\]*))?", re.DOTALL)
_PRIVATE = "praxis_protocol_file_"
"""Begins the name of a module that was loaded from a file which no import finds."""

_RAISED_BY_MODULES = (
    ArithmeticError,
    AssertionError,
    AttributeError,
    ImportError,
    LookupError,
    NameError,
    OSError,
    RuntimeError,
    TypeError,
    ValueError,
)
"""What a module raises while it is read when something in it is wrong."""


def load_protocol(reference: str) -> Callable[..., Any]:
    """Find a protocol.

    Args:
        reference: ``"package.module:function"``, ``"path/file.py:function"``, or either without the
            function when there is only one protocol in it.

    Returns:
        The function, marked with ``@protocol``; always the same one for the same module.

    Raises:
        ProtocolNotFound: there is no such module, file or function, or there are several to choose
            from.
        ProtocolFaults: the module cannot be read, or the function is not a protocol.
    """
    file = _FILE.fullmatch(reference)
    if file:
        module = _load_file(Path(file["path"]), reference)
        name = file["function"]
    else:
        module_name, _, name = reference.partition(":")
        module = _load_module(module_name, reference)
    return _pick(module, name, reference) if name else _pick_only(module, reference)


def entrypoint_of(function: Callable[..., Any]) -> str:
    """What ``load_protocol`` takes, in any process of this machine, to find the function again.

    A module of a package or of an installed library is found by its name, everything else by its
    file: the folders that this process happens to import from are not those of another.
    """
    function = unwrap(function)
    file = Path(function.__code__.co_filename).resolve()
    module = function.__module__
    installed = file.is_relative_to(Path(sysconfig.get_path("purelib")).resolve())
    in_package = (file.parent / "__init__.py").exists() and not module.startswith(_PRIVATE)
    by_name = module != "__main__" and (installed or in_package)
    return f"{module if by_name else file}:{function.__qualname__}"


def _load_module(name: str, reference: str) -> ModuleType:
    if not all(part.isidentifier() for part in name.split(".")):
        raise ProtocolNotFound(
            name=reference, hint="Write package.module:function or path/file.py:function."
        )
    try:
        with _faults_told(reference):
            return import_module(name)
    except ModuleNotFoundError as error:
        missing = error.name
        hint = (
            f"Python finds no module {missing!r}; install it, or give the path of its file, "
            "path/file.py:function."
        )
        raise ProtocolNotFound(name=reference, hint=hint) from error


def _load_file(path: Path, reference: str) -> ModuleType:
    path = path.expanduser().resolve()
    if not path.is_file():
        beside = sorted(file.name for file in path.parent.glob("*.py"))[:20]
        hint = f"There is no file {path}."
        if beside:
            hint += f" In its folder: {', '.join(beside)}."
        raise ProtocolNotFound(name=reference, hint=hint)
    for module in list(sys.modules.values()):
        if _file_of(module, path.name) == path:
            return module
    name = _importable_name(path)
    with _faults_told(reference, within=path):
        return import_module(name) if name else _load_privately(path)


def _file_of(module: ModuleType, name: str = "") -> Path | None:
    """The file of a module; None when it has none, or one of another ``name`` than was given."""
    file = vars(module).get("__file__") if isinstance(module, ModuleType) else None
    if not isinstance(file, str) or not file.endswith(name):
        return None
    return Path(file).resolve()


def _importable_name(path: Path) -> str | None:
    """The name under which ``import`` would find exactly this file; None when it would not."""
    parts = [*path.parent.parts, path.stem]
    root = path.parent
    while (root / "__init__.py").exists():
        root = root.parent
    roots = [root, *(Path(entry or ".").resolve() for entry in sys.path)]
    for folder in roots:
        if folder == path.parent or folder in path.parent.parents:
            names = parts[len(folder.parts) :]
            if all(name.isidentifier() for name in names):
                spec = _find_without_importing(names)
                if spec is not None and spec.origin and Path(spec.origin).resolve() == path:
                    return ".".join(names)
    return None


def _find_without_importing(names: list[str]) -> ModuleSpec | None:
    """Where an import would look; the packages on the way are not run."""
    try:
        spec = importlib.util.find_spec(names[0])
    except ValueError:  # a module that runs as a script has no spec
        return None
    for index in range(1, len(names)):
        if spec is None or spec.submodule_search_locations is None:
            return None
        name = ".".join(names[: index + 1])
        spec = PathFinder.find_spec(name, list(spec.submodule_search_locations))
    return spec


def _load_privately(path: Path) -> ModuleType:
    digest = hashlib.sha256(str(path).encode()).hexdigest()[:12]
    name = f"{_PRIVATE}{path.stem}_{digest}"
    spec = importlib.util.spec_from_file_location(name, path)
    if spec is None or spec.loader is None:
        raise ImportError(f"{path} is not a Python file")
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    try:
        spec.loader.exec_module(module)
    except BaseException:
        del sys.modules[name]
        raise
    return module


@contextmanager
def _faults_told(reference: str, within: Path | None = None) -> Iterator[None]:
    """Turn what a module raises while it is read into a fault with file, line and mend.

    A module that was asked for by name and is not there at all goes on as ``ModuleNotFoundError``.
    """
    try:
        yield
    except SyntaxError as error:
        problem = Problem(
            f"{error.filename}:{error.lineno}",
            f"the file cannot be read: {error.msg}",
            f"correct the line: {(error.text or '').strip()}",
        )
        raise protocol_faults(reference, [problem]) from error
    except _RAISED_BY_MODULES as error:
        place = _place(error, within)
        if place is None and isinstance(error, ModuleNotFoundError):
            raise
        what = f"{type(error).__name__} while the file was read: {error}"
        problem = Problem(place or reference, what, _mend(error))
        raise protocol_faults(reference, [problem]) from error


def _place(error: Exception, within: Path | None) -> str | None:
    """The last line in the protocol's own file, else in any file that is not Python's."""
    frames = [
        frame
        for frame in traceback.extract_tb(error.__traceback__)
        if frame.filename != __file__ and not _of_python(frame.filename)
    ]
    own = [frame for frame in frames if within and Path(frame.filename).resolve() == within]
    frames = own or frames
    return f"{frames[-1].filename}:{frames[-1].lineno}" if frames else None


def _of_python(file: str) -> bool:
    """Whether a file belongs to Python itself, not to a library that was installed into it."""
    library = file.startswith(sysconfig.get_path("stdlib"))
    return file.startswith("<frozen ") or (library and "site-packages" not in file)


def _mend(error: Exception) -> str:
    if isinstance(error, ModuleNotFoundError):
        return f"install {error.name!r} here, or add the folder it lies in to PYTHONPATH"
    if isinstance(error, ImportError):
        return (
            "correct the import; a file that imports its neighbours is loaded by its module's name"
        )
    return "correct the line; what stands outside of functions runs when the file is read"


def _pick(module: ModuleType, name: str, reference: str) -> Callable[..., Any]:
    found = vars(module).get(name)
    if found is None:
        known = list(_protocols(module))
        close = difflib.get_close_matches(name, known, n=1)
        hint = f"{_label(module)} has no {name!r}. "
        hint += (
            f"Did you mean {close[0]}?"
            if close
            else f"Protocols in it: {', '.join(known) or 'none'}."
        )
        raise ProtocolNotFound(name=reference, hint=hint)
    if protocol_mark(found) is None:
        is_function = isfunction(found)
        place = Source(found).where() if is_function else _label(module)
        what = f"{name!r} is not a protocol" if is_function else f"{name!r} is not a function"
        problem = Problem(place, what, "write @protocol above an async function of that name")
        raise protocol_faults(reference, [problem])
    return found  # type: ignore[no-any-return]  # marked, so a function


def _pick_only(module: ModuleType, reference: str) -> Callable[..., Any]:
    found = _protocols(module)
    if len(found) == 1:
        return next(iter(found.values()))
    if not found:
        hint = f"{_label(module)} holds no protocol; write @protocol above an async function."
    else:
        places = [
            f"{reference}:{name} (line {_line(function)})" for name, function in found.items()
        ]
        hint = f"It holds {len(found)} protocols; choose one: {', '.join(places)}."
    raise ProtocolNotFound(name=reference, hint=hint)


def _protocols(module: ModuleType) -> dict[str, Callable[..., Any]]:
    """The protocols that were written in this module; imported ones belong elsewhere."""
    return {
        name: thing
        for name, thing in vars(module).items()
        if protocol_mark(thing) is not None and thing.__module__ == module.__name__
    }


def _line(function: Callable[..., Any]) -> int:
    return int(unwrap(function).__code__.co_firstlineno)


def _label(module: ModuleType) -> str:
    return str(_file_of(module) or module.__name__)
