with

fields as (

    select
        id as field_id,
        payload,
        case
            when title = '{{ var("product_field") | replace("'", "''") }}' then 'product'
            when title = '{{ var("reason_field") | replace("'", "''") }}' then 'reason'
        end as role

    from {{ source('zendesk', 'ticket_fields') }}

)

select
    fields.field_id,
    fields.role,
    option.value ->> 'value' as option,
    option.value ->> 'name' as label

from fields
cross join
    lateral jsonb_array_elements({{ json_array("fields.payload -> 'custom_field_options'") }}) as option (value)

where fields.role is not null
