"""Redis (or Valkey): how it is opened, and how long anything may wait for it."""

from __future__ import annotations

from redis.asyncio import Redis
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff

from assets.settings import Settings


def create_redis(settings: Settings) -> Redis:
    """A client with a pool; a cache that is slow is worse than none, so nothing waits long and nothing is retried."""
    return Redis.from_url(
        settings.require("redis_url"),
        socket_connect_timeout=1.0,
        socket_timeout=1.0,
        max_connections=64,
        retry=Retry(NoBackoff(), 0),
        client_name="switchdesk-serving",
    )
