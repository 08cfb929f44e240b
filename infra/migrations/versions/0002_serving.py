"""What serving keeps of its own: keys, spend, decisions, audit, feedback and the model registry."""

from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None

SERVING = """
create table serving.api_keys (
    id text primary key, name text not null unique, scopes text[] not null, row_filter text,
    budget_usd numeric(14, 6), budget_period text not null default 'month' check (budget_period in ('day', 'month')),
    request_budget_usd numeric(14, 6), created_at timestamptz not null default now(), expires_at timestamptz,
    revoked_at timestamptz
);
create table serving.key_secrets (
    id text primary key, key_id text not null references serving.api_keys on delete cascade, salt bytea not null,
    digest bytea not null, created_at timestamptz not null default now(), expires_at timestamptz
);
create index key_secrets_key_id on serving.key_secrets (key_id);
create table serving.spend (
    key_id text not null, period_start date not null, spent_usd numeric(18, 9) not null default 0,
    reserved_usd numeric(18, 9) not null default 0, primary key (key_id, period_start)
);
create table serving.ledger (
    id text primary key, key_id text not null, period_start date not null, decision_id text,
    state text not null check (state in ('reserved', 'settled', 'released')), reserved_usd numeric(18, 9) not null,
    cost_usd numeric(18, 9) not null default 0, counterfactual_usd numeric(18, 9) not null default 0, tier text,
    model text, input_tokens integer not null default 0, output_tokens integer not null default 0,
    created_at timestamptz not null default now(), settled_at timestamptz
);
create index ledger_key_period on serving.ledger (key_id, period_start);
create table serving.decisions (
    id text primary key, created_at timestamptz not null default now(), key_id text not null, conversation_id text,
    question text, question_digest text not null, policy_version text not null, epoch bigint not null,
    record jsonb not null, answer jsonb
);
create index decisions_key_created on serving.decisions (key_id, created_at);
create table serving.audit (
    id bigint generated always as identity primary key, at timestamptz not null default now(), key_id text not null,
    action text not null, decision_id text, outcome text not null, question_digest text, answer_digest text,
    cost_usd numeric(18, 9) not null default 0
);
create table serving.feedback (
    id bigint generated always as identity primary key, decision_id text not null references serving.decisions,
    key_id text not null, score integer not null, comment text, created_at timestamptz not null default now()
);
create table serving.models (
    name text not null, version text not null, entry jsonb not null, state text not null,
    share double precision, updated_at timestamptz not null default now(), primary key (name, version)
);
"""


def upgrade() -> None:
    op.execute(SERVING)
