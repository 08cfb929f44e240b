"""Progress of a start: a live table on a terminal, plain lines elsewhere."""

import sys
import time
from collections.abc import Iterable
from typing import TextIO

from rich.console import Console
from rich.live import Live
from rich.table import Table

from infra.local.stack import State

_MARKS = {State.READY: "[green]ready[/]", State.STARTING: "[yellow]starting[/]", State.FAILED: "[red]failed[/]"}


class Progress:
    """Shows what `stack.start` and `stack.stop` report."""

    def __init__(self, parts: Iterable[str], stream: TextIO | None = None) -> None:
        self._console = Console(file=stream or sys.stderr)
        self._began = time.monotonic()
        self._rows: dict[str, tuple[State, str]] = {}
        self._parts = list(parts)
        self._live = (
            Live(get_renderable=self._table, console=self._console, refresh_per_second=6, transient=False)
            if self._console.is_terminal
            else None
        )

    def __enter__(self) -> "Progress":
        if self._live:
            self._live.start()
        return self

    def __exit__(self, *_: object) -> None:
        if self._live:
            self._live.stop()

    def report(self, part: str, state: State, detail: str) -> None:
        """Take one change."""
        previous = self._rows.get(part)
        if state is not State.STARTING:
            detail = f"{detail}  {time.monotonic() - self._began:.1f} s".strip()
        self._rows[part] = (state, detail)
        if self._live is None and (previous is None or _is_news(previous, (state, detail))):
            self._console.print(f"{part}: {state}{f' ({detail})' if detail else ''}", markup=False, highlight=False)

    def _table(self) -> Table:
        table = Table.grid(padding=(0, 2))
        for part in [*self._parts, *(name for name in self._rows if name not in self._parts)]:
            if part in self._rows:
                state, detail = self._rows[part]
                table.add_row(part, _MARKS.get(state, str(state)), f"[dim]{detail}[/]")
        return table


def _is_news(previous: tuple[State, str], now: tuple[State, str]) -> bool:
    """A download tells its bytes many times a second; a log wants the first word of it."""
    return previous[0] != now[0] or previous[1].split(" ")[0] != now[1].split(" ")[0]
