"""The page of a workcell over HTTP, beside a host that is a real process."""

from __future__ import annotations

import asyncio
import json
import re
import socket
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any
from uuid import uuid4

import httpx
import pytest
import uvicorn
from pydantic import JsonValue
from uvicorn.config import Config

from praxis_core.errors import NothingToAnswer
from praxis_core.host.link import HostLink
from praxis_core.host.token import token_file, token_of
from praxis_core.journal.control import Control, Standing
from praxis_core.journal.questions import Questions
from praxis_core.journal.record import Journal
from praxis_core.page.application import Pages
from praxis_core.page.reading import Sections
from praxis_core.page.watching import Watched
from praxis_core.protocol.asking import Asked
from praxis_core.protocol.lifecycle import Answer, DoubtSubject, RunStatus
from praxis_core.redis_connection import connect_async
from praxis_core.settings import PraxisSettings

if TYPE_CHECKING:
    from tests.host.conftest import BeginRun, HostProcess

TOKEN = "the-token-of-this-test"  # noqa: S105  # of nothing else
MAY_ACT = {"Authorization": f"Bearer {TOKEN}"}
WHO: dict[str, JsonValue] = {"by": "anna", "why": "a spill"}
Gate = Callable[..., Path]


class _Server(uvicorn.Server):
    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield


@pytest.fixture
async def page(
    bench: None, settings: PraxisSettings, journal: Journal
) -> AsyncIterator[httpx.AsyncClient]:
    """Somebody who asks the page's server, without a token."""
    redis = connect_async(settings.addresses().redis_url)
    pages = Pages(settings, journal, redis)
    config = Config(pages.application(TOKEN), lifespan="off", log_config=None)
    config.timeout_graceful_shutdown = 1
    server = _Server(config)
    listener = socket.create_server(("127.0.0.1", 0))
    serving = asyncio.create_task(server.serve(sockets=[listener]))
    url = f"http://127.0.0.1:{listener.getsockname()[1]}"
    async with httpx.AsyncClient(base_url=url, timeout=20) as client:
        yield client
    server.should_exit = True
    await serving
    listener.close()
    await redis.aclose()


@asynccontextmanager
async def looking(page: httpx.AsyncClient) -> AsyncIterator[Callable[..., Any]]:
    """Look at the page; what is given waits until a part says what is wanted."""
    async with page.stream("GET", "/w/bench/events") as stream:
        lines = stream.aiter_lines()
        shown: dict[str, Any] = {}

        async def until(part: str, wanted: Callable[[Any], bool]) -> Any:
            async with asyncio.timeout(20):
                while not (part in shown and wanted(shown[part])):
                    line = await anext(lines)
                    if line.startswith("event: "):
                        name = line.removeprefix("event: ")
                        told = await anext(lines)
                        shown[name] = json.loads(told.removeprefix("data: "))
            return shown[part]

        yield until


async def test_the_page_needs_nothing_from_elsewhere(page: httpx.AsyncClient) -> None:
    """No other address, no script within the page, and the browser is told to allow neither."""
    files = ["/", "/w/bench", "/page.css", "/page.js"]
    texts = [(await page.get(file)).raise_for_status().text for file in files]

    assert not [found for text in texts for found in re.findall(r"(?:https?:)?//[a-z]\S+", text)]
    assert not re.search(r"<script>|<style| on[a-z]+=|style=", texts[0] + texts[1])
    assert "innerHTML" not in texts[3]
    policy = (await page.get("/w/bench")).headers["content-security-policy"]
    assert "default-src 'none'; script-src 'self';" in policy
    assert "unsafe" not in policy


async def test_what_changes_is_told(
    host: HostProcess,
    page: httpx.AsyncClient,
    link: HostLink,
    begin_run: BeginRun,
    gate: Gate,
) -> None:
    """Who has what, what a device does, and what came of it."""
    async with looking(page) as until:
        idle = await until("devices", lambda all_: all_[0]["state"] == "idle")
        assert [one["name"] for one in idle] == ["left", "right"]
        run = await begin_run()
        await link.attach(run.asking())
        closed = gate()
        under_way = asyncio.create_task(link.execute(run.shake(300)))
        busy = await until("devices", lambda all_: all_[0]["state"] == "busy")
        assert busy[0]["doing"].startswith("left.start_shaking")
        [begun] = await until("commands", bool)
        assert begun["outcome"] is None
        closed.unlink()
        await under_way
        await until("commands", lambda all_: all_[0]["outcome"] == "succeeded")
        [told] = await until("runs", bool)
        assert (told["id"], told["has"], told["status"]) == (str(run.run_id), ["left"], "running")
        host.kill()
        await until("host", lambda one: not one["answers"])
        await until("devices", lambda all_: all_[0]["state"] == "unknown")
    await link.close()


