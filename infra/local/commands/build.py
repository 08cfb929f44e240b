"""`switchdesk build`: make marts, vectors and graph out of the copy, through Dagster, in this process."""

from enum import StrEnum
from typing import Annotated

import typer

from assets.settings import load_settings


class Target(StrEnum):
    """What to build."""

    ANALYTICS = "analytics"
    EMBEDDINGS = "embeddings"
    GRAPH = "graph"
    ALL = "all"


_JOBS = {
    Target.ANALYTICS: ("analytics_build",),
    Target.EMBEDDINGS: ("embeddings_build",),
    Target.GRAPH: ("graph_build",),
    Target.ALL: ("analytics_build", "embeddings_build", "graph_build"),
}


def build(
    target: Annotated[Target, typer.Argument(help="What to build; `all` builds the three in order.")] = Target.ALL,
) -> None:
    """Build marts, embeddings and graph from what `sync` has copied: only what changed since the last build."""
    from rich.console import Console

    from infra.local.phases import Phases
    from infra.local.runs import run_job

    settings = load_settings()
    console = Console()
    for job in _JOBS[target]:
        with Phases(settings, console).shown() as phases:
            finished = run_job(settings, job, on_event=phases.listen)
        for check in finished.failed_checks:
            console.print(f"    [yellow]check failed:[/yellow] {'.'.join(check.key)}: {check.name}", highlight=False)
