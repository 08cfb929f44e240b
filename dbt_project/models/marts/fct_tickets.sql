{{ config(indexes=[{'columns': ['ticket_id'], 'unique': True}]) }}

with

tickets as (

    select * from {{ ref('stg_tickets') }}

),

solves as (

    -- Solves, or closes where the ticket was never solved.
    select
        ticket_id,
        coalesce(
            min(valid_from) filter (where value = 'solved'),
            min(valid_from) filter (where value = 'closed')
        ) as first_solved_at,
        coalesce(
            max(valid_from) filter (where value = 'solved'),
            max(valid_from) filter (where value = 'closed')
        ) as solved_at,
        max(valid_from) filter (where value = 'closed') as closed_at,
        case
            when bool_or(value = 'solved') then count(*) filter (where value = 'solved')
            else count(*) filter (where value = 'closed')
        end as resolutions

    from {{ ref('int_status_intervals') }}

    group by ticket_id

),

stretches as (

    select
        ticket_id,
        coalesce({{ minutes_in(['new', 'open', 'hold']) }}, 0) as requester_wait_minutes,
        coalesce({{ minutes_in(['pending']) }}, 0) as agent_wait_minutes,
        coalesce({{ minutes_in(['new', 'open']) }}, 0) as agent_work_minutes,
        coalesce({{ minutes_in(['hold']) }}, 0) as on_hold_minutes,
        max(valid_from) as status_since

    from {{ ref('int_status_intervals') }}

    group by ticket_id

),

assignees as (

    select
        ticket_id,
        count(*) as assignee_stations,
        min(valid_from) as first_assigned_at,
        (array_agg(value::bigint order by place))[1] as first_assignee_id

    from {{ ref('int_assignee_intervals') }}

    where value is not null

    group by ticket_id

),

group_changes as (

    select
        *,
        lag(value) over (partition by ticket_id order by place) as before

    from {{ ref('int_group_intervals') }}

    where value is not null

),

groups as (

    select
        ticket_id,
        count(*) as group_stations,
        count(*) filter (where before is not null and before <> value) as transfers,
        (array_agg(value::bigint order by place))[1] as first_group_id

    from group_changes

    group by ticket_id

),

scores as (

    select
        ticket_id,
        valid_from,
        place,
        case when value like 'good%' then 'good' when value like 'bad%' then 'bad' end as score

    from {{ ref('int_satisfaction_intervals') }}

),

scored as (

    select
        *,
        lag(score) over (partition by ticket_id order by place) as before

    from scores

    where score is not null

),

ratings as (

    select
        ticket_id,
        max(valid_from) as rated_at,
        (array_agg(score order by place))[1] as first_satisfaction,
        (array_agg(score order by place desc))[1] as satisfaction,
        count(*) filter (where before = 'good' and score = 'bad') as good_to_bad,
        count(*) filter (where before = 'bad' and score = 'good') as bad_to_good

    from scored

    group by ticket_id

),

rating_rows as (

    select
        ticket_id,
        max(updated_at) as rated_at

    from {{ ref('stg_satisfaction_ratings') }}

    where score like 'good%' or score like 'bad%'

    group by ticket_id

),

offers as (

    select distinct ticket_id from {{ ref('int_satisfaction_intervals') }}

    where value is not null and value <> 'unoffered'

),

comments as (

    select
        ticket_id,
        count(*) as comments,
        count(*) filter (where is_public) as public_comments,
        count(*) filter (where not is_public) as internal_notes,
        count(*) filter (where is_agent_reply) as agent_replies,
        count(*) filter (where is_public and author_role = 'agent') as agent_public_comments,
        count(distinct author_id) filter (where author_role = 'agent') as handoffs,
        min(created_at) filter (where is_agent_reply) as first_reply_at

    from {{ ref('fct_comments') }}

    group by ticket_id

),