async def test_the_report_of_a_run_is_a_link(
    page: httpx.AsyncClient, settings: PraxisSettings, journal: Journal, begin_run: BeginRun
) -> None:
    """Of one under way as it stands; of one that has ended what is in its folder."""
    run = await begin_run()
    address = f"/runs/{run.run_id}/report"
    async with asyncio.timeout(60):
        while (answer := await page.get(address)).status_code == 202:
            assert 'http-equiv="refresh"' in answer.text
    assert "had not ended when this was written" in answer.text
    assert "cannot be drawn: The workcell definition bench" in answer.text  # a driver is missing
    assert str(run.run_id) in answer.text
    policy = answer.headers["content-security-policy"]
    assert policy.startswith("sandbox allow-scripts; default-src 'none'")  # never the page's token
    assert not [*settings.run_folder.glob("report-*")]

    await journal.finish(
        run.run_id, RunStatus.FAILED, summary=None, final_state=None, error={"message": "over"}
    )
    file = settings.files_of(run.run_id, 1) / "report.html"
    file.parent.mkdir(parents=True)
    file.write_text("as it was made")
    assert (await page.get(address)).text == "as it was made"
    for unknown in (uuid4(), "nothing"):
        assert (await page.get(f"/runs/{unknown}/report")).status_code == 404


NOT_ALLOWED: tuple[tuple[dict[str, str], int], ...] = (
    ({}, 401),
    ({"Authorization": "Bearer the-token-of-this-tesT"}, 401),
    ({"Cookie": f"token={TOKEN}"}, 401),
    ({**MAY_ACT, "Host": "evil.example"}, 421),
    ({**MAY_ACT, "Origin": "https://evil.example"}, 421),
    ({**MAY_ACT, "Origin": "null"}, 421),
)


async def test_nobody_acts_without_the_token_or_from_another_site(
    page: httpx.AsyncClient, journal: Journal
) -> None:
    """It is refused before anything is looked at."""
    for headers, status in NOT_ALLOWED:
        for path in ("stop", "answer"):
            answer = await page.post(f"/w/bench/{path}", json=WHO, headers=headers)
            assert answer.status_code == status, headers
    assert (await Control(journal.database).standing("bench")).standing is Standing.STARTED


async def test_the_button_stops_the_workcell(
    host: HostProcess, page: httpx.AsyncClient, journal: Journal, begin_run: BeginRun
) -> None:
    """As ``praxis workcell stop`` does; and once more for the next host when none runs."""
    run = await begin_run()
    async with looking(page) as until:
        await until("host", lambda one: one["answers"] and not one["stopped"])
        answer = await page.post("/w/bench/stop", json=WHO, headers=MAY_ACT)
        assert answer.json()["safe"]
        await until("host", lambda one: one["stopped"])
        told = await until("standing", lambda one: not one["open"])
        assert re.search(r"stopped by anna at .* \(a spill\)", told["told"])
    assert host.get("/health")["stopped"]
    assert (await journal.run(run.run_id)).status is RunStatus.RUNNING
    host.kill()
    answer = await page.post("/w/bench/stop", json={"by": "ben"}, headers=MAY_ACT)
    assert answer.json()["host"] is None
    assert (await Control(journal.database).standing("bench")).said.by == "ben"


NONSENSE = (
    ("/w/bench/stop", b"{", 400),
    ("/w/bench/stop", b"[]", 400),
    ("/w/bench/stop", b"{}", 400),
    ("/w/bench/stop", b'{"by": "  "}', 400),
    ("/w/bench/stop", b'{"by": 7}', 400),
    ("/w/bench/stop", json.dumps({"by": "x" * 101}).encode(), 400),
    ("/w/bench/stop", json.dumps({"by": "x" * 70_000}).encode(), 400),
    ("/w/nowhere/stop", b'{"by": "anna"}', 404),
    ("/w/bench/answer", b'{"by": "anna", "run": "x", "id": 1}', 400),
    ("/w/bench/answer", b'{"by": "anna", "run": null, "id": true}', 400),
)


async def test_what_makes_no_sense_is_refused(page: httpx.AsyncClient, journal: Journal) -> None:
    """With a word of why, and nothing happens."""
    for path, body, status in NONSENSE:
        answer = await page.post(path, content=body, headers=MAY_ACT)
        assert answer.status_code == status, body[:100]
        assert answer.json()["error"]
    assert (await Control(journal.database).standing("bench")).standing is Standing.STARTED
    assert (await page.get("/w/nowhere/events")).status_code == 404
    assert (await page.get("/w/bench/stop")).status_code == 405


