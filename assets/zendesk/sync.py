"""The sync: exporters and loader side by side, one run at a time on a database."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from typing import Any

import psycopg

from assets import erasures
from assets.settings import Settings
from assets.stores import postgres
from assets.zendesk import topics
from assets.zendesk.client import ZendeskClient, open_client
from assets.zendesk.errors import (
    AccessRefused,
    NotAnAdmin,
    NotFound,
    PageMalformed,
    RequestRefused,
    SyncFailed,
    ZendeskError,
)
from assets.zendesk.exporter import Exporter, Outbox, Progress
from assets.zendesk.flow import Flow
from assets.zendesk.lease import LEASE, Lease
from assets.zendesk.limiter import Stopped
from assets.zendesk.loader import Loader
from assets.zendesk.loading import open_loader
from assets.zendesk.state import State
from assets.zendesk.streams import DAILY, EXPORTS, LISTINGS, STREAMS

logger = logging.getLogger(__name__)

BEHIND_SECONDS = 300
"""Lag from which a stream counts as behind."""
_CYCLE_SECONDS = 30.0
"""Pause between two looks while following; the exports withhold the newest minute anyway."""

_COUNT_SECONDS = 5.0


@dataclass(frozen=True, slots=True)
class StreamReport:
    """What a run did to one stream, and where the stream stands."""

    stream: str
    status: str
    """`ok`, `absent` (plan or role does not allow it) or `failed`."""
    reason: str | None
    rows_read: int
    rows_changed: int
    pages: int
    calls: int
    dead_letters: int
    rows: int
    """Rows in the table."""
    version: int
    """Version in the catalogue; 0 where nothing was published yet."""
    as_of: datetime | None
    """The table holds everything that had happened up to this moment (UTC)."""
    lag_seconds: float | None


@dataclass(frozen=True, slots=True)
class SyncReport:
    """What a run did."""

    account: str
    streams: dict[str, StreamReport]
    seconds: float
    calls: int
    waiting: Mapping[str, int]
    """Erasures that a store could not be rid of yet, by store; the next cycle tries again."""

    def raise_failed(self) -> None:
        """Raise SyncFailed where a stream failed; the others are up to date all the same."""
        failed = [report for report in self.streams.values() if report.status == "failed"]
        if failed:
            reasons = "; ".join(f"{report.stream}: {report.reason}" for report in failed)
            raise SyncFailed(f"sync incomplete: {len(failed)} of {len(self.streams)} streams failed: {reasons}")


@dataclass(slots=True)
class _Tally:
    """Outcome of each stream of a run while it runs."""

    status: dict[str, tuple[str, str | None]] = field(default_factory=dict)
    progress: dict[str, Progress] = field(default_factory=dict)
    refused: set[str] = field(default_factory=set)
    fatal: list[BaseException] = field(default_factory=list)


def run(
    settings: Settings,
    streams: Sequence[str] | None = None,
    *,
    once: bool = True,
    since: datetime | None = None,
    wait: bool = True,
    stop: threading.Event | None = None,
    progress: Callable[[Progress], None] | None = None,
    notice: Callable[[str], None] | None = None,
    on_cycle: Callable[[SyncReport], None] | None = None,
) -> SyncReport:
    """Bring streams (default: all) up to date; with `once=False` stay at it until `stop` is set.

    `since` begins a fresh copy there; where a stream has been read already, it is read again from there without moving
    its cursor. `wait=False` raises SyncBusy where another run holds the lease. Raises what concerns the whole account
    (credentials, host, stores); a stream that fails alone is in the report. Returns the last cycle's report.
    """
    names = _chosen(streams)
    with _session(settings, wait=wait, stop=stop, progress=progress, notice=notice) as session:
        while True:
            report = session.cycle(names, since)
            if on_cycle is not None:
                on_cycle(report)
            since = None
            if once or session.wait(_CYCLE_SECONDS):
                return report


def backfill_day(
    settings: Settings,
    first: date,
    last: date | None = None,
    *,
    streams: Sequence[str] | None = None,
    stop: threading.Event | None = None,
    progress: Callable[[Progress], None] | None = None,
    notice: Callable[[str], None] | None = None,
) -> SyncReport:
    """Read the UTC days from `first` to `last` (default: that one day) again.

    Same limiter and lease as the live sync, whose cursor does not move; the newest version wins, so that a second time
    changes nothing. Raises ZendeskError where a stream has no days.
    """
    names = _chosen(streams if streams is not None else DAILY)
    for name in names:
        if name not in DAILY:
            raise ZendeskError(f"stream without days: {name} is read as a whole; days exist for {', '.join(DAILY)}")
    begin = datetime(first.year, first.month, first.day, tzinfo=UTC)
    end_day = last or first
    end = datetime(end_day.year, end_day.month, end_day.day, tzinfo=UTC) + timedelta(days=1)
    if end <= begin:
        raise ZendeskError(f"days in the wrong order: {first} to {last}; name the earlier one first")
    with _session(settings, wait=True, stop=stop, progress=progress, notice=notice) as session:
        return session.read_again(names, begin, end)


def stream_status(connection: psycopg.Connection[Any], now: datetime | None = None) -> list[dict[str, Any]]:
    """Where each stream stands: name, state (ok, absent, behind, failed), rows, as_of, lag_seconds, reason."""
    now = now or datetime.now(UTC)
    remembered = {
        row[0]: row[1:]
        for row in connection.execute(
            "select stream, status, reason, end_of_stream, as_of from ops.sync_state"
        ).fetchall()
    }
    rows = dict(
        connection.execute(
            "select split_part(dataset, '.', 2), rows from catalog.datasets where dataset like 'zendesk.%'"
        ).fetchall()
    )
    found: list[dict[str, Any]] = []
    for name in STREAMS:
        status, reason, is_end, as_of = remembered.get(name, ("behind", "never read", False, None))
        lag = (now - as_of).total_seconds() if as_of is not None else None
        if status == "ok" and (not is_end or lag is None or lag > BEHIND_SECONDS):
            status = "behind"
        found.append(
            {
                "name": name,
                "state": status,
                "rows": int(rows.get(name, 0)),
                "as_of": as_of,
                "lag_seconds": round(lag, 1) if lag is not None else None,
                "reason": reason,
            }
        )
    return found


def _chosen(streams: Sequence[str] | None) -> list[str]:
    if streams is None:
        return list(STREAMS)
    unknown = [name for name in streams if name not in STREAMS]
    if unknown:
        raise ZendeskError(f"stream unknown: {', '.join(unknown)}; there are {', '.join(STREAMS)}")
    return [name for name in STREAMS if name in set(streams)]


class _Session:
    """Everything that one run holds open: lease, client, loader."""

    def __init__(
        self,
        settings: Settings,
        client: ZendeskClient,
        lease: Lease,
        state: State,
        flow: Flow,
        loader: Loader,
        halt: threading.Event,
        stop: threading.Event,
        progress: Callable[[Progress], None],
    ) -> None:
        self._settings = settings
        self._client = client
        self._lease = lease
        self._state = state
        self._flow = flow
        self._loader = loader
        self._halt = halt
        self._stop = stop
        self._progress = progress
        self._counted_at = time.monotonic()

    def wait(self, seconds: float) -> bool:
        """Pause between cycles; true where the run has to end."""
        return self._stop.wait(seconds)

    def cycle(self, names: list[str], since: datetime | None) -> SyncReport:
        """Read all these streams to their ends and load them."""
        begun = self._state.begun()

        def read(exporter: Exporter, name: str) -> None:
            if since is not None and name in begun and name in EXPORTS:
                exporter.read_again(since, datetime.now(UTC))
            exporter.run(since)

        return self._work(names, read)

    def read_again(self, names: list[str], begin: datetime, end: datetime) -> SyncReport:
        """Read what Zendesk dates from `begin` to `end` and load it."""
        return self._work(names, lambda exporter, _: exporter.read_again(begin, end))

    def _work(self, names: list[str], read: Callable[[Exporter, str], None]) -> SyncReport:
        started, calls = time.monotonic(), self._client.calls
        changed, dead = dict(self._loader.changed), dict(self._loader.dead)
        tally = _Tally()
        exports = {"ticket_events" if name == "ticket_comments" else name for name in names}
        for group in _phases(exports):
            self._run_together(group, read, tally)
            if tally.fatal:
                raise tally.fatal[0]
        if not (self._stop.is_set() or self._halt.is_set()):
            self._flow.wait_until_loaded(*names)
        tried = exports & set(EXPORTS)
        if tried <= tally.refused and (len(tried) > 1 or "tickets" in tried):
            raise NotAnAdmin(
                f"exports refused: {self._client.account} answers 403 to every export, which only an administrator may "
                "read; check SWITCHDESK_ZENDESK_CLIENT_ID and SWITCHDESK_ZENDESK_CLIENT_SECRET (or "
                "SWITCHDESK_ZENDESK_EMAIL and SWITCHDESK_ZENDESK_API_TOKEN)"
            )
        return self._report(names, tally, changed, dead, time.monotonic() - started, self._client.calls - calls)

    def _run_together(self, groups: list[list[str]], read: Callable[[Exporter, str], None], tally: _Tally) -> None:
        threads = [
            threading.Thread(target=self._read_in_turn, args=(group, read, tally), name=f"export-{group[0]}")
            for group in groups
        ]
        for thread in threads:
            thread.start()
        try:
            for thread in threads:
                while thread.is_alive():
                    thread.join(0.2)
                    self._count_calls(_COUNT_SECONDS)
                    if self._stop.is_set():
                        self._halt.set()
        except BaseException:
            # Ctrl-C arrives here: the exporters end with their page, and what Kafka holds is still loaded.
            self._halt.set()
            for thread in threads:
                thread.join()
            raise

    def _read_in_turn(self, names: list[str], read: Callable[[Exporter, str], None], tally: _Tally) -> None:
        outbox = Outbox(self._settings.require("kafka_bootstrap"), f"switchdesk-{names[0]}")
        for name in names:
            try:
                exporter = Exporter(
                    STREAMS[name],
                    self._client,
                    self._state,
                    self._flow,
                    outbox,
                    stop=self._halt,
                    keep=self._lease.keep,
                    progress=self._progress,
                )
                tally.progress[name] = exporter.progress
                read(exporter, name)
                tally.status[name] = ("ok", None)
            except (AccessRefused, NotFound) as error:
                if isinstance(error, AccessRefused):
                    tally.refused.add(name)
                reason = f"not on this plan or not for this role: {error}"
                self._settle(name, "absent", reason, tally)
            except (PageMalformed, RequestRefused) as error:
                self._settle(name, "failed", str(error), tally)
            except Stopped:
                tally.status[name] = ("behind", "stopped before its end")
                return
            except BaseException as error:
                # Anything else concerns the whole run: it ends, and the caller of the run sees this error.
                tally.fatal.append(error)
                self._halt.set()
                return

    def _settle(self, name: str, status: str, reason: str, tally: _Tally) -> None:
        logger.warning("stream not read", extra={"stream": name, "status": status, "reason": reason})
        for table in ("ticket_events", "ticket_comments") if name == "ticket_events" else (name,):
            self._state.settle(table, status, reason)
            tally.status[table] = (status, reason)

    def _report(
        self,
        names: list[str],
        tally: _Tally,
        changed: dict[str, int],
        dead: dict[str, int],
        seconds: float,
        calls: int,
    ) -> SyncReport:
        now = datetime.now(UTC)
        live = self._state.published()
        reports = {}
        for name in names:
            source = "ticket_events" if name == "ticket_comments" else name
            status, reason = tally.status.get(name) or tally.status.get(source) or ("behind", "not reached")
            done = tally.progress.get(source, Progress(source))
            rows, version, as_of = live.get(name, (0, 0, None))
            reports[name] = StreamReport(
                stream=name,
                status=status,
                reason=reason,
                rows_read=done.rows,
                rows_changed=self._loader.changed.get(name, 0) - changed.get(name, 0),
                pages=done.pages,
                calls=done.calls,
                dead_letters=self._loader.dead.get(name, 0) - dead.get(name, 0),
                rows=rows,
                version=version,
                as_of=as_of,
                lag_seconds=(now - as_of).total_seconds() if as_of is not None else None,
            )
        self._count_calls()
        return SyncReport(self._client.account, reports, seconds, calls, self._erase())

    def _count_calls(self, least_seconds: float = 0.0) -> None:
        """Leave the number of calls for whoever watches; a death loses some seconds of it."""
        now = time.monotonic()
        if now - self._counted_at >= least_seconds:
            self._counted_at = now
            self._state.count_calls(self._client.take_outcomes())

    def _erase(self) -> Mapping[str, int]:
        """Take what this and earlier cycles erased out of the stores behind PostgreSQL."""
        url = self._settings.require("postgres_url")
        with postgres.connect(url, application="switchdesk-erasures", autocommit=True) as connection:
            return erasures.drain(connection, self._settings)


def _phases(exports: set[str]) -> Iterator[list[list[str]]]:
    """What runs side by side: the large exports and all listings in turn; metric events once all else has caught up."""
    large = [[name] for name in ("tickets", "ticket_events", "users", "organizations") if name in exports]
    listings = [name for name in LISTINGS if name in exports]
    first = large + ([listings] if listings else [])
    if first:
        yield first
    if "ticket_metric_events" in exports:
        yield [["ticket_metric_events"]]


@contextmanager
def _session(
    settings: Settings,
    *,
    wait: bool,
    stop: threading.Event | None,
    progress: Callable[[Progress], None] | None,
    notice: Callable[[str], None] | None,
) -> Iterator[_Session]:
    postgres_url = settings.require("postgres_url")
    bootstrap = settings.require("kafka_bootstrap")
    stop = stop or threading.Event()
    halt, finished = threading.Event(), threading.Event()
    with ExitStack() as stack:
        client = open_client(settings)
        stack.callback(client.close)
        lease = Lease(postgres_url, LEASE)
        stack.callback(lease.release)
        lease.acquire(wait=wait, stop=stop, waiting=notice)
        state = State(postgres_url, client.account, LEASE, lease.token)
        stack.callback(state.close)
        state.check_account()
        client.check_admin(stop=stop)
        flow = Flow(halt)
        loader = Loader(postgres_url, bootstrap, topics.ensure(bootstrap), flow)
        stack.callback(loader.close)
        open_loader(loader, state)
        failures: list[BaseException] = []

        def load() -> None:
            try:
                loader.run(finished, lease.keep)
            except BaseException as error:
                failures.append(error)
                halt.set()

        thread = threading.Thread(target=load, name="loader")
        thread.start()
        try:
            yield _Session(settings, client, lease, state, flow, loader, halt, stop, progress or (lambda _: None))
        except BaseException:
            finished.set()
            thread.join()
            if failures:
                # The loader's own failure is the reason of whatever the exporters met.
                raise failures[0] from None
            raise
        finished.set()
        thread.join()
        if failures:
            raise failures[0]
