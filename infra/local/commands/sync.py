"""`switchdesk sync`: copy the help desk through Dagster, in this process, and show how it goes."""

import os
import socket
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from rich.console import Console, RenderableType

    from assets.settings import Settings
    from assets.zendesk.watch import Standing

_LOOK_SECONDS = 0.5
_LINE_SECONDS = 5.0


def sync(
    once: Annotated[
        bool, typer.Option("--once", help="Catch up to the end of each stream and exit (default).")
    ] = False,
    follow: Annotated[bool, typer.Option("--follow", help="Stay and copy what changes.")] = False,
    streams: Annotated[str | None, typer.Option(metavar="A,B", help="Only these streams [default: all].")] = None,
    since: Annotated[
        str | None,
        typer.Option(metavar="ISO", help="Read again from this moment; a fresh copy begins there."),
    ] = None,
    from_kafka: Annotated[
        bool, typer.Option("--from-kafka", help="Fill an empty copy from Kafka's state topics, without the help desk.")
    ] = False,
) -> None:
    """Copy the help desk into PostgreSQL: only what changed since the last time."""
    from rich.console import Console

    from assets.settings import load_settings

    if from_kafka and (once or follow or streams or since):
        raise typer.BadParameter("--from-kafka goes with no other option: it fills an empty copy as a whole")
    if once and follow:
        raise typer.BadParameter("--once and --follow exclude each other")
    settings = load_settings()
    if from_kafka:
        _rebuild(settings, Console())
        return
    names = _streams(streams)
    moment = _moment(since) if since else None
    console = Console()
    _forewarn(settings, console)
    if follow:
        _follow(settings, names, moment, console)
    else:
        _once(settings, names, moment, console)


def _rebuild(settings: "Settings", console: "Console") -> None:
    from assets.zendesk.rebuild import rebuild

    def tell(stream: str, rows: int) -> None:
        console.print(f"{stream}: {rows:,} rows", markup=False, highlight=False)

    rows = rebuild(settings, progress=tell)
    console.print(
        f"{sum(rows.values()):,} rows rebuilt from Kafka; `switchdesk sync` reads what changed since",
        markup=False,
        highlight=False,
        soft_wrap=True,
    )


def _once(settings: "Settings", names: Sequence[str], since: datetime | None, console: "Console") -> None:
    from assets.tickets import SINCE_TAG
    from infra.local.runs import run_job

    with _shown(settings, names, console):
        finished = run_job(
            settings,
            "zendesk_sync",
            assets=[("zendesk", name) for name in names],
            tags={SINCE_TAG: since.isoformat()} if since else None,
        )
    made = {asset.key[-1]: asset for asset in finished.made if asset.key[0] == "zendesk"}
    read = sum(asset.metadata["rows_read"] for asset in made.values())
    changed = sum(asset.metadata["rows_changed"] for asset in made.values())
    console.print(
        f"{len(made)} streams up to date in {finished.seconds:.1f} s: {read:,} rows read, {changed:,} rows changed",
        highlight=False,
    )
    for name in names:
        if name not in made:
            console.print(
                f"{name}: absent, its reason is in `switchdesk status`", markup=False, highlight=False, soft_wrap=True
            )
    for check in finished.failed_checks:
        console.print(
            f"check failed: {'.'.join(check.key)}: {check.name}", markup=False, highlight=False, soft_wrap=True
        )


def _follow(settings: "Settings", names: Sequence[str], since: datetime | None, console: "Console") -> None:
    """Cycle in this process until Ctrl-C; Dagster hears of each cycle that changed something."""
    import signal

    import dagster as dg

    from assets.tickets import observed
    from assets.zendesk import sync as zendesk_sync
    from assets.zendesk.sync import SyncReport
    from infra.local.runs import prepare

    prepare(settings)
    stop = threading.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: stop.set())

    with dg.DagsterInstance.get() as instance:

        def tell(report: SyncReport) -> None:
            for done in report.streams.values():
                if done.status == "ok" and done.rows_changed:
                    instance.report_runless_asset_event(observed(done))
            changed = sum(done.rows_changed for done in report.streams.values())
            lag = max((done.lag_seconds for done in report.streams.values() if done.lag_seconds), default=0.0)
            failed = [f"{done.stream}: {done.reason}" for done in report.streams.values() if done.status == "failed"]
            console.print(
                f"{datetime.now(UTC):%H:%M:%S} {changed:,} rows changed, {report.calls} calls, lag {lag:.0f} s"
                + (f"; failed: {'; '.join(failed)}" if failed else "")
                + "".join(f"; {rows} erasures wait for {store}" for store, rows in report.waiting.items()),
                markup=False,
                highlight=False,
                soft_wrap=True,
            )

        zendesk_sync.run(
            settings,
            names,
            once=False,
            since=since,
            stop=stop,
            notice=lambda text: console.print(text, markup=False, highlight=False, soft_wrap=True),
            on_cycle=tell,
        )


