"""``praxis assets check``: what the database says, against what a person finds."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer
from pydantic import JsonValue
from rich.markup import escape

from praxis_core.assets.catalogue import Catalogue
from praxis_core.assets.checking import (
    Difference,
    Finding,
    compare,
    liquid_told,
    place_told,
    spots_told,
)
from praxis_core.assets.corrections import FIXED, Filling, spots, unknown
from praxis_core.assets.entries import By
from praxis_core.assets.imports import read_table, refuse
from praxis_core.assets.lineage import Asset
from praxis_core.assets.state import AssetManagerState, ContainerContents, Location
from praxis_core.assets.units import read_volume
from praxis_core.cli.catalogue import (
    ALL,
    On,
    Who,
    Why,
    ask,
    by_whom,
    in_the_lab,
    model_of,
    resource_at,
    say_not_in_the_lab,
    text_of,
    well_of,
)
from praxis_core.cli.console import AsJson, console, print_json, table
from praxis_core.cli.result import as_json
from praxis_core.errors import Problem, RequestError

if TYPE_CHECKING:
    from praxis_core.journal.record import Journal
    from praxis_core.workcell.model import WorkcellModel

COLUMNS = ("name", "place", "missing", "volume", "reagent", "lot")
"""Of a table of what was counted; all but the first may be empty: nobody looked at that."""
_NOT_ASKED = FIXED | {"waste"}
_NONE = "none"


@dataclass(frozen=True, slots=True)
class _Known:
    """What the database says when somebody begins to look."""

    model: WorkcellModel
    state: AssetManagerState
    assets: Mapping[str, Asset]
    """Those that somebody may look at, by name."""
    wells: Mapping[str, list[str]]
    """Containers of each."""
    built_in: frozenset[str]
    """Racks that belong to a deck; nobody is asked for them."""


def check(  # what a person may say
    *,
    counted: Annotated[
        Path | None,
        typer.Option("--from", help=f"CSV of what was counted: {', '.join(COLUMNS)}."),
    ] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only tell; write nothing.")] = False,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Write without a question.")] = False,
    workcell: On = "star",
    by: Who = None,
    why: Why = "checked",
    as_json_: AsJson = False,
) -> None:
    """Compare what is known with what you find, asset by asset or from a table; put it right."""
    if as_json_ and not (counted is not None and (yes or dry_run)):
        raise RequestError(what="--json asks nothing: say --from FILE.csv, and --yes or --dry-run")
    known = ask(lambda catalogue, records: _known(catalogue, records, workcell))
    if counted is not None:
        findings = _from_table(known, counted.name, text_of(counted))
        refuse(counted.name, ask(lambda one, _: one.stands_against(workcell, findings)))
    else:
        findings = [*_asked(known)]
    differences = compare(known.state, findings)
    names = dict.fromkeys(one.asset for one in findings)
    same = [name for name in names if name not in {one.asset for one in differences}]
    if not as_json_:
        _tell(differences, same)
    written = bool(findings) and not dry_run and (yes or _sure(differences, same))
    done = _write(known, findings, by_whom(by, why)) if written else None
    if as_json_:
        found: list[JsonValue] = [as_json(one) for one in differences]
        told: dict[str, JsonValue] = {"differences": found, "confirmed": [*same]}
        print_json({**told, "written": written, "in_the_lab": done})
        return
    console.print("Written down." if written else "Nothing was written down.")
    say_not_in_the_lab(workcell, done)


async def _known(catalogue: Catalogue, records: Journal, workcell: str) -> _Known:
    from praxis_core.workcell.stock import descriptions

    model = await model_of(catalogue, records, workcell)
    state = await catalogue.state(workcell)
    found = await catalogue.find(workcell=workcell, limit=ALL)
    assets = {str(one.name): one for one in found if one.kind not in _NOT_ASKED}
    wells: dict[str, list[str]] = {name: [] for name in assets}
    for container in state.containers:
        place = state.locations.get(container)
        for owner in (container, place.parent if place is not None else None):
            if owner in wells:
                wells[owner].append(container)
                break
    labware = {one.name for one in model.definition.labware}
    built = {name for name, one in descriptions(model).items() if one.kind == "tip_rack"}
    return _Known(model, state, assets, wells, frozenset(built - labware))


def _tell(differences: list[Difference], same: list[str]) -> None:
    rows = [tuple(map(escape, (one.asset, one.what, one.known, one.found))) for one in differences]
    if rows:
        console.print(table("\nOtherwise", ("asset", "what", "known", "found"), rows))
    if same:
        console.print(escape(f"As it is known: {', '.join(same)}."))


def _sure(differences: list[Difference], same: list[str]) -> bool:
    question = f"Write down {len(differences)} differences, and {len(same)} as they are known?"
    return typer.confirm(question)


def _write(known: _Known, findings: list[Finding], who: By) -> bool | None:
    workcell = known.model.definition.name

    async def write(catalogue: Catalogue, _records: Journal) -> AssetManagerState:
        await catalogue.check(workcell, findings, known.state, who)
        return await catalogue.state(workcell)

    state = ask(write)
    if known.model.definition.mode != "simulated":
        return None
    return in_the_lab(known.model, state, sorted({one.asset for one in findings}))


# --- from a table ---------------------------------------------------------------------------------


def _from_table(known: _Known, source: str, text: str) -> list[Finding]:
    """Read what was counted.

    Raises:
        InventoryRefused: with every fault of the table.
    """
    findings: list[Finding] = []
    problems: list[Problem] = []
    lines = read_table(text)
    if not lines:
        problems.append(Problem(f"{source}:1", "nothing is in it", f"columns: {_listed()}"))
    columns = lines[0][1].keys() if lines else ()
    problems += [
        Problem(f"{source}:1", f"no column is called {column!r}", _listed())
        for column in sorted(set(columns) - set(COLUMNS))
    ]
    for number, line in lines:
        reading = _Line(known, line, f"{source}:{number}")
        findings += reading.findings()
        problems += reading.problems
    refuse(source, problems)
    return findings


def _listed() -> str:
    return ", ".join(COLUMNS)


@dataclass(slots=True)
class _Line:
    """One line of a table, while it is read."""

    known: _Known
    line: Mapping[str, str]
    where: str
    problems: list[Problem] = field(default_factory=list)

    def findings(self) -> list[Finding]:
        """Give what the line says; none when it has faults."""
        name, well = well_of(self.line.get("name", ""))
        if name not in self.known.assets:
            self._fault(unknown(name, self.known.assets) if name else "name is missing")
            return []
        place, missing = self._place(), self._missing(name)
        volumes = self._volumes(name, well)
        return [] if self.problems else [Finding(name, place, missing, volumes, self.where)]

    def _fault(self, what: object) -> None:
        self.problems.append(Problem(self.where, str(what)))

    def _place(self) -> Location | None:
        said = self.line.get("place")
        try:
            return read_place(self.known.model, said) if said else None
        except RequestError as error:
            self._fault(error)
        return None

    def _missing(self, name: str) -> frozenset[str] | None:
        said = self.line.get("missing")
        if not said:
            return None
        rack = self.known.state.racks.get(name)
        if rack is None:
            self._fault(f"{name} holds no tips")
            return None
        try:
            return frozenset(spots(rack, said))
        except RequestError as error:
            self._fault(error)
        return None

    def _volumes(self, name: str, well: str | None) -> dict[str, Filling]:
        said = self.line.get("volume")
        if not said:
            return {}
        wells = self.known.wells[name]
        try:
            found = spots(wells, well) if well else wells
            if len(found) != 1:
                self._fault(f"{name} has {len(wells)} wells; say which: {name}[B3]")
                return {}
            reagent, lot = self.line.get("reagent") or None, self.line.get("lot") or None
            return {found[0]: Filling(read_volume(said), reagent=reagent, lot=lot)}
        except RequestError as error:
            self._fault(error)
        return {}


def read_place(model: WorkcellModel, said: str) -> Location:
    """Read where a person says that something is.

    Raises:
        PlaceUnknown: there is no such place.
    """
    word, _, shelf = said.strip().partition(" ")
    if word == "shelf" and shelf.strip() and said not in model.places:
        return Location(parent=None, shelf=shelf.strip())
    return Location(parent=resource_at(model, said))


# --- asset by asset -------------------------------------------------------------------------------


def _asked(known: _Known) -> Iterator[Finding]:
    """Ask what somebody sees who stands there."""
    console.print("y: it is so, n: it is not, s: not looked at, q: that is all.")
    for name, asset in sorted(known.assets.items()):
        if name in known.built_in:
            continue
        if asset.held_by is not None:
            console.print(escape(f"{name}: run {asset.held_by} has it; left alone."))
            continue
        console.print(escape(f"{name}, {_summary(known, name)}"))
        answer = _choice()
        if answer == "q":
            return
        if answer == "y":
            yield Finding(name)
        elif answer == "n":
            finding = _found(known, name)
            if compare(known.state, [finding]):
                yield finding
            else:
                console.print("  nothing was said to be otherwise: left as not looked at")


def _choice() -> Literal["y", "n", "s", "q"]:
    while True:
        answer = typer.prompt("  is it so? y/n/s/q").strip().lower()[:1]
        if answer in {"y", "n", "s", "q"}:
            found: Literal["y", "n", "s", "q"] = answer
            return found


def _summary(known: _Known, name: str) -> str:
    state, asset = known.state, known.assets[name]
    told = [asset.kind.replace("_", " "), f"on {_place(known, name)}"]
    if name in state.racks:
        told.append(f"without a tip: {_gone(state, name)}")
    wells = [state.containers[well] for well in known.wells[name]]
    if len(wells) == 1:
        told.append(liquid_told(wells[0]))
    elif wells:
        told.append(_wells_told(wells))
    return ", ".join(told)


def _place(known: _Known, name: str) -> str:
    """Say where something is as people call it."""
    told = place_told(known.state.locations.get(name))
    places = known.model.places.items()
    return next((called for called, place in places if place.name == told), told)


def _wells_told(wells: list[ContainerContents]) -> str:
    filled = [well.volume for well in wells if well.volume > 0 and not well.unknown]
    unknown_ = sum(bool(well.unknown) for well in wells)
    told = f"{len(filled)} of {len(wells)} wells hold {sum(filled):g} µL in all"
    return told + (f", {unknown_} unknown" if unknown_ else "")


def _gone(state: AssetManagerState, rack: str) -> str:
    return spots_told([spot for spot in state.racks[rack] if state.tip_spots[spot] is False])


def _found(known: _Known, name: str) -> Finding:
    """Ask for all that may be otherwise."""
    state, wells = known.state, known.wells[name]
    place = _read(known, name, "place", "  where is it", _place(known, name))
    missing = volumes = Finding(name)
    if name in state.racks:
        missing = _read(known, name, "missing", "  spots without a tip", _gone(state, name))
    if len(wells) == 1:
        there = liquid_told(state.containers[wells[0]])
        volumes = _read(known, name, "volume", "  how much is in it", there)
    elif wells:
        question = "  wells that are otherwise (B3=50uL, C4=0uL)"
        volumes = _read(known, name, "volume", question, _NONE)
    return Finding(name, place.place, missing.missing, volumes.volumes)


def _read(known: _Known, name: str, column: str, question: str, there: str) -> Finding:
    """Ask until the answer can be read."""
    while True:
        said = _answer(question, there)
        problems: list[Problem] = []
        volumes: dict[str, Filling] = {}
        finding = Finding(name)
        for one in said.split(",") if column == "volume" else [said]:
            well, _, value = one.rpartition("=")
            part = {"name": f"{name}[{well.strip()}]" if well else name, column: value.strip()}
            line = _Line(known, part, name)
            for finding in line.findings():
                volumes |= finding.volumes
            problems += line.problems
        if not problems:
            whole = {of: _whole(known, of, filling) for of, filling in volumes.items()}
            return Finding(name, finding.place, finding.missing, whole)
        for problem in problems:
            console.print(escape(f"  {problem.what}"))


def _answer(question: str, known: str) -> str:
    """Ask; empty: it is as it is known."""
    said = str(typer.prompt(question, default=known)).strip()
    return "" if said == known else said


def _whole(known: _Known, container: str, filling: Filling) -> Filling:
    """Ask what it is where nobody knows it."""
    there = known.state.containers[container]
    if not filling.volume or (there.volume and not there.unknown):
        return filling
    return Filling(filling.volume, reagent=typer.prompt(f"  what is in {container}"))
