"""Loading without reading: brings into PostgreSQL what lies in Kafka already, and needs no help desk for it."""

from __future__ import annotations

import threading
from contextlib import ExitStack

from assets.settings import Settings
from assets.zendesk import topics
from assets.zendesk.client import account_of
from assets.zendesk.flow import Flow
from assets.zendesk.lease import LEASE, Lease
from assets.zendesk.loader import Loader
from assets.zendesk.state import State


def load_rest(settings: Settings) -> None:
    """Load all that the raw topics hold beyond the database's offsets; raises SyncBusy where a sync is running."""
    url, bootstrap = settings.require("postgres_url"), settings.require("kafka_bootstrap")
    account = account_of(settings.require("zendesk_url"))
    finished = threading.Event()
    finished.set()
    with ExitStack() as stack:
        lease = Lease(url, LEASE)
        stack.callback(lease.release)
        lease.acquire(wait=False, stop=threading.Event())
        state = State(url, account, LEASE, lease.token)
        stack.callback(state.close)
        state.check_account()
        loader = Loader(url, bootstrap, topics.ensure(bootstrap), Flow(threading.Event()))
        stack.callback(loader.close)
        open_loader(loader, state)
        loader.run(finished, lease.keep)


def open_loader(loader: Loader, state: State) -> None:
    """Take the partitions over; a stream whose records Kafka has lost is read again from its beginning."""
    for stream in loader.open(state.begun()):
        state.forget("ticket_events" if stream == "ticket_comments" else stream)
