"""One account over HTTP: who we are, what failures mean, and that secrets stay here."""

import gzip
import logging
import threading
from typing import Any, Protocol

import orjson
import pytest
from pydantic import SecretStr

from assets.settings import Settings
from assets.zendesk.client import ApiToken, OAuthClient, ZendeskClient, account_of
from assets.zendesk.errors import (
    AccessRefused,
    CredentialsRefused,
    ForeignLink,
    HostUnreachable,
    NotAnAdmin,
    NotFound,
    PageTooSlow,
    RequestRefused,
)
from assets.zendesk.limiter import Limiter
from tests.fakes.scripted import Reply, scripted

SECRET = "s3cr3t-of-the-client"
TOKEN = Reply(body=orjson.dumps({"access_token": "t0k3n-one", "expires_in": 600}))
OTHER_TOKEN = Reply(body=orjson.dumps({"access_token": "t0k3n-two", "expires_in": 600}))
GOOD = Reply(body=b'{"answer": 42}')


class Connect(Protocol):
    def __call__(self, url: str, credentials: Any = ...) -> ZendeskClient: ...


@pytest.fixture
def connect(stack: Settings) -> Any:
    opened: list[ZendeskClient] = []

    def connect(url: str, credentials: Any = None) -> ZendeskClient:
        limiter = Limiter(stack.require("redis_url"), account_of(url), 1.0)
        credentials = credentials or OAuthClient("the-client", SecretStr(SECRET))
        opened.append(ZendeskClient(url, credentials, limiter, give_up_seconds=1.5, page_seconds=2))
        return opened[-1]

    yield connect
    for client in opened:
        client.close()
        client.limiter.close()


def read(client: ZendeskClient, path: str = "things.json") -> dict[str, Any]:
    return client.get(path, {"page[size]": 100}, stop=threading.Event()).body


def test_a_token_is_asked_for_once_and_sent_as_bearer(connect: Connect) -> None:
    with scripted(TOKEN, GOOD, GOOD) as server:
        client = connect(server.url)

        assert read(client) == {"answer": 42}
        assert read(client) == {"answer": 42}

        assert [request.target.split("?")[0] for request in server.requests] == [
            "/oauth/tokens",
            "/api/v2/things.json",
            "/api/v2/things.json",
        ]
        asked = orjson.loads(server.requests[0].body)
        assert asked == {
            "grant_type": "client_credentials",
            "client_id": "the-client",
            "client_secret": SECRET,
            "scope": "read",
        }
        assert {request.headers["authorization"] for request in server.requests[1:]} == {"Bearer t0k3n-one"}


def test_a_token_that_ran_out_is_renewed_before_and_on_401(connect: Connect) -> None:
    short = Reply(body=orjson.dumps({"access_token": "short", "expires_in": 0.001}))
    with scripted(short, OTHER_TOKEN, GOOD) as server:
        client = connect(server.url)
        read(client)
        threading.Event().wait(0.01)
        client._token_ends = 0.0
        server.script[:] = [*server.script[:3], TOKEN, Reply(401), OTHER_TOKEN, GOOD]

        assert read(client) == {"answer": 42}

        assert server.requests[-1].headers["authorization"] == "Bearer t0k3n-two"


def test_credentials_refused_twice_end_the_run_and_are_not_shown(connect: Connect) -> None:
    with scripted(TOKEN, Reply(401), OTHER_TOKEN, Reply(401, b'{"error": "invalid_token"}')) as server:
        with pytest.raises(CredentialsRefused, match="SWITCHDESK_ZENDESK_CLIENT_ID") as caught:
            read(connect(server.url))

        assert len(server.requests) == 4
        assert SECRET not in str(caught.value)
        assert "t0k3n" not in str(caught.value)


def test_an_api_token_works_and_warns_of_its_end(connect: Connect, caplog: pytest.LogCaptureFixture) -> None:
    with scripted(GOOD) as server, caplog.at_level(logging.WARNING, logger="assets"):
        client = connect(server.url, ApiToken("agent@example.com", SecretStr("legacy")))
        read(client)

        assert server.requests[0].headers["authorization"] == "Basic YWdlbnRAZXhhbXBsZS5jb20vdG9rZW46bGVnYWN5"
    assert "retired on 30 April 2027" in caplog.text
    assert "legacy" not in caplog.text


@pytest.mark.parametrize(
    "fault",
    [
        Reply(503, b"<html>Service unavailable</html>", {"Content-Type": "text/html"}),
        Reply(500, b""),
        Reply(409, b'{"error": "DatabaseConflict"}'),
        Reply(520, b"error code: 520"),
        Reply(body=b'{"answer": 42'),
        Reply(body=b"<!DOCTYPE html><html></html>"),
        Reply(body=b"[1, 2]"),
        Reply(body=b'{"answer": 42}', cut=4),
        Reply(body=b"not gzip at all", headers={"Content-Encoding": "gzip"}),
        Reply(body=gzip.compress(b'{"answer": 42}')[:-14], headers={"Content-Encoding": "gzip"}),
        Reply(drop=True),
        Reply(429, b"slow down", {"Retry-After": "0"}),
    ],
    ids=lambda reply: f"{reply.status} {reply.body[:12]!r}",
)
def test_what_passes_is_tried_again(connect: Connect, fault: Reply) -> None:
    with scripted(TOKEN, fault, GOOD) as server:
        assert read(connect(server.url)) == {"answer": 42}

        assert len(server.requests) == 3


