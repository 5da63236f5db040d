"""The environment of every process that works with the stack."""

from __future__ import annotations

import hashlib
import os
import sys
from collections.abc import Iterator
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from praxis_core.services.heartbeats import HEARTBEAT_SECONDS
from praxis_core.services.process import MARK
from praxis_core.settings import PraxisSettings

# A profile of the user's, and what only the services' own children carry.
_NOT_PASSED_ON = (
    "PREFECT_PROFILE",
    "PREFECT_PROFILES_PATH",
    MARK,
    "PYTHONDONTWRITEBYTECODE",
)


def environment(settings: PraxisSettings) -> dict[str, str]:
    """Build the environment in which Prefect and Praxis find this stack.

    It starts from that of this process. Uncompiled imports would double the start of every Prefect
    process, so children may write bytecode whatever is set here.
    """
    addresses = settings.addresses()
    result = {name: value for name, value in os.environ.items() if name not in _NOT_PASSED_ON}
    result |= {
        "PRAXIS_HOME": str(settings.home_path),
        "PRAXIS_PREFECT_PORT": str(settings.prefect_port),
        "PREFECT_HOME": str(settings.home_path / "prefect"),
        "PREFECT_API_URL": addresses.prefect_api_url,
        # Without an API a flow would silently start a server of its own, beside this one.
        "PREFECT_SERVER_EPHEMERAL_ENABLED": "false",
        # Prefect's own default is three minutes; watch_heartbeats listens for them.
        "PREFECT_FLOWS_HEARTBEAT_FREQUENCY": str(HEARTBEAT_SECONDS),
        "DO_NOT_TRACK": "1",
        "PREFECT_SERVER_ANALYTICS_ENABLED": "false",
        "PREFECT_TELEMETRY_ENABLE_RESOURCE_METRICS": "false",
    }
    secrets = {
        "PRAXIS_DATABASE_URL": settings.database_url,
        "PRAXIS_REDIS_URL": settings.redis_url,
        "PREFECT_API_KEY": settings.prefect_api_key,
        "PREFECT_API_AUTH_STRING": settings.prefect_api_auth_string,
    }
    # A child's own folder may hold no .env file: what was set there is passed on.
    result |= {name: value.get_secret_value() for name, value in secrets.items() if value}
    scripts = str(Path(sys.executable).parent)
    if scripts not in result.get("PATH", "").split(os.pathsep):
        result["PATH"] = os.pathsep.join((scripts, result.get("PATH", os.defpath)))
    return result


def configuration(*parts: str) -> str:
    """Digest what a service depends on, together with the versions that are installed."""
    text = "\0".join((*parts, sys.prefix, *versions()))
    return hashlib.sha256(text.encode()).hexdigest()


def versions() -> Iterator[str]:
    """Say which versions are installed of what the stack is made of."""
    for name in ("prefect-praxis", "prefect", "prefect-redis", "pylabrobot", "pydantic"):
        try:
            yield f"{name} {version(name)}"
        except PackageNotFoundError:
            yield f"{name} missing"
