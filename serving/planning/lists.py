"""Lists of tickets: by conditions, the oldest, those with the most replies."""

from __future__ import annotations

from typing import Literal

from serving.planning import conditions, intents, measures
from serving.planning.conditions import Condition
from serving.planning.lexicon import Sense
from serving.planning.outcome import done, filters_of
from serving.planning.plan import (
    Filter,
    Reading,
    TemplatePlan,
    TimeRange,
)
from serving.planning.scene import AskBack, Scene
from serving.planning.times import Means
from serving.planning.wording import when, where


def read_ranking(scene: Scene) -> Reading | None:
    """The oldest open tickets, or those with the most replies."""
    template: Literal["oldest_open", "most_replies"] | None = None
    for at in range(len(scene.tokens)):
        word, nouns = scene.word(at), [scene.stem(near) for near in range(at + 1, min(at + 6, len(scene.tokens)))]
        covered = any(m.first <= at <= m.last and m.of(Sense.METRIC) and len(m) > 1 for m in scene.matches)
        if covered and not any(m.first <= at <= m.last and scene.word(m.first) == "oldest" for m in scene.matches):
            continue
        if word in ("oldest",) or (
            word == "longest" and any(near in ("open", "waiting", "unsolved") for near in nouns)
        ):
            if any(near in ("ticket", "case", "request", "one") for near in nouns) or word == "longest":
                if "age" in nouns or scene.word(0) == "how" or intents.is_count(scene.text.line):
                    return None
                template = "oldest_open"
                scene.use(at, at)
                break
        if (word == "most" and scene.stem(at + 1) in ("reply", "comment", "message", "back")) or (
            word == "most" and scene.word(at + 1) in ("agent", "public") and scene.stem(at + 2) in ("reply", "comment")
        ):  # fmt: skip
            before = [scene.stem(near) for near in range(at)]
            if any(near in ("ticket", "case", "request") for near in before):
                template = "most_replies"
                scene.use(at, at + 2 if scene.word(at + 1) in ("agent", "public") else at + 1)
                if scene.stem(at + 1) == "comment":
                    scene.notes.append("comments are counted as public agent replies")
                break
    if template is None:
        return None
    filters, time = _listed_conditions(scene)
    plural = any(scene.word(at) in ("tickets", "cases", "requests") for at in range(len(scene.tokens)))
    limit = list_limit(scene, 20 if plural else 1, 1_000)
    if template == "oldest_open":
        scene.used.update(at for at in range(len(scene.tokens)) if scene.word(at) in ("waiting", "open"))
        filters = tuple(one for one in filters if one.dimension != "is_open")
    plan = TemplatePlan(template=template, filters=filters, time=time, limit=limit)
    what = "Oldest open tickets" if template == "oldest_open" else "Tickets with the most agent replies"
    return done(scene, plan, f"{what}, {limit} at most{where(filters, scene.semantics)}{when(time, scene.zone)}.")


def lists_tickets(scene: Scene) -> bool:
    """Whether rows of tickets are asked for, not a number of them or a cut of it."""
    line = scene.text.line
    if intents.is_count(line) or scene.has_time(Means.GRAIN):
        return False
    if any(match.of(Sense.DIMENSION) and conditions.group_cue(scene, match) is not None for match in scene.matches):
        return False
    strong, plain = measures.named(scene)
    if any(measures.scope(scene, match.meanings[0].name) is None for match in strong):
        return False
    nouns = [
        at for at in range(len(scene.tokens)) if scene.word(at) in ("tickets", "cases", "requests", "ticket", "case")
    ]
    if any(
        scene.stem(at + 1) in ("volume", "count", "number", "inflow", "trend", "distribution", "stat") for at in nouns
    ):
        return False
    named_types = any(m.name == "type" for match in scene.matches for m in match.all(Sense.VALUE))
    return bool(nouns) or named_types or bool(strong and not plain)


