# ruff: noqa: E501  (a pattern broken over lines is harder to check than a long one)
"""What kind of question it is, by evidence in its words; content is searched, links are followed, writes are refused."""

from __future__ import annotations

import re
from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import dataclass

from serving.planning.english import FOREIGN_ONLY, is_common
from serving.planning.normalise import Kind, Token

_PEOPLE = r"(?:customers?|people|users?|clients?|requesters?|they|everyone|everybody|folks|buyers?|agents?|our users|our customers)"
_POLITE = (
    r"(?:(?:please|kindly|now|then|ok|okay|hey|hi|hello|also|and|can you|could you|would you|will you|can we|can i|may i|"
    r"i want you to|i need you to|i would like you to|i want to|we want to|we need to|go ahead and|let us|you should|you must|just) )*"
)
_WRITES = (
    r"delete|remove|close|solve|resolve|reopen|re open|assign|reassign|unassign|merge|unmerge|tag|untag|update|change|set|"
    r"send|reply|respond|escalate|create|open|archive|drop|truncate|insert|edit|mark|move|cancel|ban|suspend|refund|fix|"
    r"add|forward|transfer|approve|reset|post|publish|purge|erase|rename|deploy|restart|disable|enable|wipe|grant|email|"
    r"answer|write to|notify|redact|anonymise|anonymize|spam|block|snooze|put"
)
_OBJECT = (
    r"(?:(?:to|all|any|every|each|the|this|that|these|those|my|our|his|her|their|a|an|new|open|old|closed|solved|spam|urgent|duplicate|"
    r"last|oldest|both|\d+|everything from) )*"
    r"(?:tickets?|#|comments?|users?|customers?|requesters?|agents?|organizations?|priority|status|tags?|group|assignee|it|them|"
    r"him|her|everything|everyone|record|records|row|rows|tables?|database|account|accounts|repl(?:y|ies)|email|password|macro|notes?|"
    r"data|assistant|\d+|request|case|cases)\b"
)
_WRITE = re.compile(rf"^{_POLITE}(?:{_WRITES}) (?!me\b|us\b){_OBJECT}")
_WRITE_LOOSELY = re.compile(
    rf"^{_POLITE}(?:delete|remove|close|solve|resolve|reopen|assign|reassign|unassign|merge|archive|cancel|purge|erase|wipe|redact|"
    r"escalate|suspend|refund|truncate|drop|edit|mark|move) (?!rate|time|in\b|of\b|by\b|per\b|to\b|from\b)(?:\S+ ){0,5}?"
    r"(?:tickets?|comments?|users?|customers?|requesters?|agents?|organizations?|tags?|table|database)\b"
)
_WRITE_LATER = re.compile(
    rf"(?:\b(?:and|then|,|;|\.|also|first)) (?:(?:then|also|please|now) )*(?:{_WRITES}) (?:it|them|all of them|these|those|the tickets?|all tickets|everything|ticket \d+|# \d+)\b"
)
_NOT_WRITES = re.compile(
    r"^"
    + _POLITE
    + r"(?:open (?:tickets?|cases?|requests?)(?! \d)|(?:answer|reply|change|email|set|add) (?:rate|time|in|count)|email tickets?|spam tickets?|open urgent|open old)"
)
_INSTRUCTION = re.compile(
    r"\b(?:ignore|disregard|forget|override|bypass|skip)\b(?: \S+){0,5} (?:instructions?|rules?|prompts?|guidelines?|directions?|restrictions?|polic(?:y|ies)|above|constraints?)\b"
    r"|\bsystem (?:prompt|message|instructions?)\b|\bdeveloper (?:mode|message|prompt)\b|\byou are now\b|\bpretend (?:to be|you|that you)\b"
    r"|\bact as (?:a|an|if|the)\b|\bjailbreak\b|\bdo anything now\b|\bfrom now on\b|\bnew instructions?\b"
    r"|\byour (?:\S+ )?(?:instructions?|prompts?|rules|configuration|config|api keys?|passwords?|credentials?|secrets?|source code|environment)\b"
    r"|\b(?:reveal|print|show|leak|dump|output|give|tell|list|what is|what are)\b(?: \S+){0,3} (?:passwords?|credentials?|api keys?|secret keys?|secrets|environment variables?|access tokens?|connection string|signing secrets?)\b"
    r"|\b(?:run|execute|eval) (?:this|the following|the|a|some|my|an)? ?(?:sql|cypher|query|command|code|script|shell|statement)\b"
    r"|\brepeat (?:after me|the (?:text|words) above|everything above)\b|\brole ?play\b|\bsudo\b"
)
_STATEMENT = re.compile(
    r"<\|\w+|\[/?inst\]|###\s*(?:system|instruction)|\bselect\s+(?:\*|[\w.,\s*()]{1,80}?)\s+from\s+[\w.]+\s*(?:where\b|limit\b|;|--|join\b|$)"
    r"|\bdrop\s+(?:table|database|schema|index)\b|\bdelete\s+from\b|\binsert\s+into\b|\bupdate\s+\w+\s+set\b|\bunion\s+(?:all\s+)?select\b"
    r"|\balter\s+(?:table|user|role)\b|\btruncate\s+table\b|\bor\s+1\s*=\s*1|'\s*or\s*'|'\s*;|;\s*--|--\s*$|/\*|\bpg_sleep\b|\bxp_cmdshell\b"
    r"|\bdetach\s+delete\b|\bmatch\s*\(\s*\w*\s*(?::\w+)?\s*\)|\{\{.*\}\}|<script\b|\$\{.*\}|\bgrant\s+\w+\s+(?:on|to)\b",
    re.DOTALL,
)
_OUTSIDE = re.compile(
    r"\b(?:weather|temperature|rain|revenues?|turnover|profits?|margins?|stock price|share price|stocks?|salar(?:y|ies)|payroll|wages?|"
    r"sales(?: figures| numbers)?|earnings|ebitda|mrr|arr|churn(?: rate)?|page ?views?|website traffic|web traffic|conversion rate|bitcoin|"
    r"president|prime minister|capital of|population|news|joke|poem|song|recipe|movie|football|soccer|world cup|lottery|horoscope|"
    r"meaning of life|translate|nps|net promoter score|headcount|sick days?|vacation days?|holidays left|server uptime|uptime|"
    r"budget of|marketing spend|ad spend|competitors?|warehouse stock|inventory|cash flow|tax(?:es)?|exchange rate|market share|"
    r"phone number of|home address|date of birth|website visitors?|visitors|downloads|app store rating)\b"
)
_FORECAST = re.compile(
    r"\b(?:forecast(?:s|ed)?|predict(?:s|ed|ion)?|projection|projected|expect(?:ed)? (?:next|tomorrow|in the next)|will we (?:get|have|receive|solve))\b"
)
_COMPLEX = re.compile(
    r"\bwhy\b|\broot causes?\b|\bhow come\b|\breasons? (?:for|behind|why)\b(?! contact)|\bwhat (?:is|are|was|were)? ?(?:driving|drives|drove|causing|causes|caused|cause|behind|led to|leads to|explains|explained|changed|happened)\b"
    r"|\bdrivers? (?:of|behind|for)\b|\bexplain(?:s|ed|ing)?\b|\bexplanation\b|\bshould (?:we|i)\b|\brecommend(?:ation|ations|ed)?\b|\bsummar(?:y|ise|ize|ising|izing)\b|\binsights?\b"
    r"|\banaly[sz]e\b|\banalysis\b|\binvestigate\b|\bdiagnose\b|\bimpact of\b|\bwhat went wrong\b|\bdeep dive\b|\bcaused by\b|\bdue to what\b|\bwhat can we (?:do|improve)\b|\bhow can we (?:reduce|improve|lower|increase)\b"
    r"|\bwhat changed\b|\bresponsible for\b|\bwhat do (?:\S+ )?(?:customers|people|users) complain about (?:the )?most\b|\b(?:main|top|biggest|common|most common|most frequent|frequent) (?:\S+ )?(?:complaints?|pain points?|issues|problems|themes|reasons for (?:bad|contact))\b"
)
_THEMES = re.compile(
    r"\bcomplain(?:ing)? about (?:the )?most\b|\b(?:main|top|biggest|common|most common|most frequent|frequent) (?:\S+ )?(?:complaints?|pain points?|issues|problems|themes)\b"
)
_SELF = re.compile(
    r"\b(?:did|have|had|do|am|was) i\b|\bi (?:have |had |was )?(?:solved?|closed?|resolved?|replied|reply|answered|handled?|own|worked|assigned)\b|\b(?:my|mine)\b|\b(?:to|by|for|from|with) me\b|\bmyself\b"
)
_COUNT = re.compile(
    r"\bhow many\b|\bnumber of\b|\bcount\b(?! on)|\bhow much\b|\bpercent\b|\bshare of\b|\bproportion of\b|\bfraction of\b|%"
)
_SEARCH = (
    re.compile(rf"\b(?:what|how) (?:do|does|did|are|were|have|has|is) (?:(?:our|the|most|some|all) )*{_PEOPLE}(?P<scope> (?:from|of|at|with|on|in|using) (?:(?!say|think|complain|feel|talk|write|mention|tell)\S+ ){{1,6}}?)? ?(?:been |really |usually |mostly )?(?:say|saying|said|think|thinking|complain|complaining|complained|write|writing|written|tell|telling|told|feel|feeling|felt|mention|mentioning|mentioned|talk|talking|talked|want|like|dislike|hate|love)\b(?: to us| us)?(?: (?:about|on|of|regarding|concerning|around|with)\b)*(?P<topic>.*)"),
    re.compile(r"\b(?:complain(?:t|ts|ing|ed|s)?|feedback|opinions?|quotes?|sentiment|reviews|stories|praise|compliments?|worries|concerns)(?P<scope> (?:from|by|of) \S+(?: \S+){0,4}?)?(?: (?:about|on|regarding|concerning|around|of|with|mentioning|that mention|for|over))(?P<topic> .*)"),
    re.compile(r"\b(?:examples?|samples?|instances?) of(?: (?:tickets|comments|customers|people|complaints|messages|cases|conversations))?(?: (?:that|which|who|where))?(?: (?:mention(?:s|ing|ed)?|saying|say|about|regarding|complaining about|talking about|with|describing))?(?P<topic> .*)"),
    re.compile(rf"\b(?:tickets?|comments?|messages?|conversations?|requests?|cases?|notes?|replies|emails?|chats?|{_PEOPLE})(?P<scope> (?:from|by|in|of) \S+(?: \S+){{0,4}}?)?(?: (?:that|which|who|where (?:customers|people|users)|in which (?:customers|people|users)))?(?: (?:were|was|are|is))? (?:mention(?:s|ing|ed)?|talk(?:s|ing|ed)? about|say(?:s|ing)?|said|complain(?:s|ing|ed)? (?:about|of|that)|describ(?:e|es|ing|ed)|about|regarding|concerning|ask(?:ing|ed|s)? (?:for|about|how|whether|if)|contain(?:s|ing|ed)?|containing|with the (?:words?|text|phrase)|report(?:ing|ed|s)? (?:that|about|problems? with|issues? with|trouble with))(?P<topic> .*)"),
    re.compile(r"\b(?:find|search(?: for)?|look for|looking for|show(?: me)?|give me|get|list|any) (?:(?:some|all|the|me|any) )*(?:comments?|messages?|quotes?|mentions?|conversations?|complaints?)(?: (?:about|on|of|regarding|mentioning|where|that|with|like|similar to))?(?P<topic>.*)"),
    re.compile(r"^(?:search(?: for| in comments for| comments for)?|find|look for) (?P<topic>.+)"),
    re.compile(r"\b(?:anything|something|news|what is there|what do we know) (?:about|on|regarding|mentioning)(?P<topic> .*)"),
    re.compile(r"\b(?:mention(?:s|ing|ed)?|mentions of) (?P<topic>.+)"),
    re.compile(r"\bwho (?:is |was |has |have )?(?:been )?(?:complain(?:s|ing|ed)?|mention(?:s|ing|ed)?|ask(?:s|ing|ed)?)(?: (?:about|for|of))?(?P<topic> .*)"),
)  # fmt: skip
_BY_AGENTS = re.compile(r"\b(?:agents?|internal notes?|colleagues|staff|support team)\b")
_BY_CUSTOMERS = re.compile(
    r"\b(?:customers?|people|users?|clients?|requesters?|they|everyone|everybody|folks|buyers?|complain(?:s|t|ts|ing|ed)?|feedback|opinions?|"
    r"reviews|praise|compliments?|worries|concerns|sentiment|who)\b"
)
_ID = r"(?:(?:ticket|case|request|number|no|problem|incident) )*(?:# )?\d+"
_GRAPH = (
    ("incidents", re.compile(rf"\bincidents?(?: tickets?)? (?:of|for|linked to|attached to|under|belonging to|belong to|caused by|related to|tied to|on|from|with|connected to)(?: the)?(?: problem)? {_ID}|\bincidents?\b.*\b(?:belong to|linked to|attached to)\b.*\bproblem (?:ticket )?(?:# )?\d+|\bproblem (?:ticket )?(?:# )?\d+ (?:have|has|incidents?)|\bincidents?(?: tickets?)? (?:(?:that|which) )?(?:(?:are|is|were) )?(?:of|linked to|attached to|under|belonging to|belong to|tied to|connected to|with)(?: (?:a|any|some|the|another|known))* problems?(?: tickets?)?\b(?! (?:# )?\d)|\blinked incidents\b")),
    ("escalations", re.compile(r"\bescalation (?:paths?|chains?|routes?|history|flows?)\b|\bescalated from\b.*\bto\b|\b(?:how|where|to whom|who) (?:was|were|did) .*\bescalated?\b|\bpath (?:of|did) .*\b(?:ticket|escalat)|\bwhich (?:groups|teams) did\b.*\b(?:go|pass|move|travel) through\b|\b(?:groups|teams)\b.*\b(?:handed|hand) (?:over|off)\b|\bhandoffs? between\b|\bescalations? (?:from|between)\b")),
    ("merged", re.compile(r"\bmerged\b|\bmerges?\b|\bduplicates? of\b")),
    ("follow_ups", re.compile(r"\bfollow ups?\b")),
    ("repeat_contacts", re.compile(r"\brepeat (?:contacts?|customers?|requesters?|contacters?|callers?|tickets?)\b|\brecontact(?:s|ed)?\b|\b(?:keep |kept |keeps )?(?:came|come|coming) back\b|\b(?:contact(?:ed|ing)?|wr(?:i|o)te|writ(?:ten|ing)|reach(?:ed)? out|opened? (?:a|another) (?:new )?ticket|submitted|called|asked)(?: us)? again\b|\bcontact(?:ed|ing)?(?: us)? (?:repeatedly|more than once|several times|multiple times|twice)\b|\brepeatedly (?:contact|write|call|ask|open)|\bcustomers? with (?:several|multiple|repeated|many) tickets\b|\bback within\b")),
    ("related", re.compile(rf"\b(?:related|linked|connected|similar|close|tied) (?:tickets? )?to {_ID}|\b(?:related|linked|connected|similar) tickets?\b|\btickets? (?:like|resembling) {_ID}|\bsame (?:problem|issue|trouble|error|bug|complaint|topic|thing|cause) (?:as|like)\b|\bwho else\b|\banyone else\b|\b{_ID} (?:linked|related|connected|tied) to(?: (?:any|other|another) tickets?)?\b|\bneighbou?rs? of {_ID}|\blinks? of {_ID}|\bconnections? (?:of|to) {_ID}")),
    ("problems", re.compile(r"\bproblems?(?: tickets?)? (?:with|having|that have|have|has) (?:the )?(?:most|many|several|open|linked)(?: linked| open)? incidents\b|\bmost incidents\b|\b(?:biggest|largest|top|open) problem tickets\b|\bknown problems?\b|\bproblem tickets and their incidents\b|\bincidents? (?:per|by) problem\b")),
)  # fmt: skip
_VAGUE = re.compile(
    r"^(?:(?:so|well|hey|hi|hello|ok|please|tell me|show me|give me|and) )*(?:how (?:are|were) (?:we|things|our (?:team|support|agents|numbers)|you)(?: doing| going| performing| looking)?(?: today| this (?:week|month)| lately| last (?:week|month))?"
    r"|how (?:is|was) (?:it|everything|business|support|the (?:team|desk|help ?desk)|our support|our team)(?: going| doing| looking| performing)?(?: today| this (?:week|month)| lately| last (?:week|month))?"
    r"|(?:a |the )?(?:report|dashboard|overview|numbers|stats|kpis?|metrics|update|performance|status|data|information|details)(?: please| report)?"
    r"|is (?:everything|all) (?:ok|okay|fine|good|alright)|(?:what is|whats) (?:up|new|going on|the status|the situation)|help(?: me)?|hello|hi|hey|test|thanks?|thank you|what can (?:you|i) (?:do|ask)|who are you|what are you)$"
)
_BEST = re.compile(
    r"\b(?:best|worst|top|strongest|weakest|better|star|good|bad|great|most productive|productive|efficient|most efficient|performing|underperforming|performance)\b"
)
_PRONOUN = re.compile(r"^(?:and|what about|how about|and what about|same|same for|and for|but|ok and)\b")
_LIST = re.compile(
    r"\b(?:list|show|display|find|see|view|give me|get me|get us|pull up|bring up|fetch|print)(?: (?:me|us|all|the|my|our|any|some|a list of|of|full|complete|every|those|these|currently|recent|latest|newest|last|first|top|oldest|\d+))* "
    r"|\bwhich (?:\S+ ){0,6}?(?:tickets?|cases|requests)\b|\bwhat (?:are|were) (?:the |our |all |my )*(?:\S+ ){0,3}?(?:tickets|cases)\b|\bwhat (?:\S+ ){0,4}?tickets (?:are|were|do|did|have|has)\b|\blist of\b|\bany (?:\S+ ){0,3}?tickets\b|\bdo we have (?:any )?(?:\S+ ){0,3}?tickets\b"
)
_TICKET_ID = re.compile(
    r"(?:\b(?:tickets?|cases?|problems?|incidents?|requests?)(?: (?:number|no|id|nr))?(?: #)?|#) "
    r"(?P<ids>\d+(?:(?: (?:and|,|or|&))+ (?:# )?\d+)*)\b(?! (?:days?|hours?|weeks?|months?|minutes?|tickets?)\b)"
)


