"""Neo4j: how it is opened, the keys of its nodes, batched writes and bounded reads."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any, LiteralString, cast
from urllib.parse import urlsplit

import neo4j
from neo4j.exceptions import (
    AuthError,
    ClientError,
    DriverError,
    ServiceUnavailable,
    SessionExpired,
    TransientError,
)
from neo4j.exceptions import (
    Neo4jError as ServerError,
)
from neo4j.time import Date, DateTime

from assets.settings import SwitchdeskError

_WRITE_ROWS = 5_000
_TIMEOUTS = {
    "Neo.ClientError.Transaction.TransactionTimedOut",
    "Neo.ClientError.Transaction.TransactionTimedOutClientConfiguration",
    "Neo.TransientError.Transaction.LockAcquisitionTimeout",
}


class Neo4jError(SwitchdeskError):
    """Neo4j refuses what was asked."""


class Neo4jUnreachableError(Neo4jError):
    """No answer: the same call may work later."""


class Neo4jTimeoutError(Neo4jError):
    """A read took longer than it may."""


class Neo4j:
    """An open driver; it connects with the first request and again after the server was away."""

    def __init__(self, url: str, user: str, password: str) -> None:
        self._where = urlsplit(url).netloc.rpartition("@")[2]
        self._driver = neo4j.GraphDatabase.driver(
            url,
            auth=(user, password),
            connection_timeout=5,
            connection_acquisition_timeout=10,
            max_transaction_retry_time=15,
            liveness_check_timeout=30,
            notifications_min_severity="OFF",
        )

    def close(self) -> None:
        """Close all connections."""
        self._driver.close()

    def version(self) -> str:
        """Version that the server tells; the cheapest real request."""
        rows = self.read("call dbms.components() yield name, versions return versions[0] as version limit 1", {})
        return str(rows[0]["version"])

    def run(self, statement: LiteralString, **parameters: Any) -> None:
        """Run one statement outside a batch, such as a constraint."""
        with self._failures():
            self._driver.execute_query(statement, parameters_=parameters)

    def write(self, statement: LiteralString, rows: Sequence[Mapping[str, Any]]) -> None:
        """Run a statement that unwinds `$rows`, some thousand rows a transaction.

        Statements have to be repeatable (MERGE, DELETE): the driver repeats a transaction after a lost connection.
        """
        with self._failures(), self._driver.session() as session:
            for start in range(0, len(rows), _WRITE_ROWS):
                part = [dict(row) for row in rows[start : start + _WRITE_ROWS]]
                session.execute_write(lambda tx, part=part: tx.run(statement, rows=part).consume())

    def read(
        self, statement: LiteralString, parameters: Mapping[str, Any], *, timeout: float = 10.0
    ) -> list[dict[str, Any]]:
        """Run a statement that may only read, for at most `timeout` seconds; times come back as aware datetimes.

        A reader waits for an answer, so a server that is away is tried once more and no longer.
        """
        with self._failures():
            try:
                return self._read(statement, parameters, timeout)
            except (ServiceUnavailable, SessionExpired):
                # A pooled connection from before a restart fails like this, a new one does not.
                return self._read(statement, parameters, timeout)

    def _read(self, statement: LiteralString, parameters: Mapping[str, Any], timeout: float) -> list[dict[str, Any]]:
        with (
            self._driver.session(default_access_mode=neo4j.READ_ACCESS) as session,
            session.begin_transaction(timeout=timeout) as transaction,
        ):
            found = transaction.run(statement, dict(parameters))
            return [{key: _native(value) for key, value in record.items()} for record in found]

    @contextmanager
    def _failures(self) -> Iterator[None]:
        try:
            yield
        except AuthError:
            raise Neo4jError(
                f"Neo4j refuses the login: {self._where}; check SWITCHDESK_NEO4J_USER and SWITCHDESK_NEO4J_PASSWORD"
            ) from None
        except (ServiceUnavailable, SessionExpired, DriverError) as error:
            raise Neo4jUnreachableError(
                f"Neo4j does not answer: {self._where} ({type(error).__name__}); "
                "`switchdesk doctor` says why, `switchdesk up` starts it"
            ) from None
        except (ClientError, TransientError, ServerError) as error:
            if error.code in _TIMEOUTS:
                raise Neo4jTimeoutError(
                    f"graph question took too long: Neo4j at {self._where} stopped it; narrow it by ticket or time"
                ) from None
            # The server's message may repeat parameters, which can be ticket text: only its code is passed on.
            raise Neo4jError(f"Neo4j at {self._where} refused a request: {error.code}") from None


def _native(value: Any) -> Any:
    if isinstance(value, DateTime | Date):
        return value.to_native()
    if isinstance(value, list):
        return [_native(item) for item in cast(list[Any], value)]
    if isinstance(value, dict):
        return {key: _native(item) for key, item in cast(dict[str, Any], value).items()}
    return value
