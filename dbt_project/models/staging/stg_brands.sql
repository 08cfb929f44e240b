select
    id as brand_id,
    name,
    created_at

from {{ source('zendesk', 'brands') }}