@dataclass(frozen=True, slots=True)
class Text:
    """The tokens as one line of words, so that patterns can be looked for and traced back to tokens."""

    line: str
    starts: tuple[int, ...]

    @classmethod
    def of(cls, tokens: Sequence[Token], *, hide_quoted: bool = False) -> Text:
        """Join tokens by single spaces; quoted ones may be hidden: what is quoted is content, not command."""
        starts: list[int] = []
        parts: list[str] = []
        at = 0
        for token in tokens:
            word = (
                "_"
                if hide_quoted and token.quoted
                else token.text.removesuffix("?")
                if token.kind is Kind.SYMBOL
                else token.text
            )
            starts.append(at)
            parts.append(word)
            at += len(word) + 1
        return cls(" ".join(parts), tuple(starts))

    def token_at(self, offset: int) -> int:
        """Number of the token that holds the character."""
        return max(bisect_right(self.starts, offset) - 1, 0)

    def tokens_of(self, found: re.Match[str], group: str | int = 0) -> range:
        """Numbers of the tokens that a match covers."""
        first, last = found.span(group)
        while first < last and self.line[first] == " ":
            first += 1
        while last > first and self.line[last - 1] == " ":
            last -= 1
        return range(self.token_at(first), self.token_at(last - 1) + 1) if last > first else range(0)


