select
    id as organization_id,
    name,
    created_at

from {{ source('zendesk', 'organizations') }}
