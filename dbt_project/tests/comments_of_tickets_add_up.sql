{{ config(meta={'dagster': {'ref': {'name': 'fct_tickets'}}}) }}

-- Both tables come from one build, so the counts of a ticket are those of its comments.

with

counted as (

    select
        ticket_id,
        count(*) as comments,
        count(*) filter (where is_agent_reply) as agent_replies

    from {{ ref('fct_comments') }}

    group by ticket_id

)

select tickets.ticket_id

from {{ ref('fct_tickets') }} as tickets
left join counted
    on tickets.ticket_id = counted.ticket_id

where
    tickets.comments <> coalesce(counted.comments, 0)
    or tickets.agent_replies <> coalesce(counted.agent_replies, 0)
