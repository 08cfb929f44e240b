with

tickets as (

    select * from {{ ref('fct_tickets') }}

),

attributes as (

    {% for column in ['status', 'priority', 'type', 'channel', 'product', 'reason', 'satisfaction'] %}
        select
            '{{ column }}' as dimension,
            {{ column }} as value

        from tickets

        union all
    {% endfor %}

    select
        'tag' as dimension,
        tag as value

    from {{ ref('bridge_ticket_tags') }}

),

counted as (

    select
        dimension,
        value,
        count(*) as ticket_count

    from attributes

    where value is not null

    group by dimension, value

    {% for column, model in {
        'group': 'dim_groups', 'organization': 'dim_organizations', 'brand': 'dim_brands', 'form': 'dim_forms'
    }.items() %}
        union all

        select
            '{{ column }}' as dimension,
            members.name as value,
            count(tickets.ticket_id) as ticket_count

        from {{ ref(model) }} as members
        left join tickets
            on members.{{ column }}_id = tickets.{{ column }}_id

        group by members.name
    {% endfor %}

    union all

    select
        'assignee' as dimension,
        users.name as value,
        count(tickets.ticket_id) as ticket_count

    from {{ ref('dim_users') }} as users
    left join tickets
        on users.user_id = tickets.assignee_id

    where users.is_agent

    group by users.name

    union all

    select
        'author_role' as dimension,
        author_role as value,
        count(*) as ticket_count

    from {{ ref('fct_comments') }}

    group by author_role

)

select
    dimension,
    value,
    ticket_count as rows

from counted
