"""HTTP with one Zendesk account: who we are, whose turn it is, and what every kind of failure means."""

from __future__ import annotations

import base64
import json
import logging
import random
import threading
import time
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, NoReturn
from urllib.parse import parse_qsl, urlsplit

import httpx
import orjson
from pydantic import SecretStr

from assets.settings import Settings, SettingsError
from assets.zendesk.errors import (
    AccessRefused,
    CredentialsRefused,
    ForeignLink,
    HostUnreachable,
    NotAnAdmin,
    NotFound,
    PageMalformed,
    PageTooSlow,
    RequestRefused,
)
from assets.zendesk.limiter import LimitClass, Limiter, Stopped, retry_after

logger = logging.getLogger(__name__)

_OAUTH_NAMES = "SWITCHDESK_ZENDESK_CLIENT_ID and SWITCHDESK_ZENDESK_CLIENT_SECRET"
_BASIC_NAMES = "SWITCHDESK_ZENDESK_EMAIL and SWITCHDESK_ZENDESK_API_TOKEN"
_TOKEN_RETIREMENT = (
    "Zendesk API tokens are retired on 30 April 2027 and none can be made since 27 October 2026: "
    f"create a confidential OAuth client and set {_OAUTH_NAMES}"
)
_GIVE_UP_SECONDS = 50.0
"""A host that only fails for this long counts as unreachable; with the last try it stays under a minute."""
_PAGE_SECONDS = 70.0
"""Zendesk itself ends a request after about a minute."""
_TRANSIENT = frozenset({408, 409, 425, 500, 502, 503, 504, 520, 521, 522, 523, 524, 525, 526, 530})
_SLOW = frozenset({408, 504, 522, 524})


@dataclass(frozen=True, slots=True)
class OAuthClient:
    """Client credentials of a confidential OAuth client."""

    client_id: str
    secret: SecretStr


@dataclass(frozen=True, slots=True)
class ApiToken:
    """Legacy: an agent's e-mail address and an API token."""

    email: str
    token: SecretStr


@dataclass(frozen=True, slots=True)
class Answer:
    """One JSON answer."""

    body: dict[str, Any]
    asked_at: datetime
    """When the request left (UTC): the body shows nothing older than this moment."""
    has_nul: bool
    """Whether an escaped U+0000 occurs anywhere in the text of the body."""


