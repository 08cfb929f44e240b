select
    id as comment_id,
    ticket_id,
    author_id,
    is_public,
    created_at

from {{ source('zendesk', 'ticket_comments') }}
