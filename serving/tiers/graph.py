"""Graph: how tickets hang together, read by fixed Cypher statements whose every value is a parameter."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Literal, LiteralString

from psycopg_pool import ConnectionPool

from assets.catalog import DatasetVersion, current
from assets.stores.neo4j import Neo4j, Neo4jError, Neo4jTimeoutError
from serving.errors import DeadlineExceeded, Invalid, NotFound, StoreUnavailable
from serving.planning.plan import Filter, GraphPlan
from serving.tiers.ticket_filter import ticket_ids

DATASET = "neo4j.ticket_graph"
_NO_LIMIT = 2**31

_KNOWN = "match (t:Ticket {id: $ticket}) where t.created_at is not null return t.id as ticket_id"

# Conditions that every listing shares; a parameter that is null leaves its side open. Deleted tickets count nowhere.
_WITHIN: LiteralString = (
    "coalesce(t.status, '') <> 'deleted' and ($ids is null or t.id in $ids)"
    " and ($from is null or t.created_at >= $from)"
    " and ($to is null or t.created_at < $to)"
)
_SEEN: LiteralString = "($allowed is null or o.id in $allowed) and o.created_at is not null"

# Both directions of each relation; its name says what the other ticket is to the one asked about.
_RELATED: LiteralString = f"""
match (t:Ticket {{id: $ticket}})
call (t) {{
    match (t)-[:INCIDENT_OF]->(o:Ticket) return o, 'problem' as relation, null as score
    union match (t)<-[:INCIDENT_OF]-(o:Ticket) return o, 'incident' as relation, null as score
    union match (t)-[:INCIDENT_OF]->(:Ticket)<-[:INCIDENT_OF]-(o:Ticket)
        return o, 'same_problem' as relation, null as score
    union match (t)-[:FOLLOWUP_OF]->(o:Ticket) return o, 'follows_up' as relation, null as score
    union match (t)<-[:FOLLOWUP_OF]-(o:Ticket) return o, 'follow_up' as relation, null as score
    union match (t)-[:MERGED_INTO]->(o:Ticket) return o, 'merged_into' as relation, null as score
    union match (t)<-[:MERGED_INTO]-(o:Ticket) return o, 'merged_from' as relation, null as score
    union match (t)-[r:SAME_REQUESTER_WITHIN]-(o:Ticket)
        return o, 'same_requester' as relation, null as score
    union match (t)-[r:SIMILAR]-(o:Ticket) return o, 'similar' as relation, max(r.score) as score
}}
with o, relation, score, case relation when 'problem' then 0 when 'merged_into' then 1 when 'follows_up' then 2
    when 'merged_from' then 3 when 'follow_up' then 4 when 'incident' then 5 when 'same_requester' then 6
    when 'similar' then 7 else 8 end as rank
where o.id <> $ticket and {_SEEN}
with o, relation, score, rank order by rank
with o, collect({{relation: relation, score: score, rank: rank}})[0] as closest
return o.id as ticket_id, closest.relation as relation, o.subject as subject, o.status as status,
    o.created_at as created_at, closest.score as score
order by closest.rank, score desc, created_at desc, ticket_id
limit $limit
"""
_INCIDENTS: LiteralString = f"""
match (o:Ticket)<-[:INCIDENT_OF]-(t:Ticket)
where {_WITHIN} and {_SEEN} and t.created_at is not null and ($ticket is null or o.id = $ticket)
return t.id as ticket_id, o.id as problem_id, t.subject as subject, t.status as status, t.created_at as created_at
order by t.created_at desc, t.id limit $limit
"""
_PROBLEMS: LiteralString = f"""
match (o:Ticket)<-[:INCIDENT_OF]-(t:Ticket)
where {_WITHIN} and {_SEEN} and t.created_at is not null
    and ($ticket is null or o.id = $ticket or exists {{ (:Ticket {{id: $ticket}})-[:INCIDENT_OF]->(o) }})
with o, count(t) as incidents, min(t.created_at) as first_at, max(t.created_at) as last_at
return o.id as ticket_id, incidents, o.subject as subject, o.status as status, first_at, last_at
order by incidents desc, o.id limit $limit
"""
_MERGED: LiteralString = f"""
match (t:Ticket)-[:MERGED_INTO]->(o:Ticket)
where {_WITHIN} and {_SEEN} and t.created_at is not null and ($ticket is null or $ticket in [t.id, o.id])
return t.id as ticket_id, o.id as merged_into, t.subject as subject, t.status as status, t.created_at as created_at
order by t.created_at desc, t.id limit $limit
"""
_FOLLOW_UPS: LiteralString = f"""
match (t:Ticket)-[:FOLLOWUP_OF]->(o:Ticket)
where {_WITHIN} and {_SEEN} and t.created_at is not null and ($ticket is null or $ticket in [t.id, o.id])
return t.id as ticket_id, o.id as follows_up, t.subject as subject, t.status as status, t.created_at as created_at
order by t.created_at desc, t.id limit $limit
"""
_REPEAT_CONTACTS: LiteralString = f"""
match (t:Ticket)-[r:SAME_REQUESTER_WITHIN]->(o:Ticket)
where {_WITHIN} and {_SEEN} and ($ticket is null or $ticket in [t.id, o.id])
match (u:User)-[:REQUESTED]->(t)
with u, count(r) as repeats, collect(distinct t.id) + collect(distinct o.id) as ids, min(r.days) as shortest_days,
    max(t.created_at) as last_at
