"""A protocol is found by module or by file; what is in the way is told with its line."""

from __future__ import annotations

import importlib
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from praxis_core.errors import Problem, ProtocolFaults, ProtocolNotFound
from praxis_core.protocol import define, load_protocol

Write = Callable[[str, str], Path]

WASH = """
from praxis_core.protocol import protocol

@protocol
async def wash(cycles: int = 3) -> None:
    ...
"""

TWO = (
    WASH
    + """
@protocol
async def rinse() -> None:
    ...

def helper() -> None:
    ...
"""
)


@pytest.fixture
def importable(tmp_path: Path) -> Iterator[Path]:
    """The test's folder, on the import path like a project that is installed."""
    before = set(sys.modules)
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(tmp_path)
        yield tmp_path
    for name in set(sys.modules) - before:
        del sys.modules[name]
    importlib.invalidate_caches()


def only_fault(reference: str) -> Problem:
    """The one fault that loading reports."""
    with pytest.raises(ProtocolFaults) as caught:
        load_protocol(reference)
    problems = caught.value.details["problems"]
    assert isinstance(problems, list)
    (problem,) = problems
    assert isinstance(problem, Problem)
    assert problem.mend
    return problem


def test_by_module_and_function(write_file: Write, importable: Path) -> None:
    """``package.module:function``."""
    write_file("lab_protocols/__init__.py", "")
    write_file("lab_protocols/wash.py", TWO)

    assert load_protocol("lab_protocols.wash:rinse").__name__ == "rinse"


def test_by_file_and_function(write_file: Write) -> None:
    """``path/file.py:function``, also in a folder with spaces and colons."""
    path = write_file("my lab: washing/wash plates.py", TWO)

    assert load_protocol(f"{path}:rinse").__name__ == "rinse"


def test_by_file_alone(write_file: Write) -> None:
    """The function may be left out when there is only one protocol; helpers do not count."""
    assert load_protocol(str(write_file("wash.py", WASH))).__name__ == "wash"


def test_an_imported_protocol_belongs_to_its_own_file(write_file: Write, importable: Path) -> None:
    """A file that uses another protocol still holds only one."""
    write_file("rinsing.py", WASH.replace("wash", "rinse"))
    path = write_file("washing.py", "from rinsing import rinse\n" + WASH)

    assert load_protocol(str(path)).__name__ == "wash"


def test_a_file_is_loaded_once(write_file: Write) -> None:
    """The same file gives the same function, however its path is written."""
    path = write_file("once/wash.py", WASH)

    assert load_protocol(str(path)) is load_protocol(f"{path.parent}/../once/wash.py:wash")


def test_a_file_of_a_package_is_not_loaded_as_a_second_copy(
    write_file: Write, importable: Path
) -> None:
    """By path or by name, before or after: one module, one function, one set of classes."""
    write_file("lab_package/__init__.py", "")
    path = write_file("lab_package/wash.py", WASH)

    by_path = load_protocol(f"{path}:wash")
    by_name = load_protocol("lab_package.wash:wash")

    assert by_path is by_name
    assert define(by_path).entrypoint == "lab_package.wash:wash"


def test_a_loose_file_on_the_import_path_keeps_its_module_name(
    write_file: Write, importable: Path
) -> None:
    """Nobody loads it twice here; another process, which may not import it, finds its file."""
    path = write_file("lab_folder/wash.py", WASH)

    function = load_protocol(str(path))

    assert function.__module__ == "lab_folder.wash"
    assert define(function).entrypoint == f"{path}:wash"


@pytest.mark.parametrize("name", ["json.py", "yaml.py", "prefect.py", "praxis_core.py"])
def test_a_file_with_the_name_of_a_module_hides_nothing(write_file: Write, name: str) -> None:
    """The file is loaded, and the module of that name is still the one it was."""
    module = importlib.import_module(name.removesuffix(".py"))

    function = load_protocol(str(write_file(name, WASH)))

    assert function.__name__ == "wash"
    assert importlib.import_module(name.removesuffix(".py")) is module
    assert "wash" not in vars(module)


def test_two_files_of_one_name_are_two_modules(write_file: Write) -> None:
    """Two colleagues may both have a ``wash.py``."""
    first = load_protocol(str(write_file("anna/wash.py", WASH)))
    second = load_protocol(str(write_file("bert/wash.py", WASH.replace("3", "5"))))

    assert first is not second
    assert first.__module__ != second.__module__


def test_the_entrypoint_of_a_loose_file_finds_it_again(write_file: Write) -> None:
    """A worker in another process gets the path; in this one it gives the same function."""
    path = write_file("wash.py", WASH)
    function = load_protocol(str(path))

    entrypoint = define(function).entrypoint

    assert entrypoint == f"{path}:wash"
    assert load_protocol(entrypoint) is function