@dataclass(frozen=True, slots=True)
class Topic:
    """What is looked for in comments: token numbers of the words, and of what limits whose comments."""

    cue: range
    words: range
    scope: range


def refusal(text: Text, raw: str) -> str | None:
    """Why the question is refused, if it asks to write, to disobey, or to run a statement."""
    line = text.line.strip(" ?!.")
    if _STATEMENT.search(raw):
        return (
            "the text holds a statement or markup; questions are asked in plain words and nothing in them is executed"
        )
    if _INSTRUCTION.search(line):
        return "the text gives instructions to the system or asks for its secrets; only questions about the help desk are answered"
    write = _WRITE.search(line) or _WRITE_LOOSELY.search(line)
    if (write is not None and not _NOT_WRITES.search(line)) or _WRITE_LATER.search(line):
        return "nothing is changed here: answers are read only; tickets are changed in Zendesk itself"
    return None


def outside(line: str) -> str | None:
    """The word for something that help-desk data cannot tell."""
    found = _OUTSIDE.search(line)
    return None if found is None else found[0]


def is_forecast(line: str) -> bool:
    """Whether a future number is asked for."""
    return _FORECAST.search(line) is not None


def is_complex(line: str) -> bool:
    """Whether reasons are asked for."""
    return _COMPLEX.search(line) is not None


