"""The planner: question text to a reading, by rules alone.

A question becomes tokens, the tokens become spans of time, catalogue words and numbers, and a handful of patterns over
those spans become a plan. A word that carries meaning and fits no pattern is never dropped: it is named in
`unknown_words` and lowers the confidence, so that a model is asked, or the asker.

Where a plan allows several forms: two values compared ("email vs chat") are one metric plan, filtered to them and
grouped by their dimension; two neighbouring calendar periods ("this week vs last week") are one metric plan over both
with that period as its grain; any other two periods are a complex plan of two metric plans.
"""

from __future__ import annotations

from datetime import datetime, tzinfo

from serving.planning import intents
from serving.planning.content import is_condition, read_topic
from serving.planning.figures import read_figure
from serving.planning.lexicon import lexicon_of
from serving.planning.links import read_links, read_tickets
from serving.planning.lists import lists_tickets, read_list, read_ranking
from serving.planning.normalise import MAX_CHARACTERS, Kind, fold, tokenise
from serving.planning.plan import (
    ClarifyPlan,
    Reading,
    RefusePlan,
)
from serving.planning.reasons import read_reasons
from serving.planning.scene import EXAMPLES, AskBack, Scene
from serving.semantics.catalogue import Semantics


def read(question: str, *, semantics: Semantics, now: datetime, zone: tzinfo) -> Reading:
    """Read a question as a plan; the same arguments always give the same reading.

    Args:
        question: What was asked, any text.
        semantics: The published catalogue: metrics and dimensions with their words and values.
        now: The moment asked (aware); relative dates are counted from it.
        zone: Zone in which days, weeks and months are cut.
    """
    if len(question) > MAX_CHARACTERS:
        reason = (
            f"the question is too long: {len(question)} characters, at most {MAX_CHARACTERS}; ask one short question"
        )
        return _clarify(AskBack(reason))
    tokens = tokenise(question)
    if not any(token.kind is not Kind.SYMBOL for token in tokens):
        return _clarify(AskBack("the question holds no words; ask one in English"))
    refused = intents.refusal(intents.Text.of(tokens, hide_quoted=True), fold(question))
    if refused is not None:
        return _refuse(refused)
    lexicon = lexicon_of(semantics)
    share, is_foreign = intents.foreign_share(tokens, [lexicon.knows(token) for token in tokens])
    if is_foreign and share > 0.3:
        return _clarify(AskBack("questions are answered in English; please ask it in English"))
    tokens, corrections = lexicon.corrected(tokens)
    scene = Scene(question, tokens, corrections, lexicon, now, zone, intents.Text.of(tokens))
    try:
        return _route(scene)
    except AskBack as asked:
        return _clarify(asked)


def ask_back(reading: Reading, *, semantics: Semantics) -> ClarifyPlan:
    """What to ask where a reading left words over and no model could account for them."""
    if isinstance(reading.plan, ClarifyPlan):
        return reading.plan
    lexicon = lexicon_of(semantics)
    words = reading.unknown_words[:3]
    near = list(dict.fromkeys(name for word in words for name in lexicon.nearest(word)))[:3]
    if not words:
        return ClarifyPlan(reason="the question has no sure reading", suggestions=EXAMPLES)
    named = ", ".join(f'"{word}"' for word in words)
    hint = f"; known names like it: {', '.join(near)}" if near else ""
    return ClarifyPlan(reason=f"not understood: {named}{hint}", suggestions=(*near, *EXAMPLES[: 3 - len(near)]))


def _clarify(asked: AskBack) -> Reading:
    plan = ClarifyPlan(reason=asked.reason, suggestions=asked.suggestions)
    return Reading(plan=plan, confidence=1.0, echo=f"Asked back: {asked.reason}.")


def _refuse(reason: str) -> Reading:
    return Reading(plan=RefusePlan(reason=reason), confidence=1.0, echo=f"Refused: {reason}.")


def _route(scene: Scene) -> Reading:
    line = scene.text.line
    if intents.is_vague(line):
        raise AskBack("the question names nothing that can be measured: say which number, list or topic")
    if intents.is_follow_up(line):
        raise AskBack("the question leans on one before it; ask it whole")
    if intents.is_about_oneself(line):
        raise AskBack("who asks is not known here: name the person")
    ids = intents.ticket_ids(scene.text)
    if any(not 1 <= number < 2**63 for number, _ in ids):
        raise AskBack("a ticket number is 1 or more and has at most 18 digits")
    taken = frozenset(at for _, words in ids for at in words)
    relation = intents.relation(scene.text)
    if relation is not None and not scene.metric_match(relation[1][0]):
        scene.find(taken)
        scene.check_times()
        scene.used.update(taken)
        return read_links(scene, relation, [number for number, _ in ids])
    if ids:
        return read_tickets(scene, [number for number, _ in ids], taken)
    scene.find(taken)
    topic = intents.topic(scene.text)
    word = intents.outside(line)
    if word is not None and topic is None and not _is_known(scene, word):
        return _refuse(f"the help desk's data does not tell that: {word}")
    if intents.is_forecast(line):
        raise AskBack("no forecast is made; what has happened up to now can be asked for")
    scene.check_times()
    if intents.is_complex(line):
        return read_reasons(scene)
    if topic is not None and not is_condition(scene, topic):
        return read_topic(scene, topic)
    ranking = read_ranking(scene)
    if ranking is not None:
        return ranking
    if intents.is_list(line) and lists_tickets(scene):
        return read_list(scene)
    return read_figure(scene)


def _is_known(scene: Scene, word: str) -> bool:
    at = scene.text.token_at(scene.text.line.find(word))
    return any(match.first <= at <= match.last for match in scene.matches)
