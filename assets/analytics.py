"""The marts as assets: dbt builds and tests them beside the live ones, then all of them go live in one transaction."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import datetime
from typing import Any

import dagster as dg
import orjson
import psycopg
from dagster_dbt import DagsterDbtTranslator, DbtProject, dbt_assets

from assets import catalog, dbt_project, publication
from assets.dbt_project import BUILD_SCHEMA, NodeResult
from assets.publication import LIVE_SCHEMA, Mart, Published
from assets.settings import Settings
from assets.stores import postgres
from assets.tickets import DAYS

_GROUP = "analytics"
_OWNER = "team:support-analytics"
# Two builds at a time would write the same schema.
_BUILD_LOCK = 0x5317C4DB70
_UNIQUE_ID = "dagster_dbt/unique_id"


class Translator(DagsterDbtTranslator):
    """Names, groups and owners of dbt's models as assets: each is the table or view in the schema of the build."""

    def get_asset_spec(self, manifest: Mapping[str, Any], unique_id: str, project: DbtProject | None) -> dg.AssetSpec:
        """A model with its owner; a source is the asset that the sync makes."""
        spec = super().get_asset_spec(manifest, unique_id, project)
        if self.get_resource_props(manifest, unique_id)["resource_type"] == "source":
            return spec
        return spec.replace_attributes(group_name=_GROUP, owners=[_OWNER], kinds={"dbt", "postgres"}).merge_attributes(
            metadata={"dagster/table_name": ".".join(spec.key.path)}
        )

    def get_asset_key(self, dbt_resource_props: Mapping[str, Any]) -> dg.AssetKey:
        """The schema and table that hold it."""
        if dbt_resource_props["resource_type"] == "source":
            return super().get_asset_key(dbt_resource_props)
        return dg.AssetKey([BUILD_SCHEMA, dbt_resource_props["name"]])

    def get_description(self, dbt_resource_props: Mapping[str, Any]) -> str:
        """What one row is; the SQL lies in the project."""
        return dbt_resource_props["description"]


_PROJECT = dbt_project.dbt_project()
_MANIFEST: Mapping[str, Any] = orjson.loads(_PROJECT.manifest_path.read_bytes())
_MARTS = publication.marts(_MANIFEST, dbt_project.semantic_manifest())


@dbt_assets(
    manifest=_PROJECT.manifest_path,
    project=_PROJECT,
    name="analytics_models",
    dagster_dbt_translator=Translator(),
)
def analytics_models(
    context: dg.AssetExecutionContext, settings: dg.ResourceParam[Settings]
) -> Iterator[dg.MaterializeResult | dg.AssetCheckResult]:
    """Build and test every model beside the live marts.

    Whatever was selected, the whole project is built: marts that rest on different builds must never go live together.
    """
    with _locked(settings) as connection:
        as_of = _as_of(connection)
        context.log.info(f"building the marts as of {as_of.isoformat()}")
        results = _build(connection, settings, as_of, context.run.run_id)
    yield from _check_results(context, results)
    _raise_broken(results)
    by_node = {spec.metadata[_UNIQUE_ID]: spec.key for spec in context.assets_def.specs}
    # dbt's results are in the order of the build, which is the order in which Dagster wants outputs.
    for result in results:
        key = by_node.get(result.unique_id)
        if key is not None and key in context.selected_asset_keys:
            yield dg.MaterializeResult(
                asset_key=key,
                metadata={
                    "as_of": dg.MetadataValue.timestamp(as_of),
                    "build_seconds": round(result.seconds, 3),
                    **({"dagster/row_count": result.rows} if result.rows is not None else {}),
                },
            )


def _mart_spec(mart: Mart) -> dg.AssetSpec:
    node = next(each for each in _MANIFEST["nodes"].values() if each["name"] == mart.name)
    return dg.AssetSpec(
        dg.AssetKey([LIVE_SCHEMA, mart.name]),
        deps=[dg.AssetKey([BUILD_SCHEMA, mart.name])],
        description=node["description"],
        group_name=_GROUP,
        owners=[node["config"]["meta"].get("owner", _OWNER)],
        kinds={"postgres"},
        partitions_def=DAYS if mart.times else None,
        skippable=True,
        metadata={"dagster/table_name": f"{LIVE_SCHEMA}.{mart.name}", "key": ", ".join(mart.key)},
    )


@dg.multi_asset(
    name="analytics_marts",
    specs=[_mart_spec(mart) for mart in _MARTS],
    check_specs=[
        dg.AssetCheckSpec(
            "live_rows_equal_the_build",
            asset=dg.AssetKey([LIVE_SCHEMA, mart.name]),
            blocking=True,
            description="After publication the live mart holds exactly the rows that were built and tested.",
        )
        for mart in _MARTS
    ],
    can_subset=True,
    backfill_policy=dg.BackfillPolicy.single_run(),
)
def analytics_marts(
    context: dg.AssetExecutionContext, settings: dg.ResourceParam[Settings]
) -> Iterator[dg.MaterializeResult]:
    """Publish the build of this run, all marts at once; without one in this run, build first.

    A run for days does the same: the rows whose newest change falls into them are rebuilt with all the others.
    """
    body = dbt_project.semantic_manifest()
    with _locked(settings) as connection:
        as_of = _built_by(connection, context.run.run_id)
        if as_of is None:
            as_of = _as_of(connection)
            _raise_broken(_build(connection, settings, as_of, context.run.run_id))
        with connection.transaction():
            published = publication.publish(
                connection,
                _MARTS,
                build_schema=BUILD_SCHEMA,
                semantic_manifest=body,
                as_of=as_of,
                build_id=context.run.run_id,
            )
    for mart in published:
        key = dg.AssetKey([LIVE_SCHEMA, mart.name])
        if key in context.selected_asset_keys:
            yield _materialization(context, key, mart, as_of)


