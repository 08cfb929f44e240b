select
    organization_id,
    coalesce(nullif(name, ''), 'Unnamed organization ' || organization_id) as name,
    created_at

from {{ ref('stg_organizations') }}
