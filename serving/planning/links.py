"""Questions about how tickets hang together, and about tickets by their number."""

from __future__ import annotations

from serving.planning import conditions, intents, measures
from serving.planning.lexicon import Sense
from serving.planning.outcome import done, filters_of
from serving.planning.plan import (
    Filter,
    GraphPlan,
    Operator,
    Reading,
    TemplatePlan,
)
from serving.planning.scene import AskBack, Scene
from serving.planning.wording import listed, when, where


def read_links(scene: Scene, relation: tuple[str, list[range]], ids: list[int]) -> Reading:
    """Follow links of one kind."""
    name, words = relation
    ticket = ids[0] if ids else None
    if name == "related" and ticket is None:
        raise AskBack("related to which ticket? Name its number", ("Which tickets are related to ticket 12?",))
    scene.used.update(at for span in words for at in span)
    if name in ("merged", "follow_ups", "repeat_contacts") and intents.is_count(scene.text.line):
        scene.notes.append("the links are listed, up to the limit; their number is the number of rows")
    filters = (
        filters_of(scene, conditions.conditions(scene, scene.lexicon.metric("tickets created")))
        if ticket is None
        else ()
    )
    time = scene.only_range()
    plan = GraphPlan.model_validate(
        {"relation": name, "ticket_id": ticket, "filters": filters, "time": time, "limit": 20}
    )
    of = "" if ticket is None else f" of ticket {ticket}"
    echo = {
        "related": f"Tickets related to ticket {ticket}",
        "incidents": f"Incidents{of}",
        "merged": f"Merged tickets{of}",
        "follow_ups": f"Follow-up tickets{of}",
        "repeat_contacts": f"Repeat contacts{of}",
        "escalations": f"Paths between groups{of}",
        "problems": "Problem tickets and their incidents",
    }[name]
    for match in scene.matches:
        if measures.is_plain(scene, match) or match.of(Sense.DIMENSION) is not None:
            scene.use(match.first, match.last)
    if ticket is None and time.from_ is None and time.to is None:
        scene.notes.append("no time named: all the data")
    return done(scene, plan, f"{echo}{where(filters, scene.semantics)}{when(time, scene.zone)}.")


def read_tickets(scene: Scene, ids: list[int], taken: frozenset[int]) -> Reading:
    """One ticket's facts, or several tickets by number."""
    numbers = tuple(dict.fromkeys(ids))
    scene.used.update(range(len(scene.tokens)))
    if len(numbers) == 1:
        plan = TemplatePlan(template="ticket", ticket_id=numbers[0])
        return done(scene, plan, f"Facts of ticket {numbers[0]}.")
    chosen = Filter(dimension="ticket_id", op=Operator.IN, values=numbers)
    plan = TemplatePlan(template="ticket_list", filters=(chosen,), limit=max(20, len(numbers)))
    return done(scene, plan, f"Tickets {listed([str(number) for number in numbers])}.")
