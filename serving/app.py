"""The application: opened from settings, nothing done at import."""

from __future__ import annotations

import logging
import os
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import Any

from fastapi import FastAPI
from fastapi_offline import FastAPIOffline

from assets.settings import Settings, load_settings
from serving import openai
from serving.api import router
from serving.body import BodyLimit
from serving.problems import add_handlers
from serving.readiness import Readiness
from serving.state import open_state
from serving.telemetry import Telemetry

_log = logging.getLogger(__name__)

_DESCRIPTION = (
    "Questions about a Zendesk help desk, answered by the cheapest path that is still right. "
    "Every number comes from rows, every quote from a comment. Authenticate with `Authorization: Bearer KEY`."
)


def create_app(settings: Settings | None = None) -> FastAPI:
    """The API; without arguments it is the factory uvicorn's workers call."""
    settings = settings or load_settings()

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[Mapping[str, Any]]:
        telemetry = Telemetry(shared_folder=os.environ.get("PROMETHEUS_MULTIPROC_DIR"))
        async with open_state(settings, telemetry=telemetry) as state:
            _log.info("serving opened: policy %s", state.policy.version)
            yield {"serving": state, "readiness": Readiness(state)}

    # The documentation page comes from this process: a closed network shows it too, and no third party is asked.
    app = FastAPIOffline(title="Switchdesk", version="1", description=_DESCRIPTION, lifespan=lifespan, redoc_url=None)
    app.add_middleware(BodyLimit, max_bytes=settings.max_body_bytes)
    app.include_router(router)
    app.include_router(openai.router)
    add_handlers(app)
    return app
