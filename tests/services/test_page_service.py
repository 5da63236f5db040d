"""The process of the workcells' page among the services."""

from __future__ import annotations

import json
import socket
from pathlib import Path

import httpx
import pytest
from typer.testing import CliRunner

from praxis_core.cli import app
from praxis_core.host.token import token_of
from praxis_core.services.home import prepare
from praxis_core.services.page import EmbeddedPage
from praxis_core.settings import PraxisSettings

PORT = 24380


def test_it_takes_a_free_port_acts_with_the_token_and_ends(
    database_url: str, redis_url: str, home: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """Somebody else's port is left to them; starting it again changes nothing."""
    monkeypatch.setenv("PRAXIS_HOME", str(tmp_path))
    monkeypatch.setenv("PRAXIS_DATABASE_URL", database_url)
    monkeypatch.setenv("PRAXIS_REDIS_URL", redis_url)
    monkeypatch.setenv("PRAXIS_PAGE_PORT", str(PORT))
    settings = PraxisSettings()
    page = EmbeddedPage(prepare(settings), settings)
    with socket.create_server(("127.0.0.1", PORT)):
        record = page.launch()
        page.wait(record)
    try:
        assert page.address != f"http://127.0.0.1:{PORT}"
        assert page.launch() == record
        assert httpx.get(f"{page.address}/w/star").is_success
        words = {"by": "anna"}
        allowed = {"Authorization": f"Bearer {token_of(settings)}"}
        refused = httpx.post(f"{page.address}/w/nowhere/stop", json=words)
        heard = httpx.post(f"{page.address}/w/nowhere/stop", json=words, headers=allowed)
        assert (refused.status_code, heard.status_code) == (401, 404)
        told = CliRunner().invoke(app, ["status", "--json"])
        [mine] = [one for one in json.loads(told.stdout) if one["service"] == "page"]
        assert (mine["address"], mine["healthy"]) == (page.address, True)
    finally:
        page.stop()
    assert page.record() is None
    assert not page.ready()
