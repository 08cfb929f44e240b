with

comments as (

    select
        comments.*,
        agents.user_id is not null as is_by_agent,
        row_number() over (
            partition by comments.ticket_id
            order by comments.created_at, comments.comment_id
        ) as position

    from {{ ref('stg_comments') }} as comments
    left join {{ ref('int_agents') }} as agents
        on comments.author_id = agents.user_id

)

select
    comment_id,
    ticket_id,
    author_id,
    case when is_by_agent then 'agent' else 'customer' end as author_role,
    is_public,
    position = 1 as is_opening,
    is_by_agent and is_public and position > 1 as is_agent_reply,
    position,
    created_at

from comments
