"""Serving's own tables (created by the migrations) and the engine that reads and writes them."""

from __future__ import annotations

from sqlalchemy import (
    BigInteger,
    Column,
    Date,
    DateTime,
    Double,
    Engine,
    ForeignKey,
    Identity,
    Integer,
    LargeBinary,
    MetaData,
    Numeric,
    Table,
    Text,
    create_engine,
    func,
)
from sqlalchemy.dialects.postgresql import ARRAY, JSONB
from sqlalchemy.pool import NullPool

from assets.settings import Settings

METADATA = MetaData(schema="serving")

_MONEY = Numeric(18, 9)
_BUDGET = Numeric(14, 6)
_MOMENT = DateTime(timezone=True)

api_keys = Table(
    "api_keys",
    METADATA,
    Column("id", Text, primary_key=True),
    Column("name", Text, nullable=False, unique=True),
    Column("scopes", ARRAY(Text), nullable=False),
    Column("row_filter", Text),
    Column("budget_usd", _BUDGET),
    Column("budget_period", Text, nullable=False, server_default="month"),
    Column("request_budget_usd", _BUDGET),
    Column("created_at", _MOMENT, nullable=False, server_default=func.now()),
    Column("expires_at", _MOMENT),
    Column("revoked_at", _MOMENT),
)
key_secrets = Table(
    "key_secrets",
    METADATA,
    Column("id", Text, primary_key=True),
    Column("key_id", Text, ForeignKey(api_keys.c.id, ondelete="cascade"), nullable=False, index=True),
    Column("salt", LargeBinary, nullable=False),
    Column("digest", LargeBinary, nullable=False),
    Column("created_at", _MOMENT, nullable=False, server_default=func.now()),
    Column("expires_at", _MOMENT),
)
spend = Table(
    "spend",
    METADATA,
    Column("key_id", Text, primary_key=True),
    Column("period_start", Date, primary_key=True),
    Column("spent_usd", _MONEY, nullable=False, server_default="0"),
    Column("reserved_usd", _MONEY, nullable=False, server_default="0"),
)
ledger = Table(
    "ledger",
    METADATA,
    Column("id", Text, primary_key=True),
    Column("key_id", Text, nullable=False),
    Column("period_start", Date, nullable=False),
    Column("decision_id", Text),
    Column("state", Text, nullable=False),
    Column("reserved_usd", _MONEY, nullable=False),
    Column("cost_usd", _MONEY, nullable=False, server_default="0"),
    Column("counterfactual_usd", _MONEY, nullable=False, server_default="0"),
    Column("tier", Text),
    Column("model", Text),
    Column("input_tokens", Integer, nullable=False, server_default="0"),
    Column("output_tokens", Integer, nullable=False, server_default="0"),
    Column("created_at", _MOMENT, nullable=False, server_default=func.now()),
    Column("settled_at", _MOMENT),
)
decisions = Table(
    "decisions",
    METADATA,
    Column("id", Text, primary_key=True),
    Column("created_at", _MOMENT, nullable=False, server_default=func.now()),
    Column("key_id", Text, nullable=False),
    Column("conversation_id", Text),
    Column("question", Text),
    Column("question_digest", Text, nullable=False),
    Column("policy_version", Text, nullable=False),
    Column("epoch", BigInteger, nullable=False),
    Column("record", JSONB, nullable=False),
    Column("answer", JSONB),
)
audit = Table(
    "audit",
    METADATA,
    Column("id", BigInteger, Identity(always=True), primary_key=True),
    Column("at", _MOMENT, nullable=False, server_default=func.now()),
    Column("key_id", Text, nullable=False),
    Column("action", Text, nullable=False),
    Column("decision_id", Text),
    Column("outcome", Text, nullable=False),
    Column("question_digest", Text),
    Column("answer_digest", Text),
    Column("cost_usd", _MONEY, nullable=False, server_default="0"),
)
feedback = Table(
    "feedback",
    METADATA,
    Column("id", BigInteger, Identity(always=True), primary_key=True),
    Column("decision_id", Text, ForeignKey(decisions.c.id), nullable=False),
    Column("key_id", Text, nullable=False),
    Column("score", Integer, nullable=False),
    Column("comment", Text),
    Column("created_at", _MOMENT, nullable=False, server_default=func.now()),
)
models = Table(
    "models",
    METADATA,
    Column("name", Text, primary_key=True),
    Column("version", Text, primary_key=True),
    Column("entry", JSONB, nullable=False),
    Column("state", Text, nullable=False),
    Column("share", Double),
    Column("updated_at", _MOMENT, nullable=False, server_default=func.now()),
)


def open_engine(settings: Settings, *, size: int = 4) -> Engine:
    """Engine of the serving login; connections are opened on demand, checked before use, and dropped after an hour."""
    return create_engine(
        settings.require("postgres_serving_url"),
        pool_size=size,
        max_overflow=0,
        pool_timeout=10,
        pool_pre_ping=True,
        pool_recycle=3600,
        hide_parameters=True,
        connect_args={"connect_timeout": 5, "application_name": "switchdesk-serving"},
    )


def open_once(settings: Settings) -> Engine:
    """Engine for a command: no pool, nothing stays open behind it."""
    return create_engine(
        settings.require("postgres_serving_url"),
        poolclass=NullPool,
        hide_parameters=True,
        connect_args={"connect_timeout": 10, "application_name": "switchdesk"},
    )
