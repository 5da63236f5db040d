"""The locks against a model that knows only the truth, in any order of acts and disasters.

The model has runs, their processes and their claims, and the rule by which assets are given. After
each act everybody does what processes do (renew, look again); then Redis, Postgres and the model
must agree on who has what, who waits for whom, and why.
"""

from __future__ import annotations

import asyncio
import itertools
import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any
from uuid import UUID, uuid4

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    precondition,
    rule,
    run_state_machine_as_test,
)

from praxis_core import redis_keys
from praxis_core.errors import AssetsLocked, LeaseLost
from praxis_core.journal.database import Database
from praxis_core.journal.record import Journal
from praxis_core.journal.records import AttemptRequest
from praxis_core.locks import AssetLockManager, Lease, Request, holder_of
from praxis_core.locks import request as request_module
from praxis_core.locks import store as store_module
from praxis_core.redis_connection import connect, connect_async
from praxis_core.services.home import prepare
from praxis_core.services.valkey import EmbeddedValkey
from praxis_core.settings import PraxisSettings

NAMES = ["reader", "plate_01", "plate_02", "star"]
RUNS = 4
MANY = 500
LEASE_SECONDS = 600.0
Edge = tuple[str, str, str, str]

_RUSH: dict[str, Any] = {
    "runs": st.permutations(range(RUNS)),
    "hurried": st.sets(st.integers(0, RUNS - 1), max_size=2),
    "again": st.sets(st.integers(0, RUNS - 1), max_size=2),
    "order": st.randoms(use_true_random=False),
}

_workcells = itertools.count(1)


@dataclass
class Held:
    """A lease that was given: whether its process lives, and whether Redis still knows of it."""

    run: int
    lease: Lease
    lives: bool = True
    in_redis: bool = True
    has: set[str] = field(default_factory=set)
    """Assets of which it has not been robbed by a newer attempt."""


@dataclass
class Asked:
    """A request that waits."""

    run: int
    request: Request
    number: int
    priority: int
    lives: bool = True

    @property
    def assets(self) -> set[str]:
        """What it is for."""
        return set(self.request.asking.assets)

    @property
    def attempt(self) -> int:
        """Whose."""
        return self.request.asking.attempt


