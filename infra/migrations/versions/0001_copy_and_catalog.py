"""The copy of the help desk, the sync's own state, and the catalogue between assets and serving."""

from alembic import op

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None

# Key columns of each stream; `payload` beside them is the object as Zendesk sent it.
STREAMS = {
    "tickets": """
        generated_timestamp bigint not null, created_at timestamptz, updated_at timestamptz, status text, type text,
        priority text, subject text, requester_id bigint, submitter_id bigint, assignee_id bigint,
        organization_id bigint, group_id bigint, brand_id bigint, ticket_form_id bigint, problem_id bigint""",
    "ticket_events": "ticket_id bigint not null, updater_id bigint, created_at timestamptz not null",
    "ticket_comments": """
        ticket_id bigint not null, author_id bigint, created_at timestamptz not null, is_public boolean not null,
        body text not null""",
    "ticket_metric_events": "ticket_id bigint not null, metric text, type text, instance_id bigint, time timestamptz",
    "users": """
        name text, email text, role text, organization_id bigint, is_active boolean, is_suspended boolean,
        created_at timestamptz, updated_at timestamptz""",
    "organizations": "name text, created_at timestamptz, updated_at timestamptz",
    "groups": "name text, is_deleted boolean, created_at timestamptz, updated_at timestamptz",
    "group_memberships": "user_id bigint, group_id bigint, created_at timestamptz, updated_at timestamptz",
    "brands": "name text, created_at timestamptz, updated_at timestamptz",
    "ticket_forms": "name text, is_active boolean, created_at timestamptz, updated_at timestamptz",
    "ticket_fields": "title text, type text, is_active boolean, created_at timestamptz, updated_at timestamptz",
    "sla_policies": "title text, created_at timestamptz, updated_at timestamptz",
    "schedules": "name text, time_zone text, created_at timestamptz, updated_at timestamptz",
    "holidays": "schedule_id bigint not null, name text, start_date date, end_date date",
    "satisfaction_ratings": "ticket_id bigint, score text, created_at timestamptz, updated_at timestamptz",
    "custom_statuses": "status_category text, agent_label text, created_at timestamptz, updated_at timestamptz",
}

# `version` decides which copy of an object is newer (micros of the moment Zendesk dates the change, else of the fetch);
# `load_seq` grows with every load that touched the row, so a build can ask for what changed since its last one.
COMMON = """
    version bigint not null, payload jsonb not null, loaded_at timestamptz not null default now(),
    load_seq bigint not null"""

INDEXES = [
    "create index on zendesk.ticket_events (ticket_id)",
    "create index on zendesk.ticket_comments (ticket_id)",
    "create index on zendesk.ticket_metric_events (ticket_id)",
    "create index on zendesk.satisfaction_ratings (ticket_id)",
    *(
        f"create index on zendesk.{stream} (load_seq)"
        for stream in ("tickets", "ticket_events", "ticket_comments", "ticket_metric_events", "users")
    ),
]

OPS = """
create table ops.kafka_offsets (
    topic text not null, part integer not null, next_offset bigint not null, epoch bigint not null default 0,
    applied_at timestamptz, primary key (topic, part)
);
create table ops.sync_state (
    stream text primary key, account text not null, status text not null default 'ok', reason text,
    cursor jsonb not null default '{}', end_of_stream boolean not null default false,
    pages bigint not null default 0, records bigint not null default 0,
    as_of timestamptz, updated_at timestamptz not null default now()
);
create table ops.leases (
    name text primary key, holder text not null, token bigint not null, expires_at timestamptz not null
);
create table ops.dead_letters (
    id bigint generated always as identity primary key, topic text not null, part integer not null,
    record_offset bigint not null, stream text not null, entity_id bigint, reason text not null, body bytea,
    created_at timestamptz not null default now(), replayed_at timestamptz, unique (topic, part, record_offset)
);
create table ops.erasures (
    id bigint generated always as identity primary key, ticket_id bigint not null, comment_id bigint,
    reason text not null, created_at timestamptz not null default now(), milvus_at timestamptz,
    neo4j_at timestamptz, redis_at timestamptz
);
create table ops.watermarks (
    dataset text primary key, load_seq bigint not null, facts jsonb not null default '{}',
    updated_at timestamptz not null default now()
);
"""

CATALOG = """
create table catalog.epoch (is_sole boolean primary key default true check (is_sole), epoch bigint not null);
insert into catalog.epoch (epoch) values (0);
create table catalog.datasets (
    dataset text primary key, version bigint not null, as_of timestamptz not null, rows bigint not null,
    facts jsonb not null, coverage double precision not null, failed_checks text[] not null, build_id text not null,
    epoch bigint not null, published_at timestamptz not null
);
create table catalog.partitions (
    dataset text not null, partition text not null, version bigint not null, content_hash text not null,
    rows bigint not null, primary key (dataset, partition)
);
create table catalog.documents (
    digest text primary key, name text not null, body bytea not null, created_at timestamptz not null default now()
);
create table catalog.live_documents (name text primary key, digest text not null references catalog.documents);
create table catalog.dimension_values (
    dimension text not null, value text not null, rows bigint not null, primary key (dimension, value)
);
"""


def upgrade() -> None:
    for schema in ("zendesk", "ops", "catalog", "analytics", "serving"):
        op.execute(f"create schema if not exists {schema}")
    op.execute("create sequence zendesk.load_seq")
    for stream, columns in STREAMS.items():
        key = "primary key (schedule_id, id)" if stream == "holidays" else "primary key (id)"
        op.execute(f"create table zendesk.{stream} (id bigint not null, {columns}, {COMMON}, {key})")
    for statement in INDEXES:
        op.execute(statement)
    op.execute(OPS)
    op.execute(CATALOG)
