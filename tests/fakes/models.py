"""A small OpenAI-compatible model server on a real port, with scripted answers and faults by model name."""

import asyncio
import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from aiohttp import web


@dataclass(frozen=True, slots=True)
class Says:
    """Answers with a text and honest usage."""

    text: str
    finish_reason: str = "stop"
    usage: bool = True


@dataclass(frozen=True, slots=True)
class Fails:
    """Answers with a status."""

    status: int = 500
    retry_after: str | None = None


@dataclass(frozen=True, slots=True)
class Hangs:
    """Takes the request and never answers."""


@dataclass(frozen=True, slots=True)
class Drops:
    """Closes the connection; with `after` pieces of a stream sent."""

    after: int = 0


@dataclass(frozen=True, slots=True)
class Garbage:
    """Answers 200 with something that is no completion."""

    body: bytes = b"<html>gateway</html>"


Act = Says | Fails | Hangs | Drops | Garbage


@dataclass
class ModelServer:
    """What tests script and inspect; the last act of a script repeats."""

    url: str = ""
    scripts: dict[str, list[Act]] = field(default_factory=dict)
    requests: list[dict[str, Any]] = field(default_factory=list)
    headers: list[dict[str, str]] = field(default_factory=list)

    def script(self, model: str, *acts: Act) -> None:
        """What a model does, call after call."""
        self.scripts[model] = list(acts)

    def calls(self, model: str | None = None) -> int:
        """Completions asked of a model, or of all."""
        return sum(model is None or request["model"] == model for request in self.requests)

    def next_act(self, model: str) -> Act:
        acts = self.scripts.get(model) or [Says(f"{model} answers.")]
        return acts.pop(0) if len(acts) > 1 else acts[0]


_SERVER = web.AppKey("server", ModelServer)
_STOPPING = web.AppKey("stopping", asyncio.Event)


@contextmanager
def running_models() -> Iterator[ModelServer]:
    """A server for as long as the block runs."""
    server = ModelServer()
    loop = asyncio.new_event_loop()
    stopping = asyncio.Event()
    ready = threading.Event()

    async def serve() -> None:
        app = web.Application()
        app[_SERVER] = server
        app[_STOPPING] = stopping
        app.router.add_post("/v1/chat/completions", _chat)
        app.router.add_get("/v1/models", _models)
        runner = web.AppRunner(app, shutdown_timeout=0.1, handler_cancellation=True)
        await runner.setup()
        site = web.TCPSite(runner, "127.0.0.1", 0)
        await site.start()
        port = runner.addresses[0][1]
        server.url = f"http://127.0.0.1:{port}/v1"
        ready.set()
        await stopping.wait()
        await runner.cleanup()

    thread = threading.Thread(target=loop.run_until_complete, args=(serve(),), daemon=True)
    thread.start()
    assert ready.wait(10)
    try:
        yield server
    finally:
        loop.call_soon_threadsafe(stopping.set)
        thread.join(10)
        loop.close()


async def _models(request: web.Request) -> web.Response:
    server = request.app[_SERVER]
    return web.json_response({"object": "list", "data": [{"id": name} for name in server.scripts]})


async def _chat(request: web.Request) -> web.StreamResponse:
    server = request.app[_SERVER]
    body = await request.json()
    server.requests.append(body)
    server.headers.append(dict(request.headers))
    act = server.next_act(body["model"])
    match act:
        case Fails(status, retry_after):
            headers = {"Retry-After": retry_after} if retry_after else {}
            return web.json_response({"error": {"message": "scripted"}}, status=status, headers=headers)
        case Hangs():
            await asyncio.wait_for(request.app[_STOPPING].wait(), 60)
            return web.Response(status=500)
        case Garbage(content):
            return web.Response(body=content, content_type="text/html")
        case Drops(after):
            return await _drop(request, body, after)
        case Says(text, finish_reason, has_usage):
            if body.get("stream"):
                return await _stream(request, body, act)
            usage = {"prompt_tokens": 100, "completion_tokens": 20, "total_tokens": 120}
            return web.json_response(
                {
                    "id": "chatcmpl-fake",
                    "object": "chat.completion",
                    "model": body["model"],
                    "choices": [
                        {
                            "index": 0,
                            "message": {"role": "assistant", "content": text},
                            "finish_reason": finish_reason,
                        }
                    ],
                    **({"usage": usage} if has_usage else {}),
                }
            )


async def _drop(request: web.Request, body: dict[str, Any], after: int) -> web.StreamResponse:
    assert request.transport is not None
    if after == 0:
        request.transport.close()
        return web.Response()
    response = await _begun(request)
    for number in range(after):
        await response.write(_chunk(body, {"content": f"piece {number} "}))
    request.transport.close()
    return response


async def _stream(request: web.Request, body: dict[str, Any], act: Says) -> web.StreamResponse:
    response = await _begun(request)
    for word in act.text.split(" "):
        await response.write(_chunk(body, {"content": f"{word} "}))
    usage = {"prompt_tokens": 100, "completion_tokens": 20, "total_tokens": 120}
    await response.write(f"data: {json.dumps({'choices': [], 'model': body['model'], 'usage': usage})}\n\n".encode())
    await response.write(b"data: [DONE]\n\n")
    return response


async def _begun(request: web.Request) -> web.StreamResponse:
    response = web.StreamResponse(headers={"Content-Type": "text/event-stream"})
    await response.prepare(request)
    return response


def _chunk(body: dict[str, Any], delta: dict[str, str]) -> bytes:
    content = {"model": body["model"], "choices": [{"index": 0, "delta": delta, "finish_reason": None}]}
    return f"data: {json.dumps(content)}\n\n".encode()
