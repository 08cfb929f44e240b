select
    tickets.ticket_id,
    tag.value as tag

from {{ ref('fct_tickets') }} as tickets
cross join lateral unnest(tickets.tags) as tag (value)
