"""The locks against a dictionary of who holds what, in any order of acts."""

from __future__ import annotations

import asyncio

import pytest
import redis
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    Bundle,
    RuleBasedStateMachine,
    consumes,
    invariant,
    multiple,
    rule,
    run_state_machine_as_test,
)

from praxis_core import redis_keys
from praxis_core.errors import AssetsLocked, LeaseLost
from praxis_core.locks import AssetLockManager, Lease
from praxis_core.redis_connection import connect_async

ASSETS = ["reader", "plate_01", "star"]
HOLDERS = st.sampled_from(["run-1", "run-2", "run-3"])


class Model(RuleBasedStateMachine):
    """Three holders, three assets, and the token that holds each asset."""

    url: str
    client: redis.Redis
    leases = Bundle("leases")

    def __init__(self) -> None:
        super().__init__()
        self.client.flushdb()
        self.runner = asyncio.Runner()
        self.aclient = connect_async(self.url)
        self.locks = AssetLockManager(self.aclient)
        self.held: dict[str, int] = {}
        self.holders: dict[int, tuple[str, int]] = {}
        self.last_token = 0

    def teardown(self) -> None:
        """Close what belongs to this example's loop."""
        self.runner.run(self.aclient.aclose())
        self.runner.close()

    def _has(self, lease: Lease) -> bool:
        return all(self.held.get(asset) == lease.token for asset in lease.assets)

    def _is_free(self, asset: str, holder: str, attempt: int) -> bool:
        if asset not in self.held:
            return True
        its_holder, its_attempt = self.holders[self.held[asset]]
        return its_holder == holder and its_attempt < attempt

    @rule(
        target=leases,
        holder=HOLDERS,
        assets=st.sets(st.sampled_from(ASSETS), min_size=1),
        attempt=st.integers(0, 2),
    )
    def acquire(self, holder: str, assets: set[str], attempt: int) -> Lease:
        """Succeeds if, and only if, all are free or held by earlier attempts; a greater token."""
        ask = self.locks.acquire(assets, holder, attempt=attempt)
        if not all(self._is_free(asset, holder, attempt) for asset in assets):
            with pytest.raises(AssetsLocked):
                self.runner.run(ask)
            return multiple()  # type: ignore[return-value]  # no lease for the bundle
        lease = self.runner.run(ask)
        assert lease.token > self.last_token
        self.last_token = lease.token
        self.holders[lease.token] = (holder, attempt)
        self.held.update(dict.fromkeys(assets, lease.token))
        return lease

    @rule(lease=leases)
    def renew(self, lease: Lease) -> None:
        """Succeeds if, and only if, the lease holds all of its assets."""
        if self._has(lease):
            self.runner.run(self.locks.renew(lease))
        else:
            with pytest.raises(LeaseLost):
                self.runner.run(self.locks.renew(lease))

    @rule(lease=leases, holder=HOLDERS)
    def renew_for_another(self, lease: Lease, holder: str) -> None:
        """The token alone is not enough."""
        if holder != lease.holder:
            with pytest.raises(LeaseLost):
                self.runner.run(self.locks.renew(Lease(lease.assets, holder, lease.token)))

    @rule(lease=consumes(leases))
    def release(self, lease: Lease) -> None:
        """Frees what the lease still holds, and nothing else; what was lost is told."""
        if self._has(lease):
            self.runner.run(self.locks.release(lease))
        else:
            with pytest.raises(LeaseLost):
                self.runner.run(self.locks.release(lease))
        self.held = {asset: token for asset, token in self.held.items() if token != lease.token}

    @rule(asset=st.sampled_from(ASSETS))
    def expire(self, asset: str) -> None:
        """The time of one asset's lease is over."""
        self.client.pexpire(redis_keys.asset_lock(asset), 0)
        self.held.pop(asset, None)

    @invariant()
    def they_agree(self) -> None:
        """Redis says the same as the model, and everything but the counter will expire."""
        tokens = {
            asset: self.client.hget(redis_keys.asset_lock(asset), "token") for asset in ASSETS
        }
        assert {asset: int(token) for asset, token in tokens.items() if token} == self.held
        assert all(self.client.pttl(redis_keys.asset_lock(asset)) > 0 for asset in self.held)


def test_locks_are_exclusive_in_any_order_of_acts(redis_url: str, client: redis.Redis) -> None:
    """Several holders, expiry at any moment, forged and late leases."""

    class Connected(Model):
        pass

    Connected.url, Connected.client = redis_url, client
    run_state_machine_as_test(
        Connected,
        settings=settings(
            max_examples=30,
            stateful_step_count=25,
            deadline=None,
            suppress_health_check=[HealthCheck.too_slow],
        ),
    )
