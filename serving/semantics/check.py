"""The last look at a statement before it runs: one SELECT over the published schema with harmless functions."""

from __future__ import annotations

import sqlglot
from sqlglot import exp
from sqlglot.errors import SqlglotError

from serving.semantics.errors import SemanticsError

# Everything else that sqlglot has a class for computes on its arguments; what it does not know comes as Anonymous.
_ANONYMOUS = {"all", "array_to_string", "cardinality", "chr", "current_setting", "date_trunc"}
_FORBIDDEN = (exp.Insert, exp.Update, exp.Delete, exp.Merge, exp.Create, exp.Drop, exp.Alter, exp.Command, exp.Into)
_FUNCTIONS = {
    "All", "And", "Anonymous", "Any", "ArrayOverlaps", "ArraySize", "ArrayToString", "Avg", "Case", "Cast",
    "Chr", "Coalesce", "Concat", "Count", "CurrentTimestamp", "Date", "DateTrunc", "Exists",
    "ExplodingGenerateSeries", "Extract", "GenerateSeries", "If", "Least", "Lower", "Max", "Min", "Nullif",
    "Or", "PercentileCont", "StrPosition", "Sum", "TimestampTrunc", "TsOrDsToDate", "Xor",
}  # fmt: skip


class UnsafeQuery(SemanticsError):
    """A compiled statement that must not run; a fault of ours, never of the asker."""


def check(sql: str) -> tuple[str, ...]:
    """Return the relations that the statement reads, `schema.name`, sorted; raises UnsafeQuery."""
    try:
        statements = sqlglot.parse(sql, read="postgres")
    except SqlglotError as error:
        raise UnsafeQuery("query refused: it does not parse") from error
    if len(statements) != 1 or not isinstance(statements[0], exp.Select):
        raise UnsafeQuery("query refused: it is not one SELECT")
    tree = statements[0]
    if next(tree.find_all(*_FORBIDDEN, exp.Lock), None) is not None:
        raise UnsafeQuery("query refused: it does more than read")
    for function in tree.find_all(exp.Func):
        kind = type(function).__name__
        if kind not in _FUNCTIONS:
            raise UnsafeQuery(f"query refused: function {kind} is not on the list")
        if isinstance(function, exp.Anonymous) and function.name.lower() not in _ANONYMOUS:
            raise UnsafeQuery(f"query refused: function {function.name[:40]} is not on the list")
    local = {cte.alias for cte in tree.find_all(exp.CTE)}
    relations: set[str] = set()
    for table in tree.find_all(exp.Table):
        if isinstance(table.this, exp.Func):
            continue
        if table.catalog or (table.db and table.db != "analytics") or (not table.db and table.name not in local):
            raise UnsafeQuery(f"query refused: relation {table.sql(dialect='postgres')[:80]} is not published")
        if table.db:
            relations.add(f"{table.db}.{table.name}")
    return tuple(sorted(relations))
