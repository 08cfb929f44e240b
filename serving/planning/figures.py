"""Questions for a number: metric, conditions, groups and order put together."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from serving.planning import conditions, intents, measures, orders
from serving.planning.conditions import Condition
from serving.planning.lexicon import Sense
from serving.planning.outcome import filters_of
from serving.planning.periods import COMPARING, aged, timed
from serving.planning.plan import (
    ClarifyPlan,
    MetricPlan,
    Operator,
    Reading,
    Scalar,
)
from serving.planning.scene import EXAMPLES, AskBack, Scene
from serving.planning.times import Means
from serving.semantics.catalogue import Metric

_JUDGEMENTS = ("best", "worst", "good", "bad", "better", "great", "strongest", "weakest", "star")


def read_figure(scene: Scene) -> Reading:
    """A number, or numbers by group and period."""
    older = conditions.older_than(scene)
    limits = conditions.thresholds(scene)
    order = orders.find(scene)
    groups = conditions.groups(scene)
    if order is not None and not groups:
        order, groups = _ranked(scene, order)
    found = measures.measure(scene) or _values_alone(scene)
    if found is None:
        return _nothing(scene, order, groups, limits)
    if order is not None:
        _check_judgement(scene, order, found, groups)
    _account(scene, scene.semantics.metrics[found.metrics[0]])
    made = [*found.filters, *limits, *conditions.conditions(scene, found.metrics[0])]
    groups = _contrast(scene, made, groups)
    groups, share = _spread(scene, made, groups, found)
    _check_dimensions(scene, found.metrics, [one.dimension for one in made], groups)
    if "assignee" in groups and all(one.dimension != "assignee" for one in made):
        made.append(Condition("assignee", [], False, -1, -1, Operator.IS_NOT_NULL))
        scene.notes.append("tickets without an assignee are left out")
    if order is not None:
        made += _named_only(scene, groups, made)
    filters = filters_of(scene, made)
    metric = scene.semantics.metrics[found.metrics[0]]
    if order is not None and scene.word(0) == "when":
        raise AskBack("by which period: the busiest hour, day, week or month?")
    if order is not None and not groups and order.grain is None and not scene.has_time(Means.GRAIN):
        if not metric.name.startswith(("max_", "min_")):
            raise AskBack("the most of what? Say by which: agent, group, organization, channel, product", EXAMPLES)
    sort: tuple[str, ...] = ()
    limit: int | None = None
    is_series = found.is_series or scene.has_time(Means.GRAIN)
    if (groups and not (is_series and order is None)) or (order is not None and order.grain is not None):
        descending = order.is_descending(metric) if order is not None else True
        sort = (f"-{metric.name}" if descending else metric.name,)
        limit = order.limit if order is not None else None
        if order is not None and limit is None:
            limit = orders.TIES
            scene.notes.append(f"the first {limit} are shown, so that ties are seen")
    base = MetricPlan(
        metrics=tuple(dict.fromkeys(found.metrics)),
        group_by=tuple(groups),
        filters=filters,
        order_by=sort,
        limit=limit,
        share_of=tuple(share),
    )
    if older is not None:
        return aged(scene, base, older)
    return timed(scene, base, found, order)


def _values_alone(scene: Scene) -> measures.Measure | None:
    """Values set side by side without a number are tickets counted: "email vs chat last month"."""
    created = scene.lexicon.metric("tickets created")
    values = [match for match in scene.matches if match.of(Sense.VALUE) is not None]
    if created is None or len(values) < 2 or not measures.in_contrast(scene):
        return None
    scene.notes.append("no number named: tickets created are counted")
    return measures.Measure([created])


def _ranked(scene: Scene, order: orders.Order) -> tuple[orders.Order, list[str]]:
    """The dimension that an order ranks: "top 5 organizations", "agents with the most tickets", "who solved most"."""
    if order.grain is not None:
        return order, []
    for match in scene.matches:
        meaning = match.of(Sense.DIMENSION)
        if meaning is None or match.first in scene.used or match.first - order.at > 3:
            continue
        scene.use(match.first, match.last)
        before = scene.tokens[match.first - 1].value if match.first else None
        if order.limit is None and before is not None and before == int(before) and 1 <= before <= 1_000:
            scene.used.add(match.first - 1)
            order = replace(order, limit=int(before))
        return order, [meaning.name]
    return order, ["assignee"] if scene.word(0) == "who" else []


def _check_judgement(scene: Scene, order: orders.Order, found: measures.Measure, groups: list[str]) -> None:
    """Ask back where "busiest agent" or "best group" name no number of their own."""
    strong, plain = measures.named(scene)
    says_metric = bool(strong) or bool(plain) or found.metrics[0] != scene.lexicon.metric("tickets created")
    people = {"assignee", "requester"}
    if order.word in _JUDGEMENTS and not (strong or found.metrics[0] != scene.lexicon.metric("tickets created")):
        raise AskBack("best or worst by what? Name a number, such as CSAT or first reply time", EXAMPLES)
    if not says_metric and order.word in ("busiest", "slowest", "fastest", "quickest", "top") and people & set(groups):
        raise AskBack(
            f"{order.word} by what: tickets solved, first reply time or CSAT?",
            ("Which agent solved the most tickets last month?", "Which agent has the lowest median first reply time?"),
        )


def _account(scene: Scene, metric: Metric) -> None:
    """Mark what only holds the sentence together once a metric is known."""
    fillers: set[str] = set()
    if metric.unit == "minutes":
        fillers = {"time", "times", "duration", "long", "fast", "quickly", "takes", "take", "minutes", "hours"}
    if metric.time == "created_at":
        fillers |= {"contact", "contacted", "wrote", "write", "reached", "generate", "generates", "generated", "cause"}
        fillers |= {"causes", "caused", "produce", "produces", "produced", "bring", "brings", "brought"}
        if any(scene.word(at) in ("did", "do", "does", "have", "has") for at in range(len(scene.tokens))):
            fillers.add("open")
    if metric.unit == "people":
        fillers |= {"different", "distinct", "unique"}
    if metric.unit == "comments":
        fillers |= {"write", "wrote", "written", "leave", "left", "post", "posted", "send", "sent"}
    for at in range(len(scene.tokens)):
        team = scene.word(at) in ("support", "team", "desk", "helpdesk", "staff")
        inside = any(match.first <= at <= match.last and match.first not in scene.used for match in scene.matches)
        if (scene.word(at) in fillers and not inside) or (
            team and scene.word(at - 1) in ("our", "the", "did", "does", "do")
        ):
            scene.used.add(at)
    for at in range(len(scene.tokens)):
        if not metric.is_additive and scene.word(at) == "per" and scene.stem(at + 1) in ("ticket", "case"):
            scene.use(at, at + 1)
    for match in scene.matches:
        people = any(meaning.name in ("assignee", "requester", "group") for meaning in match.all(Sense.DIMENSION))
        is_author = metric.unit == "comments" and any(one.name == "author_role" for one in match.all(Sense.VALUE))
        if people and not is_author and match.first not in scene.used and conditions.is_subject(scene, match):
            scene.use(match.first, match.last)


def _contrast(scene: Scene, made: list[Condition], groups: list[str]) -> list[str]:
    """Two values set side by side are a cut by their dimension."""
    compared = measures.in_contrast(scene)
    for condition in made:
        if len(condition.values) < 2 or condition.negated or condition.dimension in groups or condition.first < 0:
            continue
        if condition.compared or (compared and not scene.has_time(Means.PREVIOUS)):
            groups = [*groups, condition.dimension]
            for at in range(len(scene.tokens)):
                if scene.word(at) in COMPARING:
                    scene.used.add(at)
    return groups


def _named_only(scene: Scene, groups: list[str], made: list[Condition]) -> list[Condition]:
    """A ranking of organizations is one of those that have a name."""
    if "organization" not in groups or any(one.dimension == "organization" for one in made):
        return []
    scene.notes.append("tickets without an organization are left out")
    return [Condition("organization", [], False, -1, -1, Operator.IS_NOT_NULL)]


def _spread(
    scene: Scene, made: list[Condition], groups: list[str], found: measures.Measure
) -> tuple[list[str], list[Scalar]]:
    """A share of one value is shown beside the counts of all values of its dimension, so that the whole is seen."""
    where_said = [
        at for at in range(len(scene.tokens)) if scene.word(at) in ("percent", "%", "share", "proportion", "fraction")
    ]
    where_said = [at for at in where_said if at not in scene.used]
    if not where_said:
        return groups, []
    _part_of_open(scene, made, found)
    candidates = [one for one in made if one.first >= 0 and one.op is None]
    if not groups and len(candidates) >= 1:
        one = candidates[-1]
        dimension = scene.semantics.dimensions[one.dimension]
        if dimension.type == "list":
            said = ", ".join(str(value) for value in one.values)
            raise AskBack(
                f"a ticket can have several {dimension.label.lower()}s, so they are counted, not shared out",
                (f"How many tickets have the tag {said}?", "Top 10 tags last month"),
            )
        made.remove(one)
        scene.used.update(where_said)
        adds_up = all(scene.semantics.metrics[name].is_additive for name in found.metrics)
        return [one.dimension], list(one.values) if adds_up and not one.negated and len(found.metrics) == 1 else []
    if groups and candidates:
        raise AskBack("a share within each group is not counted: ask for the share of one, or for the counts of all")
    if groups:
        scene.used.update(where_said)
        scene.notes.append("a share is that row's part of all rows")
    return groups, []


def _part_of_open(scene: Scene, made: list[Condition], found: measures.Measure) -> None:
    """Such as "what percent of open tickets are unassigned": the part is a condition on the whole, not the whole."""
    limits = measures.scope(scene, found.metrics[0])
    open_now = scene.lexicon.metric("open tickets")
    if open_now is None or limits is None or len(limits) < 2 or found.metrics == [open_now]:
        return
    found.metrics[:] = [open_now]
    made[:] = [one for one in made if one.dimension != "is_open"]
    part = limits[-1]
    made.append(replace(part, first=0, last=0))


def _check_dimensions(scene: Scene, metrics: Sequence[str], filters: Sequence[str], groups: Sequence[str]) -> None:
    for name in metrics:
        metric = scene.semantics.metrics[name]
        for dimension in (*filters, *groups):
            if dimension not in metric.dimensions:
                label = scene.semantics.dimensions[dimension].label.lower()
                known = sorted(scene.semantics.dimensions[one].label.lower() for one in metric.dimensions)
                raise AskBack(f"{metric.label.lower()} cannot be cut by {label}; it can by {', '.join(known[:12])}")


def _nothing(scene: Scene, order: orders.Order | None, groups: list[str], limits: list[Condition]) -> Reading:
    """No number is named: values alone count tickets, anything else is asked back."""
    line = scene.text.line
    if order is not None and groups:
        created = scene.lexicon.metric("tickets created")
        counting = order.word in ("busiest", "quietest", "top", "most", "largest", "biggest", "fewest", "bottom")
        if counting and created is not None and "assignee" not in groups:
            return _measured_by_default(scene, order, groups, created)
        raise AskBack(f"{order.word} by what? Name a number, such as tickets solved, CSAT or first reply time")
    if order is not None and order.grain is not None:
        created = scene.lexicon.metric("tickets created")
        if created is not None and order.word in ("busiest", "quietest"):
            return _measured_by_default(scene, order, groups, created)
    if intents.is_judgement(line):
        raise AskBack("good or bad by what? Name a number, such as CSAT, first reply time or backlog")
    unknown = scene.left_over()
    named = f": {', '.join(unknown[:5])}" if unknown else ""
    near = list(dict.fromkeys(name for word in unknown[:3] for name in scene.lexicon.nearest(word)))[:3]
    hint = f"; known names like it: {', '.join(near)}" if near else ""
    reason = f"no metric of the catalogue is recognised{named}{hint}"
    plan = ClarifyPlan(reason=reason, suggestions=EXAMPLES)
    confidence = 0.3 if any(match.meanings for match in scene.matches) or scene.times else 0.9
    return Reading(plan=plan, confidence=confidence, echo=f"Asked back: {reason}.", unknown_words=tuple(unknown))


def _measured_by_default(scene: Scene, order: orders.Order, groups: list[str], metric: str) -> Reading:
    made = conditions.conditions(scene, metric)
    made += _named_only(scene, groups, made)
    _check_dimensions(scene, [metric], [one.dimension for one in made], groups)
    scene.notes.append(f"{order.word} is read by tickets created")
    descending = order.is_descending(scene.semantics.metrics[metric])
    sort = (f"-{metric}" if descending else metric,)
    plan = MetricPlan(
        metrics=(metric,),
        group_by=tuple(groups),
        filters=filters_of(scene, made),
        order_by=sort,
        limit=order.limit or orders.TIES,
    )
    return timed(scene, plan, measures.Measure([metric]), order)