def _materialization(
    context: dg.AssetExecutionContext, key: dg.AssetKey, mart: Published, as_of: datetime
) -> dg.MaterializeResult:
    """The same figures as in the catalogue, so that the UI and the API cannot disagree."""
    described = _descriptions(mart.name)
    columns = [dg.TableColumn(name, kind, description=described.get(name)) for name, kind in mart.columns.items()]
    check = dg.AssetCheckResult(
        asset_key=key,
        check_name="live_rows_equal_the_build",
        passed=mart.rows == mart.rows_built,
        metadata={"rows": mart.rows, "rows_built": mart.rows_built},
    )
    is_wanted = dg.AssetCheckKey(key, check.check_name or "") in context.selected_asset_check_keys
    return dg.MaterializeResult(
        asset_key=key,
        metadata={
            "dagster/row_count": mart.rows,
            "dagster/column_schema": dg.TableSchema(columns),
            "as_of": dg.MetadataValue.timestamp(as_of),
            "version": mart.version,
            **mart.facts,
        },
        data_version=dg.DataVersion(str(mart.version)),
        check_results=[check] if is_wanted else [],
    )


def _descriptions(model: str) -> dict[str, str]:
    node = next(each for each in _MANIFEST["nodes"].values() if each["name"] == model)
    return {name: column["description"] for name, column in node["columns"].items()}


@contextmanager
def _locked(settings: Settings) -> Iterator[psycopg.Connection[Any]]:
    """A connection that alone may build and publish; another run waits here until this one is done."""
    url = settings.require("postgres_url")
    with postgres.connect(url, application="switchdesk-analytics", autocommit=True) as connection:
        connection.execute("select pg_advisory_lock(%s)", (_BUILD_LOCK,))
        yield connection


def _as_of(connection: psycopg.Connection[Any]) -> datetime:
    """The moment up to which every stream that the marts read is complete; streams the account lacks do not count."""
    read = {f"{source['source_name']}.{source['name']}" for source in _MANIFEST["sources"].values()}
    known = [dataset.as_of for name, dataset in catalog.current(connection).datasets.items() if name in read]
    if not known:
        raise dg.Failure(
            "nothing to build: no stream of the help desk was copied yet; run `switchdesk sync --once` first",
            allow_retries=False,
        )
    return min(known)


def _build(connection: psycopg.Connection[Any], settings: Settings, as_of: datetime, run_id: str) -> list[NodeResult]:
    """Build and test everything, and note in the database whose good build lies there, or that none does."""
    connection.execute("delete from ops.watermarks where dataset = %s", (BUILD_SCHEMA,))
    results = dbt_project.build(settings, as_of=as_of)
    broken = [result for result in results if result.is_broken]
    if broken:
        # Figures and versions of the live build stay; answers can say that a newer one failed.
        catalog.mark_failed(connection, LIVE_SCHEMA, [result.name for result in broken])
    else:
        connection.execute(
            "insert into ops.watermarks (dataset, load_seq, facts) values (%s, 0, %s)",
            (BUILD_SCHEMA, orjson.dumps({"run_id": run_id, "as_of": as_of.isoformat()}).decode()),
        )
    return results


def _built_by(connection: psycopg.Connection[Any], run_id: str) -> datetime | None:
    """As-of of the build that lies in the schema of the build, if it is this run's and good."""
    row = connection.execute(
        "select facts ->> 'as_of' from ops.watermarks where dataset = %s and facts ->> 'run_id' = %s",
        (BUILD_SCHEMA, run_id),
    ).fetchone()
    return datetime.fromisoformat(row[0]) if row else None


def _raise_broken(results: list[NodeResult]) -> None:
    broken = [result for result in results if result.is_broken]
    if broken:
        raise dg.Failure(
            f"nothing published: {len(broken)} models or tests of the build failed, first {broken[0].name}: "
            f"{broken[0].message.strip()[:600]}; the marts of the build before stay live",
            metadata={"failed": [result.name for result in broken]},
            allow_retries=False,
        )


def _check_results(context: dg.AssetExecutionContext, results: list[NodeResult]) -> Iterator[dg.AssetCheckResult]:
    by_test = {spec.metadata.get(_UNIQUE_ID): spec.key for spec in context.assets_def.check_specs}
    for result in results:
        key = by_test.get(result.unique_id)
        if key is None or key not in context.selected_asset_check_keys or result.status == "skipped":
            continue
        yield dg.AssetCheckResult(
            asset_key=key.asset_key,
            check_name=key.name,
            passed=result.status == "pass",
            severity=dg.AssetCheckSeverity.WARN if result.status == "warn" else dg.AssetCheckSeverity.ERROR,
            description=result.message.strip()[:1000] or None,
            metadata={"failing_rows": result.failures, "seconds": round(result.seconds, 3)},
        )
