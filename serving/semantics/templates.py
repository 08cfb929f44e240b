"""Questions that metrics cannot express, as a handful of fixed statements: ticket lists and one ticket's facts."""

from __future__ import annotations

from zoneinfo import ZoneInfo

from serving.planning.plan import TemplatePlan
from serving.semantics.catalogue import Semantics
from serving.semantics.errors import ImpossiblePlan, UnknownDimension
from serving.semantics.filters import condition
from serving.semantics.manifest import Manifest
from serving.semantics.parameters import Parameters
from serving.semantics.query import Column

TICKETS = "tickets"
"""The semantic model whose rows the templates list."""

_AGE = (
    "cast(extract(epoch from cast(current_setting('switchdesk.as_of') as timestamptz) - t.created_at) / 60"
    " as double precision)"
)

# Name, expression, type, unit, role.
_LIST = (
    ("ticket_id", "t.ticket_id", "integer", None, "id"),
    ("subject", "t.subject", "text", None, "dimension"),
    ("status", "t.status", "text", None, "dimension"),
    ("priority", "t.priority", "text", None, "dimension"),
    ("group", "support_group.name", "text", None, "dimension"),
    ("assignee", "assignee.name", "text", None, "dimension"),
    ("requester", "requester.name", "text", None, "dimension"),
    ("organization", "organization.name", "text", None, "dimension"),
    ("created_at", "t.created_at", "timestamp", None, "dimension"),
)
_AGE_COLUMN = ("age_minutes", _AGE, "number", "minutes", "metric")
_REPLIES = ("agent_replies", "t.agent_replies", "integer", "comments", "metric")
_FACTS = (
    *_LIST,
    ("solved_at", "t.solved_at", "timestamp", None, "dimension"),
    ("first_reply_at", "t.first_reply_at", "timestamp", None, "dimension"),
    ("type", "t.type", "text", None, "dimension"),
    ("problem_id", "t.problem_id", "integer", None, "id"),
    ("channel", "t.channel", "text", None, "dimension"),
    ("brand", "brand.name", "text", None, "dimension"),
    ("form", "form.name", "text", None, "dimension"),
    ("product", "t.product", "text", None, "dimension"),
    ("reason", "t.reason", "text", None, "dimension"),
    ("tags", "t.tags", "list", None, "dimension"),
    ("first_reply_minutes", "t.first_reply_minutes", "number", "minutes", "metric"),
    ("full_resolution_minutes", "t.full_resolution_minutes", "number", "minutes", "metric"),
    ("reopens", "t.reopens", "integer", "reopens", "metric"),
    ("transfers", "t.transfers", "integer", "transfers", "metric"),
    _REPLIES,
    ("comments", "t.comments", "integer", "comments", "metric"),
    ("satisfaction", "t.satisfaction", "text", None, "dimension"),
    _AGE_COLUMN,
)

_NOT_DELETED = "not t.is_deleted"
_TEMPLATES = {
    "ticket_list": (_LIST, (_NOT_DELETED,), "t.created_at desc, t.ticket_id desc"),
    "oldest_open": ((*_LIST, _AGE_COLUMN), ("t.is_open",), "t.created_at asc, t.ticket_id asc"),
    "most_replies": (
        (*_LIST, _REPLIES),
        (_NOT_DELETED, "t.agent_replies > 0"),
        "t.agent_replies desc, t.created_at desc, t.ticket_id desc",
    ),
    "ticket": (_FACTS, (), "t.ticket_id asc"),
}

_FROM = """
from analytics.fct_tickets as t
left join analytics.dim_groups as support_group on t.group_id = support_group.group_id
left join analytics.dim_users as assignee on t.assignee_id = assignee.user_id
left join analytics.dim_users as requester on t.requester_id = requester.user_id
left join analytics.dim_organizations as organization on t.organization_id = organization.organization_id
left join analytics.dim_brands as brand on t.brand_id = brand.brand_id
left join analytics.dim_forms as form on t.form_id = form.form_id
"""
_ALIASES = {
    "tickets": "t",
    "groups": "support_group",
    "assignees": "assignee",
    "requesters": "requester",
    "organizations": "organization",
    "brands": "brand",
    "forms": "form",
}


def render(
    plan: TemplatePlan, manifest: Manifest, semantics: Semantics, zone: ZoneInfo, parameters: Parameters
) -> tuple[str, tuple[Column, ...]]:
    """The statement of a template with tokens for its values; raises SemanticsError."""
    chosen, where, order = _TEMPLATES[plan.template]
    # Who asks for a status, deleted included, gets that one.
    names_status = any(wanted.dimension == "status" for wanted in plan.filters)
    conditions = [each for each in where if not (each == _NOT_DELETED and names_status)]
    if plan.template == "ticket":
        if plan.ticket_id is None:
            raise ImpossiblePlan("ticket number missing: the template `ticket` needs ticket_id")
        conditions.append(f"t.ticket_id = {parameters.name('ticket_id', plan.ticket_id)}")
    reachable = manifest.paths[TICKETS]
    for wanted in plan.filters:
        if wanted.dimension not in reachable:
            raise UnknownDimension(wanted.dimension, reachable, where=" of tickets")
        attribute = reachable[wanted.dimension][1]
        expression = f"{_ALIASES[attribute.model]}.{attribute.expression}"
        dimension = semantics.dimension(wanted.dimension)
        conditions.append(condition(expression, dimension, wanted, zone, parameters))
    time = plan.time.dimension or "created_at"
    if time not in manifest.models[TICKETS].times:
        raise UnknownDimension(time, manifest.models[TICKETS].times, where=" as a time of tickets")
    column = f"t.{manifest.models[TICKETS].times[time][0]}"
    if plan.time.from_ is not None:
        conditions.append(f"{column} >= {parameters.moment('from', plan.time.from_)}")
    if plan.time.to is not None:
        conditions.append(f"{column} < {parameters.moment('to', plan.time.to)}")
    selected = ", ".join(f'{expression} as "{name}"' for name, expression, *_ in chosen)
    filtered = f"where {' and '.join(conditions)}\n" if conditions else ""
    sql = f"select {selected}{_FROM}{filtered}order by {order}\nlimit 'swd_limit'"
    return sql, tuple(Column(name, kind, unit, role) for name, _, kind, unit, role in chosen)
