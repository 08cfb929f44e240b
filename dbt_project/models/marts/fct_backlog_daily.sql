with

stretches as (

    select
        intervals.ticket_id,
        intervals.value as status,
        (intervals.valid_from at time zone 'UTC')::date as first_day,
        -- A ticket that is over without an audit that says so was open until its newest change.
        (
            coalesce(intervals.valid_to, case when not tickets.is_open then tickets.changed_at end)
            at time zone 'UTC'
        )::date as over_day

    from {{ ref('int_status_intervals') }} as intervals
    inner join {{ ref('fct_tickets') }} as tickets
        on intervals.ticket_id = tickets.ticket_id

    where intervals.value in ('new', 'open', 'pending', 'hold')

)

select
    day.date_day::date as date_day,
    stretches.ticket_id,
    stretches.status

from stretches
cross join lateral generate_series(
    stretches.first_day::timestamp,
    coalesce(stretches.over_day - 1, ({{ as_of() }} at time zone 'UTC')::date)::timestamp,
    interval '1 day'
) as day (date_day)
