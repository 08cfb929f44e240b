"""What lies between exporters and loader: bounded lag, positions reached, and the moments up to which data is whole."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime

from assets.zendesk.limiter import Stopped

MOST_OUTSTANDING = 30_000
"""Records that exporters may be ahead of the loader, so that Kafka and memory never hold a history."""


@dataclass(frozen=True, slots=True)
class _Mark:
    positions: Mapping[int, int]
    as_of: datetime


def _holds(mark: _Mark, positions: Mapping[int, int]) -> bool:
    return all(positions.get(part, 0) >= end for part, end in mark.positions.items())


class Flow:
    """Shared by the exporter threads and the loader thread of one run."""

    def __init__(self, stop: threading.Event) -> None:
        self._stop = stop
        self._changed = threading.Condition()
        self._acked: dict[str, dict[int, int]] = {}
        self._loaded: dict[str, dict[int, int]] = {}
        self._marks: dict[str, deque[_Mark]] = {}
        self._offered: dict[str, int] = {}
        self._failure: BaseException | None = None

    def start(self, stream: str, loaded: Mapping[int, int], acked: Mapping[int, int]) -> None:
        """Take over where a stream's partitions stand: next offset to load, and the end of the topic."""
        self._loaded[stream] = dict(loaded)
        self._acked[stream] = dict(acked)
        self._marks[stream] = deque()

    def acked(self, stream: str, positions: Mapping[int, int]) -> None:
        """Kafka holds a stream's records up to these next offsets."""
        with self._changed:
            known = self._acked[stream]
            for part, position in positions.items():
                known[part] = max(known.get(part, 0), position)

    def mark(self, stream: str, as_of: datetime) -> None:
        """Once everything acked so far is loaded, the stream holds all that happened up to `as_of`."""
        with self._changed:
            self._marks[stream].append(_Mark(dict(self._acked[stream]), as_of))

    def reached(self, stream: str, positions: Mapping[int, int]) -> datetime | None:
        """The newest mark that holds at these positions, None where there is none."""
        with self._changed:
            # Positions of marks only grow, so those that hold stand in front.
            held = [mark.as_of for mark in self._marks[stream] if _holds(mark, positions)]
            self._offered[stream] = len(held)
        return max(held, default=None)

    def published(self, stream: str) -> None:
        """The catalogue holds what `reached` last said of a stream: those marks are done with, later ones are not."""
        with self._changed:
            for _ in range(self._offered.pop(stream, 0)):
                self._marks[stream].popleft()
            self._changed.notify_all()

    def loaded(self, stream: str, positions: Mapping[int, int]) -> None:
        """PostgreSQL holds a stream's records up to these next offsets."""
        with self._changed:
            self._loaded[stream].update(positions)
            self._changed.notify_all()

    def fail(self, failure: BaseException) -> None:
        """The loader is dead: whoever waits for it is told why."""
        with self._changed:
            self._failure = failure
            self._changed.notify_all()

    def outstanding(self) -> int:
        """Records in Kafka that PostgreSQL does not hold yet."""
        with self._changed:
            return self._outstanding()

    def wait_for_room(self) -> None:
        """Block an exporter while the loader is too far behind."""
        self._wait(lambda: self._outstanding() <= MOST_OUTSTANDING)

    def wait_until_loaded(self, *streams: str) -> None:
        """Block until everything acked so far of these streams is in PostgreSQL, and its moments in the catalogue."""
        with self._changed:
            ends = {(stream, part): end for stream in streams for part, end in self._acked[stream].items()}
        self._wait(
            lambda: (
                all(self._loaded[stream].get(part, 0) >= end for (stream, part), end in ends.items())
                and not any(self._marks[stream] for stream in streams)
            )
        )

    def _wait(self, holds: Callable[[], bool]) -> None:
        with self._changed:
            while not holds():
                if self._failure is not None:
                    raise self._failure
                if self._stop.is_set():
                    raise Stopped("sync stopped: the loader was still behind")
                self._changed.wait(0.5)
            if self._failure is not None:
                raise self._failure

    def _outstanding(self) -> int:
        return sum(
            max(0, end - self._loaded[stream].get(part, 0))
            for stream, ends in self._acked.items()
            for part, end in ends.items()
        )
