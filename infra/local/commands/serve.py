"""`switchdesk serve`: the API."""

from __future__ import annotations

import os
import tempfile
from typing import Annotated

import typer


def serve(
    host: Annotated[str, typer.Option(help="Address to listen on.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(min=1, max=65535, help="Port to listen on.")] = 8080,
    workers: Annotated[int, typer.Option(min=1, max=64, help="Processes that answer.")] = 1,
) -> None:
    """Serve the API until Ctrl-C."""
    import uvicorn

    from assets.settings import load_settings

    load_settings().require("postgres_serving_url")
    with tempfile.TemporaryDirectory(prefix="switchdesk-metrics-") as folder:
        if workers > 1:
            # Workers share their counts by files there; the library looks for the folder when it is imported.
            os.environ["PROMETHEUS_MULTIPROC_DIR"] = folder
        uvicorn.run(
            "serving.app:create_app",
            factory=True,
            host=host,
            port=port,
            workers=workers if workers > 1 else None,
            loop="uvloop",
            http="httptools",
            log_level="info",
            access_log=False,
            server_header=False,
            timeout_graceful_shutdown=10,
        )
