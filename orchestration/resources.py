"""Live things that assets ask for; each is opened when a run starts, and nothing of it shows in run config."""

import dagster as dg

from assets.settings import Settings, load_settings


@dg.resource(description="Where everything is, read from the environment when a run starts; secrets stay in it.")
def settings(_: dg.InitResourceContext) -> Settings:
    """All settings, read anew for each run, so that a rotated password needs no restart."""
    return load_settings()
