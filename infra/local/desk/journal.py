"""What a desk must remember to be the same one after a restart: when its history ended, and when it was live."""

import json
import os
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from infra.local.errors import BrokenDirectory


@dataclass(slots=True)
class Journal:
    """A file of worlds by size and seed. Everything else follows from the seed.

    A minute is written down before anything of it happens, so that a killed desk can only come back with all it showed.
    """

    path: Path
    key: str
    epoch: int
    live: list[tuple[int, int, float]] = field(default_factory=list[tuple[int, int, float]])
    """First and last minute since 1970, and new tickets an hour."""

    @classmethod
    def open(cls, path: Path, tickets: int, seed: int, epoch: int | None, now: int) -> "Journal":
        """The journal of that world; a new one where there is none or another epoch is asked for."""
        # A history that ended two minutes ago has no row that a first reader would still be denied.
        key = f"{tickets} tickets, seed {seed}"
        known = _read(path).get(key)
        if known and (epoch is None or known["epoch"] == epoch):
            return cls(path, key, known["epoch"], [(first, last, rate) for first, last, rate in known["live"]])
        journal = cls(path, key, now // 60 * 60 - 120 if epoch is None else epoch)
        journal.write()
        return journal

    def go_live(self, minute: int, per_hour: float) -> None:
        """Remember one more live minute."""
        if self.live and self.live[-1][1] == minute - 1 and self.live[-1][2] == per_hour:
            self.live[-1] = (self.live[-1][0], minute, per_hour)
        else:
            self.live.append((minute, minute, per_hour))
        self.write()

    def write(self) -> None:
        """Replace the file as a whole."""
        worlds = _read(self.path) | {self.key: {"epoch": self.epoch, "live": self.live}}
        fresh = self.path.with_suffix(f".{os.getpid()}")
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            fresh.write_text(json.dumps(worlds, indent=1))
            fresh.replace(self.path)
        except OSError as error:
            raise BrokenDirectory(
                f"demo desk cannot keep its journal: {self.path}: {error.strerror}; name another folder with --dir"
            ) from None


def _read(path: Path) -> dict[str, Any]:
    try:
        worlds = json.loads(path.read_text())
        if isinstance(worlds, dict):
            return worlds
    except FileNotFoundError:
        return {}
    except (OSError, ValueError):
        pass
    raise BrokenDirectory(
        f"demo desk cannot read its journal: {path}; delete it to begin with a new world, "
        "or name another folder with --dir"
    )