class ZendeskClient:
    """Reads JSON from one account, at the pace of its quota; safe to share between threads."""

    def __init__(
        self,
        url: str,
        credentials: OAuthClient | ApiToken,
        limiter: Limiter,
        *,
        give_up_seconds: float = _GIVE_UP_SECONDS,
        page_seconds: float = _PAGE_SECONDS,
    ) -> None:
        self._origin = _origin(url)
        self.account = account_of(url)
        """Host (and port) of the account: the name under which state and quota are kept."""
        self.limiter = limiter
        self.calls = 0
        self._outcomes: Counter[tuple[str, str]] = Counter()
        self._outcomes_lock = threading.Lock()
        self._credentials = credentials
        self._give_up_seconds = give_up_seconds
        self._token: str | None = None
        self._token_ends = 0.0
        self._token_lock = threading.Lock()
        # No redirects: httpx would carry the request on to a host of the answer's choosing.
        self._http = httpx.Client(
            base_url=url,
            follow_redirects=False,
            timeout=httpx.Timeout(page_seconds, connect=10.0),
            headers={"Accept": "application/json", "User-Agent": "switchdesk"},
            # A proxy of the environment is for the outside; a desk on this machine is reached directly.
            trust_env=self._origin[1] not in {"127.0.0.1", "localhost", "::1"},
        )
        if isinstance(credentials, ApiToken):
            logger.warning(_TOKEN_RETIREMENT)

    def close(self) -> None:
        """Close the connections and forget the token."""
        self._token = None
        self._http.close()

    def get(
        self,
        path: str,
        params: Mapping[str, str | int] | None = None,
        *,
        limit: LimitClass = LimitClass.ACCOUNT,
        stop: threading.Event,
        waiting: Callable[[float], None] | None = None,
        stream: str = "account",
    ) -> Answer:
        """GET `/api/v2/PATH`: waits for its turn, retries what may pass, raises what will not; counted for `stream`.

        Raises PageTooSlow where Zendesk runs out of time, AccessRefused and NotFound for 403 and 404, RequestRefused
        for other refusals, CredentialsRefused for 401, HostUnreachable after less than a minute of nothing but faults.
        """
        started: float | None = None
        renewed = False
        delay = 0.25
        while True:
            token = self._authorization(stop)
            self.limiter.wait(limit, stop=stop, waiting=waiting)
            asked_at = datetime.now(UTC)
            started = started or time.monotonic()
            self.calls += 1
            try:
                response = self._http.get(f"/api/v2/{path}", params=params, headers={"Authorization": token})
            except (httpx.ReadTimeout, httpx.WriteTimeout):
                self._count(stream, "timeout")
                self.limiter.release(limit)
                raise PageTooSlow(f"Zendesk does not answer in time: {path} on {self.account}") from None
            except httpx.HTTPError as error:
                self._count(stream, "broken")
                self.limiter.release(limit)
                fault = _fault(error)
            else:
                status = response.status_code
                self._count(stream, str(status))
                blocked = 0.0
                if status == 429:
                    blocked = retry_after(response.headers, default=5.0)
                self.limiter.observe(limit, response.headers, blocked_seconds=blocked)
                if status == 429:
                    logger.info("zendesk asks to wait", extra={"path": path, "seconds": blocked})
                    started = None
                    continue
                if status == 401 and not renewed and isinstance(self._credentials, OAuthClient):
                    renewed = True
                    self._forget(token)
                    continue
                if status == 200:
                    parsed = _parse(response.content)
                    if parsed is not None:
                        return Answer(parsed, asked_at, b"\\u0000" in response.content)
                    fault = "an answer that is not a whole JSON object"
                elif status in _SLOW:
                    raise PageTooSlow(f"Zendesk ran out of time: {path} on {self.account} answered {status}")
                elif status in _TRANSIENT or status >= 500:
                    fault = f"status {status}"
                else:
                    self._refuse(path, response)
            failing = time.monotonic() - started
            if failing + delay > self._give_up_seconds:
                raise HostUnreachable(
                    f"Zendesk cannot be reached: {self.account} gave {fault} for {failing:.0f} seconds; "
                    "check SWITCHDESK_ZENDESK_URL and the network"
                )
            logger.info("zendesk request repeated", extra={"path": path, "fault": fault})
            if stop.wait(delay * random.uniform(0.5, 1.0)):
                raise Stopped("sync stopped: a call was being repeated")
            delay = min(delay * 2, 10.0)

    def take_outcomes(self) -> dict[tuple[str, str], int]:
        """Calls by (stream, status) since the last time this was asked."""
        with self._outcomes_lock:
            taken, self._outcomes = self._outcomes, Counter()
        return dict(taken)

    def _count(self, stream: str, status: str) -> None:
        with self._outcomes_lock:
            self._outcomes[stream, status] += 1

    def check_admin(self, *, stop: threading.Event) -> str:
        """Return the role behind the credentials; raises CredentialsRefused or NotAnAdmin naming the settings."""
        try:
            answer = self.get("users/me.json", stop=stop)
        except AccessRefused:
            raise NotAnAdmin(
                f"credentials not allowed to read: {self.account} answers 403 to users/me; give the OAuth client the "
                f"scope `read` and an administrator, then check {self._setting_names}"
            ) from None
        except NotFound:
            raise HostUnreachable(
                f"no Zendesk account there: {self.account} knows no users/me; check SWITCHDESK_ZENDESK_URL"
            ) from None
        user = answer.body.get("user")
        # Zendesk answers bad credentials with 200 and an anonymous user whose id is null.
        if not isinstance(user, dict) or user.get("id") is None:
            raise CredentialsRefused(
                f"credentials refused: {self.account} takes us for an anonymous user; check {self._setting_names}"
            )
        role = str(user.get("role"))
        if role != "admin":
            raise NotAnAdmin(
                f"credentials of no administrator: {self.account} gives them the role {role!r} and the exports need "
                f"`admin`; check {self._setting_names}"
            )
        return role

    def link_params(self, link: str) -> dict[str, str]:
        """Query of a page's link; raises ForeignLink where it leads to another host, which never sees a secret."""
        if _origin(link) != self._origin:
            raise ForeignLink(
                f"link to another host refused: a page of {self.account} points at "
                f"{urlsplit(link).hostname or 'no host'}; check SWITCHDESK_ZENDESK_URL (use the account's own address)"
            )
        return dict(parse_qsl(urlsplit(link).query, keep_blank_values=True))

    @property
    def _setting_names(self) -> str:
        return _OAUTH_NAMES if isinstance(self._credentials, OAuthClient) else _BASIC_NAMES

    def _authorization(self, stop: threading.Event) -> str:
        if isinstance(self._credentials, ApiToken):
            login = f"{self._credentials.email}/token:{self._credentials.token.get_secret_value()}"
            return f"Basic {base64.b64encode(login.encode()).decode()}"
        with self._token_lock:
            if self._token is None or time.monotonic() >= self._token_ends:
                self._token, lifetime = self._issue(self._credentials, stop)
                # A token is renewed after four fifths of its life, so that none ends under way.
                self._token_ends = time.monotonic() + lifetime * 0.8
            return f"Bearer {self._token}"

    def _forget(self, authorization: str) -> None:
        with self._token_lock:
            if authorization == f"Bearer {self._token}":
                self._token = None

    def _issue(self, credentials: OAuthClient, stop: threading.Event) -> tuple[str, float]:
        form = {
            "grant_type": "client_credentials",
            "client_id": credentials.client_id,
            "client_secret": credentials.secret.get_secret_value(),
            "scope": "read",
        }
        started = time.monotonic()
        delay = 0.25
        while True:
            pause = delay
            try:
                response = self._http.post("/oauth/tokens", json=form)
            except httpx.HTTPError as error:
                fault = _fault(error)
            else:
                status = response.status_code
                if status == 429:
                    pause = retry_after(response.headers, default=5.0)
                    started = time.monotonic()
                    fault = "status 429"
                elif status in (400, 401, 403, 422):
                    raise CredentialsRefused(
                        f"credentials refused: {self.account} issues no token for this OAuth client "
                        f"(status {status}); check {_OAUTH_NAMES}"
                    )
                elif status in (200, 201):
                    body = _parse(response.content)
                    token = body.get("access_token") if body is not None else None
                    if body is not None and isinstance(token, str) and token:
                        lifetime = body.get("expires_in")
                        return token, float(lifetime) if isinstance(lifetime, int | float) and lifetime > 0 else 300.0
                    fault = "an answer without a token"
                elif status in _TRANSIENT or status >= 500:
                    fault = f"status {status}"
                else:
                    raise HostUnreachable(
                        f"no Zendesk account there: {self.account} answers {status} where tokens are issued; "
                        "check SWITCHDESK_ZENDESK_URL"
                    )
            if time.monotonic() - started + pause > self._give_up_seconds and fault != "status 429":
                raise HostUnreachable(
                    f"Zendesk cannot be reached: {self.account} gave {fault} for "
                    f"{time.monotonic() - started:.0f} seconds; check SWITCHDESK_ZENDESK_URL and the network"
                )
            if stop.wait(pause * random.uniform(1.0, 1.2)):
                raise Stopped("sync stopped: no token was issued yet")
            delay = min(delay * 2, 10.0)

    def _refuse(self, path: str, response: httpx.Response) -> NoReturn:
        status = response.status_code
        if 300 <= status < 400:
            target = urlsplit(response.headers.get("location", "")).hostname or "another address"
            raise ForeignLink(
                f"redirect refused: {self.account} sends {path} on to {target}; "
                "set SWITCHDESK_ZENDESK_URL to the account's own address"
            )
        if status == 401:
            raise CredentialsRefused(
                f"credentials refused: {self.account} answers 401 to {path}; check {self._setting_names}"
            )
        reason = f"{path} on {self.account} answered {status}{_detail(response.content)}"
        if status == 403:
            raise AccessRefused(f"not allowed: {reason}", status=status)
        if status == 404:
            raise NotFound(f"not there: {reason}", status=status)
        raise RequestRefused(f"request refused: {reason}", status=status)


