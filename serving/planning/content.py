"""Questions about what people write: the topic is searched, what limits it is a filter."""

from __future__ import annotations

from serving.planning import conditions, intents, measures
from serving.planning.conditions import Condition
from serving.planning.english import FUNCTION
from serving.planning.lexicon import Sense
from serving.planning.lists import list_limit
from serving.planning.normalise import Kind
from serving.planning.outcome import done, filters_of
from serving.planning.plan import (
    Reading,
    SearchPlan,
)
from serving.planning.scene import AskBack, Scene
from serving.planning.times import Means
from serving.planning.wording import when, where


def is_condition(scene: Scene, topic: intents.Topic) -> bool:
    """Whether what stands after "about" limits a number rather than being looked for; a number of writings is none."""
    cut = any(m.of(Sense.DIMENSION) and conditions.group_cue(scene, m) is not None for m in scene.matches)
    counted = intents.is_count(scene.text.line) or scene.has_time(Means.GRAIN) or cut
    if not topic.words:
        strong, _ = measures.named(scene)
        return bool(strong) and counted
    inside = [match for match in scene.matches if match.first in topic.words]
    before = [match for match in scene.matches if match.last < topic.words.start and match.of(Sense.METRIC)]
    if any(len(match) > 1 and not measures.is_plain(scene, match) for match in before):
        return True
    if not counted:
        return False
    if any(match.of(Sense.VALUE) or match.of(Sense.METRIC) for match in inside):
        return True
    content = [at for at in topic.words if not scene.in_time(at) and scene.tokens[at].kind is not Kind.SYMBOL]
    said = scene.own_words(content)
    raise AskBack(
        f"tickets are not counted by what is written in them: {said}; comments about it can be shown, or tickets "
        "counted by tag, product or contact reason",
        (f"Show examples of tickets about {said}", "How many tickets were created by contact reason last month?"),
    )


def read_topic(scene: Scene, topic: intents.Topic) -> Reading:
    """Search comments for what the question is about."""
    filters: list[Condition] = []
    gone: set[int] = set()
    limit = list_limit(scene, 10, 100)
    for match in scene.matches:
        if all(
            meaning.name == "author_role" or meaning.sense not in (Sense.VALUE, Sense.FLAG)
            for meaning in match.meanings
        ):
            continue
        in_topic = match.first in topic.words
        preposition = scene.word(match.first - 1) in ("from", "by", "via", "for", "with", "in", "on")
        rest = [
            at for at in range(match.last + 1, topic.words.stop)
            if not scene.in_time(at) and scene.tokens[at].kind is not Kind.SYMBOL
        ]  # fmt: skip
        at_end = in_topic and preposition and match.first - 1 > topic.words.start and not rest
        if at_end or match.first in topic.scope or (not in_topic and match.last < topic.words.start):
            made = conditions.one(scene, match)
            if made is not None:
                filters.append(made)
                gone.update(range(match.first - 1 if at_end else match.first, match.last + 1))
    words = [at for at in topic.words if not scene.in_time(at) and at not in gone]
    while words and scene.tokens[words[-1]].kind is Kind.SYMBOL:
        words.pop()
    while words and (scene.tokens[words[0]].kind is Kind.SYMBOL or scene.word(words[0]) in ("from", "about", "on")):
        words.pop(0)
    if not any(scene.word(at) not in FUNCTION and scene.tokens[at].kind is not Kind.SYMBOL for at in words):
        raise AskBack("about what? The topic is missing", ("What do customers say about late deliveries?",))
    query = scene.own_words(words)
    said = scene.words([*topic.cue, *topic.scope])
    author = intents.author(said)
    if author is not None and all(one.dimension != "author_role" for one in filters):
        filters.append(Condition("author_role", [author], False, topic.cue.start, topic.cue.stop - 1))
    scene.used.update(topic.cue, topic.words, topic.scope)
    time = scene.only_range()
    scene.used.update(range(topic.cue.start))
    found = filters_of(scene, filters)
    plan = SearchPlan(query=query, filters=found, time=time, limit=limit)
    return done(scene, plan, f'Comments about "{query}"{where(found, scene.semantics)}{when(time, scene.zone)}.')
