{#
  The history of one field as intervals [valid_from, valid_to), the last one open (valid_to null).

  Order is (second, audit, position): several changes fall into one second, and the audit's number tells which came
  first. An interval of no length keeps its row, because a status that was passed through counts as reached.
  Setting a value to what it already was opens no interval. Where the first change known is not that of the creation,
  the value before it holds from the creation on.
#}
{% macro intervals(field) %}

with

changes as (

    select
        *,
        row_number() over (partition by ticket_id order by changed_at, event_id, position) as place

    from {{ ref('int_ticket_changes') }}

    where field = '{{ field }}'

),

known as (

    select ticket_id, changed_at, event_id, position, value from changes

    union all

    select
        changes.ticket_id,
        tickets.created_at as changed_at,
        0 as event_id,
        0 as position,
        changes.previous_value as value

    from changes
    inner join {{ ref('stg_tickets') }} as tickets
        on changes.ticket_id = tickets.ticket_id

    where
        changes.place = 1
        and not changes.is_creation
        and changes.previous_value is not null
        and tickets.created_at <= changes.changed_at

),

compared as (

    select
        *,
        lag(value) over in_order as before,
        row_number() over in_order = 1 as is_first

    from known

    window in_order as (partition by ticket_id order by changed_at, event_id, position)

)

select
    ticket_id,
    value,
    changed_at as valid_from,
    lead(changed_at) over in_order as valid_to,
    row_number() over in_order as place

from compared

where is_first or value is distinct from before

window in_order as (partition by ticket_id order by changed_at, event_id, position)

{% endmacro %}