def _streams(text: str | None) -> list[str]:
    from assets.zendesk.errors import ZendeskError
    from assets.zendesk.streams import STREAMS

    if text is None:
        return list(STREAMS)
    names = [name.strip() for name in text.split(",") if name.strip()]
    unknown = [name for name in names if name not in STREAMS]
    if unknown or not names:
        raise ZendeskError(f"stream unknown: {', '.join(unknown) or 'none named'}; there are {', '.join(STREAMS)}")
    return [name for name in STREAMS if name in names]


def _moment(text: str) -> datetime:
    from assets.zendesk.errors import ZendeskError
    from assets.zendesk.records import parse_moment

    moment = parse_moment(text)
    if moment is None:
        raise ZendeskError(f"moment malformed: --since is no ISO time, for example {datetime.now(UTC):%Y-%m-%d}T00:00Z")
    return moment


def _forewarn(settings: "Settings", console: "Console") -> None:
    from assets.zendesk.client import retirement_warning

    warning = retirement_warning(settings)
    if warning:
        console.print(f"warning: {warning}", markup=False, highlight=False, soft_wrap=True)


@contextmanager
def _shown(settings: "Settings", names: Sequence[str], console: "Console") -> Iterator[None]:
    """Show the standings while the block runs: a live table on a terminal, a line now and then elsewhere."""
    from assets.stores import postgres
    from assets.zendesk.watch import holder, standings

    ended = threading.Event()

    def watch() -> None:
        from rich.live import Live

        ours = f"{socket.gethostname()}/{os.getpid()}"
        view = _View(names, settings)
        with postgres.connect(
            settings.require("postgres_url"), application="switchdesk-watch", autocommit=True
        ) as connection:
            busy = holder(connection)
            if busy not in (None, ours):
                console.print(f"sync running already: {busy} holds the lease; waiting for it to end", soft_wrap=True)
            if console.is_terminal:
                with Live(console=console, refresh_per_second=4, transient=True) as live:
                    while not ended.wait(_LOOK_SECONDS):
                        live.update(view.table(standings(connection)))
            else:
                while not ended.wait(_LINE_SECONDS):
                    console.print(view.line(standings(connection)), markup=False, highlight=False, soft_wrap=True)

    thread = threading.Thread(target=watch, name="watch", daemon=True)
    thread.start()
    try:
        yield
    finally:
        ended.set()
        thread.join()


class _View:
    """Turns standings into what a person wants to see: rows, rate, share of the quota, time left."""

    def __init__(self, names: Sequence[str], settings: "Settings") -> None:
        from assets.zendesk.client import account_of
        from assets.zendesk.limiter import Limiter

        self._names = names
        self._began = time.monotonic()
        self._first: dict[str, tuple[int, float]] = {}
        url = settings.require("zendesk_url")
        self._limiter = Limiter(settings.require("redis_url"), account_of(url), settings.zendesk_quota_share)

    def table(self, found: "Mapping[str, Standing]") -> "RenderableType":
        """All streams of the run, one a line."""
        from rich.table import Table

        table = Table("stream", "rows", "rows/s", "done", "time left", box=None, pad_edge=False, caption=self._quota())
        for name in self._names:
            standing = found.get(name)
            if standing is None:
                table.add_row(name, "", "", "", "", style="dim")
                continue
            rate, left = self._pace(standing)
            done = "" if standing.fraction is None else f"{standing.fraction:.0%}"
            if standing.status != "ok":
                done = standing.status
            table.add_row(name, f"{standing.rows:,}", f"{rate:,.0f}", done, left)
        return table

    def line(self, found: "Mapping[str, Standing]") -> str:
        """The run as a whole."""
        rows = sum(standing.rows for name, standing in found.items() if name in self._names)
        ended = sum(standing.is_at_end for name, standing in found.items() if name in self._names)
        rate = sum(self._pace(standing)[0] for name, standing in found.items() if name in self._names)
        return f"{rows:,} rows, {rate:,.0f} rows/s, {ended} of {len(self._names)} streams at their end, {self._quota()}"

    def _pace(self, standing: "Standing") -> tuple[float, str]:
        first_rows, first_fraction = self._first.setdefault(standing.stream, (standing.rows, standing.fraction or 0.0))
        seconds = time.monotonic() - self._began
        rate = (standing.rows - first_rows) / seconds if seconds > 1 else 0.0
        if standing.is_at_end or standing.fraction is None or standing.fraction <= first_fraction:
            return rate, ""
        left = seconds * (1 - standing.fraction) / (standing.fraction - first_fraction)
        return rate, f"{int(left // 3600)}:{int(left // 60 % 60):02}:{int(left % 60):02}"

    def _quota(self) -> str:
        from assets.zendesk.limiter import LimitClass

        share = self._limiter.used_share(LimitClass.EXPORTS)
        return "quota: no limit known" if share is None else f"{share:.0%} of the export quota used"
