"""``praxis assets import``: what people keep in files."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.markup import escape

from praxis_core.assets.catalogue import Catalogue
from praxis_core.assets.corrections import FIXED
from praxis_core.assets.entries import By
from praxis_core.assets.imports import SetUp, refuse
from praxis_core.cli.console import AsJson, console, print_json
from praxis_core.errors import Problem
from praxis_core.journal.record import Journal

if TYPE_CHECKING:
    from praxis_core.workcell.definition import WorkcellDefinition
    from praxis_core.workcell.model import WorkcellModel

from praxis_core.cli.catalogue import (
    Who,
    Why,
    ask,
    by_whom,
    in_the_lab,
    model_of,
    say_not_in_the_lab,
    text_of,
)


def import_(
    file: Annotated[
        Path, typer.Argument(help="CSV of what is on shelves, or the YAML of a workcell.")
    ],
    *,
    by: Who = None,
    why: Why = "",
    as_json_: AsJson = False,
) -> None:
    """Take in what stands on shelves, or what a workcell was set up with; all of it or nothing."""
    text = text_of(file)
    if file.suffix.lower() in {".yaml", ".yml"}:
        _set_up(file, text, By(by_whom(by, "").who, why or f"as in {file.name}"), as_json_=as_json_)
        return

    async def take(catalogue: Catalogue, _records: Journal) -> list[str]:
        return await catalogue.take_in(file.name, text, by_whom(by, why))

    barcodes = ask(take)
    if as_json_:
        print_json([*barcodes])
    else:
        console.print(f"{len(barcodes)} assets of {escape(file.name)} were taken in.")


def _set_up(file: Path, text: str, who: By, *, as_json_: bool) -> None:
    """Let a workcell hold what its file says."""
    from praxis_core.workcell.definition import load_definition
    from praxis_core.workcell.initial_state import initial_assets
    from praxis_core.workcell.model import build, simulated_backend
    from praxis_core.workcell.stock import descriptions
    from praxis_core.workcell.yaml_lines import read_yaml

    wanted = load_definition(file)
    document = read_yaml(text)
    lines = {
        labware.name: document.line(("labware", number))
        for number, labware in enumerate(wanted.labware)
    }

    async def take(catalogue: Catalogue, records: Journal) -> tuple[list[str], bool | None]:
        model = await model_of(catalogue, records, wanted.name)
        refuse(file.name, [*_other_labware(file.name, model, wanted, lines)])
        held = initial_assets(build(wanted, simulated_backend))
        movable = {
            name: lines[name]
            for name, thing in descriptions(model).items()
            if name in lines and thing.kind not in FIXED
        }
        what = SetUp(file.name, held, descriptions(model), movable)
        changed = await catalogue.set_up(wanted.name, what, who)
        if model.definition.mode != "simulated":
            return changed, None
        known = await catalogue.state(wanted.name)
        return changed, in_the_lab(model, known, [*movable], [*movable])

    changed, done = ask(take)
    if as_json_:
        print_json({"changed": [*changed], "in_the_lab": done})
        return
    listed = ", ".join(changed) or "nothing was otherwise"
    console.print(escape(f"{wanted.name} holds what {file.name} says. Changed: {listed}."))
    say_not_in_the_lab(wanted.name, done)


def _other_labware(
    source: str, model: WorkcellModel, wanted: WorkcellDefinition, lines: Mapping[str, int]
) -> Iterator[Problem]:
    """Say what a file names that the workcell, as it is stored, does not have."""
    stored = {labware.name: labware for labware in model.definition.labware}
    for labware in wanted.labware:
        where = f"{source}:{lines[labware.name]}"
        mend = "store the definition first: praxis workcell add FILE.yaml"
        if labware.name not in stored:
            what = f"workcell {wanted.name} has no labware called {labware.name}"
            yield Problem(where, what, mend)
        elif stored[labware.name].factory != labware.factory:
            is_ = stored[labware.name].factory
            yield Problem(where, f"{labware.name} is {is_} there, not {labware.factory}", mend)
