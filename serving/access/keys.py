"""API keys: made, listed, rotated, revoked and checked; only salted digests of the secrets are stored.

A key reads `swd_<secret id>_<secret>`: the id finds one row, the secret (256 random bits) is compared by digest.
"""

from __future__ import annotations

import hashlib
import hmac
import secrets
import time
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from decimal import Decimal

from sqlalchemy import Connection, Engine, delete, insert, or_, select, update
from sqlalchemy.exc import IntegrityError

from assets.settings import Settings
from serving import tables
from serving.access.asker import Asker, Period, Scope, parse_rows
from serving.errors import Invalid, NotFound, Unauthenticated

PREFIX = "swd"
_CACHED_SECONDS = 2.0
_CACHED_KEYS = 4096


@dataclass(frozen=True, slots=True)
class Key:
    """One key as `keys list` shows it."""

    name: str
    scopes: tuple[str, ...]
    row_filter: str | None
    budget_usd: Decimal | None
    budget_period: str
    request_budget_usd: Decimal | None
    created_at: datetime
    expires_at: datetime | None
    revoked_at: datetime | None

    @property
    def state(self) -> str:
        """`live`, `expired` or `revoked`."""
        if self.revoked_at is not None:
            return "revoked"
        if self.expires_at is not None and self.expires_at <= datetime.now(UTC):
            return "expired"
        return "live"


def create_key(
    settings: Settings,
    name: str,
    *,
    scopes: Sequence[str] = (Scope.ASK, Scope.SEARCH),
    rows: str | None = None,
    budget_usd: Decimal | None = None,
    budget_period: str = Period.MONTH,
    request_budget_usd: Decimal | None = None,
    expires_at: datetime | None = None,
) -> str:
    """Make a key and return its secret, which is stored nowhere; raises Invalid where the name is taken."""
    parse_rows(rows)
    for amount in (budget_usd, request_budget_usd):
        if amount is not None and amount <= 0:
            raise Invalid(f"budget refused: {amount} USD is not above zero; leave the option out for no cap")
    if expires_at is not None and expires_at <= datetime.now(UTC):
        raise Invalid(f"expiry refused: {expires_at.isoformat()} has passed; give a later moment")
    known = _scopes(scopes)
    key_id = secrets.token_hex(6)
    with _opened(settings) as engine, engine.begin() as connection:
        try:
            connection.execute(
                insert(tables.api_keys).values(
                    id=key_id,
                    name=_name(name),
                    scopes=known,
                    row_filter=rows or None,
                    budget_usd=budget_usd,
                    budget_period=Period(budget_period).value,
                    request_budget_usd=request_budget_usd,
                    expires_at=expires_at,
                )
            )
        except IntegrityError:
            raise Invalid(f"key exists: {name!r}; choose another name, or `switchdesk keys rotate {name}`") from None
        return _add_secret(connection, key_id)


def rotate_key(settings: Settings, name: str, *, grace_seconds: int = 0) -> str:
    """Give a key a new secret and return it; the old one works for `grace_seconds` more."""
    with _opened(settings) as engine, engine.begin() as connection:
        key_id = _find(connection, name)
        ends = datetime.now(UTC) + timedelta(seconds=grace_seconds)
        held = tables.key_secrets
        connection.execute(delete(held).where(held.c.key_id == key_id, held.c.expires_at <= datetime.now(UTC)))
        connection.execute(
            update(held)
            .where(held.c.key_id == key_id, or_(held.c.expires_at.is_(None), held.c.expires_at > ends))
            .values(expires_at=ends)
        )
        return _add_secret(connection, key_id)


def revoke_key(settings: Settings, name: str) -> None:
    """End a key for good; replicas refuse it within two seconds."""
    with _opened(settings) as engine, engine.begin() as connection:
        key_id = _find(connection, name)
        connection.execute(
            update(tables.api_keys).where(tables.api_keys.c.id == key_id).values(revoked_at=datetime.now(UTC))
        )


def list_keys(settings: Settings) -> list[Key]:
    """Every key by name, revoked ones too."""
    columns = [tables.api_keys.c[name] for name in Key.__dataclass_fields__]
    with _opened(settings) as engine, engine.connect() as connection:
        rows = connection.execute(select(*columns).order_by(tables.api_keys.c.name)).all()
    return [Key(**{**row._asdict(), "scopes": tuple(row.scopes)}) for row in rows]


