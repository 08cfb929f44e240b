"""Figures of the sync for monitoring: calls by outcome, how long records waited in Kafka, and views that tell them."""

from alembic import op

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.execute("alter table ops.kafka_offsets add record_at timestamptz")
    op.execute(
        "create table ops.api_calls (stream text not null, status text not null, calls bigint not null,"
        " primary key (stream, status))"
    )
    op.execute(
        """
        create view catalog.sync_streams as
        select s.stream, s.as_of, coalesce(d.rows, 0) as rows, l.loader_lag_seconds
        from ops.sync_state s
        left join catalog.datasets d on d.dataset = 'zendesk.' || s.stream
        left join (
            select distinct on (topic) topic, extract(epoch from applied_at - record_at)::float8 as loader_lag_seconds
            from ops.kafka_offsets where record_at is not null order by topic, applied_at desc
        ) l on l.topic = 'zendesk.' || s.stream || '.raw'
        where s.status <> 'absent'
        """
    )
    op.execute("create view catalog.sync_calls as select stream, status, calls from ops.api_calls")