class Model(RuleBasedStateMachine):
    """Four runs on one workcell; a process of each may live, wait, hold, die and come back."""

    server: EmbeddedValkey
    redis_url: str
    database_url: str

    def __init__(self) -> None:
        super().__init__()
        self.runner = asyncio.Runner()
        self.aclient = connect_async(self.redis_url)
        self.client = connect(self.redis_url)
        self.client.flushall()
        self.database = Database(self.database_url)
        self.journal = Journal(self.database)
        self.locks = AssetLockManager(
            self.aclient, lease_seconds=LEASE_SECONDS, journal=self.journal
        )
        self.workcell = f"star_{next(_workcells)}"
        self.requests: list[AttemptRequest] = [
            self.do(self._attempt_request()) for _ in range(RUNS)
        ]
        self.attempts = [self.do(self.journal.begin_attempt(one)) for one in self.requests]
        self.claims: dict[str, tuple[int, int]] = {}
        self.held: list[Held] = []
        self.asleep: list[Held] = []
        self.asked: list[Asked] = []
        self.numbers = itertools.count()
        self.last_token = 0
        self.given: dict[int, Held] = {}
        self.restarts = 0

    def teardown(self) -> None:
        """Close what belongs to this example's loop."""
        self.do(self.aclient.aclose())
        self.do(self.database.close())
        self.client.close()
        self.runner.close()

    def do(self, work: Any) -> Any:
        """Carry out something asynchronous."""
        return self.runner.run(work)

    async def _attempt_request(self) -> AttemptRequest:
        workcell = await self.journal.store_workcell("star", {"mode": "simulated", "devices": {}})
        protocol = await self.journal.store_protocol(
            name="dilution",
            version="1.0.0",
            entrypoint="flows.dilution:dilution",
            source_hash="a" * 64,
            content_hash="b" * 64,
            definition={},
        )
        return AttemptRequest(
            run_id=uuid4(),
            run_name="dilution on star",
            protocol_id=protocol.id,
            workcell_id=workcell.id,
            parameters={},
            assets={},
            simulated=True,
        )

    def _id(self, run: int) -> UUID:
        return self.requests[run].run_id

    def _holder(self, run: int) -> str:
        return holder_of(self._id(run))

    def _named(self, names: set[str]) -> set[str]:
        return {f"{self.workcell}/{name}" for name in names}

    # --- the rule by which assets are given -------------------------------------------------------

    def _lease_on(self, asset: str) -> Held | None:
        return next((one for one in self.held if one.in_redis and asset in one.has), None)

    def _older(self, one: Asked, held: Held | None) -> bool:
        return held is not None and held.run == one.run and held.lease.attempt < one.attempt

    def _owns(self, one: Asked) -> set[str]:
        """What the run of a request has already."""
        claimed = {asset for asset in one.assets if self._run_of(asset) == one.run}
        return claimed | {asset for asset in one.assets if self._older(one, self._lease_on(asset))}

    def _run_of(self, asset: str) -> int | None:
        return self.claims[asset][0] if asset in self.claims else None

    def _in_the_way(self, one: Asked) -> dict[str, tuple[int, str]]:
        found: dict[str, tuple[int, str]] = {}
        for asset in one.assets:
            held = self._lease_on(asset)
            if held is not None and not self._older(one, held):
                found[asset] = (held.run, "leased")
            elif self._run_of(asset) not in {None, one.run}:
                found[asset] = (self.claims[asset][0], "reserved")
        return found

    def _aside(self, one: Asked) -> bool:
        return any(state == "reserved" for _, state in self._in_the_way(one).values())

    def _order(self) -> list[Asked]:
        return sorted(self.asked, key=lambda one: (not self._owns(one), -one.priority, one.number))

    def _waits_of(self, one: Asked) -> set[Edge]:
        me = self._holder(one.run)
        edges = {
            (me, asset, self._holder(run), state)
            for asset, (run, state) in self._in_the_way(one).items()
        }
        order = self._order()
        for other in order[: order.index(one)]:
            if not self._aside(other) and not (
                other.run == one.run and other.attempt < one.attempt
            ):
                for asset in other.assets & one.assets:
                    edges.add((me, asset, self._holder(other.run), "asked before"))
        return edges

    def _grant_all(self) -> dict[int, Asked]:
        """Give to everybody whose turn it is; by number."""
        given: dict[int, Asked] = {}
        while True:
            ready = [one for one in self._order() if one.lives and not self._waits_of(one)]
            if not ready:
                return given
            one = ready[0]
            given[one.number] = one
            self.asked.remove(one)
            for held in self.held:
                held.has -= one.assets
            for asset in one.assets:
                self.claims[asset] = (one.run, -one.number)
            # Its lease comes when it looks.
            held = Held(one.run, Lease((), "", 0, one.attempt), has=one.assets)
            self.held.append(held)
            self.given[one.number] = held

    # --- acts -------------------------------------------------------------------------------------

    def _let_expire(self, held: Held) -> None:
        for asset in held.has:
            self.client.pexpire(redis_keys.asset_lock(asset), 0)
        held.in_redis = False

    def _idle(self, run: int) -> bool:
        busy = any(one.run == run and one.lives for one in self.asked)
        return not busy and not any(one.run == run for one in self.held)

    @rule(
        run=st.integers(0, RUNS - 1),
        names=st.one_of(
            st.sets(st.sampled_from(NAMES), min_size=1, max_size=2),
            st.sets(st.sampled_from(NAMES), min_size=1),
        ),
        priority=st.sampled_from([0, 0, 0, 5]),
        again=st.booleans(),
        order=st.randoms(use_true_random=False),
    )
    def ask(self, run: int, names: set[str], priority: int, again: bool, order: Any) -> None:
        """A process of a run asks; ``again``: of a new attempt, whatever the last one does."""
        self._ask(run, names, priority, again=again, order=order)

    @initialize(wanted=st.sampled_from([None, *NAMES]), **_RUSH)
    def begin(
        self,
        wanted: str | None,
        runs: list[int],
        hurried: set[int],
        again: set[int],
        order: Any,
    ) -> None:
        """Mostly with a rush: several who wait for the same have to be there to be overtaken."""
        if wanted is not None:
            self.rush(wanted, runs, hurried, again, order)

    @rule(name=st.sampled_from(NAMES), **_RUSH)
    def rush(
        self, name: str, runs: list[int], hurried: set[int], again: set[int], order: Any
    ) -> None:
        """All who have nothing to do ask for the same, and some again: nobody overtakes unduly."""
        for run in runs:
            self._ask(run, {name}, 5 * (run in hurried), again=False, order=order)
        for run in again:
            if any(one.run == run and one.lives for one in self.asked):
                self._ask(run, {name}, 0, again=True, order=order)

    def _ask(self, run: int, names: set[str], priority: int, *, again: bool, order: Any) -> None:
        if again:
            self.attempts[run] = self.do(self.journal.begin_attempt(self.requests[run]))
            for one in self.asked:
                if one.run == run:
                    one.lives = False
        elif not self._idle(run):
            return
        mine = {asset for asset, (owner, _) in self.claims.items() if owner == run}
        request = self.locks.ask(
            self._named(names) | mine,
            self._holder(run),
            attempt=self.attempts[run],
            priority=priority,
        )
        self.asked.append(Asked(run, request, next(self.numbers), priority))
        self._settle(order)

    @precondition(lambda self: any(one.lives for one in self.held))
    @rule(data=st.data(), keep=st.sets(st.sampled_from(NAMES)))
    def release(self, data: Any, keep: set[str]) -> None:
        """A process ends as it should; some of what it had may stay reserved."""
        held = data.draw(st.sampled_from([one for one in self.held if one.lives]))
        self._give_back(held, self._named(keep) & set(held.lease.assets))
        self._settle(data.draw(st.randoms(use_true_random=False)))

    def _give_back(self, held: Held, stay: set[str]) -> None:
        if self._whole(held):
            if stay:
                self.do(self.locks.reserve(held.lease, stay))
            self.do(self.locks.release(held.lease))
        else:
            with pytest.raises(LeaseLost):
                self.do(self.locks.release(held.lease))
            stay = set()
        self.held.remove(held)
        for asset in set(held.lease.assets) - stay:
            if self.claims.get(asset, (0, 0))[1] == held.lease.token:
                del self.claims[asset]

    @precondition(lambda self: any(one.lives for one in (*self.held, *self.asked)))
    @rule(data=st.data(), noticed=st.booleans())
    def crash(self, data: Any, noticed: bool) -> None:
        """A process is killed; ``noticed``: its lease is over, too."""
        known: list[Held | Asked] = [*self.held, *self.asked]
        one = data.draw(st.sampled_from([one for one in known if one.lives]))
        one.lives = False
        if noticed and isinstance(one, Held):
            self._let_expire(one)
        self._settle(data.draw(st.randoms(use_true_random=False)))

    @precondition(lambda self: self.asleep or any(not one.lives for one in self.held))
    @rule(data=st.data(), ends=st.booleans())
    def wake(self, data: Any, ends: bool) -> None:
        """A process was not killed but stopped, and wakes up: to go on, or to end at once."""
        dead = [one for one in self.held if not one.lives]
        held = data.draw(st.sampled_from([*self.asleep, *dead]))
        held.lives = True
        if held in self.asleep:
            self.asleep.remove(held)
            self.held.append(held)
        if ends:
            self._give_back(held, set())
        self._settle(data.draw(st.randoms(use_true_random=False)))

    @precondition(lambda self: self.held)
    @rule(data=st.data())
    def expire(self, data: Any) -> None:
        """The time of a lease is over: its process is dead, or was stopped for long."""
        held = data.draw(st.sampled_from(self.held))
        self._let_expire(held)
        self._settle(data.draw(st.randoms(use_true_random=False)))

    @precondition(lambda self: any(not one.lives for one in self.asked))
    @rule(order=st.randoms(use_true_random=False))
    def forget(self, order: Any) -> None:
        """Those who waited and were killed have been silent for too long."""
        entries = self.client.hgetall(redis_keys.lock_waiting())
        for one in self.asked:
            if not one.lives:
                name = one.request.asking.request.encode()
                entry = {**json.loads(entries[name]), "until": "0"}
                self.client.hset(redis_keys.lock_waiting(), name, json.dumps(entry))
        self.asked = [one for one in self.asked if one.lives]
        self._settle(order)

    @rule(run=st.integers(0, RUNS - 1), order=st.randoms(use_true_random=False))
    def abandon(self, run: int, order: Any) -> None:
        """A person gives up a run; refused while a process of it holds something."""
        mine = {asset for asset, (owner, _) in self.claims.items() if owner == run}
        if not mine:
            return
        if any(one.run == run and one.in_redis and one.has & mine for one in self.held):
            with pytest.raises(AssetsLocked):
                self.do(self.locks.free(self._holder(run), mine))
            return
        self.do(self.locks.free(self._holder(run), mine))
        for asset in mine:
            del self.claims[asset]
        for one in self.held:
            if one.run == run:
                one.has -= mine
        self._settle(order)

    @rule()
    def flush(self) -> None:
        """Redis loses everything."""
        self.client.flushall()
        for held in self.held:
            held.in_redis = False
        self.asked = [one for one in self.asked if one.lives]
        # Whoever looks first would be the first again.
        self._settle(None)

    @precondition(lambda self: self.restarts < 1)
    @rule(order=st.randoms(use_true_random=False))
    def restart(self, order: Any) -> None:
        """Redis is killed and comes back with what it had confirmed."""
        self.restarts += 1
        record = self.server.record()
        assert record is not None
        self.server.stop()
        self.server.wait(self.server.launch())
        self._settle(order)

    # --- what must be true ------------------------------------------------------------------------

    def _whole(self, held: Held) -> bool:
        return all(
            self.claims.get(asset, (0, 0))[1] == held.lease.token for asset in held.lease.assets
        )

    def _settle(self, order: Any) -> None:
        """Everybody who lives renews and looks, until nothing changes any more; then compare."""
        self._renew_all()
        waiting = [one for one in self._order() if one.lives]
        expected = self._grant_all()
        changed = True
        while changed:
            changed = False
            if order is not None:
                order.shuffle(waiting)
            for one in list(waiting):
                lease = self.do(one.request.look())
                if lease is not None:
                    changed = True
                    waiting.remove(one)
                    assert one.number in expected, f"{one} was given something out of turn"
                    self._given(one, lease)
        left = {one.number for one in waiting}
        assert not left & set(expected), "somebody whose turn it is gets nothing"
        self._renew_all()
        self._agree()

    def _given(self, one: Asked, lease: Lease) -> None:
        assert lease.token > self.last_token
        self.last_token = lease.token
        self.given[one.number].lease = lease
        for asset in lease.assets:
            self.claims[asset] = (one.run, lease.token)

    def _renew_all(self) -> None:
        for held in list(self.held):
            if held.lives:
                if self._whole(held):
                    self.do(self.locks.renew(held.lease))
                    held.in_redis = True
                else:
                    with pytest.raises(LeaseLost):
                        self.do(self.locks.renew(held.lease))
                    held.lives = False
            if not held.lives and (not held.has or not held.in_redis):
                self.held.remove(held)
                self.asleep.append(held)

    def _agree(self) -> None:
        claims = {
            f"{self.workcell}/{one.asset}": (self._run_number(one.run_id), one.token)
            for one in self.do(self.journal.claims(self.workcell))
        }
        assert claims == self.claims
        for asset in self._named(set(NAMES)):
            held = self._lease_on(asset)
            value = self.client.get(redis_keys.asset_lock(asset))
            told = json.loads(value) if value else {"token": None}
            assert told["token"] == (str(held.lease.token) if held else None), asset
        edges = {edge for one in self.asked for edge in self._waits_of(one)}
        waits = self.do(self.locks.waiting())
        assert {(w.holder, w.asset, w.held_by, w.state.value) for w in waits} == edges
        for run in range(RUNS):
            why = self.do(self.locks.why(self._holder(run)))
            assert set(why) == {wait for wait in waits if wait.holder == self._holder(run)}

    def _run_number(self, run_id: UUID) -> int:
        return next(number for number in range(RUNS) if self._id(number) == run_id)


