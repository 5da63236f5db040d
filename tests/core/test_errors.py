"""The tree of errors: each is a readable message that survives a process border."""

from __future__ import annotations

import pickle
import re
from collections.abc import Iterator
from string import Formatter

import pytest

from praxis_core import errors
from praxis_core.errors import PraxisError, Problem


def tree(root: type[PraxisError]) -> Iterator[type[PraxisError]]:
    """The class and everything below it."""
    yield root
    for below in root.__subclasses__():
        if below.__module__ == errors.__name__:
            yield from tree(below)


ALL = sorted(tree(PraxisError), key=lambda cls: cls.__name__)


@pytest.mark.parametrize("error", ALL, ids=lambda cls: cls.__name__)
def test_an_error_survives_pickling_with_its_message(error: type[PraxisError]) -> None:
    """Prefect carries errors between processes; the default would lose the fields."""
    fields = {name for _, name, _, _ in Formatter().parse(error.__doc__ or "") if name}
    raised = error(**{field: f"the {field}" for field in fields})

    copy = pickle.loads(pickle.dumps(raised))  # noqa: S301  # its own data

    assert type(copy) is error
    assert str(copy) == str(raised)
    assert copy.details == raised.details
    assert "<" not in str(raised)
    assert all(f"the {field}" in str(raised) for field in fields)


def test_the_drawing_shows_every_error_once() -> None:
    """The tree at the top of the module is the tree of the classes."""
    drawn = re.findall(
        r"^(?:[ │]*[├└]── |    )([A-Z]\w+)$", errors.__doc__ or "", flags=re.MULTILINE
    )

    assert sorted(drawn) == [cls.__name__ for cls in ALL]


def test_problems_are_listed_one_a_line() -> None:
    """Where, what, and how to mend it."""
    problems = [Problem("a.yaml:3", "no such plate", "did you mean plate_01?"), Problem("", "x")]
    message = str(errors.RunRefused(protocol="p", workcell="w", count=2, problems=problems))

    assert "  - a.yaml:3: no such plate (did you mean plate_01?)\n  - x" in message


def test_a_field_that_nobody_gave_shows_as_its_name() -> None:
    """An error never fails itself."""
    assert "<name" in str(errors.ProtocolNotFound())
