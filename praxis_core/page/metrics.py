"""What Prometheus is told of all workcells of this computer, at one address.

Each host tells what it counts; what outlives a host is read from Postgres and Redis here, so that
no host waits for them.
"""

from __future__ import annotations

import asyncio
import logging
from collections import Counter
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor

from prometheus_client import Metric, generate_latest
from prometheus_client.core import GaugeMetricFamily
from prometheus_client.parser import text_string_to_metric_families
from redis.asyncio import Redis
from redis.exceptions import RedisError
from sqlalchemy import Executable, text

from praxis_core.errors import PraxisError
from praxis_core.host.asking import metrics_of_host
from praxis_core.host.metrics import single
from praxis_core.journal.control import Control, Standing
from praxis_core.journal.record import Journal
from praxis_core.locks.asset_lock_manager import AssetLockManager
from praxis_core.protocol.lifecycle import RunStatus
from praxis_core.settings import PraxisSettings

_log = logging.getLogger(__name__)

HOST_SECONDS = 2.0
"""How long a host may take to tell what it counts."""
READ_SECONDS = 3.0
"""How long Postgres and Redis may take; Prometheus waits ten seconds for all of it."""
ANEW_SECONDS = 1.0
"""What was read within this time is told again, however many ask."""

_ASKED = text("""
    SELECT workcell, kind, count(*) FROM praxis.question_overview WHERE waits
    GROUP BY workcell, kind
""")
_CLAIMS = text("""
    SELECT workcell, count(*) FROM praxis.claim WHERE released_at IS NULL GROUP BY workcell
""")
_RUNS = text("""
    SELECT w.name, a.status, count(*) FROM praxis.run_attempt a
      JOIN praxis.workcell w ON w.id = a.workcell_id
    WHERE a.ended_at IS NULL GROUP BY w.name, a.status
""")

_STANDINGS = (
    Standing.STARTED,
    Standing.DRAINING,
    Standing.STOPPED,
    Standing.RELEASED,
    Standing.RECLAIMED,
)


class Metrics:
    """What Prometheus is told.

    Args:
        settings: Where hosts answer.
        journal: What happened.
        redis: Who has leases, and who waits.
    """

    def __init__(self, settings: PraxisSettings, journal: Journal, redis: Redis) -> None:
        self._settings = settings
        self._journal = journal
        self._locks = AssetLockManager(redis, journal=journal)
        self._names: Sequence[str] = ()
        # Of its own: a host that does not answer keeps nothing else of the page waiting.
        self._asking = ThreadPoolExecutor(8, "asking-for-metrics")
        self._one_at_a_time = asyncio.Lock()
        self._told = b""
        self._due = 0.0

    async def text(self) -> bytes:
        """Write it as Prometheus reads it."""
        clock = asyncio.get_running_loop().time
        async with self._one_at_a_time:
            if clock() >= self._due:
                self._told = generate_latest(await self._read())
                self._due = clock() + ANEW_SECONDS
            return self._told

    async def _read(self) -> _Families:
        stored = await _part(self._stored)
        names = self._names
        hosts, leased = await asyncio.gather(
            asyncio.gather(*map(self._host, names)), _part(self._leased)
        )
        up = {name: told for name, told in zip(names, hosts, strict=True) if told}
        found = _Families()
        found.add(_of_each("praxis_host_up", "1: the host answers.", names, lambda one: one in up))
        for told in up.values():
            found.add(*text_string_to_metric_families(told))
        for service, part in (("database", stored), ("redis", leased)):
            told = "1: it answers the workcells' page."
            found.add(single(f"praxis_{service}_up", told, part is not None), *(part or ()))
        return found

    async def _host(self, name: str) -> str:
        """Ask a host; nothing: it does not answer."""
        loop = asyncio.get_running_loop()

        def ask() -> str:
            return metrics_of_host(self._settings, name, seconds=HOST_SECONDS)

        try:
            return await loop.run_in_executor(self._asking, ask)
        except PraxisError as error:
            _log.debug("%s", error)
            return ""

    async def _stored(self) -> list[Metric]:
        """Read what the database knows, of the workcells that this computer serves."""
        elsewhere = self._settings.workcell_hosts
        known = [one.name for one in await self._journal.workcells()]
        names = self._names = [name for name in known if name not in elsewhere]
        asked, claims = await self._counts(_ASKED), await self._counts(_CLAIMS)

        def of(kind: str) -> Callable[[str], int | None]:
            return lambda name: asked.get((name, kind))

        doubts = "Questions about what nobody knows that are not answered yet."
        questions = "Other questions to people that are not answered yet."
        held = "Assets that belong to runs, by the database."
        found = [
            _of_each("praxis_doubts_waiting", doubts, names, of("doubt")),
            _of_each("praxis_questions_waiting", questions, names, of("question")),
            _of_each("praxis_claims_held", held, names, lambda name: claims.get((name,))),
            _runs(names, await self._counts(_RUNS)),
        ]
        control = Control(self._journal.database)
        standings = {name: (await control.standing(name)).standing for name in names}
        found.append(_standings(standings))
        return found

    async def _counts(self, query: Executable) -> dict[tuple[str, ...], int]:
        """Read counts, by the columns that stand before them."""
        rows = await self._journal.database.execute(query)
        return {tuple(keys): number for *keys, number in map(tuple, rows)}

    async def _leased(self) -> list[Metric]:
        """Read which assets a process has now, and which somebody waits for."""
        leased = Counter(_workcell(asset) for asset in await self._locks.leased())
        wanted = Counter(map(_workcell, {one.asset for one in await self._locks.waiting()}))
        told = "Assets that a process has now, by Redis."
        waits = "Assets that a run waits for."
        return [
            _of_each("praxis_leases_held", told, self._names, leased.get),
            _of_each("praxis_assets_waited_for", waits, self._names, wanted.get),
        ]


