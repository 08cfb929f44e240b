"""Server-sent events: an answer as it comes, and an error as the last event where there is one."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from typing import Any

import orjson

from serving.errors import ServingError
from serving.schemas import Answer

EVENT_STREAM = "text/event-stream"
_log = logging.getLogger(__name__)

Emit = Callable[[str, Mapping[str, Any]], Awaitable[None]]
# A slow reader holds the answer back rather than filling memory.
_QUEUED = 64


async def answer_events(answer: Callable[[Emit], Awaitable[Answer]]) -> AsyncIterator[bytes]:
    """Run an answer and yield its events; when the reader goes away the answer is given up."""
    queue: asyncio.Queue[bytes | None] = asyncio.Queue(_QUEUED)

    async def emit(name: str, data: Mapping[str, Any]) -> None:
        await queue.put(event(name, data))

    async def run() -> None:
        try:
            await answer(emit)
        except ServingError as error:
            await emit("error", error.problem())
        except Exception:
            # The process edge of a stream: its status is long sent, so the error has to be an event.
            _log.exception("unforeseen error in a stream")
            await emit("error", ServingError("the answer failed on our side; the server's log says why").problem())
        await queue.put(None)

    task = asyncio.create_task(run())
    try:
        while (item := await queue.get()) is not None:
            yield item
    finally:
        task.cancel()


def event(name: str, data: Mapping[str, Any]) -> bytes:
    """One event."""
    return b"event: " + name.encode() + b"\ndata: " + orjson.dumps(data) + b"\n\n"
