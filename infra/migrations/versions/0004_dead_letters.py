"""Dead letters know the ticket they speak of, how they were settled, and whether their text was erased."""

from alembic import op

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.execute(
        "alter table ops.dead_letters add ticket_id bigint, add erased_at timestamptz,"
        " add settled text check (settled in ('replayed', 'newer copy', 'scrubbed'))"
    )
    op.execute("update ops.dead_letters set settled = 'replayed' where replayed_at is not null")
    op.execute("create index dead_letters_open on ops.dead_letters (stream, entity_id) where settled is null")