unwind ids as id
with u, repeats, shortest_days, last_at, collect(distinct id) as ids
return u.id as requester_id, u.name as requester, repeats, shortest_days, last_at, ids as ticket_ids
order by repeats desc, u.id limit $limit
"""
_ESCALATIONS: LiteralString = f"""
match (a:Group)-[r:ESCALATED]->(b:Group)
match (t:Ticket {{id: r.ticket_id}})
where {_WITHIN} and t.created_at is not null
with a, b, count(r) as moves, collect(distinct t.id) as ids
return a.name as from_group, b.name as to_group, moves, size(ids) as tickets, ids[..50] as ticket_ids
order by moves desc, from_group, to_group limit $limit
"""
_ESCALATION_PATH: LiteralString = f"""
match (a:Group)-[r:ESCALATED {{ticket_id: $ticket}}]->(b:Group)
match (t:Ticket {{id: $ticket}}) where {_WITHIN}
return t.id as ticket_id, a.name as from_group, b.name as to_group, r.at as at
order by r.at, r.step limit $limit
"""


@dataclass(frozen=True, slots=True)
class Column:
    """One column of a graph answer."""

    name: str
    type: Literal["text", "number", "time", "list"]
    role: Literal["dimension", "metric", "id"]
    unit: str | None = None


_COLUMNS = {
    column.name: column
    for column in (
        Column("ticket_id", "number", "id"),
        Column("relation", "text", "dimension"),
        Column("subject", "text", "dimension"),
        Column("status", "text", "dimension"),
        Column("created_at", "time", "dimension"),
        Column("score", "number", "metric"),
        Column("problem_id", "number", "id"),
        Column("incidents", "number", "metric", "tickets"),
        Column("first_at", "time", "dimension"),
        Column("last_at", "time", "dimension"),
        Column("merged_into", "number", "id"),
        Column("follows_up", "number", "id"),
        Column("requester_id", "number", "id"),
        Column("requester", "text", "dimension"),
        Column("repeats", "number", "metric", "tickets"),
        Column("shortest_days", "number", "metric", "days"),
        Column("ticket_ids", "list", "id"),
        Column("from_group", "text", "dimension"),
        Column("to_group", "text", "dimension"),
        Column("moves", "number", "metric"),
        Column("tickets", "number", "metric", "tickets"),
        Column("at", "time", "dimension"),
    )
}
_SHAPES: dict[str, tuple[LiteralString, tuple[str, ...]]] = {
    "related": (_RELATED, ("ticket_id", "relation", "subject", "status", "created_at", "score")),
    "incidents": (_INCIDENTS, ("ticket_id", "problem_id", "subject", "status", "created_at")),
    "problems": (_PROBLEMS, ("ticket_id", "incidents", "subject", "status", "first_at", "last_at")),
    "merged": (_MERGED, ("ticket_id", "merged_into", "subject", "status", "created_at")),
    "follow_ups": (_FOLLOW_UPS, ("ticket_id", "follows_up", "subject", "status", "created_at")),
    "repeat_contacts": (
        _REPEAT_CONTACTS,
        ("requester_id", "requester", "repeats", "shortest_days", "last_at", "ticket_ids"),
    ),
    "escalations": (_ESCALATIONS, ("from_group", "to_group", "moves", "tickets", "ticket_ids")),
    "escalation_path": (_ESCALATION_PATH, ("ticket_id", "from_group", "to_group", "at")),
}


@dataclass(frozen=True, slots=True)
class GraphResult:
    """Rows of a graph question with the statement that gave them."""

    columns: tuple[Column, ...]
    rows: tuple[tuple[Any, ...], ...]
    """Values in column order; times are aware datetimes."""
    truncated: bool
    """There are more rows than the plan's limit."""
    total: int
    """Rows there are, also those beyond the limit."""
    ticket_ids: tuple[int, ...]
    """Tickets of the rows, each once, in their order."""
    cypher: str
    """The statement as run; its values went as parameters."""
    parameters: dict[str, Any]
    """Those that the plan set; ids of filters are counted, not listed."""
    dataset: DatasetVersion
    """The version of `neo4j.ticket_graph` that was read."""


