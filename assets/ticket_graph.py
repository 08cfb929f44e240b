"""The ticket graph's builder: keeps Neo4j equal to the copy in PostgreSQL, ticket by changed ticket.

A ticket's edges are merged with the stamp of this build and those without it removed after, so a reader never meets a
ticket that has lost its edges, and a build that dies half-way is simply repeated. Edges have one writer, as two that
share a node would deadlock.
"""

from __future__ import annotations

import logging
import uuid
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from typing import Any, LiteralString, cast

import orjson
import psycopg
from psycopg.rows import class_row, dict_row

from assets import catalog
from assets.graph import (
    Contact,
    Edge,
    GroupChange,
    Label,
    Node,
    Participation,
    Relation,
    Ticket,
    mutual,
    repeat_contacts,
    ticket_edges,
    ticket_node,
)
from assets.settings import SwitchdeskError
from assets.stores.milvus import Milvus, Where
from assets.stores.neo4j import Neo4j
from assets.stores.postgres import BuildLock

logger = logging.getLogger(__name__)

DATASET = "neo4j.ticket_graph"
EMBEDDINGS = "milvus.comment_embeddings"

_SIMILAR_WATERMARK = "neo4j.ticket_graph/similar"
_SOURCES = ("zendesk.tickets", "zendesk.ticket_events", "zendesk.ticket_comments")
_PAGE = 1_000
"""Tickets a page at most, where the loads allow."""
_NEIGHBOURS = 5
_LEAST_SCORE = 0.7
_SEARCHES = 200
"""Query vectors a call to Milvus."""

_OWN_RELATIONS = tuple(
    relation
    for relation in Relation
    if relation not in {Relation.SIMILAR, Relation.SAME_REQUESTER_WITHIN, Relation.ESCALATED, Relation.MEMBER_OF}
)
"""Edges that hang on the ticket that owns them and come from its own rows."""


class TicketGraphError(SwitchdeskError):
    """The graph cannot be built."""


@dataclass(slots=True)
class Report:
    """What a build did."""

    tickets: int = 0
    """Tickets written."""
    similar: int = 0
    """Tickets whose neighbours were looked up."""
    nodes: dict[str, int] = field(default_factory=dict)
    """Nodes in the graph by label, at the end."""
    relationships: dict[str, int] = field(default_factory=dict)
    """Edges in the graph by kind, at the end."""
    unknown_tickets: int = 0
    """Tickets that others refer to and that the copy does not hold."""
    missing_tickets: int = 0
    """Tickets of the copy that the graph does not hold."""
    version: int = 0
    """Of the dataset, as published."""

    def facts(self) -> dict[str, Any]:
        """Figures that catalogue and Dagster show alike."""
        return {
            "graph_nodes": sum(self.nodes.values()),
            "graph_relationships": sum(self.relationships.values()),
            "nodes": self.nodes,
            "relationships": self.relationships,
            "tickets_written": self.tickets,
            "unknown_tickets": self.unknown_tickets,
        }


