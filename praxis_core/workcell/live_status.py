"""The live status of a workcell in Redis, for other programs to read and to watch."""

from __future__ import annotations

import asyncio
import json
import logging
from collections.abc import Callable
from contextlib import suppress
from dataclasses import asdict, dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Self

from redis import Redis as SyncRedis
from redis.asyncio import Redis
from redis.exceptions import RedisError

from praxis_core import redis_keys

_log = logging.getLogger(__name__)


class DeviceState(StrEnum):
    """What a device is doing."""

    DISCONNECTED = "disconnected"
    """Nobody is connected to it."""
    CONNECTING = "connecting"
    """It is being set up."""
    IDLE = "idle"
    """Connected, and waiting for a command."""
    BUSY = "busy"
    """Carrying out a command."""
    ERROR = "error"
    """Its last command, or its set-up, failed."""
    QUARANTINED = "quarantined"
    """It did not answer in time, and is out of use until a person has looked at it."""


@dataclass(frozen=True, slots=True)
class DeviceStatus:
    """What is known about a device right now."""

    state: DeviceState
    since: datetime
    doing: str | None = None
    """Method under way, while busy."""
    error: str | None = None
    gripper: str | None = None
    """Name of the labware that its gripper holds."""
    holds: dict[str, str] = field(default_factory=dict)
    """Labware that stands in or on it: name, and what it stands on."""

    @classmethod
    def from_json(cls, text: bytes | str) -> Self:
        """Make the status from the JSON that stands in Redis."""
        fields = json.loads(text)
        return cls(
            **{
                **fields,
                "state": DeviceState(fields["state"]),
                "since": datetime.fromisoformat(fields["since"]),
            }
        )

    def as_json(self) -> str:
        """Give the status as the JSON that stands in Redis."""
        return json.dumps({**asdict(self), "since": self.since.isoformat()}, ensure_ascii=False)


def read_live_status(client: SyncRedis, workcell: str) -> dict[str, DeviceStatus]:
    """Read what is published about the devices of a workcell; empty when nothing works with it."""
    found = client.hgetall(redis_keys.workcell_status(workcell))
    return {_text(name): DeviceStatus.from_json(text) for name, text in found.items()}


def _text(answer: bytes | str) -> str:
    return answer.decode() if isinstance(answer, bytes) else answer


GATHER_SECONDS = 0.1
"""Between two publications: commands may come by the hundred a second, and people look at it."""

LAST_WORD_SECONDS = 1.0
"""How long the end of a run waits for its last status to be published; what is there expires."""


class LiveStatus:
    """Publishes the newest status of each device, without making any command wait for Redis.

    A status is one field of the hash ``redis_keys.workcell_status``; each change is announced on
    ``redis_keys.workcell_changes`` as ``{"device": name}``. The hash expires ``expires_after``
    seconds after the last sign of life.
    """

    def __init__(self, client: Redis, workcell: str, *, expires_after: float = 30.0) -> None:
        self._client = client
        self._key = redis_keys.workcell_status(workcell)
        self._channel = redis_keys.workcell_changes(workcell)
        self._expires_after = expires_after
        self._unpublished: dict[str, Callable[[], DeviceStatus]] = {}
        self._changed = asyncio.Event()
        self._ending = asyncio.Event()
        self._task: asyncio.Task[None] | None = None

    def show(self, device: str, status: Callable[[], DeviceStatus]) -> None:
        """Let others know; ``status`` is asked for the newest one when it is published."""
        self._unpublished[device] = status
        self._changed.set()

    def start(self) -> None:
        """Begin to publish, and to give signs of life."""
        if self._task is None:
            self._ending.clear()
            self._task = asyncio.create_task(self._publish_until_the_end(), name="live status")

    async def stop(self) -> None:
        """Publish what is left and end."""
        if self._task is not None:
            self._ending.set()
            self._changed.set()
            done, _ = await asyncio.wait({self._task}, timeout=LAST_WORD_SECONDS)
            if not done:
                self._task.cancel()
                await asyncio.wait({self._task})
            self._task = None

    async def _publish_until_the_end(self) -> None:
        # What is shown while something is being published sets it again.
        while not self._ending.is_set() or self._changed.is_set():
            try:
                async with asyncio.timeout(self._expires_after / 3):
                    await self._changed.wait()
            except TimeoutError:
                pass
            await self._publish()
            with suppress(TimeoutError):
                async with asyncio.timeout(GATHER_SECONDS):
                    await self._ending.wait()

    async def _publish(self) -> None:
        self._changed.clear()
        statuses, self._unpublished = self._unpublished, {}
        try:
            async with self._client.pipeline(transaction=True) as pipeline:
                for device, status in statuses.items():
                    pipeline.hset(self._key, device, status().as_json())
                    pipeline.publish(self._channel, json.dumps({"device": device}))
                pipeline.pexpire(self._key, round(self._expires_after * 1000))
                await pipeline.execute()
        except RedisError as error:
            # Commands must go on without their audience; what was not published is tried again.
            _log.warning("the live status of the workcell is not published: %s", error)
            self._unpublished = {**statuses, **self._unpublished}