class _Families:
    """Metrics by name: of several hosts the same one is told once, with the samples of all."""

    def __init__(self) -> None:
        self._found: dict[str, Metric] = {}

    def add(self, *families: Metric) -> None:
        for family in families:
            known = self._found.setdefault(family.name, family)
            if known is not family:
                known.samples += family.samples

    def collect(self) -> Iterable[Metric]:
        """Give them all."""
        return self._found.values()


async def _part(read: Callable[[], Awaitable[list[Metric]]]) -> list[Metric] | None:
    """Read a part; None: what knows it does not answer."""
    try:
        async with asyncio.timeout(READ_SECONDS):
            return await read()
    except (PraxisError, RedisError, TimeoutError) as error:
        _log.debug("%s", error)
        return None


def _workcell(asset: str) -> str:
    return asset.partition("/")[0]


def _of_each(
    name: str, told: str, workcells: Iterable[str], value: Callable[[str], float | None]
) -> Metric:
    """Make a metric of one value for each workcell; None: zero."""
    family = GaugeMetricFamily(name, told, labels=("workcell",))
    for workcell in workcells:
        family.add_metric((workcell,), value(workcell) or 0)
    return family


def _runs(workcells: Iterable[str], counts: Mapping[tuple[str, ...], int]) -> Metric:
    told = "Runs that have not ended."
    family = GaugeMetricFamily("praxis_runs", told, labels=("workcell", "status"))
    for workcell in workcells:
        for status in RunStatus:
            if not status.ended:
                family.add_metric((workcell, status.value), counts.get((workcell, status), 0))
    return family


def _standings(standings: Mapping[str, Standing]) -> Metric:
    told = "1: the workcell stands so: in use (started), draining, stopped, or given away."
    family = GaugeMetricFamily("praxis_workcell_standing", told, labels=("workcell", "standing"))
    for workcell, standing in standings.items():
        for one in _STANDINGS:
            word = one.value.removeprefix("workcell_")
            family.add_metric((workcell, word), standing is one)
    return family