joined as (

    select
        tickets.*,
        tickets.status = 'deleted' as is_deleted,
        tickets.status in ('new', 'open', 'pending', 'hold') as is_open,
        tickets.status in ('solved', 'closed') as is_solved,
        assignees.first_assigned_at,
        assignees.first_assignee_id,
        coalesce(assignees.assignee_stations, 0) as assignee_stations,
        groups.first_group_id,
        coalesce(groups.group_stations, 0) as group_stations,
        coalesce(groups.transfers, 0) as transfers,
        solves.first_solved_at,
        solves.solved_at,
        solves.closed_at,
        coalesce(solves.resolutions, 0) as resolutions,
        coalesce(stretches.status_since, tickets.created_at) as status_since,
        stretches.requester_wait_minutes,
        stretches.agent_wait_minutes,
        stretches.agent_work_minutes,
        stretches.on_hold_minutes,
        comments.first_reply_at,
        coalesce(comments.comments, 0) as comments,
        coalesce(comments.public_comments, 0) as public_comments,
        coalesce(comments.internal_notes, 0) as internal_notes,
        coalesce(comments.agent_replies, 0) as agent_replies,
        coalesce(comments.agent_public_comments, 0) as agent_public_comments,
        coalesce(comments.handoffs, 0) as handoffs,
        -- The ticket itself tells the latest score; the audits tell when and what came before.
        case
            when tickets.satisfaction_score like 'good%' then 'good'
            when tickets.satisfaction_score like 'bad%' then 'bad'
            else ratings.satisfaction
        end as satisfaction,
        coalesce(ratings.rated_at, rating_rows.rated_at) as last_rated_at,
        ratings.first_satisfaction,
        coalesce(ratings.good_to_bad, 0) as good_to_bad,
        coalesce(ratings.bad_to_good, 0) as bad_to_good,
        offers.ticket_id is not null
        or coalesce(tickets.satisfaction_score, 'unoffered') <> 'unoffered' as is_rating_offered

    from tickets
    left join solves using (ticket_id)
    left join stretches using (ticket_id)
    left join assignees using (ticket_id)
    left join groups using (ticket_id)
    left join ratings using (ticket_id)
    left join rating_rows using (ticket_id)
    left join offers using (ticket_id)
    left join comments using (ticket_id)

)

select
    ticket_id,

    -- people and places
    requester_id,
    submitter_id,
    assignee_id,
    organization_id,
    group_id,
    brand_id,
    form_id,
    problem_id,
    first_assignee_id,
    first_group_id,

    -- text
    subject,
    status,
    priority,
    type,
    channel,
    product,
    reason,
    tags,
    satisfaction,
    coalesce(first_satisfaction, satisfaction) as first_satisfaction,

    -- flags
    is_deleted,
    is_open,
    is_solved,
    is_solved and agent_public_comments = 1 as is_one_touch,
    resolutions > 1 as is_reopened,
    transfers > 0 as is_escalated,
    first_reply_at is not null as is_replied,
    assignee_id is not null as is_assigned,
    is_rating_offered,

    -- counts
    cardinality(tags) as tag_count,
    resolutions,
    greatest(resolutions - 1, 0) as reopens,
    comments,
    public_comments,
    internal_notes,
    agent_replies,
    agent_public_comments,
    handoffs,
    assignee_stations,
    group_stations,
    transfers,
    good_to_bad,
    bad_to_good,

    -- lengths
    {{ minutes_between('created_at', 'first_reply_at') }} as first_reply_minutes,
    {{ minutes_between('created_at', 'first_solved_at') }} as first_resolution_minutes,
    {{ minutes_between('created_at', 'solved_at') }} as full_resolution_minutes,
    requester_wait_minutes,
    agent_wait_minutes,
    agent_work_minutes,
    on_hold_minutes,

    -- times
    created_at,
    changed_at,
    first_assigned_at,
    first_reply_at,
    first_solved_at,
    solved_at,
    closed_at,
    status_since,
    case when satisfaction is not null then coalesce(last_rated_at, changed_at) end as rated_at

from joined
