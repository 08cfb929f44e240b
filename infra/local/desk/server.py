"""The HTTP server: sign-in, limits, faults, and a door for tests behind the client secret."""

import asyncio
import gzip
import secrets
from base64 import b64decode
from binascii import Error as Base64Error
from dataclasses import dataclass
from time import monotonic
from typing import Any

import orjson
from aiohttp import web
from pydantic import ValidationError

from infra.local.desk.account import Row
from infra.local.desk.answers import Answer, Answers, Call, refuse
from infra.local.desk.clock import Clock
from infra.local.desk.exports import Exports, encode_cursor
from infra.local.desk.faults import RULES, Fault, Faults, Kind
from infra.local.desk.inspection import Inspection, UnknownQuestion
from infra.local.desk.limits import Limits
from infra.local.desk.world import World

LONGEST_TOKEN = 2 * 86400
SHORTEST_TOKEN = 300
COMPRESS_FROM = 2000


@dataclass(frozen=True, slots=True)
class Credentials:
    """The OAuth client that may read everything; its secret also opens `/_desk/`."""

    client_id: str
    client_secret: str

    @classmethod
    def generate(cls) -> "Credentials":
        """Fresh ones."""
        return cls("switchdesk_demo", secrets.token_urlsafe(24))


@dataclass(frozen=True, slots=True)
class Token:
    """An issued access token."""

    expires: float
    scope: str


