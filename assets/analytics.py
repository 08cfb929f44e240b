"""The marts as assets: dbt builds and tests them beside the live ones, then all of them go live in one transaction."""

from collections.abc import Iterator, Mapping
from datetime import datetime
from typing import Any

import dagster as dg
import orjson
import psycopg
from dagster_dbt import DagsterDbtTranslator, DbtProject, dbt_assets

from assets import catalog, dbt_project, publication
from assets.dbt_project import NodeResult
from assets.publication import Published
from assets.settings import Settings
from assets.stores import postgres
from assets.tickets import DAYS

# One build at a time on a database: two would write the same schema.
_BUILD_LOCK = 0x5317C4DB70


class Translator(DagsterDbtTranslator):
    """Names, groups and owners of dbt's nodes as assets."""

    def get_asset_spec(self, manifest: Mapping[str, Any], unique_id: str, project: DbtProject | None) -> dg.AssetSpec:
        """Marts are the tables readers see; staging and intermediate models stay in the schema of the build."""
        spec = super().get_asset_spec(manifest, unique_id, project)
        node = self.get_resource_props(manifest, unique_id)
        if node["resource_type"] == "source":
            return spec
        meta = node["config"].get("meta", {})
        return spec.replace_attributes(
            group_name="analytics",
            owners=[meta.get("owner", "team:support-analytics")],
            kinds={"dbt", "postgres"},
            partitions_def=DAYS if _has_time_axis(node) else None,
        ).merge_attributes(metadata={"dagster/table_name": ".".join(spec.key.path)})

    def get_asset_key(self, dbt_resource_props: Mapping[str, Any]) -> dg.AssetKey:
        """The schema and table that hold it."""
        if dbt_resource_props["resource_type"] == "source":
            return super().get_asset_key(dbt_resource_props)
        schema = publication.LIVE_SCHEMA if _is_mart(dbt_resource_props) else dbt_project.BUILD_SCHEMA
        return dg.AssetKey([schema, dbt_resource_props["name"]])

    def get_description(self, dbt_resource_props: Mapping[str, Any]) -> str:
        """What one row is; the SQL is one click away in the project."""
        return dbt_resource_props["description"]


def _is_mart(node: Mapping[str, Any]) -> bool:
    return node["fqn"][1] == "marts" and node["name"] != publication.VALUES_MODEL


def _has_time_axis(node: Mapping[str, Any]) -> bool:
    return bool(node["config"].get("meta", {}).get("time_columns"))


_PROJECT = dbt_project.dbt_project()


@dbt_assets(
    manifest=_PROJECT.manifest_path,
    project=_PROJECT,
    name="analytics_marts",
    dagster_dbt_translator=Translator(),
    backfill_policy=dg.BackfillPolicy.single_run(),
)
def analytics_marts(
    context: dg.AssetExecutionContext, settings: dg.ResourceParam[Settings]
) -> Iterator[dg.MaterializeResult | dg.AssetCheckResult]:
    """Build everything, test it, publish it.

    Whatever was selected, the whole project is built: marts that rest on different builds must never be live together.
    That makes a run for days right as well, since the rows whose newest change falls into them are rebuilt with the
    others.
    """
    url = settings.require("postgres_url")
    with postgres.connect(url, application="switchdesk-analytics", autocommit=True) as connection:
        connection.execute("select pg_advisory_lock(%s)", (_BUILD_LOCK,))
        as_of = _as_of(connection, context)
        context.log.info(f"building the marts as of {as_of.isoformat()}")
        results = dbt_project.build(settings, as_of=as_of)
        yield from _checks(context, results)
        broken = [result for result in results if not result.is_good and result.status != "warn"]
        if broken:
            _mark_failed(connection, broken)
            raise dg.Failure(
                f"nothing published: {len(broken)} models or tests of the build failed, first {_name(broken[0])}: "
                f"{broken[0].message.strip()[:600]}; the marts of the build before stay live",
                metadata={"failed": [_name(result) for result in broken]},
                allow_retries=False,
            )
        manifest = orjson.loads(_PROJECT.manifest_path.read_bytes())
        body = dbt_project.semantic_manifest()
        with connection.transaction():
            published = publication.publish(
                connection,
                publication.marts(manifest, body),
                build_schema=dbt_project.BUILD_SCHEMA,
                semantic_manifest=body,
                as_of=as_of,
                build_id=context.run_id,
            )
        yield from _materializations(context, published, results, as_of)


def _as_of(connection: psycopg.Connection[Any], context: dg.AssetExecutionContext) -> datetime:
    """The moment up to which every stream that the marts read is complete; streams the account lacks do not count."""
    read = {".".join(key.path) for key in context.assets_def.dependency_keys if key.path[0] == "zendesk"}
    known = [dataset.as_of for name, dataset in catalog.current(connection).datasets.items() if name in read]
    if not known:
        raise dg.Failure(
            "nothing to build: no stream of the help desk was copied yet; run `switchdesk sync --once` first",
            allow_retries=False,
        )
    return min(known)


def _checks(context: dg.AssetExecutionContext, results: list[NodeResult]) -> Iterator[dg.AssetCheckResult]:
    selected = context.selected_asset_check_keys
    by_test = {spec.metadata.get("dagster_dbt/unique_id"): spec.key for spec in context.assets_def.check_specs}
    for result in results:
        key = by_test.get(result.unique_id)
        if key is None or key not in selected or result.status == "skipped":
            continue
        yield dg.AssetCheckResult(
            asset_key=key.asset_key,
            check_name=key.name,
            passed=result.is_good,
            severity=dg.AssetCheckSeverity.WARN if result.status == "warn" else dg.AssetCheckSeverity.ERROR,
            description=result.message.strip()[:1000] or None,
            metadata={"failing_rows": result.failures, "seconds": round(result.seconds, 3)},
        )


def _materializations(
    context: dg.AssetExecutionContext, published: list[Published], results: list[NodeResult], as_of: datetime
) -> Iterator[dg.MaterializeResult]:
    """The same figures as in the catalogue, so that the UI and the API cannot disagree."""
    marts = {dg.AssetKey([publication.LIVE_SCHEMA, mart.name]): mart for mart in published}
    by_node = {spec.metadata["dagster_dbt/unique_id"]: spec.key for spec in context.assets_def.specs}
    # dbt's results are in the order of the build, which is the order in which Dagster wants outputs.
    for result in results:
        key = by_node.get(result.unique_id)
        if key is None or key not in context.selected_asset_keys:
            continue
        metadata: dict[str, Any] = {
            "as_of": dg.MetadataValue.timestamp(as_of),
            "build_seconds": round(result.seconds, 3),
        }
        mart = marts.get(key)
        if mart is not None:
            metadata |= {"dagster/row_count": mart.rows, "version": mart.version, **mart.facts}
        yield dg.MaterializeResult(
            asset_key=key,
            metadata=metadata,
            data_version=dg.DataVersion(str(mart.version)) if mart else None,
        )


def _mark_failed(connection: psycopg.Connection[Any], broken: list[NodeResult]) -> None:
    """Let answers say that the newest build failed; figures and versions of the live one stay."""
    names = [_name(result) for result in broken]
    with connection.transaction():
        catalog.mark_failed(connection, publication.LIVE_SCHEMA, names)


def _name(result: NodeResult) -> str:
    return result.unique_id.split(".")[2]