def open_client(settings: Settings, *, give_up_seconds: float = _GIVE_UP_SECONDS) -> ZendeskClient:
    """Client of the configured account; raises SettingsError naming what is missing."""
    url = settings.require("zendesk_url")
    credentials: OAuthClient | ApiToken
    if settings.zendesk_client_id and settings.zendesk_client_secret:
        credentials = OAuthClient(settings.zendesk_client_id, settings.zendesk_client_secret)
    elif settings.zendesk_email and settings.zendesk_api_token:
        credentials = ApiToken(settings.zendesk_email, settings.zendesk_api_token)
    else:
        raise SettingsError(
            f"setting missing: no credentials for {account_of(url)}; set {_OAUTH_NAMES} "
            f"(or, until 30 April 2027, {_BASIC_NAMES})"
        )
    limiter = Limiter(settings.require("redis_url"), account_of(url), settings.zendesk_quota_share)
    return ZendeskClient(url, credentials, limiter, give_up_seconds=give_up_seconds)


def retirement_warning(settings: Settings) -> str | None:
    """What to tell whoever still signs in with an API token; None for OAuth."""
    has_client = settings.zendesk_client_id and settings.zendesk_client_secret
    return None if has_client or not settings.zendesk_api_token else _TOKEN_RETIREMENT


