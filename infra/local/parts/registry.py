"""Every part of the stack, in the order in which people read them."""

from infra.local.errors import StackError
from infra.local.parts.api import Api
from infra.local.parts.dagster import DagsterCode, DagsterDaemon, DagsterWebserver
from infra.local.parts.desk import DemoDesk
from infra.local.parts.kafka import Kafka
from infra.local.parts.milvus import Milvus
from infra.local.parts.models import Models
from infra.local.parts.neo4j import Neo4j
from infra.local.parts.part import Part
from infra.local.parts.postgres import Postgres
from infra.local.parts.valkey import Valkey

STORES: tuple[Part, ...] = (Postgres(), Valkey(), Kafka(), Neo4j(), Milvus(), Models())
PARTS: tuple[Part, ...] = (*STORES, DagsterCode(), DagsterWebserver(), DagsterDaemon(), Api(), DemoDesk())


def chosen(only: str | None) -> tuple[Part, ...]:
    """The parts that `--only` names: `stores`, or names with commas between; all of them without it."""
    if only is None:
        return PARTS
    if only == "stores":
        return STORES
    names = {name.strip() for name in only.split(",") if name.strip()}
    known = {part.name: part for part in PARTS}
    if unknown := sorted(names - set(known)):
        raise StackError(f"no such part: {', '.join(unknown)}; there are stores and {', '.join(known)}")
    if not names:
        raise StackError(f"no part named; there are stores and {', '.join(known)}")
    needed = set(names)
    while more := {name for part in names for name in known[part].after} - needed:
        needed |= more
        names = more
    return tuple(part for part in PARTS if part.name in needed)
