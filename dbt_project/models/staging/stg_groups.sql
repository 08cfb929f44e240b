select
    id as group_id,
    name,
    created_at

from {{ source('zendesk', 'groups') }}