def test_the_entrypoint_of_a_script_is_its_file(write_file: Write) -> None:
    """What runs as ``__main__`` here is found by its path elsewhere, also within a package."""
    script = "from praxis_core.protocol import define\nprint(define(wash).entrypoint)\n"
    write_file("lab_scripts/__init__.py", "")
    path = write_file("lab_scripts/wash.py", WASH + script)

    as_script = f"import runpy; runpy.run_path({str(path)!r}, run_name='__main__')"
    printed = subprocess.run([sys.executable, "-c", as_script], capture_output=True, check=True)

    assert printed.stdout.decode().strip() == f"{path}:wash"


def test_a_syntax_error_is_a_fault_with_its_line(write_file: Write) -> None:
    """The line is named and shown."""
    path = write_file("wash.py", WASH + "\nasync def (\n")

    fault = only_fault(str(path))

    assert fault.where == f"{path}:8"
    assert "async def (" in fault.mend


def test_a_missing_import_is_a_fault_with_its_line(write_file: Write) -> None:
    """Install it, or add its folder."""
    path = write_file("wash.py", WASH + "\nimport no_such_library\n")

    fault = only_fault(str(path))

    assert fault.where == f"{path}:8"
    assert "no_such_library" in fault.what
    assert "install" in fault.mend


def test_an_error_at_the_top_of_a_file_is_a_fault_with_its_line(write_file: Write) -> None:
    """What stands outside of functions runs when the file is read, and may fail."""
    path = write_file("wash.py", WASH + "\nVOLUME = 1 / 0\n")

    fault = only_fault(str(path))

    assert fault.where == f"{path}:8"
    assert "ZeroDivisionError" in fault.what


def test_an_error_inside_of_python_is_a_fault_of_the_line_that_led_there(
    write_file: Write, importable: Path
) -> None:
    """The author's line is named, not the library's."""
    path = write_file("lab_dates.py", "from datetime import date\nimport json\n\njson.loads('{')\n")

    assert only_fault("lab_dates:wash").where == f"{path}:4"


def test_a_file_that_failed_can_be_corrected_and_loaded(write_file: Write) -> None:
    """Nothing of the failed attempt stays behind."""
    path = write_file("wash.py", "1 / 0")
    only_fault(str(path))

    write_file("wash.py", WASH + "# longer than before\n")

    assert load_protocol(str(path)).__name__ == "wash"


def test_a_fault_in_a_module_is_told_like_one_in_a_file(
    write_file: Write, importable: Path
) -> None:
    """The line in the file of the module, for a module that exists but cannot be read."""
    path = write_file("lab_broken.py", "import no_such_library\n")

    assert only_fault("lab_broken:wash").where == f"{path}:1"


@pytest.mark.parametrize(
    "reference",
    ["no_such_module:wash", "praxis_core.no_such:wash", "no such module", "", ":wash", "a..b:c"],
)
def test_a_module_that_does_not_exist_is_not_found(reference: str) -> None:
    """The message says what a reference looks like or which module is missing."""
    with pytest.raises(ProtocolNotFound, match=r"path/file\.py:function"):
        load_protocol(reference)


def test_a_file_that_does_not_exist_is_not_found(write_file: Write) -> None:
    """What lies beside it is listed: it may be misspelt."""
    path = write_file("wash.py", WASH)

    with pytest.raises(ProtocolNotFound, match=r"In its folder: wash\.py"):
        load_protocol(str(path.with_name("wahs.py")))


def test_a_function_that_does_not_exist_is_not_found(write_file: Write) -> None:
    """The closest protocol of the file is offered."""
    path = write_file("wash.py", TWO)

    with pytest.raises(ProtocolNotFound, match=r"Did you mean rinse\?"):
        load_protocol(f"{path}:rinze")


def test_a_function_that_is_no_protocol_is_a_fault(write_file: Write) -> None:
    """Its line is named, and what to write above it."""
    path = write_file("wash.py", TWO)

    fault = only_fault(f"{path}:helper")

    assert fault.where == f"{path}:12"
    assert "@protocol" in fault.mend


def test_several_protocols_are_to_choose_from(write_file: Write) -> None:
    """Nothing is guessed: all are listed, ready to be copied, with their lines."""
    path = write_file("wash.py", TWO)

    with pytest.raises(ProtocolNotFound) as caught:
        load_protocol(str(path))

    assert f"{path}:wash (line 4)" in str(caught.value)
    assert f"{path}:rinse (line 8)" in str(caught.value)


def test_a_file_without_a_protocol_says_so(write_file: Write) -> None:
    """And how to make one."""
    path = write_file("wash.py", "async def wash() -> None: ...")

    with pytest.raises(ProtocolNotFound, match="write @protocol above"):
        load_protocol(str(path))
