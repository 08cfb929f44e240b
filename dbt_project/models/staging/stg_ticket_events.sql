select
    id as event_id,
    ticket_id,
    updater_id,
    created_at,
    {{ json_array("payload -> 'child_events'") }} as child_events

from {{ source('zendesk', 'ticket_events') }}
