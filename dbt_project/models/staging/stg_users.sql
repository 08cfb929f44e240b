select
    id as user_id,
    organization_id,
    name,
    role,
    coalesce(is_active, true) as is_active,
    created_at

from {{ source('zendesk', 'users') }}
