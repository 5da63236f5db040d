"""A flow that takes its time and writes down how it ends; run by a worker in a test."""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path

from prefect import flow
from prefect.flows import EntrypointType  # type: ignore[attr-defined]  # not in its __all__


@flow
async def slow(diary: str, seconds: float) -> None:
    """Write ``begun``, wait, write ``left safe`` whatever happens."""
    _note(diary, "begun")
    try:
        await asyncio.sleep(seconds)
        _note(diary, "done")
    finally:
        _note(diary, "left safe")


def _note(diary: str, words: str) -> None:
    with Path(diary).open("a") as file:
        file.write(f"{words}\n")


if __name__ == "__main__":
    # Imported by its module's name, as the worker will do.
    from slow_flow import slow as deployed  # type: ignore[import-not-found]  # by the worker's path

    deployed.to_deployment(
        "test",
        work_pool_name="praxis",
        entrypoint_type=EntrypointType.MODULE_PATH,
        job_variables={"env": {"PYTHONPATH": str(Path(sys.argv[0]).parent)}},
    ).apply()
