"""Reading YAML so that each value can be traced back to its line."""

from __future__ import annotations

from dataclasses import dataclass

import yaml
from pydantic import JsonValue

Location = tuple[str | int, ...]
"""Path of keys and positions to a value, as Pydantic gives it."""


class YamlFault(Exception):  # noqa: N818  # never leaves the definition's reader
    """Internal: the text is no YAML."""

    def __init__(self, line: int, what: str) -> None:
        super().__init__(what)
        self.line = line
        self.what = what


@dataclass(frozen=True)
class LocatedYaml:
    """A YAML document and the lines of its values."""

    data: JsonValue
    lines: dict[Location, int]
    duplicates: list[tuple[Location, str]]
    """Keys that stand twice in one mapping; YAML itself would take the last one silently."""

    def line(self, where: Location) -> int:
        """Give the line of what is at ``where``, or of the nearest thing around it."""
        while where and where not in self.lines:
            where = where[:-1]
        return self.lines.get(where, 1)


def read_yaml(text: str) -> LocatedYaml:
    """Read one YAML document.

    Raises:
        YamlFault: the text is no YAML; with the line where reading stopped.
    """
    try:
        data = yaml.safe_load(text)
        root = yaml.compose(text, Loader=yaml.SafeLoader)
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        raise YamlFault(mark.line + 1 if mark else 1, f"this is no YAML: {error.problem}") from None
    except yaml.YAMLError as error:
        raise YamlFault(1, f"this is no YAML: {error}") from None
    document = LocatedYaml(data, {}, [])
    if root is not None:
        _locate(root, (), root.start_mark.line, document)
    return document


def _locate(node: yaml.Node, where: Location, line: int, document: LocatedYaml) -> None:
    document.lines[where] = line + 1
    if isinstance(node, yaml.SequenceNode):
        for position, item in enumerate(node.value):
            _locate(item, (*where, position), item.start_mark.line, document)
    elif isinstance(node, yaml.MappingNode):
        seen: dict[str, int] = {}
        for key, value in node.value:
            inside = (*where, str(key.value))
            if key.value in seen:
                what = f"{key.value!r} stands here again; it is already on line {seen[key.value]}"
                document.duplicates.append((inside, what))
            seen.setdefault(key.value, key.start_mark.line + 1)
            # The line of the key: where a person looks, and where a missing value would stand.
            _locate(value, inside, key.start_mark.line, document)