@pytest.mark.parametrize(
    ("reply", "kind", "said"),
    [
        (Reply(403, b"", {"Content-Type": "text/html"}), AccessRefused, "answered 403"),
        (
            Reply(403, b'{"error": {"title": "Forbidden", "message": "No access"}}'),
            AccessRefused,
            "Forbidden, No access",
        ),
        (
            Reply(404, b'{"error": "InvalidEndpoint", "description": "Not found"}'),
            NotFound,
            "InvalidEndpoint, Not found",
        ),
        (Reply(422, b'{"errors": [{"code": "TooOld", "title": "Too old"}]}'), RequestRefused, "Too old"),
        (Reply(400, b'{"error": "InvalidStartTime"}'), RequestRefused, "InvalidStartTime"),
        (Reply(302, headers={"Location": "https://elsewhere.example/login"}), ForeignLink, "elsewhere.example"),
        (Reply(504, b"<html>"), PageTooSlow, "answered 504"),
    ],
)
def test_what_does_not_pass_is_said_as_it_is(connect: Connect, reply: Reply, kind: type[Exception], said: str) -> None:
    with scripted(TOKEN, reply, GOOD) as server:
        with pytest.raises(kind, match=said):
            read(connect(server.url))

        assert len(server.requests) == 2


def test_a_host_that_only_fails_is_given_up_in_time(connect: Connect) -> None:
    with scripted(TOKEN, Reply(503)) as server, pytest.raises(HostUnreachable, match="gave status 503"):
        read(connect(server.url))


def test_a_429_blocks_every_client_of_the_account(connect: Connect) -> None:
    limit = {"Retry-After": "2", "zendesk-ratelimit-incremental-exports": "total=10; remaining=0; resets=2"}
    with scripted(TOKEN, Reply(429, b"wait", limit), TOKEN, GOOD) as server:
        first, second = connect(server.url), connect(server.url)
        waits: list[float] = []
        stop = threading.Event()

        def waiting(seconds: float) -> None:
            waits.append(seconds)
            stop.set()

        from assets.zendesk.limiter import LimitClass, Stopped

        with pytest.raises(Stopped):
            first.get("a.json", limit=LimitClass.EXPORTS, stop=stop, waiting=waiting)
        calls = len(server.requests)
        stop.clear()
        with pytest.raises(Stopped):
            second.get("b.json", limit=LimitClass.EXPORTS, stop=stop, waiting=waiting)

        assert [request.target for request in server.requests[calls:]] == ["/oauth/tokens"]
        assert all(0.5 < seconds <= 2.0 for seconds in waits)
        assert len(waits) == 2


def test_lone_surrogates_become_replacement_characters(connect: Connect) -> None:
    with scripted(TOKEN, Reply(body=b'{"text": "a \\ud83d b \\ud83d\\ude00"}')) as server:
        assert read(connect(server.url)) == {"text": "a � b 😀"}


def test_a_link_of_our_host_is_read_and_another_is_refused(connect: Connect) -> None:
    client = connect("https://acme.example")

    assert client.link_params("https://ACME.example:443/api/v2/groups.json?page=2") == {"page": "2"}
    for link in (
        "https://evil.example/?page=2",
        "http://acme.example/?page=2",
        "https://acme.example:8443/",
        "//x",
        "",
    ):
        with pytest.raises(ForeignLink, match="SWITCHDESK_ZENDESK_URL"):
            client.link_params(link)


@pytest.mark.parametrize(
    ("user", "kind", "said"),
    [
        ({"id": None, "name": "Anonymous user", "role": "end-user"}, CredentialsRefused, "anonymous user"),
        ({"id": 1, "role": "agent"}, NotAnAdmin, "role 'agent'"),
    ],
)
def test_who_may_not_export_is_told_so(
    connect: Connect, user: dict[str, Any], kind: type[Exception], said: str
) -> None:
    with scripted(TOKEN, Reply(body=orjson.dumps({"user": user}))) as server:
        with pytest.raises(kind, match=said) as caught:
            connect(server.url).check_admin(stop=threading.Event())

        assert "SWITCHDESK_ZENDESK_CLIENT_ID" in str(caught.value)


def test_an_administrator_is_welcome(connect: Connect) -> None:
    with scripted(TOKEN, Reply(body=b'{"user": {"id": 1, "role": "admin"}}')) as server:
        assert connect(server.url).check_admin(stop=threading.Event()) == "admin"


def test_accounts_are_told_apart_by_host_and_port() -> None:
    assert account_of("https://Acme.Zendesk.com") == "acme.zendesk.com"
    assert account_of("https://acme.zendesk.com:443") == "acme.zendesk.com"
    assert account_of("http://127.0.0.1:8080") == "127.0.0.1:8080"
