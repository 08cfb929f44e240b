select
    group_id,
    coalesce(nullif(name, ''), 'Unnamed group ' || group_id) as name,
    created_at

from {{ ref('stg_groups') }}