class TicketGraph:
    """Builds over open clients; `progress` is called after each page with the number of tickets written."""

    def __init__(
        self,
        connection: psycopg.Connection[Any],
        neo4j: Neo4j,
        milvus: Milvus,
        *,
        progress: Callable[[int], None] = lambda done: None,
    ) -> None:
        """`connection` is the owner's and in autocommit: each page is a transaction of its own."""
        if not connection.autocommit:
            raise TicketGraphError("ticket graph needs a connection in autocommit: open it with autocommit=True")
        self._connection = connection
        self._neo4j = neo4j
        self._milvus = milvus
        self._progress = progress
        self._months: Counter[str] = Counter()
        """Months of the tickets that were written."""

    def update(self, build_id: str = "") -> Report:
        """Bring what changed since the last build into the graph, and publish."""
        report = Report()
        with self._alone():
            self._constrain()
            as_of = self._as_of()
            end = self._last_load()
            erasures = self._erasures()
            watermark = self._watermark(DATASET)
            self._write_others(0 if self._is_empty() else watermark)
            if watermark == 0 or self._is_empty():
                self._write_all(end, report)
            else:
                while watermark < end:
                    watermark, before = self._page_end(watermark, end), watermark
                    self._write(self._changed(before, watermark), report)
                    self._store_watermark(DATASET, watermark)
            self._write({ticket for _, ticket in erasures}, report)
            self._write_similar(report)
            with self._connection.transaction():
                self._connection.execute(
                    "update ops.erasures set neo4j_at = now() where id = any(%s)", ([row[0] for row in erasures],)
                )
                self._publish(report, as_of, build_id)
        return report

    def rebuild_days(self, first: date, last: date, build_id: str = "") -> Report:
        """Write the tickets created in these UTC days (both included) anew; nothing else moves, nor the watermark."""
        start = datetime(first.year, first.month, first.day, tzinfo=UTC)
        stop = datetime(last.year, last.month, last.day, tzinfo=UTC) + timedelta(days=1)
        report = Report()
        with self._alone():
            self._constrain()
            as_of = self._as_of()
            ids = self._ids(
                "select id from zendesk.tickets where created_at >= %(start)s and created_at < %(stop)s",
                {"start": start, "stop": stop},
            )
            for part in _parts(sorted(ids), _PAGE):
                self._write(part, report)
                self._relate_similar(part, report)
            with self._connection.transaction():
                self._publish(report, as_of, build_id)
        return report

    def scrubbed_with_text(self) -> int:
        """Scrubbed tickets of the copy whose node still has text."""
        ids = self._ids("select id from zendesk.tickets where status = 'deleted' and subject = 'SCRUBBED'", {})
        rows = self._neo4j.read(
            "match (t:Ticket) where t.id in $ids and t.subject is not null return count(t) as n",
            {"ids": sorted(ids)},
            timeout=60,
        )
        return int(rows[0]["n"])

    def _write_all(self, end: int, report: Report) -> None:
        """Write every ticket by number, going on where an earlier build stopped."""
        begun = self._facts(DATASET).get("full")
        last, end = (int(begun["after"]), int(begun["end"])) if begun and not self._is_empty() else (0, end)
        while ids := self._ids(
            "select id from zendesk.tickets where id > %(last)s order by id limit %(page)s",
            {"last": last, "page": _PAGE},
        ):
            self._write(ids, report)
            last = max(ids)
            self._store_watermark(DATASET, 0, {"full": {"after": last, "end": end}})
        self._store_watermark(DATASET, end)

    def _write(self, ids: Iterable[int], report: Report) -> None:
        """Write these tickets with all that hangs on them."""
        wanted = set(ids)
        if not wanted:
            return
        # Merges and follow-ups are told by either side: the other side's word counts too.
        wanted |= self._linked(wanted)
        tickets = self._tickets(sorted(wanted))
        stamp = uuid.uuid4().hex
        requesters = {ticket.requester_id for ticket in tickets if ticket.requester_id is not None}
        requesters |= self._former_requesters(wanted)
        self._write_nodes([ticket_node(ticket) for ticket in tickets])
        self._write_edges([edge for ticket in tickets for edge in ticket_edges(ticket)], stamp)
        contacts = self._contacts(requesters)
        self._write_edges(repeat_contacts(contacts), stamp)
        self._sweep(wanted, {contact.ticket_id for contact in contacts} | wanted, stamp)
        for ticket in tickets:
            if ticket.created_at is not None:
                self._months[f"{ticket.created_at:%Y-%m}"] += 1
        report.tickets += len(tickets)
        self._progress(report.tickets)

    def _sweep(self, tickets: set[int], in_chains: set[int], stamp: str) -> None:
        """Remove edges that these tickets had and this build did not find again."""
        own = "|".join(_OWN_RELATIONS)
        self._neo4j.write(
            cast(
                LiteralString,
                f"unwind $rows as row match (t:Ticket {{id: row.id}})-[r:{own}]-()"
                " where r.owner = row.id and r.stamp <> row.stamp delete r",
            ),
            [{"id": ticket, "stamp": stamp} for ticket in sorted(tickets)],
        )
        self._neo4j.write(
            "unwind $rows as row match ()-[r:ESCALATED {ticket_id: row.id}]->() where r.stamp <> row.stamp delete r",
            [{"id": ticket, "stamp": stamp} for ticket in sorted(tickets)],
        )
        self._neo4j.write(
            "unwind $rows as row match (t:Ticket {id: row.id})-[r:SAME_REQUESTER_WITHIN]->()"
            " where r.stamp <> row.stamp delete r",
            [{"id": ticket, "stamp": stamp} for ticket in sorted(in_chains)],
        )

    def _write_nodes(self, nodes: Iterable[Node]) -> None:
        by_label: dict[Label, list[dict[str, Any]]] = defaultdict(list)
        for node in nodes:
            by_label[node.label].append({"id": node.id, "properties": {"id": node.id, **node.properties}})
        for label, rows in by_label.items():
            statement = f"unwind $rows as row merge (n:{label} {{id: row.id}}) set n = row.properties"
            self._neo4j.write(cast(LiteralString, statement), rows)

    def _write_edges(self, edges: Iterable[Edge], stamp: str) -> None:
        """Merge edges; an end that is not known yet becomes a node with nothing but its id."""
        by_kind: dict[tuple[Relation, Label, Label], list[dict[str, Any]]] = defaultdict(list)
        for edge in edges:
            by_kind[edge.relation, edge.start[0], edge.end[0]].append(
                {
                    "start": edge.start[1],
                    "end": edge.end[1],
                    "key": edge.properties.get("step", 0),
                    "owner": edge.owner,
                    "properties": {**edge.properties, "owner": edge.owner, "source": edge.source, "stamp": stamp},
                }
            )
        for (relation, start, end), rows in by_kind.items():
            key = " {ticket_id: row.owner, step: row.key}" if relation is Relation.ESCALATED else ""
            statement = (
                f"unwind $rows as row merge (a:{start} {{id: row.start}}) merge (b:{end} {{id: row.end}})"
                f" merge (a)-[r:{relation}{key}]->(b) set r = row.properties"
            )
            self._neo4j.write(cast(LiteralString, statement), rows)

    def _write_others(self, after: int) -> None:
        """People, organizations, groups and brands that changed, and who belongs to which."""
        stamp = uuid.uuid4().hex
        people = self._rows(
            "select id, name, role, organization_id, is_active from zendesk.users where load_seq > %(after)s",
            {"after": after},
        )
        self._write_nodes(
            Node(Label.USER, row["id"], _present(name=row["name"], role=row["role"], is_active=row["is_active"]))
            for row in people
        )
        for label, table in ((Label.ORGANIZATION, "organizations"), (Label.GROUP, "groups"), (Label.BRAND, "brands")):
            named = self._rows(
                cast(LiteralString, f"select id, name from zendesk.{table} where load_seq > %(after)s"),
                {"after": after},
            )
            self._write_nodes(Node(label, row["id"], _present(name=row["name"])) for row in named)
        self._write_edges(
            (
                Edge(
                    Relation.MEMBER_OF,
                    (Label.USER, row["id"]),
                    (Label.ORGANIZATION, row["organization_id"]),
                    row["id"],
                    "zendesk.users",
                )
                for row in people
                if row["organization_id"] is not None
            ),
            stamp,
        )
        self._neo4j.write(
            "unwind $rows as row match (u:User {id: row.id})-[r:MEMBER_OF]->(:Organization)"
            " where r.stamp <> row.stamp delete r",
            [{"id": row["id"], "stamp": stamp} for row in people],
        )
        # A membership that ended is a row that is gone, so the few there are get compared as a whole.
        members = self._rows("select user_id, group_id from zendesk.group_memberships where group_id is not null", {})
        self._write_edges(
            (
                Edge(
                    Relation.MEMBER_OF,
                    (Label.USER, row["user_id"]),
                    (Label.GROUP, row["group_id"]),
                    row["user_id"],
                    "zendesk.group_memberships",
                )
                for row in members
                if row["user_id"] is not None
            ),
            stamp,
        )
        self._neo4j.run(
            "match (:User)-[r:MEMBER_OF]->(:Group) where r.stamp <> $stamp delete r",
            stamp=stamp,
        )

    def _write_similar(self, report: Report) -> None:
        """Look up the neighbours of tickets whose comments were embedded since the last time."""
        row = self._connection.execute(
            "select load_seq from ops.watermarks where dataset = %s", (EMBEDDINGS,)
        ).fetchone()
        end = int(row[0]) if row else 0
        watermark = self._watermark(_SIMILAR_WATERMARK)
        if self._collection() is None or end <= watermark:
            return
        ids = self._ids(
            "select distinct ticket_id from zendesk.ticket_comments where load_seq > %(after)s and load_seq <= %(upto)s"
            " union select id from zendesk.tickets where load_seq > %(after)s and load_seq <= %(upto)s",
            {"after": watermark, "upto": end},
        )
        for part in _parts(sorted(ids), _PAGE):
            self._relate_similar(part, report)
        self._store_watermark(_SIMILAR_WATERMARK, end)

    def _relate_similar(self, tickets: Sequence[int], report: Report) -> None:
        """Rewrite the SIMILAR edges of these tickets: mutual neighbours by their opening comments."""
        named = self._collection()
        if named is None:
            return
        collection, model_id = named
        neighbours = self._neighbours(collection, tickets)
        others = {other for found in neighbours.values() for other, _ in found} - set(neighbours)
        neighbours |= self._neighbours(collection, sorted(others))
        stamp = uuid.uuid4().hex
        self._write_edges(
            (
                Edge(
                    Relation.SIMILAR,
                    (Label.TICKET, low),
                    (Label.TICKET, high),
                    low,
                    EMBEDDINGS,
                    {"score": round(score, 4), "model_id": model_id},
                )
                for low, high, score in mutual(neighbours, tickets)
            ),
            stamp,
        )
        self._neo4j.write(
            "unwind $rows as row match (t:Ticket {id: row.id})-[r:SIMILAR]-() where r.stamp <> row.stamp delete r",
            [{"id": ticket, "stamp": stamp} for ticket in tickets],
        )
        report.similar += len(tickets)

    def _neighbours(self, collection: str, tickets: Sequence[int]) -> dict[int, list[tuple[int, float]]]:
        """For each ticket the tickets nearest to its opening comment, best first, with their cosine."""
        openings = self._ids(
            """
            select distinct on (ticket_id) c.id
            from zendesk.ticket_comments c join zendesk.tickets t on t.id = c.ticket_id
            where c.ticket_id = any(%(ids)s) and c.is_public and t.status is distinct from 'deleted'
            order by c.ticket_id, c.created_at, c.id
            """,
            {"ids": list(tickets)},
        )
        rows, vectors = self._milvus.vectors_of(collection, Where(comment_ids=sorted(openings)))
        first = [place for place, row in enumerate(rows) if row.chunk == 0]
        customers = Where(is_public=True, author_role="end_user")
        found: dict[int, list[tuple[int, float]]] = {}
        for part in _parts(first, _SEARCHES):
            matches = self._milvus.search(
                collection, vectors[list(part)], limit=4 * _NEIGHBOURS, where=customers, strong=True
            )
            for place, hits in zip(part, matches, strict=True):
                ticket = rows[place].ticket_id
                nearest: dict[int, float] = {}
                for hit in hits:
                    if hit.row.ticket_id != ticket and hit.score >= _LEAST_SCORE:
                        nearest.setdefault(hit.row.ticket_id, hit.score)
                found[ticket] = list(nearest.items())[:_NEIGHBOURS]
        return found

    def _collection(self) -> tuple[str, str] | None:
        published = catalog.current(self._connection).datasets.get(EMBEDDINGS)
        if published is None or "collection" not in published.facts:
            return None
        return str(published.facts["collection"]), str(published.facts["model_id"])

    def _tickets(self, ids: Sequence[int]) -> list[Ticket]:
        parameters = {"ids": list(ids)}
        participations: dict[int, list[Participation]] = defaultdict(list)
        for row in self._rows(
            """
            select ticket_id, author_id, count(*) as comments, count(*) filter (where is_public) as public,
                min(created_at) as first_at, max(created_at) as last_at
            from zendesk.ticket_comments where ticket_id = any(%(ids)s) and author_id is not null
            group by ticket_id, author_id
            """,
            parameters,
        ):
            participations[row.pop("ticket_id")].append(Participation(**row))
        changes: dict[int, list[GroupChange]] = defaultdict(list)
        for row in self._rows(
            """
            select e.ticket_id, e.created_at, c.child ->> 'group_id' as group_id
            from zendesk.ticket_events e
            cross join jsonb_array_elements(e.payload -> 'child_events') with ordinality as c (child, place)
            where e.ticket_id = any(%(ids)s) and jsonb_typeof(e.payload -> 'child_events') = 'array'
                and c.child ? 'group_id' and c.child ->> 'event_type' in ('Create', 'Change')
            order by e.created_at, e.id, c.place
            """,
            parameters,
        ):
            changes[row["ticket_id"]].append(GroupChange(_number(row["group_id"]), row["created_at"]))
        merged_from: dict[int, list[int]] = defaultdict(list)
        closing: dict[int, list[str]] = defaultdict(list)
        for row in self._rows(
            """
            select c.ticket_id, c.payload #>> '{via,source,from,ticket_id}' as origin,
                c.payload #>> '{via,source,rel}' as rel, left(c.body, 200) as body
            from zendesk.ticket_comments c join zendesk.tickets t on t.id = c.ticket_id
            where c.ticket_id = any(%(ids)s)
                and (c.payload #>> '{via,source,rel}' = 'merge' or t.payload -> 'tags' ? 'closed_by_merge')
            order by c.created_at, c.id
            """,
            parameters,
        ):
            origin = _number(row["origin"])
            if row["rel"] == "merge" and origin is not None:
                merged_from[row["ticket_id"]].append(origin)
            else:
                closing[row["ticket_id"]].append(row["body"])
        tickets = self._rows(
            """
            select id, subject, status, priority, type, payload #>> '{via,channel}' as channel, created_at, updated_at,
                requester_id, assignee_id, organization_id, group_id, brand_id, problem_id,
                case when jsonb_typeof(payload -> 'tags') = 'array' then payload -> 'tags' else '[]' end as tags,
                case when payload #>> '{via,source,rel}' = 'follow_up'
                     then payload #>> '{via,source,from,ticket_id}' end as follows_up,
                case when jsonb_typeof(payload -> 'followup_ids') = 'array'
                     then payload -> 'followup_ids' else '[]' end as followup_ids,
                status = 'deleted' and subject = 'SCRUBBED' as is_scrubbed
            from zendesk.tickets where id = any(%(ids)s)
            """,
            parameters,
        )
        return [
            Ticket(
                **{
                    **row,
                    "tags": [str(tag) for tag in row["tags"]],
                    "follows_up": _number(row["follows_up"]),
                    "followup_ids": [each for other in row["followup_ids"] if (each := _number(other)) is not None],
                    "is_scrubbed": bool(row["is_scrubbed"]),
                },
                participations=participations[row["id"]],
                group_changes=changes[row["id"]],
                merged_from=merged_from[row["id"]],
                closing_texts=closing[row["id"]],
            )
            for row in tickets
        ]

    def _contacts(self, requesters: set[int]) -> list[Contact]:
        """All tickets of these people that still are."""
        with self._connection.cursor(row_factory=class_row(Contact)) as cursor:
            return cursor.execute(
                """
                select id as ticket_id, requester_id, created_at from zendesk.tickets
                where requester_id = any(%s) and created_at is not null and status is distinct from 'deleted'
                """,
                (list(requesters),),
            ).fetchall()

    def _linked(self, tickets: set[int]) -> set[int]:
        rows = self._neo4j.read(
            "match (t:Ticket)-[:MERGED_INTO|FOLLOWUP_OF]-(o:Ticket) where t.id in $ids return distinct o.id as id",
            {"ids": sorted(tickets)},
            timeout=60,
        )
        return {int(row["id"]) for row in rows}

    def _former_requesters(self, tickets: set[int]) -> set[int]:
        rows = self._neo4j.read(
            "match (u:User)-[:REQUESTED]->(t:Ticket) where t.id in $ids return distinct u.id as id",
            {"ids": sorted(tickets)},
            timeout=60,
        )
        return {int(row["id"]) for row in rows}

    def _constrain(self) -> None:
        """Unique keys first: without them every MERGE would read all nodes of its label."""
        for label in Label:
            statement = f"create constraint {label.lower()}_id if not exists for (n:{label}) require n.id is unique"
            self._neo4j.run(cast(LiteralString, statement))
        self._neo4j.run("create index escalated_ticket if not exists for ()-[r:ESCALATED]-() on (r.ticket_id)")
        self._neo4j.run("create index ticket_created if not exists for (t:Ticket) on (t.created_at)")
        self._neo4j.run("call db.awaitIndexes(60)")

    def _publish(self, report: Report, as_of: datetime, build_id: str) -> None:
        """Count both sides and publish inside the caller's transaction."""
        for label in Label:
            report.nodes[label.value] = self._size(f"match (n:{label}) return count(n) as n")
        for relation in Relation:
            report.relationships[relation.value] = self._size(f"match ()-[r:{relation}]->() return count(r) as n")
        report.unknown_tickets = self._size("match (t:Ticket) where t.created_at is null return count(t) as n")
        row = self._connection.execute("select count(*) from zendesk.tickets where created_at is not null").fetchone()
        due = int(row[0]) if row else 0
        known = report.nodes[Label.TICKET] - report.unknown_tickets
        report.missing_tickets = max(0, due - known)
        counts = {
            name: int(count)
            for name, count in self._rows_raw(
                """
                select to_char(created_at at time zone 'UTC', 'YYYY-MM'), count(*) from zendesk.tickets
                where to_char(created_at at time zone 'UTC', 'YYYY-MM') = any(%s) group by 1
                """,
                (list(self._months),),
            )
        }
        mark = datetime.now(UTC).isoformat()
        report.version = catalog.publish(
            self._connection,
            DATASET,
            as_of=as_of,
            rows=sum(report.nodes.values()),
            facts=report.facts(),
            coverage=min(1.0, known / due) if due else 1.0,
            build_id=build_id,
            # Only months with a ticket written are named, so the moment stands for their content.
            partitions={month: (mark, counts.get(month, 0)) for month in self._months},
            changed=bool(self._months) or DATASET not in catalog.current(self._connection).datasets,
        )
        self._months.clear()

    def _size(self, statement: str) -> int:
        return int(self._neo4j.read(cast(LiteralString, statement), {}, timeout=60)[0]["n"])

    def _is_empty(self) -> bool:
        return self._size("match (t:Ticket) return count(t) as n") == 0

    @contextmanager
    def _alone(self) -> Iterator[None]:
        """One build at a time: another waits here, and finds little left to do."""
        self._connection.execute("select pg_advisory_lock(%s)", (BuildLock.TICKET_GRAPH,))
        try:
            yield
        finally:
            self._connection.execute("select pg_advisory_unlock(%s)", (BuildLock.TICKET_GRAPH,))

    def _watermark(self, dataset: str) -> int:
        row = self._connection.execute("select load_seq from ops.watermarks where dataset = %s", (dataset,)).fetchone()
        return int(row[0]) if row else 0

    def _facts(self, dataset: str) -> Mapping[str, Any]:
        row = self._connection.execute("select facts from ops.watermarks where dataset = %s", (dataset,)).fetchone()
        return row[0] if row else {}

    def _store_watermark(self, dataset: str, load_seq: int, facts: Mapping[str, Any] | None = None) -> None:
        self._connection.execute(
            """
            insert into ops.watermarks (dataset, load_seq, facts) values (%s, %s, %s)
            on conflict (dataset) do update set
                load_seq = excluded.load_seq, facts = excluded.facts, updated_at = now()
            """,
            (dataset, load_seq, orjson.dumps(dict(facts or {})).decode()),
        )

    def _as_of(self) -> datetime:
        """The moment up to which all that the graph is made of is in the copy."""
        datasets = catalog.current(self._connection).datasets
        moments = [datasets[name].as_of for name in _SOURCES if name in datasets]
        return min(moments) if moments else datetime.now(UTC)

    def _last_load(self) -> int:
        row = self._connection.execute(
            "select greatest((select max(load_seq) from zendesk.tickets), (select max(load_seq) from"
            " zendesk.ticket_events), (select max(load_seq) from zendesk.ticket_comments), 0)"
        ).fetchone()
        assert row is not None
        return int(row[0])

    def _page_end(self, after: int, end: int) -> int:
        """The load that ends the next page: some changed rows of each table, and always whole loads."""
        row = self._connection.execute(
            """
            select least(%(end)s,
                (select load_seq from zendesk.tickets where load_seq > %(after)s
                 order by load_seq offset %(page)s limit 1),
                (select load_seq from zendesk.ticket_events where load_seq > %(after)s
                 order by load_seq offset %(page)s limit 1),
                (select load_seq from zendesk.ticket_comments where load_seq > %(after)s
                 order by load_seq offset %(page)s limit 1))
            """,
            {"after": after, "end": end, "page": _PAGE},
        ).fetchone()
        assert row is not None
        return int(row[0])

    def _changed(self, after: int, upto: int) -> set[int]:
        return self._ids(
            """
            select id from zendesk.tickets where load_seq > %(after)s and load_seq <= %(upto)s
            union select ticket_id from zendesk.ticket_events where load_seq > %(after)s and load_seq <= %(upto)s
            union select ticket_id from zendesk.ticket_comments where load_seq > %(after)s and load_seq <= %(upto)s
            """,
            {"after": after, "upto": upto},
        )

    def _erasures(self) -> list[tuple[int, int]]:
        return self._connection.execute(
            "select id, ticket_id from ops.erasures where neo4j_at is null order by id"
        ).fetchall()

    def _ids(self, statement: LiteralString, parameters: Mapping[str, Any]) -> set[int]:
        return {int(row[0]) for row in self._connection.execute(statement, parameters).fetchall()}

    def _rows_raw(self, statement: LiteralString, parameters: Sequence[Any]) -> list[tuple[Any, ...]]:
        return self._connection.execute(statement, parameters).fetchall()

    def _rows(self, statement: LiteralString, parameters: Mapping[str, Any]) -> list[dict[str, Any]]:
        with self._connection.cursor(row_factory=dict_row) as cursor:
            return cursor.execute(statement, parameters).fetchall()


def _present(**properties: Any) -> dict[str, Any]:
    return {name: value for name, value in properties.items() if value is not None}


def _number(value: object) -> int | None:
    """An id as Zendesk writes it, a number or its digits; None for anything else."""
    if isinstance(value, int) and not isinstance(value, bool):
        return value
    return int(value) if isinstance(value, str) and value.isascii() and value.isdigit() and len(value) < 19 else None


def _parts(values: Sequence[int], size: int) -> Iterator[Sequence[int]]:
    for start in range(0, len(values), size):
        yield values[start : start + size]