@dataclass(frozen=True, slots=True)
class Related:
    """A ticket that hangs together with the one asked about."""

    ticket_id: int
    relation: str
    """The closest thing that it is to the one asked about: problem, incident, same_problem, follows_up, follow_up,
    merged_into, merged_from, same_requester, similar."""
    subject: str | None
    status: str | None
    created_at: datetime
    score: float | None = field(default=None)
    """Cosine of a similar ticket, else None."""


class Graph:
    """Reads the ticket graph; safe to share between threads."""

    def __init__(self, questions: ConnectionPool, neo4j: Neo4j) -> None:
        """`questions` is a pool of the login that may read the marts and the catalogue."""
        self._questions = questions
        self._neo4j = neo4j

    def run(self, plan: GraphPlan, *, rows: Sequence[Filter] = (), timeout: float = 10.0) -> GraphResult:
        """Answer a graph plan.

        `rows` are the asker's own limits: both ends of a relation have to meet them, the plan's filters only the
        tickets listed. Raises Invalid for a plan that needs a ticket and names none, NotFound for a ticket that is
        not in the graph or not the asker's, StoreUnavailable where no graph was built yet or Neo4j is away.
        """
        if plan.relation == "related" and plan.ticket_id is None:
            raise Invalid("related tickets of which one: name a ticket number")
        with self._questions.connection() as connection:
            dataset = current(connection).datasets.get(DATASET)
            if dataset is None:
                raise StoreUnavailable("no ticket graph is built yet: run `switchdesk build graph`")
            allowed = ticket_ids(connection, rows)
            ids = ticket_ids(connection, (*plan.filters, *rows))
        name = plan.relation
        if name == "escalations" and plan.ticket_id is not None:
            name = "escalation_path"
        if name == "related":
            allowed = ids
        statement, columns = _SHAPES[name]
        parameters = {
            "ticket": plan.ticket_id,
            "ids": ids,
            "allowed": allowed,
            "from": plan.time.from_,
            "to": plan.time.to,
            "limit": plan.limit + 1,
        }
        try:
            if plan.ticket_id is not None:
                self._require(plan.ticket_id, rows, timeout)
            found = self._neo4j.read(statement, parameters, timeout=timeout)
            total = len(found)
            if total > plan.limit:
                unlimited = {**parameters, "limit": _NO_LIMIT}
                total = int(self._neo4j.read(_counted(statement), unlimited, timeout=timeout)[0]["total"])
        except Neo4jTimeoutError as error:
            raise DeadlineExceeded(str(error)) from None
        except Neo4jError as error:
            raise StoreUnavailable(str(error)) from None
        kept = found[: plan.limit]
        return GraphResult(
            columns=tuple(_COLUMNS[column] for column in columns),
            rows=tuple(tuple(row[column] for column in columns) for row in kept),
            truncated=len(found) > plan.limit,
            total=total,
            ticket_ids=_tickets(kept),
            cypher=_one_line(statement),
            parameters={
                name: value if not isinstance(value, list) else f"{len(value)} ids"
                for name, value in parameters.items()
                if value is not None
            },
            dataset=dataset,
        )

    def related(
        self, ticket_id: int, *, rows: Sequence[Filter] = (), limit: int = 20, timeout: float = 10.0
    ) -> tuple[Related, ...]:
        """Tickets that hang together with this one, the closest relation first; raises what `run` raises."""
        plan = GraphPlan(relation="related", ticket_id=ticket_id, limit=limit)
        return tuple(Related(*row) for row in self.run(plan, rows=rows, timeout=timeout).rows)

    def _require(self, ticket_id: int, rows: Sequence[Filter], timeout: float) -> None:
        with self._questions.connection() as connection:
            mine = ticket_ids(connection, rows)
        known = self._neo4j.read(_KNOWN, {"ticket": ticket_id}, timeout=timeout)
        if not known or (mine is not None and ticket_id not in mine):
            raise NotFound(f"ticket unknown: {ticket_id} is not in the graph; was it copied and the graph built since?")


def _tickets(rows: Sequence[dict[str, Any]]) -> tuple[int, ...]:
    named: dict[int, None] = {}
    for row in rows:
        for column in ("ticket_id", "problem_id", "merged_into", "follows_up"):
            if row.get(column) is not None:
                named[int(row[column])] = None
        named.update(dict.fromkeys(int(ticket) for ticket in row.get("ticket_ids") or ()))
    return tuple(named)


def _counted(statement: LiteralString) -> LiteralString:
    return "call () {\n" + statement + "\n}\nreturn count(*) as total"


def _one_line(statement: str) -> str:
    return " ".join(statement.split())
