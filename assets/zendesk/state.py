"""What the sync remembers of each stream in `ops.sync_state`: cursor, how far it came, whether the account has it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import orjson

from assets.stores import postgres
from assets.zendesk.errors import AccountMismatch, SyncFenced


@dataclass(frozen=True, slots=True)
class StreamState:
    """One stream's memory."""

    cursor: dict[str, Any]
    end_of_stream: bool
    pages: int
    records: int


class State:
    """Reads and writes the memory; writes only while the lease with that token is ours."""

    def __init__(self, url: str, account: str, lease_name: str, lease_token: int) -> None:
        self._account = account
        self._lease = (lease_name, lease_token)
        self._connection = postgres.connect(url, application="switchdesk-sync-state", autocommit=True)

    def close(self) -> None:
        """Close the connection."""
        self._connection.close()

    def check_account(self) -> None:
        """Raise AccountMismatch where the database holds the copy of another account."""
        row = self._connection.execute(
            "select account from ops.sync_state where account <> %s limit 1", (self._account,)
        ).fetchone()
        if row is not None:
            raise AccountMismatch(
                f"database of another account: it holds the copy of {row[0]} and SWITCHDESK_ZENDESK_URL names "
                f"{self._account}; correct the URL, or give the new account a database of its own "
                "(SWITCHDESK_POSTGRES_URL)"
            )

    def read(self, stream: str) -> StreamState:
        """A stream's memory, empty where it was never read."""
        row = self._connection.execute(
            "select cursor, end_of_stream, pages, records from ops.sync_state where stream = %s", (stream,)
        ).fetchone()
        return StreamState(dict(row[0]), row[1], row[2], row[3]) if row else StreamState({}, False, 0, 0)

    def begun(self) -> set[str]:
        """Streams that were read at least in part."""
        rows = self._connection.execute("select stream from ops.sync_state where cursor <> '{}'").fetchall()
        return {row[0] for row in rows}

    def advance(self, stream: str, cursor: dict[str, Any], *, end_of_stream: bool, rows: int) -> None:
        """Remember a page that Kafka holds."""
        self._write(
            """
            insert into ops.sync_state as s (stream, account, status, reason, cursor, end_of_stream, pages, records)
            select %(stream)s, %(account)s, 'ok', null, %(cursor)s, %(end)s, 1, %(rows)s
            where exists (select from ops.leases where name = %(lease)s and token = %(token)s)
            on conflict (stream) do update set
                status = 'ok', reason = null, cursor = excluded.cursor, end_of_stream = excluded.end_of_stream,
                pages = s.pages + 1, records = s.records + excluded.records, updated_at = now()
            """,
            {
                "stream": stream,
                "cursor": orjson.dumps({**cursor, "account": self._account, "stream": stream}).decode(),
                "end": end_of_stream,
                "rows": rows,
            },
        )

    def settle(self, stream: str, status: str, reason: str | None) -> None:
        """Remember that a stream is absent or failed, and why; its cursor stays."""
        self._write(
            """
            insert into ops.sync_state as s (stream, account, status, reason)
            select %(stream)s, %(account)s, %(status)s, %(reason)s
            where exists (select from ops.leases where name = %(lease)s and token = %(token)s)
            on conflict (stream) do update set status = excluded.status, reason = excluded.reason, updated_at = now()
            """,
            {"stream": stream, "status": status, "reason": reason},
        )

    def forget(self, stream: str) -> None:
        """Drop a stream's cursor, so that it is read from its beginning."""
        self._write(
            """
            update ops.sync_state set cursor = '{}', end_of_stream = false, updated_at = now()
            where stream = %(stream)s
              and exists (select from ops.leases where name = %(lease)s and token = %(token)s)
            """,
            {"stream": stream},
            must=False,
        )

    def held_ids(self, stream: str, *, flag: str | None) -> list[tuple[int, int | None]]:
        """Ids in a table (and schedules, for holidays) that are not flagged as gone yet."""
        parent = "schedule_id" if stream == "holidays" else "null::bigint"
        condition = {
            None: "",
            "is_deleted": "where is_deleted is not true",
            "is_active": "where is_active is not false",
        }
        rows = self._connection.execute(
            f"select id, {parent} from zendesk.{stream} {condition[flag]}".encode()
        ).fetchall()
        return [(row[0], row[1]) for row in rows]

    def count_calls(self, outcomes: Mapping[tuple[str, str], int]) -> None:
        """Add calls to Zendesk, by (stream, status)."""
        with self._connection.cursor() as cursor:
            cursor.executemany(
                """
                insert into ops.api_calls as c (stream, status, calls) values (%s, %s, %s)
                on conflict (stream, status) do update set calls = c.calls + excluded.calls
                """,
                [(*names, calls) for names, calls in outcomes.items()],
            )

    def published(self) -> dict[str, tuple[int, int, datetime | None]]:
        """Rows, version and as-of of each stream in the catalogue; as-of None where no moment holds yet."""
        return {
            dataset.removeprefix("zendesk."): (int(rows), int(version), as_of if as_of.year > 1970 else None)
            for dataset, rows, version, as_of in self._connection.execute(
                "select dataset, rows, version, as_of from catalog.datasets where dataset like 'zendesk.%'"
            ).fetchall()
        }

    def _write(self, statement: str, parameters: dict[str, Any], *, must: bool = True) -> None:
        name, token = self._lease
        written = self._connection.execute(
            statement.encode(),
            {**parameters, "account": self._account, "lease": name, "token": token},
        ).rowcount
        if must and written != 1:
            raise SyncFenced("lease lost: another sync has taken over and goes on from the last stored page")
