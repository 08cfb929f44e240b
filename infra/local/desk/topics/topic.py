"""One subject that customers write about."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Topic:
    """How a subject is told by customers and answered by agents.

    Every text may use the slots of `prose.Slots`. Fragments stand alone as sentences, so that any opening goes with any
    detail and any wish.
    """

    name: str
    label: str
    product: str
    reason: str
    group: int
    subjects: tuple[str, ...]
    openings: tuple[str, ...]
    """The core of the first message: what happened or what is asked."""

    details: tuple[str, ...]
    wishes: tuple[str, ...]
    replies: tuple[str, ...]
    """An agent's answers, asking for something or explaining. Reply, answer and fix of the same place make a thread."""

    answers: tuple[str, ...]
    """What the customer comes back with."""

    fixes: tuple[str, ...]
    """The agent's closing answers."""

    notes: tuple[str, ...]
    """Internal notes, never seen by the customer."""

    tags: tuple[str, ...] = ()
    weight: float = 1.0
    kind: str = "incident"
    """Zendesk's ticket type: question, incident or task; a problem is what engineers make of many incidents."""

    anger: float = 0.3
    escalates: float = 0.18
    engineering: float = 0.2
    """Share of the escalated ones that go on to Engineering."""

    since: float = 0.0
    """The share of the history after which this subject appears at all."""