async def test_a_question_is_answered_there_once(
    page: httpx.AsyncClient, journal: Journal, begin_run: BeginRun
) -> None:
    """As its form wants it; whoever is second hears of the first."""
    run, other = await begin_run(), await begin_run("right")
    form: dict[str, JsonValue] = {
        "type": "object",
        "properties": {"choice": {"type": "string", "enum": ["PBS", "TBS"]}},
        "required": ["choice"],
    }
    questions = Questions(journal.database)
    asked = await questions.ask(run.run_id, 1, "0:0", Asked("Which buffer?", form=form))
    words = {"by": "anna", "run": str(run.run_id), "id": asked.id, "kind": "question"}

    async def say(**more: Any) -> httpx.Response:
        return await page.post("/w/bench/answer", json={**words, **more}, headers=MAY_ACT)

    async with looking(page) as until:
        [shown] = await until("questions", bool)
        assert (shown["title"], shown["form"]) == ("Which buffer?", form)
        assert (await say(answer={"choice": "water"})).status_code == 400
        assert (await say(answer="PBS")).status_code == 400
        assert (await say(answer={"choice": "PBS"}, run=str(other.run_id))).status_code == 400
        assert (await questions.read(asked.id)).answered_at is None
        assert (await say(answer={"choice": "PBS"})).status_code == 200
        await until("questions", lambda all_: not all_)
    second = await say(answer={"choice": "TBS"}, by="ben")
    assert second.status_code == 409
    assert "anna" in second.json()["error"]
    answered = await questions.read(asked.id)
    told = (answered.answer, answered.answered_by, answered.via)
    assert told == ({"choice": "PBS"}, "anna", "page")


async def test_a_doubt_is_settled_there(
    page: httpx.AsyncClient, journal: Journal, begin_run: BeginRun
) -> None:
    """What was offered, and nothing else; an abort ends the run."""
    run = await begin_run()
    offered = (Answer.DID_NOT_HAPPEN, Answer.ABORT)
    doubt = await journal.raise_doubt(
        run.run_id, 1, DoubtSubject.COMMAND, "0", 0, "left.spill: was it?", offered
    )
    words = {"by": "anna", "run": str(run.run_id), "id": doubt.id, "kind": "doubt"}

    async def say(answer: str) -> int:
        body = {**words, "answer": answer}
        return (await page.post("/w/bench/answer", json=body, headers=MAY_ACT)).status_code

    async with looking(page) as until:
        [shown] = await until("questions", bool)
        assert shown["choices"] == [*offered]
        assert await say("perhaps") == 400
        assert await say(Answer.HAPPENED) == 400
        assert await say(Answer.ABORT) == 200
        await until("runs", lambda all_: all_[0]["status"] == "cancelled")
        await until("questions", lambda all_: not all_)
    with pytest.raises(NothingToAnswer):
        await journal.answer_doubt(doubt.id, Answer.ABORT, "ben")


async def test_however_many_look_it_is_read_once_a_second() -> None:
    """One read serves all; who does not fetch is told only the newest of each part."""
    reads = 0

    async def read() -> Sections:
        nonlocal reads
        reads += 1
        return {"count": reads}

    watched = Watched(read)
    loop = asyncio.get_running_loop()
    began = loop.time()
    async with watched.looking() as slow:
        for _ in range(20):  # they come and go
            async with watched.looking() as one:
                assert "count" in await one.news()
        async with watched.looking() as quick:
            while b"3" not in (await quick.news()).get("count", b""):
                pass
        assert loop.time() - began >= 1.9
        assert (await slow.news())["count"] == b"3"
    assert len(watched) == 0


async def test_who_does_not_read_holds_up_nobody(
    host: HostProcess, page: httpx.AsyncClient, begin_run: BeginRun
) -> None:
    """Connections that take nothing in, and some that have gone."""
    address = ("127.0.0.1", page.base_url.port)
    dead = []
    for _ in range(8):
        _, writer = await asyncio.open_connection(*address, limit=1)
        writer.transport.pause_reading()  # type: ignore[attr-defined]
        writer.write(b"GET /w/bench/events HTTP/1.1\r\nHost: localhost\r\n\r\n")
        dead.append(writer)
    for gone in dead[:4]:
        gone.transport.abort()
    async with looking(page) as until:
        await until("runs", lambda all_: not all_)
        await begin_run()
        await until("runs", bool)
    for writer in dead:
        writer.transport.abort()


def test_the_token_is_made_once_and_is_nobody_elses(settings: PraxisSettings) -> None:
    """Of this home, for this user; a setting comes first."""
    token = token_of(settings)

    assert len(token) >= 24
    assert token_of(settings) == token
    assert token_file(settings).stat().st_mode & 0o077 == 0
    given = settings.model_copy(update={"workcell_token": None})
    assert token_of(given) == token
