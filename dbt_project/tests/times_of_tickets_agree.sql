{{ config(meta={'dagster': {'ref': {'name': 'fct_tickets'}}}) }}

-- What a ticket says in two ways must be the same.

select ticket_id

from {{ ref('fct_tickets') }}

where
    (first_reply_at is null) <> (agent_replies = 0)
    or (solved_at is null) <> (resolutions = 0)
    or first_solved_at > solved_at
    or (satisfaction is null) <> (rated_at is null)
    or (transfers > 0) <> is_escalated
