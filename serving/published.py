"""What is published: the catalogue and its semantics at one epoch, read again only when something was published."""

from __future__ import annotations

from dataclasses import dataclass

from psycopg_pool import ConnectionPool

from assets.catalog import Snapshot, current, identity
from serving.semantics.catalogue import Semantics
from serving.semantics.errors import NothingPublished
from serving.semantics.manifest import load


@dataclass(frozen=True, slots=True)
class View:
    """The catalogue and the semantics that were live together."""

    snapshot: Snapshot
    semantics: Semantics | None
    """None: no marts were ever published."""
    database: str
    """Identity of the database, wherever it is reached: keeps apart what shares a cache."""


class Published:
    """Keeps the last view; a look at the epoch, one row, decides whether it still holds. Blocking."""

    def __init__(self, questions: ConnectionPool) -> None:
        self._questions = questions
        self._kept: View | None = None

    @property
    def kept(self) -> View | None:
        """The view that was live at the last look."""
        return self._kept

    def view(self) -> View:
        """The view that is live now."""
        with self._questions.connection() as connection:
            connection.execute("set transaction isolation level repeatable read, read only")
            row = connection.execute("select epoch from catalog.epoch").fetchone()
            kept = self._kept
            if kept is not None and row is not None and kept.snapshot.epoch == row[0]:
                return kept
            try:
                _, semantics = load(connection)
            except NothingPublished:
                semantics = None
            self._kept = View(current(connection), semantics, kept.database if kept else identity(connection))
            return self._kept
