"""Services that somebody else runs: checked before use; the error names the setting."""

from __future__ import annotations

from urllib.parse import urlsplit, urlunsplit

import psycopg
import redis
from redis.backoff import NoBackoff
from redis.retry import Retry

from praxis_core.errors import ServiceUnreachable, ServiceWrongVersion, SettingsError
from praxis_core.services.prefect_api import PrefectApi
from praxis_core.settings import PraxisSettings

PATIENCE_SECONDS = 5
OLDEST_POSTGRES = 14_0009
OLDEST_REDIS = (7,)
OLDEST_VALKEY = (8,)
OLDEST_PREFECT = (3, 8, 8)


def check_database(settings: PraxisSettings) -> None:
    """Check the Postgres of PRAXIS_DATABASE_URL.

    Raises:
        ServiceUnreachable: it does not answer within a few seconds, or is no Postgres.
        ServiceWrongVersion: it is older than 14.9.
    """
    url, setting = settings.addresses().database_url, "PRAXIS_DATABASE_URL"
    try:
        with psycopg.connect(url, connect_timeout=PATIENCE_SECONDS) as connection:
            found = connection.info.server_version
    except psycopg.Error as error:
        raise ServiceUnreachable(
            service="Postgres", address=without_password(url), setting=setting, what=_said(error)
        ) from error
    if found < OLDEST_POSTGRES:
        raise ServiceWrongVersion(
            service="Postgres",
            address=without_password(url),
            setting=setting,
            found=f"{found // 10000}.{found % 10000}",
            needed="14.9 or later",
        )


def check_redis(settings: PraxisSettings) -> None:
    """Check the Redis or Valkey of PRAXIS_REDIS_URL, and both databases that are used there.

    Raises:
        ServiceUnreachable: it does not answer within a few seconds, or is no Redis.
        ServiceWrongVersion: it is older than Redis 7 or Valkey 8.
        SettingsError: it throws keys away when its memory is full.
    """
    addresses, setting = settings.addresses(), "PRAXIS_REDIS_URL"
    urls = [addresses.redis_url]
    if addresses.embedded_prefect:
        urls.append(addresses.prefect_redis_url)
    info: dict[str, object] = {}
    for url in urls:
        try:
            with redis.Redis.from_url(
                url,
                socket_connect_timeout=PATIENCE_SECONDS,
                socket_timeout=PATIENCE_SECONDS,
                retry=Retry(NoBackoff(), 0),
                protocol=2,  # a server too old for a newer one shall say its version
            ) as client:
                info = client.info()
        except (redis.RedisError, OSError, ValueError) as error:
            raise ServiceUnreachable(
                service="Redis", address=without_password(url), setting=setting, what=_said(error)
            ) from error
    _check_redis_info(info, without_password(addresses.redis_url), setting)


def check_prefect(settings: PraxisSettings) -> None:
    """Check the Prefect server of PREFECT_API_URL.

    Raises:
        ServiceUnreachable: it does not answer within a few seconds, or is no Prefect server.
        ServiceWrongVersion: it is older than 3.8.8.
    """
    address, setting = settings.addresses().prefect_api_url, "PREFECT_API_URL"
    with PrefectApi(settings, timeout=PATIENCE_SECONDS) as api:
        healthy, found = api.healthy(), api.version()
    if not healthy:
        what = "it has no /health, so it is no Prefect API; the address ends in /api"
        raise ServiceUnreachable(service="Prefect", address=address, setting=setting, what=what)
    if found is not None and _version(found) < OLDEST_PREFECT:
        raise ServiceWrongVersion(
            service="Prefect",
            address=address,
            setting=setting,
            found=found,
            needed="3.8.8 or later",
        )


def without_password(url: str) -> str:
    """Give a URL as it may be shown."""
    parts = urlsplit(url)
    if parts.password is None:
        return url
    user, _, host = parts.netloc.rpartition("@")
    shown = f"{user.partition(':')[0]}:***@{host}"
    return urlunsplit(parts._replace(netloc=shown))


def _check_redis_info(info: dict[str, object], address: str, setting: str) -> None:
    valkey = info.get("valkey_version")
    found = str(valkey or info.get("redis_version"))
    if _version(found) < (OLDEST_VALKEY if valkey else OLDEST_REDIS):
        raise ServiceWrongVersion(
            service="Valkey" if valkey else "Redis",
            address=address,
            setting=setting,
            found=found,
            needed="Redis 7 or later, or Valkey 8 or later",
        )
    policy = info.get("maxmemory_policy")
    if info.get("maxmemory") and policy != "noeviction":
        what = f"the server throws keys away when its memory is full (maxmemory-policy {policy}); "
        raise SettingsError(setting=setting, what=what + "set maxmemory-policy to noeviction")


def _version(text: str) -> tuple[int, ...]:
    numbers = []
    for part in text.split(".")[:3]:
        digits = part[: len(part) - len(part.lstrip("0123456789"))]
        if not digits:
            break
        numbers.append(int(digits))
    return tuple(numbers)


def _said(error: Exception) -> str:
    return " ".join(str(error).split()) or type(error).__name__
