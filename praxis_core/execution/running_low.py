"""After a run: of what less is left than it took, so that the next one of its kind is refused."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from uuid import UUID

from pydantic import TypeAdapter, ValidationError

from praxis_core.assets.catalogue import Catalogue
from praxis_core.assets.choosing import Fact
from praxis_core.assets.state import AssetManagerState
from praxis_core.execution.preflight import known_of
from praxis_core.journal.record import Journal
from praxis_core.planning.plan import Consumption
from praxis_core.workcell.definition import WorkcellDefinition

CONSUMABLES_LOW = "consumables_low"
"""Kind of the event that says what is low."""

_CONSUMPTION = TypeAdapter(dict[str, Consumption])


async def tell_what_is_low(journal: Journal, run_id: UUID) -> list[str]:
    """Write down of what less is left than a run took by its plan; give a line for each.

    Racks of a kind count together. Labware that the run also filled is no consumable, and a
    workcell that is refilled before every run lacks nothing.
    """
    run = await journal.run(run_id)
    taken = _taken([event.details for event in await journal.events(run_id)])
    if not taken:
        return []
    stored = await journal.workcell(run.workcell)
    workcell = WorkcellDefinition.model_validate(stored.definition)
    known = await known_of(Catalogue(journal.database), workcell)
    if known.state is None:
        return []
    low = [*_tips(taken, known.state, known.facts), *_liquids(taken, known.state)]
    if low:
        said = f"Less is left than {run.protocol} took: {'; '.join(low)}"
        await journal.event(run_id, CONSUMABLES_LOW, said, {"low": [*low]})
    return low


def _taken(details: list[object]) -> Mapping[str, Consumption]:
    """Give what the last plan of a run says that it takes."""
    for one in reversed(details):
        match one:
            case {"consumption": dict(consumption)}:
                try:
                    return _CONSUMPTION.validate_python(consumption)
                except ValidationError:
                    continue
    return {}


def _tips(
    taken: Mapping[str, Consumption], state: AssetManagerState, facts: Mapping[str, Fact]
) -> Iterator[str]:
    by_kind: dict[str, list[str]] = {}
    for rack in state.racks:
        factory = facts[rack].factory if rack in facts else None
        by_kind.setdefault(factory or rack, []).append(rack)
    for racks in by_kind.values():
        used = [rack for rack in racks if rack in taken]
        wanted = sum(taken[rack].tips for rack in used)
        spots = [spot for rack in racks for spot in state.racks[rack]]
        left = sum(state.tip_spots.get(spot) is True for spot in spots)
        if left < wanted:
            said = f"{left} tips of the kind of {used[0]}, of which it took {wanted}"
            yield f"{said} (praxis assets refill {' '.join(used)})"


def _liquids(taken: Mapping[str, Consumption], state: AssetManagerState) -> Iterator[str]:
    for name, used in taken.items():
        containers = {one: state.containers.get(one) for one in used.drawn_from}
        if used.given or not containers:
            continue
        left = sum(one.volume for one in containers.values() if one and not one.unknown)
        if left < used.drawn:
            said = f"{left:g} µL in {name}, of which it took {used.drawn:g}"
            yield f"{said} (praxis assets refill {name})"
