{{ config(materialized='table') }}

-- Zendesk only tells today's role, and people who left show up as end users or as unknown numbers. Whoever did what
-- only agents can do was one: wrote an internal note, was assigned, or changed assignee, group, priority or type.
-- Never by status or satisfaction: a customer's reply or rating changes those.

with

evidence as (

    select user_id from {{ ref('stg_users') }}
    where role in ('agent', 'admin')

    union

    select author_id from {{ ref('stg_comments') }}
    where not is_public

    union

    select value::bigint from {{ ref('int_ticket_changes') }}
    where field = 'assignee_id' and value is not null

    union

    select updater_id from {{ ref('int_ticket_changes') }}
    where not is_creation and field in ('assignee_id', 'group_id', 'priority', 'type')

)

select user_id from evidence

where user_id > 0
