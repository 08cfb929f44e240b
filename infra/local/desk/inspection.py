"""What tests and the demo may ask a running desk: right answers, and the rows an exact copy has to hold."""

from dataclasses import asdict, is_dataclass
from typing import Any

from infra.local.desk import records
from infra.local.desk.account import Row
from infra.local.desk.answers import Answers
from infra.local.desk.truth import DIMENSIONS, Truth
from infra.local.desk.world import World


class UnknownQuestion(ValueError):
    """No such truth or stream."""


_PERIODS = ("created", "solved", "first_reply", "full_resolution", "first_resolution", "satisfaction", "reopened")
_PERIODS += ("one_touch", "first_reply_promise", "per_day")


class Inspection:
    """Reads a world for its testers."""

    def __init__(self, world: World, answers: Answers) -> None:
        self._world = world
        self._answers = answers
        self._truth = Truth(world)

    def ask(self, name: str, query: dict[str, str], now: int) -> Any:
        """A truth by its name; `start` and `end` default to the whole history."""
        start, end = int(query.pop("start", "0")), int(query.pop("end", str(now)))
        dimension = query.pop("dimension", "status")
        moment = int(query.pop("moment", str(now)))
        problem = int(query.pop("problem", "0"))
        unknown = query.keys() - DIMENSIONS.keys()
        if unknown or dimension not in DIMENSIONS:
            raise UnknownQuestion(
                f"unknown dimension: {', '.join(unknown) or dimension}; known are {', '.join(DIMENSIONS)}"
            )
        truth = self._truth
        if name in _PERIODS:
            answer = getattr(truth, name)(start, end, **query)
        elif name == "by":
            answer = truth.by(dimension, start, end, **query)
        elif name == "open_now":
            answer = truth.open_now(**query)
        elif name == "backlog":
            answer = truth.backlog(moment)
        elif name == "escalated":
            answer = truth.escalated(start, end)
        elif name == "incidents":
            answer = truth.incidents(problem)
        elif name in ("problems", "merged", "follow_ups"):
            answer = getattr(truth, name)()
        elif name == "topics":
            answer = [
                {"comment_id": c.id, "ticket_id": t.id, "topic": t.topic, "kind": c.kind} for t, c in truth.comments()
            ]
        else:
            raise UnknownQuestion(f"unknown truth: {name}")
        if is_dataclass(answer) and not isinstance(answer, type):
            return asdict(answer)
        return _keys_as_text(answer)

    def rows(self, stream: str) -> list[Row]:
        """Every row of a stream as it is at this moment, the newest minute included."""
        world = self._world
        kept = [t for t in world.tickets.values() if not t.scrubbed]
        match stream:
            case "tickets":
                return [
                    records.ticket(world, t) | {"metric_set": records.metric_set(world, t)}
                    for t in world.tickets.values()
                ]
            case "ticket_events":
                return [records.ticket_event(a, True) for t in kept for a in t.audits]
            case "ticket_comments":
                return [records.comment(c) | {"ticket_id": t.id} for t in kept for c in t.comments]
            case "ticket_metric_events":
                return [row for _, row in world.metric_events if not world.tickets[row["ticket_id"]].scrubbed]
            case "users":
                return [user.row() for user in world.people.users.values() if user.listed]
            case "organizations":
                return [organization.row() for organization in world.people.organizations.values()]
            case "group_memberships":
                return self._answers.memberships()
            case "satisfaction_ratings":
                return [records.rating(r) for r in world.ratings]
            case _ if stream in world.static:
                return world.static[stream]
            case _:
                raise UnknownQuestion(f"unknown stream: {stream}")


def _keys_as_text(answer: Any) -> Any:
    return {str(key): value for key, value in answer.items()} if isinstance(answer, dict) else answer
