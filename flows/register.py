"""Make Prefect and the database know the library: blocks, workcells, protocols, deployments.

Run by ``praxis up`` as ``python -m flows.register``; running it again changes nothing.
"""

from __future__ import annotations

import asyncio
import subprocess
import sys
from importlib.resources import as_file, files
from pathlib import Path

from prefect_redis.blocks import RedisDatabase
from pydantic import SecretStr

from blocks import PraxisDatabase, PraxisEmail, PraxisStateStore, Workcell
from flows.library import PROTOCOLS, workcell_files
from praxis_core.errors import ServiceCommandFailed
from praxis_core.journal.database import Database
from praxis_core.journal.record import Journal
from praxis_core.protocol.definition import define
from praxis_core.protocol.loading import load_protocol
from praxis_core.settings import Addresses, PraxisSettings
from praxis_core.workcell.definition import load_definition

BLOCKS = "default"
"""Name of the block documents that library flows use."""


async def store_library(journal: Journal) -> list[str]:
    """Store the library's workcells and protocols; give the names of the workcells.

    A workcell that is there already stays as it is: its definition is the laboratory's.
    """
    known = {workcell.name for workcell in await journal.workcells()}
    names = []
    for file in workcell_files():
        with as_file(file) as path:
            definition = load_definition(path)
        if definition.name not in known:
            await journal.store_workcell(definition.name, definition.model_dump(mode="json"))
        names.append(definition.name)
    for entrypoint in PROTOCOLS:
        protocol = define(load_protocol(entrypoint))
        await journal.store_protocol(
            name=protocol.name,
            version=protocol.version,
            content_hash=protocol.content_hash,
            source_hash=protocol.source_hash,
            entrypoint=protocol.entrypoint,
            definition=protocol.model_dump(mode="json"),
        )
    return names


async def save_blocks(addresses: Addresses, workcells: list[str]) -> None:
    """Register the block types and save the documents that the library uses."""
    for block in (RedisDatabase, PraxisDatabase, PraxisEmail, PraxisStateStore, Workcell):
        await block.aregister_type_and_schema()
    database = PraxisDatabase(url=SecretStr(addresses.database_url))
    store = PraxisStateStore(redis=RedisDatabase(connection_url=SecretStr(addresses.redis_url)))
    await database.asave(BLOCKS, overwrite=True)
    await store.asave(BLOCKS, overwrite=True)
    for name in workcells:
        await Workcell(name=name, database=database).asave(name, overwrite=True)


def deployments_file() -> Path:
    """``prefect.yaml``: in a checkout at its root, in an installed package beside the flows."""
    package = Path(str(files("flows")))
    installed = package / "prefect.yaml"
    return installed if installed.is_file() else package.parent / "prefect.yaml"


def deploy() -> None:
    """Create the deployments of ``prefect.yaml``."""
    command = [sys.executable, "-m", "prefect", "--no-prompt", "deploy", "--all"]
    done = subprocess.run(  # noqa: S603  # this installation's own file
        [*command, "--prefect-file", deployments_file().name],
        cwd=deployments_file().parent,
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode != 0:
        raise ServiceCommandFailed(
            command="prefect deploy --all",
            code=done.returncode,
            what=(done.stderr or done.stdout).strip(),
        )


async def register(settings: PraxisSettings) -> None:
    """Do all of it."""
    addresses = settings.addresses()
    async with Database(addresses.database_url) as database:
        workcells = await store_library(Journal(database))
    await save_blocks(addresses, workcells)
    deploy()


if __name__ == "__main__":
    asyncio.run(register(PraxisSettings()))
