import importlib.metadata
import importlib.util
import sys
from pathlib import Path

import dagster as dg
import pytest
import yaml

from assets.zendesk.streams import STREAMS
from orchestration.definitions import defs

ROOT = Path(__file__).resolve().parents[2]
OURS = {"assets", "orchestration", "serving", "infra"}
JOBS = {"initial_load", "zendesk_sync", "analytics_build", "embeddings_build", "graph_build", "reconcile"}


@pytest.fixture(scope="module")
def specs() -> dict[dg.AssetKey, dg.AssetSpec]:
    return {spec.key: spec for spec in defs.resolve_all_asset_specs()}


def made_by(job: str) -> set[dg.AssetKey]:
    """Keys that a job makes."""
    return set(defs.resolve_job_def(job).asset_layer.selected_asset_keys)


def checked_by(job: str) -> set[str]:
    """Names of the checks that a job runs."""
    (unresolved,) = [each for each in defs.jobs or [] if each.name == job]
    return {key.name for key in unresolved.selection.resolve_checks(defs.resolve_asset_graph())}


def test_everything_loads() -> None:
    dg.Definitions.validate_loadable(defs)


def test_every_table_mart_collection_and_graph_is_an_asset(specs: dict[dg.AssetKey, dg.AssetSpec]) -> None:
    wanted = {dg.AssetKey(["zendesk", stream]) for stream in STREAMS}
    wanted |= {dg.AssetKey(["milvus", "comment_embeddings"]), dg.AssetKey(["neo4j", "ticket_graph"])}
    wanted |= {dg.AssetKey(["analytics", mart]) for mart in ("fct_tickets", "fct_comments", "fct_backlog_daily")}
    assert wanted <= specs.keys()


def test_every_asset_says_what_it_is_whose_it_is_and_how_old_it_may_be(
    specs: dict[dg.AssetKey, dg.AssetSpec],
) -> None:
    for key, spec in specs.items():
        name = key.to_user_string()
        assert spec.description, name
        assert spec.owners, name
        assert spec.group_name, name
        assert spec.freshness_policy is not None, name


def test_every_asset_of_a_table_has_checks() -> None:
    checked = {check.asset_key for check in defs.resolve_asset_graph().asset_check_keys}
    for stream in STREAMS:
        assert dg.AssetKey(["zendesk", stream]) in checked


def test_no_partitioned_asset_depends_on_another(specs: dict[dg.AssetKey, dg.AssetSpec]) -> None:
    """A live run has no partition, and Dagster fails such a pair then."""
    partitioned = {key for key, spec in specs.items() if spec.partitions_def is not None}
    assert dg.AssetKey(["zendesk", "tickets"]) in partitioned
    for definition in defs.resolve_asset_graph().assets_defs:
        if partitioned & set(definition.keys):
            for spec in definition.specs:
                assert not partitioned & {dep.asset_key for dep in spec.deps}, spec.key.to_user_string()


def test_the_jobs_are_there_and_make_what_they_say(specs: dict[dg.AssetKey, dg.AssetSpec]) -> None:
    assert {job.name for job in defs.resolve_all_job_defs()} >= JOBS
    assert made_by("initial_load") == specs.keys()
    assert {specs[key].group_name for key in made_by("zendesk_sync")} == {"zendesk"}
    assert {specs[key].group_name for key in made_by("analytics_build")} == {"analytics"}
    assert dg.AssetKey(["milvus", "comment_embeddings"]) in made_by("embeddings_build")
    assert made_by("graph_build") == {dg.AssetKey(["neo4j", "ticket_graph"])}
    assert made_by("reconcile") == set()


def test_a_sync_does_not_ask_the_help_desk_twice() -> None:
    assert checked_by("reconcile") == {"copy_equals_help_desk"}
    for job in ("zendesk_sync", "initial_load"):
        assert "copy_equals_help_desk" not in checked_by(job)
        assert "offsets_are_contiguous" in checked_by(job)


def test_the_sync_ticks_from_the_start_and_the_comparison_nightly() -> None:
    schedules = {schedule.name: schedule for schedule in defs.schedules or []}
    assert schedules["zendesk_sync_schedule"].default_status is dg.DefaultScheduleStatus.RUNNING
    assert schedules["zendesk_sync_schedule"].cron_schedule == "* * * * *"
    assert schedules["reconcile_schedule"].job_name == "reconcile"


def test_a_tick_is_live_and_is_skipped_while_another_sync_runs(tmp_path: Path) -> None:
    schedule = defs.resolve_schedule_def("zendesk_sync_schedule")
    with dg.DagsterInstance.local_temp(str(tmp_path)) as instance:
        context = dg.build_schedule_context(instance)
        (request,) = schedule.evaluate_tick(context).run_requests
        assert request.partition_key is None
        instance.create_run_for_job(defs.resolve_job_def("initial_load"), status=dg.DagsterRunStatus.STARTED)
        assert schedule.evaluate_tick(context).skip_message


def test_resources_have_nothing_to_read_in_the_ui() -> None:
    for name, resource in (defs.resources or {}).items():
        assert isinstance(resource, dg.ResourceDefinition), name
        assert not resource.config_schema.as_field().is_required, name
        assert not isinstance(resource, dg.ConfigurableResource), name


def test_the_workspace_names_the_code_location() -> None:
    workspace = yaml.safe_load((ROOT / "workspace.yaml").read_text())
    (location,) = workspace["load_from"]
    assert location["python_module"]["module_name"] == "orchestration.definitions"


def test_no_module_of_ours_is_named_like_an_installed_package() -> None:
    for name in OURS:
        found = importlib.util.find_spec(name)
        assert found is not None
        assert found.origin is not None
        assert Path(found.origin).parent.parent == ROOT, f"{name} is taken by an installed package"
    assert not OURS & set(sys.stdlib_module_names)
    installed = set(importlib.metadata.packages_distributions()) - OURS
    # Dagster puts the folder of a code location on the path: a module at its top would hide the package.
    top = {path.stem for path in ROOT.glob("*.py")} | {path.name for path in ROOT.iterdir() if path.is_dir()}
    assert not top & installed