def account_of(url: str) -> str:
    """Host of an account's URL in lower case, with its port where that is not the scheme's own."""
    scheme, host, port = _origin(url)
    return host if port == _PORTS.get(scheme) else f"{host}:{port}"


_PORTS = {"https": 443, "http": 80}


def _origin(url: str) -> tuple[str, str, int | None]:
    try:
        parts = urlsplit(url)
        return parts.scheme.lower(), (parts.hostname or "").lower(), parts.port or _PORTS.get(parts.scheme.lower())
    except ValueError:
        return "", "", None


def _fault(error: httpx.HTTPError) -> str:
    """The kind of failure alone: the error's own text may hold a URL."""
    if isinstance(error, httpx.ConnectError):
        return "no connection"
    if isinstance(error, httpx.ConnectTimeout):
        return "no connection in time"
    return f"a broken connection ({type(error).__name__})"


def _parse(content: bytes) -> dict[str, Any] | None:
    """The JSON object of an answer, or None where it is broken, cut off or something else."""
    try:
        parsed = orjson.loads(content)
    except orjson.JSONDecodeError:
        # orjson refuses a lone surrogate, which real ticket text holds; json takes it, and it becomes U+FFFD.
        if b"\\ud" not in content.lower():
            return None
        try:
            parsed = json.loads(content)
        except ValueError:
            return None
        text = json.dumps(parsed, ensure_ascii=False)
        parsed = orjson.loads(text.encode("utf-16", "surrogatepass").decode("utf-16", "replace"))
    return parsed if isinstance(parsed, dict) else None


def _detail(content: bytes) -> str:
    """What an error body says, from any of its four shapes; nothing where it is HTML, empty or of another shape."""
    parsed = _parse(content)
    if parsed is None:
        return ""
    error = parsed.get("error")
    if isinstance(error, dict):
        texts = [error.get("title"), error.get("message")]
    elif isinstance(parsed.get("errors"), list):
        texts = [
            entry.get("title") or entry.get("detail") or entry.get("code") if isinstance(entry, dict) else entry
            for entry in parsed["errors"]
        ]
    else:
        texts = [error, parsed.get("description") or parsed.get("message")]
    shown = ", ".join(text for text in texts if isinstance(text, str) and text)
    return f" ({shown[:200]})" if shown else ""


def require_list(body: Mapping[str, Any], key: str, path: str) -> list[dict[str, Any]]:
    """The rows of a page; raises PageMalformed where the page has none under that key."""
    rows = body.get(key)
    if not isinstance(rows, list):
        raise PageMalformed(
            f"page without its rows: {path} has no list `{key}`; Zendesk may have changed its interface"
        )
    return rows