def _listed_conditions(scene: Scene) -> tuple[tuple[Filter, ...], TimeRange]:
    """Filters and time of a list of tickets."""
    older = conditions.older_than(scene)
    made = conditions.thresholds(scene)
    dimension: str | None = None
    strong, plain = measures.named(scene)
    for match in strong:
        meaning = match.of(Sense.METRIC)
        assert meaning is not None  # named matches have that sense
        made += measures.scope(scene, meaning.name) or []
        metric = scene.semantics.metrics[meaning.name]
        if not metric.is_now and meaning.name != scene.lexicon.metric("tickets created") and metric.time is not None:
            dimension = metric.time
    for match in (*strong, *plain):
        scene.use(match.first, match.last)
    for match in scene.matches:
        verb = match.of(Sense.TIME)
        if verb is None or match.first in scene.used or conditions.is_negated(scene, match):
            continue
        if verb.name not in ("created_at", "solved_at", "rated_at"):
            continue
        if verb.name == "solved_at":
            made.append(Condition("status", list(conditions.SOLVED), False, match.first, match.last))
        dimension = verb.name if dimension in (None, "created_at") else dimension
        scene.use(match.first, match.last)
    for match in scene.matches:
        if match.first not in scene.used and match.of(Sense.FLAG) is not None and scene.ranges() and dimension is None:
            said = scene.words(range(match.first, match.last + 1))
            counted = scene.lexicon.metric(f"{said} tickets")
            if counted is not None and not scene.semantics.metrics[counted].is_now:
                dimension = scene.semantics.metrics[counted].time
    made += conditions.conditions(scene, scene.lexicon.metric("tickets created"))
    time = scene.only_range()
    if older is not None:
        if time.from_ is not None or time.to is not None:
            raise AskBack("two times are named: an age and a range; ask about one")
        time = TimeRange.model_validate({"to": older})
    elif time.from_ is not None or time.to is not None:
        chosen = dimension or "created_at"
        time = time.model_copy(update={"dimension": chosen})
        label = scene.semantics.dimensions[chosen].label.lower()
        scene.notes.append(f"the time is that when a ticket was {label}")
    return filters_of(scene, made), time


def read_list(scene: Scene) -> Reading:
    """Tickets by conditions, newest first."""
    filters, time = _listed_conditions(scene)
    if scene.has_time(Means.NOW) and not filters:
        raise AskBack("which tickets now? Name a status, a group or another limit", ("List the open tickets",))
    limit = list_limit(scene, 20, 1_000)
    for at in range(len(scene.tokens)):
        if scene.word(at) in (
            "latest",
            "newest",
            "recent",
            "last",
            "first",
            "full",
            "complete",
            "most",
        ) and not scene.in_time(at):
            if scene.word(at) == "first":
                break
            scene.used.add(at)
    if limit == 20:
        scene.notes.append("the 20 newest are listed")
    plan = TemplatePlan(template="ticket_list", filters=filters, time=time, limit=limit)
    return done(
        scene, plan, f"Tickets, newest first, {limit} at most{where(filters, scene.semantics)}{when(time, scene.zone)}."
    )


def list_limit(scene: Scene, default: int, most: int) -> int:
    """A number of rows that is asked for: "10 oldest tickets", "list 5 tickets"."""
    for at, token in enumerate(scene.tokens):
        if token.value is None or at in scene.used or scene.in_time(at) or token.value != int(token.value):
            continue
        before, after = scene.word(at - 1), scene.stem(at + 1)
        near = {scene.stem(ahead) for ahead in range(at + 1, min(at + 5, len(scene.tokens)))}
        cue = before in (
            "list",
            "show",
            "me",
            "top",
            "first",
            "last",
            "latest",
            "newest",
            "the",
            "oldest",
            "find",
            "give",
            "display",
            "any",
            "our",
            "",
        )
        if cue and (
            near & {"ticket", "case", "request", "example", "comment", "quote", "complaint", "one", "message"}
            or after == ""
        ):
            if not 1 <= token.value <= most:
                raise AskBack(f"the number of rows must be 1 to {most}: {int(token.value)}")
            scene.used.add(at)
            if before in ("top", "first", "latest", "newest", "last"):
                scene.used.add(at - 1)
            return int(token.value)
    return default
