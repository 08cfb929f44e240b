"""The right to sync: one holder at a time, kept alive while it works, free again seconds after it dies."""

from __future__ import annotations

import os
import socket
import threading
import uuid
from collections.abc import Callable

import psycopg

from assets.stores import postgres
from assets.zendesk.errors import SyncBusy, SyncFenced
from assets.zendesk.limiter import Stopped

LEASE = "zendesk-sync"
"""What whoever reads the account or loads its topics holds."""
TTL_SECONDS = 8
"""A killed holder is followed within this time and one look a second."""
_RENEW_SECONDS = 2.0


class Lease:
    """A named lease in PostgreSQL with a fencing token."""

    def __init__(self, url: str, name: str) -> None:
        self._url = url
        self._name = name
        self.holder = f"{socket.gethostname()}/{os.getpid()}/{uuid.uuid4().hex[:8]}"
        self.token = 0
        self._connection = postgres.connect(url, application="switchdesk-lease", autocommit=True)
        self._lost = threading.Event()
        self._released = threading.Event()
        self._thread: threading.Thread | None = None

    def acquire(self, *, wait: bool, stop: threading.Event, waiting: Callable[[str], None] | None = None) -> None:
        """Take the lease; with `wait` look again each second while another holds it, else raise SyncBusy."""
        told = False
        while True:
            row = self._connection.execute(
                """
                insert into ops.leases as l (name, holder, token, expires_at)
                values (%(name)s, %(holder)s, 1, now() + make_interval(secs => %(ttl)s))
                on conflict (name) do update
                    set holder = excluded.holder, token = l.token + 1, expires_at = excluded.expires_at
                    where l.expires_at < now()
                returning token
                """,
                {"name": self._name, "holder": self.holder, "ttl": TTL_SECONDS},
            ).fetchone()
            if row is not None:
                self.token = int(row[0])
                self._thread = threading.Thread(target=self._renew, name="lease", daemon=True)
                self._thread.start()
                return
            held = self._connection.execute("select holder from ops.leases where name = %s", (self._name,)).fetchone()
            holder = str(held[0]).rsplit("/", 1)[0] if held else "another process"
            message = f"sync running already: {holder} holds the lease"
            if not wait:
                raise SyncBusy(f"{message}; it is reading the same account, so this run has nothing to do")
            if waiting is not None and not told:
                waiting(f"{message}; waiting for it to end")
                told = True
            if stop.wait(1.0):
                raise Stopped("sync stopped: it was waiting for another run to end")

    def keep(self) -> None:
        """Raise SyncFenced where the lease is no longer ours."""
        if self._lost.is_set():
            raise SyncFenced("lease lost: it could not be renewed in time, another sync may have taken over; run again")

    def release(self) -> None:
        """Give the lease back and close."""
        self._released.set()
        if self._thread is not None:
            self._thread.join()
            if not self._lost.is_set():
                try:
                    self._connection.execute(
                        "update ops.leases set expires_at = now() where name = %s and token = %s",
                        (self._name, self.token),
                    )
                except psycopg.Error:
                    # It runs out by itself.
                    pass
        self._connection.close()

    def _renew(self) -> None:
        while not self._released.wait(_RENEW_SECONDS):
            try:
                kept = self._connection.execute(
                    """
                    update ops.leases set expires_at = now() + make_interval(secs => %s)
                    where name = %s and token = %s returning token
                    """,
                    (TTL_SECONDS, self._name, self.token),
                ).fetchone()
            except psycopg.Error:
                kept = None
            if kept is None:
                self._lost.set()
                return
