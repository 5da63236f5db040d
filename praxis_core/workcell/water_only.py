"""A water run touches water only: each of its commands is looked at before it is sent.

Its plan has seen to that, as far as it could tell what the run would do.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from pylabrobot.resources import Trash

from praxis_core.assets.catalogue import Catalogue
from praxis_core.assets.state import Liquid
from praxis_core.assets.water import Poured, keys_of, told
from praxis_core.errors import NotWater
from praxis_core.journal.record import Journal
from praxis_core.protocol.command import Command
from praxis_core.workcell.workplace import Workplace


@dataclass(frozen=True, slots=True)
class WaterOnly:
    """Refuses commands of water runs that would touch something else."""

    place: Workplace
    _fillings: dict[str, Poured] = field(default_factory=dict)
    """What is known of fillings, which never change."""

    async def require(self, command: Command) -> None:
        """Let a command pass.

        Raises:
            NotWater: it is of a water run, and would touch what is not known to be water.
            ServiceUnreachable: nobody can look up what that is.
        """
        if not command.water:
            return
        found = self._against(command)
        if found and self.place.journal is not None:
            found = await self._looked_up(self.place.journal, command, found)
        if found:
            what = "; ".join(f"{name}: {told(one, self._fillings)}" for name, one in found.items())
            raise NotWater(command=command.name, what=what, run_id=command.run_id)

    def _against(self, command: Command) -> dict[str, Liquid]:
        return self.place.books.assets.not_water(command, self._fillings, self._is_waste)

    def _is_waste(self, name: str) -> bool:
        return isinstance(self.place.model.resources.find(name), Trash)

    async def _looked_up(
        self, journal: Journal, command: Command, found: dict[str, Liquid]
    ) -> dict[str, Liquid]:
        """Look up what fillings are, and leave out what nobody knows because of this run."""
        catalogue = Catalogue(journal.database)
        keys = {key for one in found.values() for key in keys_of(one)}
        self._fillings.update(await catalogue.fillings(keys - self._fillings.keys()))
        found = self._against(command)
        unknown = [name for name, one in found.items() if one.unknown]
        if unknown:
            # What it has touched was water then, and has been its own since.
            await journal.settled()
            own = await catalogue.changed_by(command.run_id, unknown)
            found = {name: one for name, one in found.items() if name not in own}
        return found
