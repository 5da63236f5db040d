"""The faults of a protocol, gathered so that the author learns of all of them at once."""

from __future__ import annotations

from praxis_core.errors import Problem, ProtocolFaults
from praxis_core.protocol.source import Source


class Faults:
    """A list of faults of one protocol, each with the line it stands on."""

    def __init__(self, name: str, source: Source) -> None:
        self.name = name
        self.source = source
        self._problems: dict[tuple[str, int, str], Problem] = {}

    def at(self, line: int, what: str, mend: str) -> None:
        """Note a fault on a line of the protocol's own file."""
        self.elsewhere(self.source, line, what, mend)

    def of_parameter(self, name: str, what: str, mend: str) -> None:
        """Note a fault of one parameter."""
        self.at(self.source.parameter_line(name), f"parameter {name!r} {what}", mend)

    def elsewhere(self, source: Source, line: int, what: str, mend: str) -> None:
        """Note a fault on a line of any file."""
        problem = Problem(source.where(line), what, mend)
        self._problems[(source.file, line, what)] = problem

    def raise_any(self) -> None:
        """Raise them all, in the order of the lines, if there are any.

        Raises:
            ProtocolFaults: there is at least one.
        """
        if self._problems:
            raise protocol_faults(
                self.name, [self._problems[key] for key in sorted(self._problems)]
            )


def protocol_faults(name: str, problems: list[Problem]) -> ProtocolFaults:
    """One error out of several faults."""
    return ProtocolFaults(name=name, count=len(problems), problems=problems)
