"""Recorded answers that name a ticket can be emptied by whoever erases it, without knowing where they are kept."""

from alembic import op

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.execute("create index decisions_tickets on serving.decisions using gin ((answer -> 'ticket_ids'))")
    op.execute(
        """
        create function catalog.forget_answers(tickets bigint[]) returns bigint language sql as $$
            with emptied as (
                update serving.decisions d set answer = null
                from unnest(tickets) as t (id)
                where d.answer -> 'ticket_ids' @> to_jsonb(t.id)
                returning d.id
            )
            select count(distinct id) from emptied
        $$
        """
    )
    op.execute("revoke execute on function catalog.forget_answers from public")
