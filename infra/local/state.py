"""The state of a stack as `status` shows it: its parts, and the streams of the copy."""

import json
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from typing import Any

import psycopg

from assets.settings import SwitchdeskError
from assets.stores import postgres
from infra.local import stack
from infra.local.directory import Directory


@dataclass(frozen=True, slots=True)
class StackState:
    """Parts and streams at one moment."""

    parts: list[stack.PartStatus]
    streams: list[dict[str, Any]]
    """`name`, `state`, `rows`, `as_of`, `lag_seconds` and `reason` of each stream."""
    no_streams_because: str = ""

    def as_json(self) -> str:
        """The object of `status --json`."""
        parts = [asdict(part) for part in self.parts]
        return json.dumps({"parts": parts, "streams": self.streams}, default=lambda moment: moment.isoformat())

    def as_text(self) -> str:
        """Two tables for people."""
        parts = ((part.name, part.state, part.pid, part.port, f"{part.rss_mb:.0f}", part.detail) for part in self.parts)
        memory = sum(part.rss_mb for part in self.parts)
        text = _table(("part", "state", "pid", "port", "MB", ""), parts)
        text += f"\n\n{memory:.0f} MB in all"
        if not self.streams:
            return f"{text}\nno streams: {self.no_streams_because}"
        streams = (
            (row["name"], row["state"], row["rows"], _moment(row["as_of"]), row["lag_seconds"], row["reason"])
            for row in self.streams
        )
        return f"{text}\n\n" + _table(("stream", "state", "rows", "as of", "seconds behind", ""), streams)


def look(home: Directory) -> StackState:
    """Ask every part, and the database about the streams."""
    parts = stack.status(home.path)
    try:
        settings = stack.settings_of(home.read_env(), home)
        from assets.zendesk.sync import stream_status

        with postgres.connect(settings.require("postgres_url"), application="switchdesk-status") as connection:
            return StackState(parts, stream_status(connection))
    except SwitchdeskError as error:
        return StackState(parts, [], str(error))
    except (psycopg.errors.UndefinedTable, psycopg.errors.InvalidSchemaName):
        return StackState(parts, [], "the database has no tables yet; run `switchdesk migrate`")


def _moment(value: Any) -> str:
    return f"{value:%Y-%m-%d %H:%M:%S}" if value else ""


def _table(head: tuple[str, ...], rows: Iterable[tuple[Any, ...]]) -> str:
    lines = [head, *(tuple("" if cell is None else str(cell) for cell in row) for row in rows)]
    widths = [max(len(line[column]) for line in lines) for column in range(len(head))]
    padded = ("  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)) for line in lines)
    return "\n".join(line.rstrip() for line in padded)
