"""What a run is going to do, use and lack, before anything moves."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import timedelta

from pydantic import BaseModel, ConfigDict

from praxis_core.errors import Problem, RunRefused


class _Part(BaseModel):
    model_config = ConfigDict(frozen=True)


class PlannedCommand(_Part):
    """One command that the run is going to send, if nothing decides otherwise."""

    number: int
    """From 1, in the order of the plan."""
    device: str
    method: str
    description: str
    step: str | None
    """Title of the step it is part of."""
    where: str
    """File and line of the protocol."""
    conditional: bool = False
    """Whether something that nobody knows yet decided whether it comes."""
    at: float = 0.0
    """Estimated seconds from the beginning of the run."""


class PlanFault(_Part):
    """Something that would go wrong."""

    asset: str
    """Well, tip spot, channel or labware; empty: none in particular."""
    what: str
    mend: str
    step: str | None
    command: int | None
    """Number of the planned command; None: the protocol failed between two commands."""
    where: str
    """File and line of the protocol."""
    description: str = ""
    """The command, in words."""
    of_material: bool = True
    """Whether it is about what is there, how much of it, where it stands, and how long it waits.
    Else the protocol itself failed in the plan, which it need not do in a run."""
    by: str = ""
    """Labware that stands where something is to be put; empty: nothing does."""

    @property
    def problem(self) -> Problem:
        """The fault with its place, as a refusal lists it."""
        place = [f"step {self.step!r}"] if self.step else []
        if self.command is not None:
            place.append(f"command {self.command} ({self.description})")
        at = ", ".join(place) or self.where
        thing = f"{self.asset}: " if self.asset else ""
        return Problem(at, f"{thing}{self.what}", self.mend)


class Consumption(_Part):
    """What a run takes from, and gives to, one piece of labware."""

    tips: int = 0
    """Tips taken from a rack; each spot counts once."""
    drawn: float = 0.0
    """µL taken out of it."""
    drawn_from: dict[str, float] = {}
    """µL by well, or by the container itself."""
    given: dict[str, float] = {}
    """µL put into it, by the labware that they were drawn from last."""
    tips_there: int | None = None
    """Tips that a rack has before; None: it is none, or nobody knows of each spot."""
    volume_there: float | None = None
    """µL that are before in what is drawn from; None: nobody knows."""

    @property
    def tips_told(self) -> str:
        """Tips as people say it: "16 of 96"; empty: none."""
        of = "" if self.tips_there is None else f" of {self.tips_there}"
        return f"{self.tips}{of}" if self.tips else ""

    @property
    def drawn_told(self) -> str:
        """What is taken out as people say it: "3200 of 50000"; empty: nothing."""
        # What is given something, too, tells nothing by what it had before.
        of = "" if self.volume_there is None or self.given else f" of {self.volume_there:g}"
        return f"{self.drawn:g}{of}" if self.drawn else ""


class PlanCondition(_Part):
    """From where on the run may do something else."""

    where: str
    """File and line of the protocol."""
    why: str
    command: int
    """Number of the last planned command that is certain; 0: none is."""


class Plan(_Part):
    """A run that was only simulated; see ``planner.plan``."""

    protocol: str
    workcell: str
    assets: dict[str, str | list[str]]
    """What was bound: requirement -> name on the workcell."""
    commands: tuple[PlannedCommand, ...]
    steps: int = 0
    """How many steps it has, those inside others included."""
    consumption: dict[str, Consumption]
    """By labware."""
    faults: tuple[PlanFault, ...]
    """What certainly goes wrong; a run must not begin with one of them."""
    possible_faults: tuple[PlanFault, ...]
    """What goes wrong only if the run decides as the plan did."""
    refill: tuple[str, ...]
    """What has to be brought so that nothing is missing."""
    mends: tuple[str, ...] = ()
    """What to type when it was brought, for each of these lines."""
    conditional_from: PlanCondition | None
    """None: the run does just this."""
    without_max: tuple[str, ...]
    """Assets of a conditional plan of which nobody said how much of them it may take at most."""
    duration: float | None
    """Estimated seconds; None: nothing is known of any command of it."""
    not_estimated: tuple[str, ...]
    """Kinds of commands (``device.method``) of which nothing is known; they count as nothing."""
    left_out: tuple[str, ...]
    """Outside effects (``run.once``) that were not brought about."""
    warnings: tuple[str, ...] = ()
    """What does not stand against it, and somebody should know: taught values that are over, steps
    that will probably come later than they promise."""
    ended: str = ""
    """Why the plan ends before the protocol does; empty: it is complete."""
    water: bool = False
    """Whether it is of a water run."""

    @property
    def summary(self) -> str:
        """How much it is, and whether anything stands against it."""
        faults = f"{len(self.faults)} fault(s)" if self.faults else "no faults"
        said = ["with water"] if self.water else []
        said += [f"{len(self.commands)} commands", faults]
        if self.duration is not None:
            said.append(f"about {timedelta(seconds=round(self.duration))}")
        if self.not_estimated:
            said.append(f"nothing is known of the time of {', '.join(self.not_estimated)}")
        return "; ".join(said)

    @property
    def not_made(self) -> str:
        """Why the protocol failed in the plan, which it need not do in a run; empty: it did not."""
        failed = [one.what for one in (*self.faults, *self.possible_faults) if not one.of_material]
        return failed[-1] if failed else ""

    @property
    def shortages(self) -> tuple[Problem, ...]:
        """What has to be brought, each with what to type then."""
        mends = self.mends or ("",) * len(self.refill)
        return tuple(Problem("refill", *one) for one in zip(self.refill, mends, strict=True))

    @property
    def lacking(self) -> tuple[PlanFault, ...]:
        """The faults that are about what is there, and where."""
        return tuple(fault for fault in self.faults if fault.of_material)

    def refuse(self) -> None:
        """Stop a run that cannot succeed.

        Raises:
            RunRefused: the plan has faults; it lists what has to be brought, and all of them.
        """
        self._refuse(self.faults)

    def refuse_for_want(self) -> None:
        """Stop a run for which something is missing, or in the way.

        Raises:
            RunRefused: as ``refuse``; but not only because the protocol failed in the plan.
        """
        self._refuse(self.lacking)

    def refuse_for_room(self) -> None:
        """Stop a run that would put something where something else stands.

        Raises:
            RunRefused: it lists all that is in the way.
        """
        faults = tuple(fault for fault in self.faults if fault.by)
        problems = [*map(_problem, _alike(faults))]
        if problems:
            raise RunRefused(
                protocol=self.protocol,
                workcell=self.workcell,
                count=len(problems),
                problems=problems,
            )

    def _refuse(self, faults: tuple[PlanFault, ...]) -> None:
        if not faults:
            return
        problems = [*self.shortages, *map(_problem, _alike(faults))]
        raise RunRefused(
            protocol=self.protocol, workcell=self.workcell, count=len(problems), problems=problems
        )


def _alike(faults: tuple[PlanFault, ...]) -> Iterable[list[PlanFault]]:
    """Bring together what is said of several things of one command."""
    found: dict[tuple[object, ...], list[PlanFault]] = {}
    for fault in faults:
        found.setdefault((fault.command, fault.where, fault.what, fault.mend), []).append(fault)
    return found.values()


def _problem(alike: list[PlanFault]) -> Problem:
    first, more = alike[0], len(alike) - 1
    if not more:
        return first.problem
    return first.model_copy(update={"asset": f"{first.asset} and {more} more like it"}).problem
