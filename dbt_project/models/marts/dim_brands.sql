select
    brand_id,
    coalesce(nullif(name, ''), 'Unnamed brand ' || brand_id) as name,
    created_at

from {{ ref('stg_brands') }}
