"""Several writers of one state: processes, threads, connections that drop, a Redis that dies."""

from __future__ import annotations

import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Protocol
from uuid import UUID

import psutil
import pytest

import praxis_core
from praxis_core.errors import StateConflict
from praxis_core.redis_connection import connect
from praxis_core.services.home import prepare
from praxis_core.services.valkey import EmbeddedValkey
from praxis_core.settings import PraxisSettings
from praxis_core.state import PraxisState


class LossyRedis(Protocol):
    """Stands before a Redis; see the fixture ``lossy_redis``."""

    url: str
    lost: int

    def lose_answers(self, count: int) -> None:
        """Let the next scripts be carried out and their answers be lost."""


ROOT = Path(praxis_core.__file__).parents[1]

WRITER = """
import sys
from uuid import UUID
from praxis_core.errors import StateConflict
from praxis_core.redis_connection import connect
from praxis_core.state import PraxisState

state = PraxisState(UUID(sys.argv[2]), connect(sys.argv[1]))
me = sys.argv[3]
for number in range(60):
    state[f"{me}_{number}"] = number
    state.increment("whole")
    state.increment("broken", 0.5)
    while True:
        try:
            with state.edit("shared") as shared:
                shared.append(f"{me}_{number}")
            break
        except StateConflict:
            pass
"""


def test_four_processes_lose_nothing(state: PraxisState, redis_url: str) -> None:
    """Different keys, the same counters, and edits of the same list."""
    state["shared"] = []
    command = [sys.executable, "-c", WRITER, redis_url, str(state.run_id)]
    writers = [subprocess.Popen([*command, name], cwd=ROOT) for name in "abcd"]

    assert [writer.wait(timeout=60) for writer in writers] == [0, 0, 0, 0]
    content = dict(state.items())
    expected = {f"{name}_{number}": number for name in "abcd" for number in range(60)}
    assert sorted(content.pop("shared")) == sorted(expected)
    assert content.pop("whole") == 240
    assert content.pop("broken") == 120.0
    assert content == expected


def test_an_edit_that_comes_second_is_refused(
    state: PraxisState, open_state: Callable[[], PraxisState]
) -> None:
    """The first one stays; the second one reads again."""
    other = open_state()
    state["plan"] = ["A1"]
    with pytest.raises(StateConflict, match="'plan'"), state.edit("plan") as plan:  # noqa: PT012 (the whole block is what raises)
        with other.edit("plan") as theirs:
            theirs.append("theirs")
        plan.append("mine")

    assert state["plan"] == ["A1", "theirs"]


def test_an_edit_of_a_key_that_was_deleted_meanwhile_is_refused(
    state: PraxisState, open_state: Callable[[], PraxisState]
) -> None:
    """It does not come back to life."""
    state["plan"] = ["A1"]
    with pytest.raises(StateConflict), state.edit("plan") as plan:  # noqa: PT012 (the whole block is what raises)
        del open_state()["plan"]
        plan.append("mine")

    assert "plan" not in state


def test_of_many_that_pop_one_gets_it(state: PraxisState) -> None:
    """And of many that set a default, all get the same."""
    with ThreadPoolExecutor(8) as threads:
        for _ in range(20):
            state["token"] = "the one"  # noqa: S105 (no password)
            popped = list(threads.map(lambda _: state.pop("token", None), range(8)))
            chosen = set(threads.map(lambda me: state.setdefault("leader", me), range(8)))
            del state["leader"]

            assert sorted(popped, key=str) == [None] * 7 + ["the one"]
            assert len(chosen) == 1


def test_a_write_whose_answer_is_lost_happens_once(
    run_id: UUID, state: PraxisState, lossy_redis: LossyRedis
) -> None:
    """The client asks again; what was done is not done again, and the answer is the first one's."""
    with connect(lossy_redis.url) as client:
        writer = PraxisState(run_id, client)
        writer.update(n=1, plan=["A1"], old=5)
        lossy_redis.lose_answers(1)
        assert writer.increment("n") == 2
        lossy_redis.lose_answers(2)
        assert writer.increment("n", 0.5) == 2.5
        lossy_redis.lose_answers(1)
        assert writer.pop("old") == 5
        lossy_redis.lose_answers(1)
        with writer.edit("plan") as plan:
            plan.append("B1")
        lossy_redis.lose_answers(1)
        assert writer.setdefault("new", 1) == 1
        lossy_redis.lose_answers(1)
        writer["last"] = True
        lossy_redis.lose_answers(1)
        del writer["new"]

    assert lossy_redis.lost == 8
    assert dict(state) == {"last": True, "n": 2.5, "plan": ["A1", "B1"]}


def test_a_repeated_write_does_not_undo_what_came_after_it(
    run_id: UUID, state: PraxisState, lossy_redis: LossyRedis
) -> None:
    """A clear that is sent again does not clear what others wrote since."""
    state["a"] = 1
    with connect(lossy_redis.url) as client:
        lossy_redis.lose_answers(1)
        heard = state.watch()
        next(heard)

        def write_after_hearing_of_it() -> None:
            next(heard)
            state["b"] = 2

        after = threading.Thread(target=write_after_hearing_of_it)
        after.start()
        PraxisState(run_id, client).clear()
        after.join()

    assert dict(state) == {"b": 2}


@pytest.fixture
def own_valkey(tmp_path: Path) -> Iterator[EmbeddedValkey]:
    """A Valkey that the test may kill."""
    valkey = EmbeddedValkey(prepare(PraxisSettings(home=tmp_path)))
    valkey.wait(valkey.launch())
    yield valkey
    valkey.stop()


def test_what_was_acknowledged_survives_a_killed_redis(
    own_valkey: EmbeddedValkey, tmp_path: Path, run_id: UUID
) -> None:
    """The state is there again, the handle goes on by itself, and the outage costs only time."""
    url = PraxisSettings(home=tmp_path).addresses().redis_url
    with connect(url) as client:
        state = PraxisState(run_id, client)
        for number in range(100):
            state[f"key_{number}"] = number
            state.increment("count")
        record = own_valkey.record()
        if record is None:
            pytest.fail("the Valkey has no record")
        server = psutil.Process(record.pid)
        server.kill()
        server.wait(timeout=10)
        own_valkey.launch()

        assert state.increment("count") == 101
        assert state["key_99"] == 99
        assert len(state) == 101
        state.end(1)
        assert state.ended
