with

users as (

    select * from {{ ref('stg_users') }}

),

named as (

    select requester_id as user_id from {{ ref('fct_tickets') }}
    union
    select assignee_id from {{ ref('fct_tickets') }}
    union
    select submitter_id from {{ ref('fct_tickets') }}
    union
    select author_id from {{ ref('fct_comments') }}
    union
    select user_id from {{ ref('int_agents') }}
    union
    select user_id from users

)

select
    named.user_id,
    coalesce(nullif(users.name, ''), 'Unknown user ' || named.user_id) as name,
    coalesce(users.role, 'unknown') as role,
    agents.user_id is not null as is_agent,
    coalesce(users.is_active, false) as is_active,
    users.organization_id,
    users.created_at

from named
left join users
    on named.user_id = users.user_id
left join {{ ref('int_agents') }} as agents
    on named.user_id = agents.user_id

where named.user_id is not null
