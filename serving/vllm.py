"""The client of OpenAI-compatible model servers: vLLM, llama.cpp, anything behind such a URL.

UpstreamError
├── UpstreamTimeout       no answer in time
├── UpstreamUnreachable   no connection, or one that broke
├── UpstreamOverloaded    429 or 503; says when to come back
├── UpstreamFailed        another 5xx
├── UpstreamRefused       4xx: this request will never work there
└── UpstreamGarbage       an answer that is none
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import aiohttp
import orjson

from assets.settings import Settings
from serving.errors import ServingError
from serving.policy import Endpoint
from serving.routing.completion import Usage

_MAX_ANSWER_BYTES = 8 << 20
_CONNECT_SECONDS = 3.0


class UpstreamError(ServingError):
    """A model server did not answer usefully; `blames_endpoint` says whether the breaker should count it."""

    status = 502
    code = "bad_upstream"
    blames_endpoint = True


class UpstreamTimeout(UpstreamError):
    """No answer in time."""


class UpstreamUnreachable(UpstreamError):
    """No connection, or one that broke half-way."""


class UpstreamOverloaded(UpstreamError):
    """The server asks to come back later."""

    def __init__(self, message: str, retry_after: float | None) -> None:
        super().__init__(message)
        self.retry_after = retry_after
        """Seconds, where the server said."""


class UpstreamFailed(UpstreamError):
    """The server failed."""


class UpstreamRefused(UpstreamError):
    """The server will never take this request."""

    blames_endpoint = False


class UpstreamGarbage(UpstreamError):
    """The answer is no chat completion."""


@dataclass(frozen=True, slots=True)
class ChatRequest:
    """One chat completion asked for; `body` holds further OpenAI fields as the caller sent them."""

    messages: Sequence[Mapping[str, Any]]
    max_tokens: int
    temperature: float = 0.0
    response_format: Mapping[str, Any] | None = None
    body: Mapping[str, Any] = field(default_factory=dict)

    def payload(self, model: str, *, stream: bool) -> bytes:
        """The JSON body as sent."""
        payload: dict[str, Any] = {
            "temperature": self.temperature,
            **self.body,
            "model": model,
            "messages": list(self.messages),
            "max_tokens": self.max_tokens,
            "stream": stream,
        }
        if self.response_format is not None:
            payload["response_format"] = self.response_format
        if stream:
            payload["stream_options"] = {"include_usage": True}
        return orjson.dumps(payload)


@dataclass(frozen=True, slots=True)
class ChatAnswer:
    """What a model server answered."""

    text: str
    finish_reason: str
    usage: Usage
    message: Mapping[str, Any]
    """The whole message, with tool calls where there are any."""
    milliseconds: int


class Upstream:
    """Sends chat completions; one session while opened, one a call otherwise."""

    def __init__(self, settings: Settings) -> None:
        key = settings.models_api_key
        self._headers = {"Authorization": f"Bearer {key.get_secret_value()}"} if key else {}
        self._kept: aiohttp.ClientSession | None = None

    async def __aenter__(self) -> Upstream:
        self._kept = _new_session()
        return self

    async def __aexit__(self, *_: object) -> None:
        if self._kept is not None:
            await self._kept.close()
            self._kept = None

    async def chat(self, endpoint: Endpoint, name: str, request: ChatRequest, *, timeout: float) -> ChatAnswer:
        """Ask for one whole answer within `timeout` seconds; raises an UpstreamError."""
        started = time.monotonic()
        async with self._post(endpoint, request.payload(endpoint.model or name, stream=False), timeout) as response:
            body = await _read(response)
        return _answer(body, request, int((time.monotonic() - started) * 1000))

    async def stream(
        self, endpoint: Endpoint, name: str, request: ChatRequest, *, timeout: float
    ) -> AsyncIterator[Mapping[str, Any]]:
        """Yield the chunks of a streamed answer, none of them `[DONE]`; raises an UpstreamError, also half-way.

        A stream that ends without its `[DONE]` was cut and raises UpstreamUnreachable.
        """
        payload = request.payload(endpoint.model or name, stream=True)
        async with self._post(endpoint, payload, timeout) as response:
            async for line in response.content:
                if not line.startswith(b"data:"):
                    continue
                data = line[5:].strip()
                if data == b"[DONE]":
                    return
                yield _json(data)
        raise UpstreamUnreachable("model server broke off: the stream ended without its end mark")

    async def models(self, endpoint: Endpoint, *, timeout: float = 3.0) -> list[str]:
        """Names a server answers under: the health check, which costs no tokens."""
        async with self._session() as session:
            try:
                async with session.get(
                    f"{endpoint.url}/models", headers=self._headers, timeout=aiohttp.ClientTimeout(total=timeout)
                ) as response:
                    _check(response)
                    body = _json(await _read(response))
            except TimeoutError:
                raise UpstreamTimeout(f"model server silent: no list of models within {timeout:g} s") from None
            except aiohttp.ClientError as error:
                raise UpstreamUnreachable(f"model server unreachable: {type(error).__name__}") from None
        entries = body.get("data")
        return [str(entry.get("id")) for entry in entries] if isinstance(entries, list) else []

    @asynccontextmanager
    async def _post(self, endpoint: Endpoint, payload: bytes, timeout: float) -> AsyncIterator[aiohttp.ClientResponse]:
        headers = {**self._headers, "Content-Type": "application/json"}
        limit = aiohttp.ClientTimeout(total=timeout, connect=min(_CONNECT_SECONDS, timeout))
        async with self._session() as session:
            try:
                async with session.post(
                    f"{endpoint.url}/chat/completions", data=payload, headers=headers, timeout=limit
                ) as response:
                    _check(response)
                    yield response
            except TimeoutError:
                raise UpstreamTimeout(f"model server silent: no answer within {timeout:.1f} s") from None
            except aiohttp.ClientPayloadError:
                raise UpstreamUnreachable("model server broke off: its answer ended half-way") from None
            except aiohttp.ClientError as error:
                raise UpstreamUnreachable(f"model server unreachable: {type(error).__name__}") from None

    @asynccontextmanager
    async def _session(self) -> AsyncIterator[aiohttp.ClientSession]:
        if self._kept is not None:
            yield self._kept
            return
        async with _new_session() as session:
            yield session


def _new_session() -> aiohttp.ClientSession:
    # No cookies, no proxies from the environment, no redirects to other hosts with our key.
    return aiohttp.ClientSession(
        connector=aiohttp.TCPConnector(limit=256, limit_per_host=128),
        cookie_jar=aiohttp.DummyCookieJar(),
        trust_env=False,
        raise_for_status=False,
        loop=asyncio.get_running_loop(),
    )


def _check(response: aiohttp.ClientResponse) -> None:
    status = response.status
    if status == 200:
        return
    if status in {429, 503}:
        raise UpstreamOverloaded(f"model server overloaded: status {status}", _seconds(response.headers))
    if status >= 500:
        raise UpstreamFailed(f"model server failed: status {status}")
    raise UpstreamRefused(f"model server refused the request: status {status}")


def _seconds(headers: Mapping[str, str]) -> float | None:
    value = headers.get("Retry-After", "")
    return float(value) if value.isdigit() else None


async def _read(response: aiohttp.ClientResponse) -> bytes:
    body = bytearray()
    async for chunk in response.content.iter_any():
        body += chunk
        if len(body) > _MAX_ANSWER_BYTES:
            raise UpstreamGarbage(f"model server sent too much: more than {_MAX_ANSWER_BYTES} bytes")
    return bytes(body)


def _json(data: bytes) -> Mapping[str, Any]:
    try:
        content = orjson.loads(data)
    except orjson.JSONDecodeError:
        raise UpstreamGarbage("model server sent no JSON") from None
    if not isinstance(content, dict):
        raise UpstreamGarbage("model server sent no JSON object")
    return content


def _answer(body: bytes, request: ChatRequest, milliseconds: int) -> ChatAnswer:
    content = _json(body)
    try:
        choice = content["choices"][0]
        message = choice["message"]
        text = message.get("content")
        finish = str(choice.get("finish_reason") or "stop")
    except (KeyError, IndexError, TypeError, AttributeError):
        raise UpstreamGarbage("model server sent no choices") from None
    if not isinstance(text, str) and not message.get("tool_calls"):
        raise UpstreamGarbage("model server sent no text")
    return ChatAnswer(text or "", finish, usage_of(content, request, text or ""), message, milliseconds)


def usage_of(content: Mapping[str, Any], request: ChatRequest, text: str) -> Usage:
    """Tokens as the server counts them; where it does not say, our count, never zero."""
    usage = content.get("usage")
    if isinstance(usage, dict):
        sent, received = usage.get("prompt_tokens"), usage.get("completion_tokens")
        if isinstance(sent, int) and isinstance(received, int) and sent >= 0 and received >= 0:
            return Usage(sent, received)
    return Usage(count_prompt(request.messages), count_tokens(text))


def count_tokens(text: str) -> int:
    """Tokens of a text, counted high: three characters or a byte pair a token, at least one."""
    return max(1, -(-len(text.encode(errors="replace")) // 3))


def count_prompt(messages: Sequence[Mapping[str, Any]]) -> int:
    """Tokens of a prompt, counted high, with each message's frame."""
    return sum(count_tokens(str(message.get("content") or "")) + 8 for message in messages)
