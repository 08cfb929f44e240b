"""Phases of a run on the terminal: one line each, alive while it works, one plain line where nobody watches."""

import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from threading import Event, Thread
from typing import TYPE_CHECKING

import psycopg
from rich.console import Console
from rich.progress import BarColumn, Progress, SpinnerColumn, TaskID, TextColumn, TimeElapsedColumn

from assets.settings import Settings, SwitchdeskError
from assets.stores import postgres

if TYPE_CHECKING:
    import dagster as dg

_COPY = "Copy the help desk"
_MARTS = "Build the marts"
# Schema of an asset key, and the phase it belongs to.
_PHASES = {
    "zendesk": _COPY,
    "catalog": _COPY,
    "analytics_build": _MARTS,
    "analytics": _MARTS,
    "milvus": "Embed the comments",
    "neo4j": "Build the graph",
}
# What a reader wants counted, in this order; other tables only count as tables.
_WORDS = {
    "tickets": "tickets",
    "ticket_comments": "comments",
    "users": "people",
    "comment_embeddings": "chunks",
    "ticket_graph": "nodes",
}
# Steps on the way: what they hold is counted where it is live.
_UNCOUNTED = {"catalog", "analytics_build", "live_collection"}
_REFRESH_SECONDS = 0.5


class Phases:
    """Shows the phases of a run from its events; give `listen` to the run."""

    def __init__(self, settings: Settings, console: Console) -> None:
        self._settings = settings
        self._console = console
        self._bar = Progress(
            TextColumn(" "),
            SpinnerColumn(style="cyan"),
            TextColumn("{task.description:<20}"),
            BarColumn(bar_width=20),
            TextColumn("{task.fields[detail]}", style="dim"),
            TimeElapsedColumn(),
            console=console,
            transient=True,
            disable=not console.is_terminal,
        )
        self._steps: dict[str, str] = {}
        self._planned: dict[str, int] = {}
        self._left: dict[str, set[str]] = {}
        self._made: dict[str, dict[str, int]] = {}
        self._started: dict[str, float] = {}
        self._tasks: dict[str, TaskID] = {}

    @contextmanager
    def shown(self) -> Iterator["Phases"]:
        """Keep the display alive while the run goes on."""
        ended = Event()
        watcher = Thread(target=self._watch_copy, args=(ended,), name="progress", daemon=True)
        with self._bar:
            if self._console.is_terminal:
                watcher.start()
            try:
                yield self
            finally:
                ended.set()
                if watcher.is_alive():
                    watcher.join()

    def listen(self, event: "dg.DagsterEvent") -> None:
        """Follow one event of the run."""
        kind = event.event_type_value
        if kind == "ASSET_MATERIALIZATION_PLANNED" and event.step_key and event.asset_key:
            phase = _PHASES.get(event.asset_key.path[0], "Build")
            self._steps[event.step_key] = phase
            self._left.setdefault(phase, set()).add(event.step_key)
            self._planned[phase] = self._planned.get(phase, 0) + 1
        phase = self._steps.get(event.step_key or "")
        if phase is None:
            return
        if kind == "STEP_START":
            self._start(phase)
        elif kind == "ASSET_MATERIALIZATION" and event.asset_key:
            rows = event.step_materialization_data.materialization.metadata.get("dagster/row_count")
            made = self._made.setdefault(phase, {})
            if rows is not None and not _UNCOUNTED & set(event.asset_key.path):
                made[event.asset_key.path[-1]] = int(str(rows.value))
            self._bar.update(self._tasks[phase], advance=1, detail=counts(made))
        elif kind == "STEP_SUCCESS":
            self._left[phase].discard(event.step_key or "")
            if not self._left[phase]:
                self._finish(phase)

    def _start(self, phase: str) -> None:
        if phase in self._tasks:
            return
        self._started[phase] = time.monotonic()
        # The copy's tables are reported at its very end: until then its bar only shows that it is alive.
        total = None if phase == _COPY or self._planned[phase] == 1 else self._planned[phase]
        self._tasks[phase] = self._bar.add_task(phase, total=total, detail="")

    def _finish(self, phase: str) -> None:
        self._bar.remove_task(self._tasks[phase])
        made = self._made.get(phase, {})
        line(self._console, phase, counts(made) or "nothing to do", time.monotonic() - self._started[phase])

    def _watch_copy(self, ended: Event) -> None:
        try:
            url = self._settings.require("postgres_url")
            with postgres.connect(url, application="switchdesk-progress", autocommit=True) as connection:
                while not ended.wait(_REFRESH_SECONDS):
                    task = self._tasks.get(_COPY)
                    if task is None or task not in self._bar.task_ids:
                        continue
                    query = "select dataset, rows from catalog.datasets where dataset like 'zendesk.%'"
                    rows = {str(name).partition(".")[2]: int(count) for name, count in connection.execute(query)}
                    self._bar.update(task, detail=counts(rows))
        except (psycopg.Error, SwitchdeskError, KeyError):
            # The run itself reports a store that is gone; the display has nothing to add.
            return


def line(console: Console, what: str, outcome: str, seconds: float) -> None:
    """One finished phase: what it was, what came of it, how long it took."""
    console.print(f"  [green]✓[/green] {what:<20} {outcome:<45} [dim]{seconds:6.1f} s[/dim]", highlight=False)


def counts(rows: Mapping[str, int]) -> str:
    """The few tables a reader knows, with their rows; others as a number of tables and rows."""
    known = [f"{rows[name]:,} {word}" for name, word in _WORDS.items() if name in rows]
    if known or not rows:
        return " · ".join(known)
    return f"{len(rows)} tables · {sum(rows.values()):,} rows"
