"""What a run needs is there, or it is refused before anything moves."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from functools import partial
from time import perf_counter

from praxis_core.assets.calibration import Calibrations, not_used
from praxis_core.assets.catalogue import Catalogue
from praxis_core.assets.choosing import Fact
from praxis_core.assets.state import AssetManagerState, Location
from praxis_core.assets.water import Poured, holding_water, keys_in
from praxis_core.errors import RunRefused
from praxis_core.execution.advance import PLANNED, Outlook
from praxis_core.execution.attempt import Attempt
from praxis_core.execution.page import RunPage
from praxis_core.execution.past import known_of as known_of_run
from praxis_core.execution.plain_data import json_object
from praxis_core.journal.asset_tables import AssetStatus
from praxis_core.journal.record import Journal
from praxis_core.labware.encoder import message_of
from praxis_core.planning.checks import CheckedRequest, check_request
from praxis_core.planning.plan import Plan
from praxis_core.planning.planner import plan, plan_the_rest
from praxis_core.planning.rehearsal import Earlier
from praxis_core.to_the_end import to_the_end
from praxis_core.workcell.bench import Bench
from praxis_core.workcell.definition import Refill, WorkcellDefinition
from praxis_core.workcell.initial_state import initial_assets

_MANY = 100_000
"""Assets of one workcell, at most."""

_NOWHERE = Location(parent=None)


class Preflight:
    """Chooses what a run gets, and plans it.

    Args:
        attempt: The attempt.
        bench: What it is to work on; nothing has moved on it.
        journal: Where the plan is written down.
        page: Where people see it.
    """

    def __init__(self, attempt: Attempt, bench: Bench, *, journal: Journal, page: RunPage) -> None:
        self._attempt = attempt
        self._bench = bench
        self._journal = journal
        self._page = page
        self._catalogue = Catalogue(journal.database)

    async def choose(self) -> CheckedRequest:
        """Check what is asked for, and choose what is left open; what nobody has comes first.

        Raises:
            RunRefused: parameters or assets do not fit, or something is missing; all is listed.
        """
        if self._attempt.past is not None:
            return self._checked(None, {})  # it goes on with what it has
        known = await self._known()
        state, facts = known.state, known.facts
        held = await self._held_by_others()
        if held:
            others = {name: facts.get(name, Fact()) for name in held}
            taken = {name: replace(fact, status="in_use") for name, fact in others.items()}
            try:
                return self._checked(state, facts | taken)
            except RunRefused:
                pass  # then it waits for what others have
        return self._checked(state, facts)

    async def plan(self, checked: CheckedRequest) -> None:
        """Rehearse the run on what it got, and write down what comes of it.

        Raises:
            RunRefused: something is missing, or in the way; it lists every fault and refill.
        """
        attempt = self._attempt
        known = await self._known()
        durations = await self._journal.durations(
            attempt.workcell.name, simulated=attempt.simulated
        )
        rehearse = partial(
            plan,
            attempt.request.function,
            attempt.definition,
            attempt.workcell,
            attempt.parameters,
            checked.assets,
            known.state,
            facts=known.facts,
            water=known.fillings if attempt.water else None,
            durations=durations,
            replica=self._bench.replica,
            run_id=attempt.run_id,
        )
        began = perf_counter()
        try:
            # The replica is the run's own: nobody goes on before the plan has let go of it.
            made = await to_the_end(asyncio.to_thread(rehearse))
        except RunRefused:
            raise
        except Exception as error:  # noqa: BLE001  # what stands against the plan, a run may not meet
            what = f"No plan could be made: {type(error).__name__}: {message_of(error)}"
            await self._journal.event(attempt.run_id, "plan_not_made", what)
            return
        await self._tell(made, checked, perf_counter() - began)
        made.refuse_for_want()

    async def plan_the_rest(self, checked: CheckedRequest) -> None:
        """Look whether others have put something where a run that goes on is going to.

        Sites belong to no run, and the run's own deck shows what others have as it stood when the
        run began, so that a replay finds the same. What decides by what nobody knows yet, no plan
        can tell: the host looks once more before each command that moves labware.

        Raises:
            RunRefused: something stands there.
        """
        attempt, past = self._attempt, self._attempt.past
        if past is None or past.begun_with is None:
            return
        begun = AssetManagerState.model_validate(past.begun_with)
        elsewhere = await self._elsewhere(checked, begun)
        if not elsewhere:
            return
        known = await known_of_run(self._journal, attempt.run_id)
        done = {one.key: (one.command, one.outcome) for one in known.asked_for if one.outcome}
        own = {each.resource for one, _ in done.values() for each in one.deck_changes}
        moved = {name: place for name, place in elsewhere.items() if name not in own}
        rehearse = partial(
            plan_the_rest,
            attempt.request.function,
            attempt.definition,
            checked,
            begun,
            Earlier(done, moved),
            water=(await self._known()).fillings if attempt.water else None,
            replica=self._bench.replica,
            run_id=attempt.run_id,
        )
        try:
            made = await to_the_end(asyncio.to_thread(rehearse))
        except RunRefused:
            raise
        except Exception as error:  # noqa: BLE001  # as for the plan of a whole run
            what = f"No plan could be made: {type(error).__name__}: {message_of(error)}"
            await self._journal.event(attempt.run_id, "rest_not_planned", what)
            return
        made.refuse_for_room()

    async def _elsewhere(
        self, checked: CheckedRequest, begun: AssetManagerState
    ) -> dict[str, Location]:
        """Say where labware stands that the run does not have, if it stood elsewhere before."""
        own = begun.restricted(checked.asset_names).locations
        places = await self._catalogue.standing(self._attempt.workcell.name)
        return {
            name: place
            for name, place in places.items()
            if name not in own and place != begun.locations.get(name, _NOWHERE)
        }

    async def _tell(self, made: Plan, checked: CheckedRequest, seconds: float) -> None:
        """Write the plan down, and show it; its commands are in the journal as they come."""
        values = Calibrations(self._journal.database)
        over = await values.expired(self._attempt.workcell.name, checked.asset_names)
        run_id = self._attempt.run_id
        for late in made.warnings:
            await self._journal.event(run_id, "promise_at_risk", late)
        expired = tuple(map(not_used, over))
        for one in expired:
            await self._journal.event(run_id, "calibration_expired", one)
        made = made.model_copy(update={"warnings": (*made.warnings, *expired)})
        details = json_object(made.model_dump(exclude={"commands"}))
        details |= {"commands": len(made.commands), "planned_in_seconds": round(seconds, 3)}
        taught = await values.stamp(self._attempt.workcell.name, checked.asset_names)
        outlook = Outlook.of(made)
        details |= {"calibration": taught}
        details |= {"outlook": None if outlook is None else json_object(outlook.model_dump())}
        await self._journal.event(run_id, PLANNED, f"Planned: {made.summary}.", details)
        if made.not_made:
            what = f"The plan ends where the protocol failed in it: {made.not_made}"
            await self._journal.event(run_id, "plan_not_made", what)
        await self._page.planned(made)

    def _checked(
        self, state: AssetManagerState | None, facts: Mapping[str, Fact]
    ) -> CheckedRequest:
        attempt = self._attempt
        return check_request(
            attempt.definition,
            attempt.request.function,
            workcell=attempt.workcell.name,
            parameters=attempt.parameters,
            assets=attempt.assets,
            candidates=self._bench.candidates,
            state=state,
            facts=facts,
            water=attempt.water,
        )

    async def _known(self) -> Known:
        """Tell what the run is going to find."""
        known = await known_of(self._catalogue, self._attempt.workcell)
        if known.state is not None:
            return known
        return replace(known, state=initial_assets(self._bench.replica.model))

    async def _held_by_others(self) -> set[str]:
        claims = await self._journal.claims(self._attempt.workcell.name)
        return {one.asset for one in claims if one.run_id != self._attempt.run_id}


@dataclass(frozen=True, slots=True)
class Known:
    """What a new run is going to find on a workcell."""

    state: AssetManagerState | None
    """What is there; None: what the definition says."""
    facts: dict[str, Fact]
    """What the catalogue knows of each asset."""
    fillings: dict[str, Poured] = field(default_factory=dict)
    """What the liquids are that are there."""


async def known_of(catalogue: Catalogue, workcell: WorkcellDefinition) -> Known:
    """Tell what a new run is going to find on a workcell."""
    found = await catalogue.find(workcell=workcell.name, limit=_MANY)
    filled = await catalogue.filled(workcell.name)
    facts = {
        one.name: Fact(one.factory, one.reagent, one.expires, one.status, one.name in filled)
        for one in found
        if one.name is not None
    }
    if workcell.refill is Refill.EVERY_RUN:
        return Known(None, facts)
    for name in await catalogue.gone(workcell.name):
        facts[name] = Fact(status=AssetStatus.DISCARDED.value)
    state = await catalogue.state(workcell.name)
    if not state.locations:
        return Known(None, facts)
    fillings = await catalogue.fillings(keys_in(state))
    for name in holding_water(state, fillings) & facts.keys():
        facts[name] = replace(facts[name], water=True)
    return Known(state, facts, fillings)
