"""What can be wrong with a plan: names and values are answered with the nearest ones that exist.

SemanticsError
├── NothingPublished     no build of the marts was ever published
├── UnknownName          a metric, dimension or value that does not exist
│   ├── UnknownMetric
│   ├── UnknownDimension
│   └── UnknownValue
├── ImpossiblePlan       known names that do not go together, an empty range, a grain finer than the data
└── QueryFailed          PostgreSQL refused or gave up
    └── QueryTimeout
"""

from __future__ import annotations

from collections.abc import Iterable

from rapidfuzz import fuzz, process, utils

from assets.settings import SwitchdeskError


class SemanticsError(SwitchdeskError):
    """A plan cannot be compiled or run."""


class NothingPublished(SemanticsError):
    """No build of the marts was ever published."""

    def __init__(self) -> None:
        super().__init__(
            "no analytics yet: the marts were never published; run `switchdesk sync --once` and then "
            "`switchdesk build analytics`"
        )


class UnknownName(SemanticsError):
    """A name that does not exist, with the nearest that do."""

    noun = "name"

    def __init__(self, name: str, known: Iterable[str], *, where: str = "") -> None:
        self.name = name
        self.nearest = nearest(name, known)
        """At most three, best first."""
        hint = f"; did you mean {', '.join(self.nearest)}?" if self.nearest else ""
        shown = name if len(name) <= 80 else f"{name[:77]}..."
        super().__init__(f"{self.noun} unknown: {shown!r}{where}{hint}")


class UnknownMetric(UnknownName):
    """No such metric."""

    noun = "metric"


class UnknownDimension(UnknownName):
    """No such dimension, or not one of that metric."""

    noun = "dimension"


class UnknownValue(UnknownName):
    """No row has that value."""

    noun = "value"


class ImpossiblePlan(SemanticsError):
    """Known names that do not go together."""


class QueryFailed(SemanticsError):
    """PostgreSQL refused the query."""


class QueryTimeout(QueryFailed):
    """The query ran longer than it may."""


def nearest(name: str, known: Iterable[str], count: int = 3) -> tuple[str, ...]:
    """The names closest in spelling, best first; fewer where nothing comes close."""
    found = process.extract(
        name[:200], list(known), scorer=fuzz.WRatio, processor=utils.default_process, limit=count, score_cutoff=45
    )
    return tuple(match for match, _, _ in found)
