"""`bench sync`: records a second from the help desk through Kafka into PostgreSQL, beside a bare loop over pages."""

from __future__ import annotations

import os
import statistics
import time
from collections.abc import Callable, Iterator
from typing import Any

import httpx
import orjson

from assets.settings import Settings
from assets.zendesk import sync
from assets.zendesk.streams import EXPORTS, STREAMS, Paging
from benchmarks.bench_stack import fresh_database, running


def run(*, tickets: int, rounds: int, say: Callable[[str], None]) -> None:
    """Time both in turn, `rounds` times; the first sync of a run also makes the topics."""
    ours: list[float] = []
    bare: list[float] = []
    with running(tickets) as settings:
        for _ in range(rounds):
            records, seconds = _bare(settings)
            bare.append(records / seconds)
            say(f"bare loop  {records:>9,} records {seconds:>7.1f} s {bare[-1]:>9,.0f} records/s   {_load()}")
            records, seconds = _ours(settings)
            ours.append(records / seconds)
            say(f"sync       {records:>9,} records {seconds:>7.1f} s {ours[-1]:>9,.0f} records/s   {_load()}")
    share = statistics.median(ours) / statistics.median(bare)
    say(f"median of {rounds}: {statistics.median(ours):,.0f} of {statistics.median(bare):,.0f} records/s, {share:.0%}")


def _ours(settings: Settings) -> tuple[int, float]:
    with fresh_database(settings) as own:
        started = time.monotonic()
        report = sync.run(own, EXPORTS)
        seconds = time.monotonic() - started
        report.raise_failed()
        # A comment is a record of its own in Kafka and in PostgreSQL; it came inside its audit, for both sides.
        return sum(done.rows_read for done in report.streams.values()), seconds


def _bare(settings: Settings) -> tuple[int, float]:
    """Read the same pages one after the other, and do nothing with them but parse."""
    started = time.monotonic()
    records = sum(1 for name in EXPORTS for _ in pages(settings, name))
    return records, time.monotonic() - started


def pages(settings: Settings, name: str) -> Iterator[dict[str, Any]]:
    """Rows of an export, page by page, by the shortest loop that reads them all."""
    stream = STREAMS[name]
    with httpx.Client(base_url=settings.require("zendesk_url"), timeout=60) as client:
        grant = {
            "grant_type": "client_credentials",
            "client_id": settings.require("zendesk_client_id"),
            "client_secret": settings.require("zendesk_client_secret"),
            "scope": "read",
        }
        token = client.post("/oauth/tokens", json=grant).raise_for_status().json()["access_token"]
        client.headers["Authorization"] = f"Bearer {token}"
        params: dict[str, Any] = {**stream.params, "per_page": stream.page_size, "start_time": 1}
        while True:
            response = client.get(f"/api/v2/{stream.path}", params=params).raise_for_status()
            page = orjson.loads(response.content)
            yield from page[stream.rows_key]
            if page["end_of_stream"]:
                return
            if stream.paging is Paging.CURSOR_EXPORT:
                params.pop("start_time", None)
                params["cursor"] = page["after_cursor"]
            else:
                params["start_time"] = page["end_time"]


def _load() -> str:
    return f"load {os.getloadavg()[0]:.1f} on {os.cpu_count()} cores"
