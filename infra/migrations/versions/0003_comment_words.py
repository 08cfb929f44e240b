"""Indexes on comments: their words, for searches, and who wrote internal notes, to tell agents."""

from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None


def upgrade() -> None:
    # PostgreSQL refuses to index a text with more than 1 MB of words, and a comment must never fail to load.
    op.execute(
        "create index ticket_comments_words on zendesk.ticket_comments"
        " using gin (to_tsvector('english', left(body, 65536)))"
    )
    op.execute("create index ticket_comments_note_authors on zendesk.ticket_comments (author_id) where not is_public")