def is_themes(line: str) -> bool:
    """Whether it is asked what comes up most, rather than why something changed."""
    return _THEMES.search(line) is not None


def is_count(line: str) -> bool:
    """Whether a number is asked for."""
    return _COUNT.search(line) is not None


def is_list(line: str) -> bool:
    """Whether rows are asked for rather than a number."""
    return _LIST.search(line) is not None


def is_vague(line: str) -> bool:
    """Whether the question names nothing that could be measured."""
    return _VAGUE.search(line.strip(" ?!.")) is not None


def is_about_oneself(line: str) -> bool:
    """Whether the asker's own tickets are meant, whom nobody named."""
    return _SELF.search(line) is not None


def is_judgement(line: str) -> bool:
    """Whether "best" or the like is asked for without saying by what."""
    return _BEST.search(line) is not None


def is_follow_up(line: str) -> bool:
    """Whether it leans on a question before it."""
    return _PRONOUN.search(line) is not None


def topic(text: Text) -> Topic | None:
    """The content asked about, if the question is about what people say."""
    for pattern in _SEARCH:
        found = pattern.search(text.line)
        if found is None:
            continue
        words = text.tokens_of(found, "topic")
        scope = text.tokens_of(found, "scope") if "scope" in pattern.groupindex and found["scope"] else range(0)
        cue = text.tokens_of(found)
        return Topic(range(cue.start, words.start if words else cue.stop), words, scope)
    return None