@pytest.fixture
def own_valkey(ended_with_the_tests: Callable[[Path], None]) -> Iterator[EmbeddedValkey]:
    """A Valkey that may be emptied and restarted."""
    with TemporaryDirectory(prefix="locks") as folder:
        ended_with_the_tests(Path(folder))
        server = EmbeddedValkey(prepare(PraxisSettings(home=Path(folder))))
        server.wait(server.launch())
        yield server
        server.stop()


@pytest.mark.parametrize("examples", [8, pytest.param(MANY, marks=pytest.mark.chaos)])
def test_two_runs_never_own_one_asset(
    own_valkey: EmbeddedValkey, database_url: str, monkeypatch: pytest.MonkeyPatch, examples: int
) -> None:
    """Whatever dies, in whichever order: one owner, growing tokens, fair turns, a true ``why``."""
    monkeypatch.setattr(request_module, "_CHECK_SECONDS", 0)
    monkeypatch.setattr(store_module, "_LONGEST_SILENCE", LEASE_SECONDS)

    class Connected(Model):
        pass

    Connected.server = own_valkey
    Connected.redis_url = f"unix://{own_valkey.socket}?db=0"
    Connected.database_url = database_url + "&options=-c%20synchronous_commit%3Doff"
    run_state_machine_as_test(
        Connected,
        settings=settings(
            max_examples=examples,
            stateful_step_count=25,
            deadline=None,
            derandomize=examples < MANY,  # the same few each time; new ones are for the many
            suppress_health_check=[HealthCheck.too_slow],
        ),
    )
