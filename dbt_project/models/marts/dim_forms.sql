select
    form_id,
    coalesce(nullif(name, ''), 'Unnamed form ' || form_id) as name,
    created_at

from {{ ref('stg_forms') }}