def ensure_key(settings: Settings, name: str, *, scopes: Sequence[str]) -> str:
    """Return a fresh secret for `name`, making the key where there is none: for the local stack's own key."""
    try:
        return rotate_key(settings, name)
    except NotFound:
        return create_key(settings, name, scopes=scopes)


class Keyring:
    """Checks presented keys; a verdict is kept for two seconds, so that revocation holds within two."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._kept: dict[bytes, tuple[float, Asker]] = {}

    def kept(self, presented: str) -> Asker | None:
        """The asker of a key that was checked a moment ago, without asking PostgreSQL."""
        found = self._kept.get(_fingerprint(presented))
        return found[1] if found is not None and time.monotonic() - found[0] < _CACHED_SECONDS else None

    def check(self, presented: str) -> Asker:
        """Look a key up (blocking); raises Unauthenticated whatever is wrong with it."""
        asker = self._look_up(presented)
        if len(self._kept) >= _CACHED_KEYS:
            self._kept.clear()
        self._kept[_fingerprint(presented)] = (time.monotonic(), asker)
        return asker

    def _look_up(self, presented: str) -> Asker:
        refusal = Unauthenticated(
            "key refused: unknown, expired or revoked; make one with `switchdesk keys create NAME`"
        )
        prefix, _, rest = presented.partition("_")
        secret_id, _, secret = rest.partition("_")
        if prefix != PREFIX or not secret_id or not secret or len(presented) > 200 or not presented.isascii():
            raise refusal
        keys, held = tables.api_keys, tables.key_secrets
        query = (
            select(keys, held.c.salt, held.c.digest, held.c.expires_at.label("secret_expires_at"))
            .join(held, held.c.key_id == keys.c.id)
            .where(held.c.id == secret_id)
        )
        with self._engine.connect() as connection:
            row = connection.execute(query).one_or_none()
        if row is None or not hmac.compare_digest(_digest(row.salt, secret), row.digest):
            raise refusal
        now = datetime.now(UTC)
        ends = [moment for moment in (row.expires_at, row.secret_expires_at) if moment is not None]
        if row.revoked_at is not None or any(moment <= now for moment in ends):
            raise refusal
        return Asker(
            key_id=row.id,
            name=row.name,
            scopes=frozenset(Scope(scope) for scope in row.scopes),
            rows=parse_rows(row.row_filter),
            budget_usd=row.budget_usd,
            budget_period=Period(row.budget_period),
            request_budget_usd=row.request_budget_usd,
        )


class _opened:
    """An engine for one command, disposed of after it."""

    def __init__(self, settings: Settings) -> None:
        self._engine = tables.open_once(settings)

    def __enter__(self) -> Engine:
        return self._engine

    def __exit__(self, *_: object) -> None:
        self._engine.dispose()


def _add_secret(connection: Connection, key_id: str) -> str:
    secret_id, secret, salt = secrets.token_hex(6), secrets.token_urlsafe(32), secrets.token_bytes(16)
    connection.execute(
        insert(tables.key_secrets).values(id=secret_id, key_id=key_id, salt=salt, digest=_digest(salt, secret))
    )
    return f"{PREFIX}_{secret_id}_{secret}"


def _find(connection: Connection, name: str) -> str:
    keys = tables.api_keys
    row = connection.execute(select(keys.c.id, keys.c.revoked_at).where(keys.c.name == name).with_for_update()).first()
    if row is None:
        raise NotFound(f"key unknown: {name!r}; `switchdesk keys list` shows all")
    if row.revoked_at is not None:
        raise NotFound(f"key revoked: {name!r} ended for good; make one with another name")
    return row.id


def _name(name: str) -> str:
    if not name.strip() or len(name) > 100 or not name.isprintable():
        raise Invalid("key name refused: it needs 1 to 100 printable characters")
    return name


def _scopes(scopes: Sequence[str]) -> list[str]:
    known = {scope.value for scope in Scope}
    for scope in scopes:
        if scope not in known:
            raise Invalid(f"scope unknown: {scope!r}; known are {', '.join(sorted(known))}", nearest=sorted(known))
    if not scopes:
        raise Invalid("scopes missing: a key needs at least one of " + ", ".join(sorted(known)))
    return sorted({str(scope) for scope in scopes})


def _digest(salt: bytes, secret: str) -> bytes:
    return hmac.new(salt, secret.encode(), hashlib.sha256).digest()


def _fingerprint(presented: str) -> bytes:
    return hashlib.sha256(presented.encode(errors="surrogatepass")).digest()
