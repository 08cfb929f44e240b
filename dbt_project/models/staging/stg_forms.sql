select
    id as form_id,
    name,
    created_at

from {{ source('zendesk', 'ticket_forms') }}
