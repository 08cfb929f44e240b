select
    id as rating_id,
    ticket_id,
    score,
    created_at,
    updated_at

from {{ source('zendesk', 'satisfaction_ratings') }}
