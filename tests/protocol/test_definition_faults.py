"""All faults of a protocol come in one error, each with its line and how to mend it."""

from __future__ import annotations

import pickle
from collections.abc import Callable
from pathlib import Path

import pytest

from praxis_core.errors import Problem, ProtocolFaults
from praxis_core.protocol import define, load_protocol

Write = Callable[[str, str], Path]


def faults_of(path: Path) -> list[Problem]:
    """What ``define`` has against the only protocol of a file."""
    with pytest.raises(ProtocolFaults) as caught:
        define(load_protocol(str(path)))
    problems = caught.value.details["problems"]
    assert isinstance(problems, list)
    return problems


def test_every_fault_is_reported_on_its_line(faulty_file: Callable[[str], Path]) -> None:
    """Each line marked as faulty is named with its reason, and no line that is right is named."""
    path = faulty_file("every_fault")
    marked = {
        f"{path}:{number}": line.partition("# fault: ")[2]
        for number, line in enumerate(path.read_text().splitlines(), 1)
        if "  # fault: " in line
    }

    found: dict[str, str] = {}
    for problem in faults_of(path):
        found[problem.where] = found.get(problem.where, "") + str(problem)

    decorator = f"{path}:{path.read_text().splitlines().index('@protocol(') + 1}"
    assert "the name 'Dose/response' cannot be used" in found[decorator]
    assert "the version '1.0' is not a semantic version" in found.pop(decorator)
    assert marked.keys() == found.keys()
    for where, words in marked.items():
        assert words in found[where]


def test_every_fault_says_how_to_mend_it(faulty_file: Callable[[str], Path]) -> None:
    """No fault leaves the author without a next step."""
    assert [fault for fault in faults_of(faulty_file("every_fault")) if not fault.mend] == []


def test_faults_survive_the_way_between_processes(faulty_file: Callable[[str], Path]) -> None:
    """Prefect pickles exceptions: the message and each single fault arrive."""
    with pytest.raises(ProtocolFaults) as caught:
        define(load_protocol(str(faulty_file("every_fault"))))

    arrived = pickle.loads(pickle.dumps(caught.value))  # noqa: S301  # our own bytes

    assert str(arrived) == str(caught.value)
    assert arrived.details["problems"] == caught.value.details["problems"]


def test_a_function_without_the_mark_is_no_protocol() -> None:
    """Defining an ordinary function says where it is and what to write above it."""

    async def wash() -> None: ...

    with pytest.raises(ProtocolFaults, match=r"test_definition_faults\.py:\d+.*write @protocol"):
        define(wash)


def test_what_is_no_function_is_no_protocol() -> None:
    """A class is refused with the same kind of error."""
    with pytest.raises(ProtocolFaults, match="is not a function"):
        define(Path)


@pytest.mark.parametrize(
    "version", ["1", "1.0", "v1.0.0", "01.0.0", "1.0.0-", "1.0.0 ", "", "1\uff11.0.0"]
)
def test_a_version_is_semantic(write_file: Write, version: str) -> None:
    """Whatever semver.org does not take is a fault on the decorator's line."""
    path = write_file(
        "wash.py",
        f"""
        from praxis_core.protocol import protocol

        @protocol(version={version!r})
        async def wash() -> None: ...
        """,
    )

    (fault,) = faults_of(path)

    assert fault.where == f"{path}:4"
    assert "MAJOR.MINOR.PATCH" in fault.mend


def test_two_run_states_are_a_fault(write_file: Write) -> None:
    """A run has one state."""
    path = write_file(
        "wash.py",
        """
        from praxis_core.protocol import protocol
        from praxis_core.state import PraxisState

        @protocol
        async def wash(
            state: PraxisState,
            memory: PraxisState,
        ) -> None: ...
        """,
    )

    (fault,) = faults_of(path)

    assert fault.where == f"{path}:8"
    assert "second run state" in fault.what


def test_a_method_is_no_protocol(write_file: Write) -> None:
    """``self`` is told for what it is, not as a missing annotation."""
    path = write_file(
        "wash.py",
        """
        from praxis_core.protocol import protocol

        class Washer:
            @protocol
            async def wash(self) -> None: ...

        wash = Washer.wash
        """,
    )

    (fault,) = faults_of(path)

    assert fault.where == f"{path}:6"
    assert "belongs to a class" in fault.what


def test_a_generator_is_no_protocol(write_file: Write) -> None:
    """An async generator is told to return or record instead of yielding."""
    path = write_file(
        "wash.py",
        """
        from praxis_core.protocol import protocol

        @protocol
        async def wash():
            yield 1
        """,
    )

    (fault,) = faults_of(path)

    assert "yields" in fault.what


def test_positional_only_parameters_are_a_fault(write_file: Write) -> None:
    """A run passes every parameter by name."""
    path = write_file(
        "wash.py",
        """
        from praxis_core.protocol import protocol

        @protocol
        async def wash(
            cycles: int,
            /,
        ) -> None: ...
        """,
    )

    (fault,) = faults_of(path)

    assert fault.where == f"{path}:6"
    assert "positional-only" in fault.what


def test_a_file_that_changed_under_a_loaded_protocol_is_told(write_file: Write) -> None:
    """Lines and hash would be those of another text, so the author is told to load it again."""
    path = write_file(
        "wash.py",
        """
        from praxis_core.protocol import protocol

        @protocol
        async def wash() -> None: ...
        """,
    )
    function = load_protocol(str(path))
    path.write_text("def (")

    with pytest.raises(ProtocolFaults, match="load it again"):
        define(function)


def test_a_class_made_inside_a_function_cannot_be_required(write_file: Write) -> None:
    """No other process could find it."""
    path = write_file(
        "wash.py",
        """
        from pylabrobot.resources import Trough
        from praxis_core.protocol import protocol

        def make():
            class Nowhere(Trough):
                pass

            @protocol
            async def fill(trough: Nowhere) -> None: ...

            return fill

        fill = make()
        """,
    )

    (fault,) = faults_of(path)

    assert fault.where == f"{path}:10"
    assert "at the top of a module" in fault.mend
