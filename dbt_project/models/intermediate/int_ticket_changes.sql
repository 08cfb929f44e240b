{{ config(materialized='table', indexes=[{'columns': ['ticket_id']}]) }}

-- The audits are read once a build, so that every interval rests on the same state of the copy.

with

events as (

    select * from {{ ref('stg_ticket_events') }}

)

select
    events.ticket_id,
    events.event_id,
    child.position,
    events.updater_id,
    events.created_at as changed_at,
    field.key as field,
    nullif(field.value, '') as value,
    nullif(child.value ->> 'previous_value', '') as previous_value,
    child.value ->> 'event_type' = 'Create' as is_creation

from events
cross join lateral jsonb_array_elements(events.child_events) with ordinality as child (value, position)
cross join lateral jsonb_each_text(child.value) as field (key, value)

where
    child.value ->> 'event_type' in ('Create', 'Change')
    and field.key in ('status', 'assignee_id', 'group_id', 'priority', 'type', 'satisfaction_score')
