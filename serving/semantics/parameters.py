"""Values on their way into a query: each leaves a token in the SQL and travels beside it as a parameter.

A token is a plain literal such as `'swd_0'`, which MetricFlow and the SQL parser read like any other; after the last
check it becomes a placeholder. No value, whoever it came from, is ever part of a statement's text.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from datetime import date, datetime
from typing import Any

_TOKEN = re.compile(r"'swd_([a-z0-9_]+)'")


@dataclass(slots=True)
class Parameters:
    """The values of one query by name."""

    values: dict[str, Any] = field(default_factory=dict[str, Any])

    def add(self, value: Any) -> str:
        """Keep a value and return its token."""
        return self.name(f"v{len(self.values)}", value)

    def name(self, name: str, value: Any) -> str:
        """Keep a value under a name and return its token."""
        self.values[name] = value
        return token(name)

    def moment(self, name: str, value: datetime) -> str:
        """Keep a moment and return an expression of type timestamptz."""
        return f"cast({self.name(name, value)} as timestamptz)"

    def day(self, name: str, value: date) -> str:
        """Keep a day and return an expression of type date."""
        return f"cast({self.name(name, value)} as date)"


def token(name: str) -> str:
    """The literal that stands for a parameter."""
    return f"'swd_{name}'"


def with_placeholders(sql: str) -> str:
    """Turn tokens into psycopg placeholders."""
    return _TOKEN.sub(r"%(\1)s", sql.replace("%", "%%"))
