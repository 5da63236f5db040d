"""``praxis assets refill``: labware was brought, as the definition of its workcell says."""

from __future__ import annotations

from collections.abc import Collection
from typing import Annotated

import typer
from rich.markup import escape

from praxis_core.assets.catalogue import Catalogue
from praxis_core.assets.entries import By
from praxis_core.assets.refilling import Refilled
from praxis_core.cli.catalogue import (
    On,
    Who,
    Why,
    ask,
    by_whom,
    in_the_lab,
    model_of,
    say_not_in_the_lab,
)
from praxis_core.cli.console import AsJson, console, print_json, say
from praxis_core.journal.record import Journal


def refill(  # what a person may say
    names: Annotated[
        list[str] | None, typer.Argument(help="Labware; without it: all that no run has.")
    ] = None,
    *,
    workcell: On = "star",
    by: Who = None,
    why: Why = "refilled by hand",
    as_json_: AsJson = False,
) -> None:
    """Say that labware is new, and holds what the definition of its workcell says."""
    done, in_lab = refilled(workcell, names or None, by_whom(by, why))
    if as_json_:
        print_json({"refilled": [*done.names], "left": [*done.left], "in_the_lab": in_lab})
        return
    console.print(
        f"{len(done.names)} assets of workcell {escape(workcell)} are as its definition says."
    )
    say_left(done)
    say_not_in_the_lab(workcell, in_lab)


def refilled(workcell: str, names: Collection[str] | None, who: By) -> tuple[Refilled, bool | None]:
    """Bring labware as the definition of its workcell says; see ``Catalogue.refill``.

    Args:
        workcell: Its name.
        names: Of the labware; None: all that no run has.
        who: Who does it and why.

    Returns:
        What was done; and whether it was done in the pretend lab as well, None: it is real.
    """
    from praxis_core.workcell.initial_state import initial_assets

    async def bring(catalogue: Catalogue, records: Journal) -> tuple[Refilled, bool | None]:
        model = await model_of(catalogue, records, workcell)
        done = await catalogue.refill(workcell, initial_assets(model), who, names)
        if model.definition.mode != "simulated":
            return done, None
        known = await catalogue.state(workcell)
        return done, in_the_lab(model, known, done.names, [*done.changes.assets])

    return ask(bring)


def say_left(done: Refilled) -> None:
    """Say what runs have, and so was not brought."""
    if done.left:
        say(f"Runs have, and keep: {', '.join(done.left)}. Which ones: praxis why")