def author(said: str) -> str | None:
    """Whose words are asked for, by the words that ask: `customer`, `agent`, or None where nothing says."""
    agents, customers = _BY_AGENTS.search(said), _BY_CUSTOMERS.search(said)
    if agents is not None and customers is not None:
        return None
    return "agent" if agents is not None else "customer" if customers is not None else None


def relation(text: Text) -> tuple[str, list[range]] | None:
    """The kind of link asked about and the words that say so."""
    for name, pattern in _GRAPH:
        found = [text.tokens_of(match) for match in pattern.finditer(text.line)]
        if found:
            return name, found
    return None


def ticket_ids(text: Text) -> list[tuple[int, range]]:
    """Ticket numbers named, with the words that name them."""
    found: list[tuple[int, range]] = []
    for match in _TICKET_ID.finditer(text.line):
        numbers = re.findall(r"\d+", match["ids"])[:100]
        if match[0].split()[0].endswith("s") and len(numbers) == 1 and 1990 <= int(numbers[0]) <= 2100:
            continue  # "tickets 2025" names a year
        found += [(int(number), text.tokens_of(match)) for number in numbers]
    return found


def foreign_share(tokens: Sequence[Token], known: Sequence[bool]) -> tuple[float, bool]:
    """Share of words that are known neither here nor in English, and whether they look like another language."""
    words = [
        (token, is_known)
        for token, is_known in zip(tokens, known, strict=True)
        if token.kind is Kind.WORD and not token.quoted
    ]
    if not words:
        return 0.0, False
    strange = sum(1 for token, is_known in words if not is_known and not is_common(token.text))
    other_script = sum(1 for token, _ in words if not token.text.isascii() and _foreign_script(token.text))
    hints = sum(1 for token, is_known in words if token.text in FOREIGN_ONLY and not is_known)
    share = max(strange, other_script) / len(words)
    return share, other_script / len(words) > 0.3 or (hints >= 2 and hints / len(words) >= 0.25) or (
        hints >= 1 and len(words) <= 3 and share > 0.5
    )


def _foreign_script(word: str) -> bool:
    return any(ord(character) > 0x24F and character.isalpha() for character in word)
