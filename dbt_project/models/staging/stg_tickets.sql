with

source as (

    select * from {{ source('zendesk', 'tickets') }}

),

options as (

    select * from {{ ref('stg_ticket_field_options') }}

),

chosen as (

    -- Labels of the chosen options of the fields that become dimensions.
    select
        source.id as ticket_id,
        max(options.label) filter (where options.role = 'product') as product,
        max(options.label) filter (where options.role = 'reason') as reason

    from source
    cross join lateral jsonb_array_elements({{ json_array("source.payload -> 'custom_fields'") }}) as field (value)
    inner join options
        on
            options.field_id::text = field.value ->> 'id'
            and options.option = field.value ->> 'value'

    group by source.id

)

select
    source.id as ticket_id,

    -- people and places
    source.requester_id,
    source.submitter_id,
    source.assignee_id,
    source.organization_id,
    source.group_id,
    source.brand_id,
    source.ticket_form_id as form_id,
    source.problem_id,

    -- text
    source.subject,
    source.status,
    source.priority,
    source.type,
    coalesce(source.payload -> 'via' ->> 'channel', 'unknown') as channel,
    chosen.product,
    chosen.reason,
    source.payload -> 'satisfaction_rating' ->> 'score' as satisfaction_score,
    array(
        select distinct tag.value
        from jsonb_array_elements_text({{ json_array("source.payload -> 'tags'") }}) as tag (value)
        where tag.value <> ''
        order by tag.value
    ) as tags,

    -- times
    source.created_at,
    source.updated_at,
    greatest(source.updated_at, to_timestamp(source.generated_timestamp)) as changed_at

from source
left join chosen
    on source.id = chosen.ticket_id

where source.created_at is not null