class DeskServer:
    """One world behind the Zendesk API; build the application with `app()`."""

    def __init__(self, world: World, clock: Clock, credentials: Credentials, limits: Limits, faults: Faults) -> None:
        self.world = world
        self.clock = clock
        self.credentials = credentials
        self.limits = limits
        self.faults = faults
        self.exports = Exports(world)
        self._answers = Answers(world, self.exports)
        self._inspection = Inspection(world, self._answers)
        self._tokens: dict[str, Token] = {}
        self._calls: dict[str, int] = {}

    def app(self) -> web.Application:
        """The application with all of its routes."""
        app = web.Application(client_max_size=1 << 20)
        app.router.add_post("/oauth/tokens", self._issue_token)
        app.router.add_get("/api/v2/{path:.+}", self._read)
        app.router.add_route("*", "/_desk/{what:.+}", self._inspect)
        app.router.add_route("*", "/{path:.*}", self._nothing_here)
        return app

    # Sign-in

    async def _issue_token(self, request: web.Request) -> web.Response:
        if request.content_type == "application/json":
            try:
                given = orjson.loads(await request.read())
            except orjson.JSONDecodeError:
                given = None
        else:
            given = {name: value for name, value in (await request.post()).items() if isinstance(value, str)}
        if not isinstance(given, dict):
            return _json(400, {"error": "invalid_request", "error_description": "The request is not readable"})
        if given.get("grant_type") != "client_credentials":
            return _json(400, {"error": "unsupported_grant_type", "error_description": "Use client_credentials"})
        right = self._is_client(str(given.get("client_id")), str(given.get("client_secret")))
        if not right:
            return _json(401, {"error": "invalid_client", "error_description": "Client authentication failed"})
        wanted = str(given.get("expires_in", LONGEST_TOKEN))
        if not wanted.isdecimal():
            return _json(
                400, {"error": "invalid_request", "error_description": "expires_in is not a number of seconds"}
            )
        seconds = max(SHORTEST_TOKEN, min(LONGEST_TOKEN, int(wanted)))
        scope = str(given.get("scope", "read"))
        token = secrets.token_urlsafe(32)
        self._tokens[token] = Token(monotonic() + seconds, scope)
        return _json(200, {"access_token": token, "token_type": "bearer", "scope": scope, "expires_in": seconds})

    def _is_client(self, client_id: str, client_secret: str) -> bool:
        same_id = secrets.compare_digest(client_id.encode(), self.credentials.client_id.encode())
        same_secret = secrets.compare_digest(client_secret.encode(), self.credentials.client_secret.encode())
        return same_id and same_secret

    def _scope(self, request: web.Request) -> str | None:
        """The scope that the caller may use; None for strangers."""
        kind, _, value = request.headers.get("Authorization", "").partition(" ")
        if kind.lower() == "bearer":
            token = self._tokens.get(value)
            return token.scope if token and monotonic() < token.expires else None
        if kind.lower() == "basic":
            try:
                name, _, password = b64decode(value, validate=True).decode().partition(":")
            except (Base64Error, UnicodeDecodeError):
                return None
            right = secrets.compare_digest(password.encode(), self.credentials.client_secret.encode())
            return "read" if name.endswith("/token") and right else None
        return None

    # The API

    async def _read(self, request: web.Request) -> web.StreamResponse:
        path = request.match_info["path"].removesuffix(".json").strip("/")
        self._calls[path] = self._calls.get(path, 0) + 1
        headers, wait = self.limits.take(path)
        fault = self.faults.strike(path)
        if wait is None and fault is not None and fault.kind is Kind.LIMITED:
            wait = max(1, round(fault.seconds))
        if wait is not None:
            content_type, body = self.limits.refusal()
            return web.Response(
                status=429, body=body, content_type=content_type, headers=headers | {"Retry-After": str(wait)}
            )
        answer = self._authorised(request, path, fault)
        if fault is None:
            return _encoded(request, answer.status, answer.body, headers)
        return await self._spoiled(request, answer, headers, fault)

    def _authorised(self, request: web.Request, path: str, fault: Fault | None) -> Answer:
        scope = self._scope(request)
        if path == "users/me":
            return self._me(scope, is_admin=fault is None or fault.kind is not Kind.NON_ADMIN)
        if scope is None:
            return refuse(401, "invalid_token", "The access token provided is expired, revoked, malformed or invalid")
        if "read" not in scope.split():
            return refuse(403, "insufficient_scope", "You do not have access to this page")
        if fault is not None and fault.kind is Kind.NON_ADMIN and path.startswith("incremental/"):
            return refuse(
                403, "Forbidden", "You do not have access to this page. Only admins may use the incremental exports"
            )
        origin = f"{request.scheme}://{request.host}"
        return self._answers.get(Call(path, dict(request.query), origin, self.clock.now()))

    def _me(self, scope: str | None, is_admin: bool) -> Answer:
        if scope is None:
            user: Row = {"id": None, "name": "Anonymous user", "email": "invalid@example.com", "role": "end-user"}
        else:
            user = self.world.people.users[self.world.people.admin].row()
            if not is_admin:
                user["role"] = "agent"
        return Answer(200, orjson.dumps({"user": user}))

    async def _spoiled(
        self, request: web.Request, answer: Answer, headers: dict[str, str], fault: Fault
    ) -> web.StreamResponse:
        body = answer.body
        match fault.kind:
            case Kind.STATUS:
                html = (
                    b"<html><head><title>Service unavailable</title></head><body>Please try again later.</body></html>"
                )
                return web.Response(status=fault.status, body=html, content_type="text/html", headers=headers)
            case Kind.FORBIDDEN:
                return web.Response(status=403, body=b"", content_type="text/html", headers=headers)
            case Kind.HTML:
                page = b"<!DOCTYPE html><html><body>We are down for maintenance.</body></html>"
                return web.Response(status=200, body=page, content_type="text/html", headers=headers)
            case Kind.RESET:
                return await _hang_up(request, answer.status, b"", len(body))
            case Kind.TRUNCATED:
                return await _hang_up(request, answer.status, body[: len(body) // 2], len(body))
            case Kind.BROKEN_JSON:
                body = body[: len(body) * 2 // 3] + b'"oops'
            case Kind.SLOW:
                await asyncio.sleep(fault.seconds)
            case Kind.EMPTY_PAGE if answer.parts:
                body = _without_rows(answer, request)
            case Kind.FOREIGN_LINK if answer.parts:
                origin = f"{request.scheme}://{request.host}/".encode()
                body = body.replace(origin, b"http://elsewhere.example/")
            case _:
                pass
        return _encoded(request, answer.status, body, headers)

    async def _nothing_here(self, request: web.Request) -> web.Response:
        return web.Response(
            status=404,
            body=orjson.dumps({"error": "InvalidEndpoint", "description": "Not found"}),
            content_type="application/json",
        )

    # For tests and the demo

    async def _inspect(self, request: web.Request) -> web.Response:
        kind, _, value = request.headers.get("Authorization", "").partition(" ")
        if kind.lower() != "bearer" or not secrets.compare_digest(
            value.encode(), self.credentials.client_secret.encode()
        ):
            return _json(401, {"error": "the client secret as bearer token opens this door"})
        what = request.match_info["what"]
        try:
            return await self._look(request, what)
        except (ValidationError, UnknownQuestion, ValueError) as error:
            return _json(400, {"error": str(error)})

    async def _look(self, request: web.Request, what: str) -> web.Response:
        match request.method, what.split("/"):
            case "GET", ["stats"]:
                return _json(200, self.stats())
            case "POST", ["advance"]:
                seconds = int(request.query["seconds"])
                self.advance(seconds, float(request.query.get("rate", "0")))
                return _json(200, {"now": self.clock.now()})
            case "PUT", ["faults"]:
                self.faults.set(RULES.validate_json(await request.read()))
                return _json(200, {"rules": len(self.faults.rules)})
            case "PUT", ["limits"]:
                self.limits.set(int(request.query["calls"]), float(request.query["seconds"]))
                return _json(200, {})
            case "GET", ["rows", stream]:
                return _encoded(request, 200, orjson.dumps(self._inspection.rows(stream)), {})
            case "GET", ["truth", name]:
                answer = self._inspection.ask(name, dict(request.query), self.clock.now())
                return _encoded(request, 200, orjson.dumps(answer), {})
            case _:
                return _json(404, {"error": f"nothing at {request.method} {what}"})

    def stats(self) -> dict[str, Any]:
        """What callers did so far."""
        return {
            "calls": sum(self._calls.values()),
            "by_path": self._calls,
            "limited": self.limits.limited,
            "while_blocked": self.limits.while_blocked,
            "faults": self.faults.happened,
            "now": self.clock.now(),
            "tickets": len(self.world.tickets),
        }

    def advance(self, seconds: int, per_hour: float = 0.0) -> None:
        """Let the clock and the world move on; with a rate, additional customers write meanwhile."""
        if per_hour:
            for minute in range(self.world.now // 60 + 1, (self.clock.now() + seconds) // 60):
                self.world.live(minute, per_hour)
        self.clock.move(seconds)
        self.world.advance(self.clock.now())


def _json(status: int, value: Any) -> web.Response:
    return web.Response(status=status, body=orjson.dumps(value), content_type="application/json")


def _encoded(request: web.Request, status: int, body: bytes, headers: dict[str, str]) -> web.Response:
    if len(body) >= COMPRESS_FROM and "gzip" in request.headers.get("Accept-Encoding", ""):
        headers = headers | {"Content-Encoding": "gzip"}
        body = gzip.compress(body, compresslevel=1)
    return web.Response(status=status, body=body, content_type="application/json", charset="utf-8", headers=headers)


def _without_rows(answer: Answer, request: web.Request) -> bytes:
    rest = dict(answer.parts["rest"])
    if "end_of_stream" in rest:
        rest["end_of_stream"] = False
    # The page stands where it stood: the caller is to ask for the same rows again.
    if "end_time" in rest:
        rest |= {"end_time": int(request.query["start_time"]), "next_page": str(request.url), "count": 0}
    elif "after_cursor" in rest:
        cursor = request.query.get("cursor") or encode_cursor((int(request.query["start_time"]), 0))
        rest |= {"after_cursor": cursor, "after_url": str(request.url.update_query(cursor=cursor))}
    return orjson.dumps({answer.parts["name"]: [], **rest})


async def _hang_up(request: web.Request, status: int, part: bytes, announced: int) -> web.StreamResponse:
    """Close the connection in the middle of an answer, or before its first byte."""
    transport = request.transport
    if part and transport is not None:
        head = f"HTTP/1.1 {status} OK\r\nContent-Type: application/json\r\nContent-Length: {announced}\r\n\r\n"
        transport.write(head.encode() + part)
        await asyncio.sleep(0)
        transport.close()
    elif transport is not None:
        transport.abort()
    return web.Response(status=status)
