"""What Prefect's page of a run shows of the deck, and where it leads to."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time

import psycopg
import pytest

from praxis_core.services.environment import environment
from praxis_core.settings import PraxisSettings

MOST_BYTES = 60_000
SHOWN = {"PRAXIS_RUN_PICTURES": "true", "PRAXIS_RUN_REPORTS": "true", "PRAXIS_PAGE_PORT": "4280"}

pytestmark = pytest.mark.chaos  # a whole stack


def test_the_deck_before_and_after_and_the_links_are_on_its_page(stack: PraxisSettings) -> None:
    """Two small rows, as often as the deck changes; the report is in the run's folder soon."""
    done = subprocess.run(
        [sys.executable, "-m", "flows.run", "flows.serial_dilution:serial_dilution"],
        input=json.dumps({"factor": 2.5}),
        env={**os.environ, **environment(stack), **SHOWN},
        capture_output=True,
        text=True,
        check=True,
        timeout=180,
    )
    run_id = json.loads(done.stdout.splitlines()[0])["run_id"]

    with psycopg.connect(stack.addresses().database_url, autocommit=True) as database:
        rows = database.execute(
            "SELECT replace(key, left(%(id)s, 8), 'ID'), description, data::text "
            "FROM prefect.artifact WHERE flow_run_id = %(id)s::uuid ORDER BY created",
            {"id": run_id},
        ).fetchall()
        pages = {str(key): (str(about), str(data)) for key, about, data in rows}
        assert len(pages) == len(rows)  # none is written twice
        assert {"plan-ID", "progress-ID", "deck-before-ID", "deck-ID", "result-ID"} <= {*pages}
        for key, about in (("deck-before-ID", "Deck before"), ("deck-ID", "Deck after")):
            assert pages[key][0] == about
            assert "data:image/svg+xml;base64," in pages[key][1]
            assert len(pages[key][1]) < MOST_BYTES
        link = f"http://127.0.0.1:4280/runs/{run_id}/report"
        assert link in pages["progress-ID"][0]
        assert link in pages["result-ID"][1]
        files = "SELECT path FROM praxis.data_file WHERE run_id = %s AND media_type = 'text/html'"
        deadline = time.monotonic() + 60
        while not (found := database.execute(files, [run_id]).fetchall()):
            assert time.monotonic() < deadline
            time.sleep(0.1)
    assert str(found[0][0]) == str(stack.files_of(run_id, 1) / "report.html")
