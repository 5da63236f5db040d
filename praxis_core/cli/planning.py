"""``praxis plan``: what a run would do, take and lack, without running it."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from functools import partial
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.markup import escape

from praxis_core.assets.calibration import Calibrations, not_used
from praxis_core.assets.catalogue import Catalogue
from praxis_core.cli.console import AsJson, console, print_json, table
from praxis_core.cli.opening import journal
from praxis_core.cli.runs import assigned, is_file, names, pairs
from praxis_core.protocol.definition import define
from praxis_core.protocol.loading import load_protocol
from praxis_core.settings import PraxisSettings

if TYPE_CHECKING:
    from praxis_core.planning.plan import Plan, PlanFault

_MOST_COMMANDS = 40
"""Commands that a person reads."""


def plan(
    protocol: Annotated[
        str,
        typer.Argument(
            help="A protocol that the database knows (serial-dilution, or serial-dilution/star), "
            "or a file: my_protocol.py or my_protocol.py:function."
        ),
    ],
    *,
    parameter: Annotated[
        list[str] | None,
        typer.Option("--parameter", "-p", help="NAME=VALUE; the value is JSON or plain text."),
    ] = None,
    asset: Annotated[
        list[str] | None,
        typer.Option("--asset", "-a", help="NAME=NAME ON THE WORKCELL; several for lists: a,b,c."),
    ] = None,
    workcell: Annotated[
        str | None, typer.Option("--workcell", "-w", help="Workcell to run on.")
    ] = None,
    water: Annotated[
        bool, typer.Option("--water", help="With water in place of everything else.")
    ] = False,
    commands: Annotated[bool, typer.Option(help="Show all commands.")] = False,
    as_json_: AsJson = False,
) -> None:
    """Show what a run would do, use and lack; nothing is run, and nothing is written."""
    name, _, place = (protocol, "", "") if is_file(protocol) else protocol.partition("/")
    chosen = {one: names(value) for one, value in pairs(asset)}
    made = _planned(name, workcell or place or "star", assigned(parameter), chosen, water=water)
    if as_json_:
        print_json(made.model_dump(mode="json"))
    else:
        _show(made, None if commands else _MOST_COMMANDS)
    if made.faults:
        raise typer.Exit(1)


def _planned(
    protocol: str,
    workcell: str,
    parameters: dict[str, Any],
    assets: dict[str, str | list[str]],
    *,
    water: bool,
) -> Plan:
    from praxis_core.execution.preflight import known_of
    from praxis_core.planning.planner import plan
    from praxis_core.workcell.definition import WorkcellDefinition, WorkcellMode

    async def made() -> Plan:
        async with journal(PraxisSettings()) as records:
            stored = WorkcellDefinition.model_validate(
                (await records.workcell(workcell)).definition
            )
            simulated = stored.mode is WorkcellMode.SIMULATED
            known = is_file(protocol)
            entrypoint = protocol if known else (await records.protocol(protocol)).entrypoint
            durations = await records.durations(workcell, simulated=simulated)
            found = await known_of(Catalogue(records.database), stored)
            function = load_protocol(entrypoint)
            rehearse = partial(
                plan,
                state=found.state,
                facts=found.facts,
                water=found.fillings if water else None,
                durations=durations,
            )
            rehearsed = await asyncio.to_thread(
                rehearse, function, define(function), stored, parameters, assets
            )
            over = await Calibrations(records.database).expired(workcell)
            warnings = (*rehearsed.warnings, *map(not_used, over))
            return rehearsed.model_copy(update={"warnings": warnings})

    return asyncio.run(made())


def _show(made: Plan, most: int | None) -> None:
    console.print(f"[bold]{made.protocol}[/bold] on {made.workcell}: {made.summary}")
    chosen = ((need, _listed(named)) for need, named in made.assets.items())
    console.print(table("\nAssets", ("needed", "chosen"), chosen))
    console.print(table("\nTakes", ("labware", "tips", "µL out", "µL in"), _consumption(made)))
    rows = [
        (
            str(one.number),
            escape(one.step or ""),
            escape(one.description),
            _doubtful(one.conditional),
        )
        for one in made.commands[:most]
    ]
    console.print(table("\nCommands", ("", "step", "command", ""), rows))
    if len(made.commands) > len(rows):
        console.print(f"and {len(made.commands) - len(rows)} more; all of them: --commands")
    _show_condition(made)
    _show_faults("Warnings", [f"- {one}" for one in made.warnings])
    _show_faults("Bring", [f"- {one.what} ({one.mend})" for one in made.shortages])
    _show_faults("Faults", [_line(fault) for fault in made.faults])
    _show_faults("Possible faults", [_line(fault) for fault in made.possible_faults])


def _show_condition(made: Plan) -> None:
    condition = made.conditional_from
    if condition is not None:
        after = f"after command {condition.command}" if condition.command else "from its beginning"
        console.print(f"\nConditional {after}: {escape(condition.where)}: {escape(condition.why)}")
        if made.without_max:
            needed = ", ".join(made.without_max)
            console.print(f"Say how much it may take at most, Needs(max=...), of: {needed}")
    for name in made.left_out:
        console.print(f"Left out: run.once({name!r})")


def _show_faults(title: str, lines: Sequence[str]) -> None:
    if lines:
        console.print(f"\n[bold]{title}[/bold]")
        for line in lines:
            console.print(escape(line))


def _consumption(made: Plan) -> list[tuple[str, str, str, str]]:
    return [
        (
            name,
            used.tips_told,
            used.drawn_told,
            ", ".join(f"{volume:g} from {source}" for source, volume in used.given.items()),
        )
        for name, used in made.consumption.items()
    ]


def _line(fault: PlanFault) -> str:
    return f"- {fault.problem}"


def _doubtful(conditional: bool) -> str:  # its only argument
    return "perhaps" if conditional else ""


def _listed(named: str | list[str]) -> str:
    return named if isinstance(named, str) else ", ".join(named)
