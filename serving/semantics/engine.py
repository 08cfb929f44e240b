"""MetricFlow in this process: the one module that knows its interface, which its makers do not promise to keep."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache

from metricflow.engine.metricflow_engine import MetricFlowEngine, MetricFlowQueryRequest
from metricflow.protocols.sql_client import SqlEngine
from metricflow.sql.render.postgres import PostgresSQLSqlPlanRenderer
from metricflow_semantics.errors.error_classes import InvalidQueryException
from metricflow_semantics.model.dbt_manifest_parser import parse_manifest_from_dbt_generated_manifest
from metricflow_semantics.model.semantic_manifest_lookup import SemanticManifestLookup

from serving.semantics.errors import ImpossiblePlan


class _CompileOnly:
    """Tells MetricFlow which dialect to write; it never runs anything."""

    sql_engine_type = SqlEngine.POSTGRES
    sql_plan_renderer = PostgresSQLSqlPlanRenderer()


class Engine:
    """Compiles metric queries of one manifest; safe to share between threads."""

    def __init__(self, body: bytes) -> None:
        lookup = SemanticManifestLookup(parse_manifest_from_dbt_generated_manifest(body.decode()))
        client = _CompileOnly()
        # The protocol also asks for ways to run SQL, which compiling never uses.
        self._engine = MetricFlowEngine(semantic_manifest_lookup=lookup, sql_client=client)  # pyright: ignore[reportArgumentType]
        # Values are parameters, so the same few shapes come again and again.
        self._remembered = lru_cache(maxsize=1024)(self._explain)

    def sql(self, metrics: Sequence[str], group_by: Sequence[str], where: Sequence[str]) -> str:
        """SQL of a query whose names were checked before; `where` is written by us alone, never out of a value."""
        return self._remembered(tuple(metrics), tuple(group_by), tuple(where))

    def _explain(self, metrics: tuple[str, ...], group_by: tuple[str, ...], where: tuple[str, ...]) -> str:
        request = MetricFlowQueryRequest.create(
            metric_names=list(metrics), group_by_names=list(group_by) or None, where_constraints=list(where) or None
        )
        try:
            return self._engine.explain(request).sql_statement.sql
        except InvalidQueryException as error:
            raise ImpossiblePlan(
                f"metrics and dimensions do not go together: {', '.join(metrics)} by {', '.join(group_by) or 'nothing'}"
            ) from error


def reference(path: str, *, time_grain: str | None = None) -> str:
    """How a filter names what `path` leads to; a way of several joins is given as an entity path."""
    parts = path.split("__")
    name = "__".join(parts[-2:])
    way = f", entity_path={parts[:-2]!r}" if len(parts) > 2 else ""
    if time_grain is not None:
        return f"{{{{ TimeDimension('{name}', '{time_grain}'{way}) }}}}"
    return f"{{{{ Dimension('{name}'{way}) }}}}"
