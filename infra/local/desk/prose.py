"""Puts fragments together into messages: moods, greetings, typos, lengths and signatures."""

from dataclasses import dataclass, field
from enum import StrEnum
from random import Random

from infra.local.desk.calendar import DAY, iso
from infra.local.desk.topics.quick import QUICK
from infra.local.desk.topics.topic import Topic


class Mood(StrEnum):
    """How a customer writes."""

    CALM = "calm"
    POLITE = "polite"
    TERSE = "terse"
    ANNOYED = "annoyed"
    FURIOUS = "furious"


MONTHS = "January February March April May June July August September October November December".split()
ROOMS = ("hallway", "kitchen", "garage", "living room", "nursery", "back garden", "home office", "attic", "porch")
TOWNS = ("Eldermouth", "Kingsbarrow", "Fallow Bridge", "Port Hesper", "Marlow Heath", "Tarnwick", "Sundale", "Oakhurst")
CARRIERS = ("Swiftwing", "Postline", "Parcelfox")
PHONES = ("my phone", "my tablet", "my new phone", "my partner's phone", "an older phone", "both of our phones")


def slots(rng: Random, at: int, version: str, previous: str, customer: str) -> dict[str, str]:
    """The facts of one ticket, the same in all of its messages."""
    bought = at - rng.randrange(3, 300) * DAY
    return {
        "customer": customer,
        "order": f"FH-{rng.randrange(210000, 989999)}",
        "invoice": f"INV-{rng.randrange(40000, 99999)}",
        "tracking": f"{rng.choice(('SW', 'PL', 'PF'))}{rng.randrange(10**8, 10**9)}",
        "carrier": rng.choice(CARRIERS),
        "version": version,
        "previous": previous,
        "firmware": f"3.{rng.randrange(1, 5)}.{rng.randrange(0, 8)}",
        "days": str(rng.choice((2, 3, 3, 4, 5, 6, 8, 10, 12))),
        "weeks": rng.choice(("two", "three", "four")),
        "count": rng.choice(("two", "three", "four", "five")),
        "times": rng.choice(("twice", "three times", "four times", "at least five times")),
        "amount": f"{rng.choice((4.99, 7.99, 9.99, 12.99, 49.9, 79.0, 129.0, 149.0, 199.0)):.2f}",
        "room": rng.choice(ROOMS),
        "town": rng.choice(TOWNS),
        "phone": rng.choice(PHONES),
        "date": day_words(at - rng.randrange(1, 20) * DAY),
        "bought": day_words(bought),
        "bought_on": iso(bought)[:10],
        "hour": rng.choice(("7 am", "9 in the morning", "noon", "3 pm", "6 pm", "8 in the evening", "11 at night")),
        "part": rng.choice(("lid", "mounting plate", "power cable", "second sensor", "lens cover", "battery door")),
        "serial": f"HH{rng.randrange(10**6, 10**7)}",
    }


def day_words(at: int) -> str:
    """A day as people write it, such as `12 March`."""
    text = iso(at)
    return f"{int(text[8:10])} {MONTHS[int(text[5:7]) - 1]}"


_GREETINGS = {
    Mood.CALM: ("Hi,", "Hello,", "Hi there,", "Hey team,", "Good morning,", "Hello Fernhollow team,"),
    Mood.POLITE: (
        "Dear Fernhollow team,",
        "Good afternoon, and thank you for reading this.",
        "Hello, I hope you are well.",
        "Dear support team,",
        "Hi, sorry to bother you.",
    ),
    Mood.TERSE: ("", "", "hi", "Hello."),
    Mood.ANNOYED: ("Hello,", "Hi.", "To whom it may concern,", "Hi, me again."),
    Mood.FURIOUS: ("", "Hello???", "To whoever is in charge:", "Right."),
}
_LEADS = {
    Mood.CALM: (
        "",
        "",
        "Quick one:",
        "I have run into something and could use some help.",
        "Not sure if this is the right place.",
    ),
    Mood.POLITE: (
        "I have been a happy customer for a while and would be grateful for your help.",
        "I am sure there is a simple explanation.",
        "",
        "I have read through the help pages first but could not find the answer.",
    ),
    Mood.TERSE: ("",),
    Mood.ANNOYED: (
        "This is getting frustrating.",
        "I did not expect this from a product at this price.",
        "I have already wasted an evening on this.",
        "",
        "I have been patient, but not for much longer.",
    ),
    Mood.FURIOUS: (
        "This is absolutely unacceptable.",
        "I am fed up.",
        "I cannot believe how badly this works.",
        "WHAT is going on over there?",
        "Worst experience I have had with any company in years.",
    ),
}
_CLOSES = {
    Mood.CALM: ("Thanks!", "Thank you.", "Cheers", "Thanks in advance.", "Looking forward to hearing from you."),
    Mood.POLITE: (
        "Thank you very much for your time.",
        "Many thanks in advance for your help.",
        "I really appreciate it. Have a lovely day.",
        "With kind regards",
    ),
    Mood.TERSE: ("", "", "thx"),
    Mood.ANNOYED: (
        "Please sort this out.",
        "I expect an answer soon.",
        "I would like this fixed this week, please.",
        "Not impressed so far.",
    ),
    Mood.FURIOUS: (
        "Fix this TODAY or I want my money back.",
        "If I don't hear back I will cancel everything and tell everyone I know.",
        "I want to speak to a manager.",
        "Do NOT send me another copy-and-paste answer.",
    ),
}
_EMOJI = {
    Mood.CALM: ("🙂", "👍", "🤔"),
    Mood.POLITE: ("🙏", "😊", "🌼"),
    Mood.TERSE: ("🤷", "👀"),
    Mood.ANNOYED: ("😕", "🙄", "😩"),
    Mood.FURIOUS: ("😡", "🤬", "👎👎"),
}
_FOLLOW_LEADS = {
    Mood.CALM: ("Thanks for the quick answer.", "Hi again,", "Hello again,", "Hi, here you go."),
    Mood.POLITE: (
        "Thank you so much for getting back to me.",
        "That is very kind, thank you.",
        "Many thanks for looking into it.",
    ),
    Mood.TERSE: ("", "", "hi,"),
    Mood.ANNOYED: ("As I already wrote,", "I had hoped for more than that.", "Right, one more round then.", "Hm."),
    Mood.FURIOUS: ("Did you even READ my message?", "This is a joke.", "Unbelievable.", "I've told you this already!"),
}
_NUDGES = (
    "Any news on this?",
    "Hello? I have heard nothing from you so far.",
    "Just checking whether you have had a chance to look at this.",
    "Still waiting for an answer here.",
    "Is anybody reading this? I have been waiting for an answer for days.",
    "Could somebody please give me an update?",
)
_ADDITIONS = (
    "One more thing:",
    "I forgot to mention something.",
    "In case it helps:",
    "Just to add:",
)
_THANKS = (
    "That did it, thank you so much!",
    "Perfect, works again. Thanks {agent}!",
    "Great, thanks for the quick help.",
    "Brilliant, all sorted. You can close this.",
    "Thank you, that answers my question.",
    "Wonderful service, thanks a lot {agent} 🎉",
    "Ok thanks, that's all I needed.",
)
_REOPENS = (
    "I am afraid it has come back. Same thing as before.",
    "This is not solved. It worked for a day and now we are exactly where we started.",
    "Sorry to reopen this, but nothing has changed on my side.",
    "You closed this, but I still have the problem!",
    "It happened again this morning, so please open this again.",
    "The fix did not last, I'm afraid.",
)
_AGENT_GREETINGS = ("Hi {customer},", "Hello {customer},", "Dear {customer},", "Good day {customer},")
_EMPATHY = {
    Mood.CALM: ("", "", "Thanks for the clear description.", "Happy to help with this."),
    Mood.POLITE: ("Thank you for the kind message.", "Thanks so much for your patience.", "Happy to help!"),
    Mood.TERSE: ("", "Thanks for getting in touch."),
    Mood.ANNOYED: (
        "I am sorry about the trouble this has caused.",
        "I understand that this is frustrating, and I want to get it sorted for you.",
        "Sorry that you had to chase us on this.",
    ),
    Mood.FURIOUS: (
        "I am truly sorry. This is not the experience we want anybody to have.",
        "You have every reason to be upset, and I apologise.",
        "I am very sorry about this, and I am taking care of it personally.",
    ),
}
_SIGN_OFFS = ("Kind regards,", "Best wishes,", "All the best,", "Warm regards,", "Best,", "Take care,")
_ASKING_CLOSES = (
    "",
    "",
    "Thanks in advance for checking.",
    "Just reply to this message.",
    "I will keep an eye on this for you.",
)
_CLOSING_CLOSES = (
    "",
    "",
    "Just reply here if anything is unclear.",
    "If it comes up again, a reply to this message reaches us directly.",
)
_HOLDING = (
    "Thanks for the details. I have passed this to a colleague who knows this part better; you will hear from us as soon as we know more.",
    "I could reproduce this on our side, so I have handed it to our specialists. I will keep you posted.",
    "This needs a closer look from the next team. You do not have to do anything for now.",
    "We are still working on it. I am sorry that it takes longer than either of us would like.",
)
_OUT_OF_STOCK = (
    "The replacement is out of stock at the moment, and the next delivery is expected in {weeks} weeks. I have reserved one for you and keep this ticket open until it is sent.",
    "I am waiting for a spare part from our supplier, which has been delayed. You are on the list and do not have to write again.",
    "Our warehouse has run out of these. As soon as new ones arrive, yours is the first to be packed; I am sorry for the long wait.",
    "The part that you need has to be ordered. That takes {weeks} weeks, and I will tell you once it is on its way.",
)
_SECOND_FIXES = (
    "I have gone through everything again together with a colleague, and we found that the first correction had not been stored. It is now, and I checked twice.",
    "Thank you for telling us so quickly. I have set it up anew on our side, and it has held in all of our tests since.",
    "You were right to come back to us. I have taken the longer way this time and corrected the cause, not just the effect.",
    "Sorry for closing this too early. It is settled now, and I have put a month of Plus on your account for the trouble.",
    "This time we exchanged the whole thing instead of mending it. Please give it a few days and tell me if anything looks odd.",
)
_ESCALATION_NOTES = (
    "Tried everything in the runbook, handing over to tier 2. Customer has already done the restart and the reset.",
    "Escalating. Third contact about this, please have a look with priority.",
    "Beyond what we can see from here, needs somebody with access to the device logs.",
    "Moving this up. Logs attached in the shared folder, the pattern looks like the one from last month.",
)
_ENGINEERING_NOTES = (
    "Reproduced on a test account. Needs a code change, filed with engineering.",
    "Engineering, please check the cloud side. Requests from this account time out after 30 seconds.",
    "Looks like a race when two devices report at once. Handing over with traces.",
    "Not a configuration issue. Raising it as a defect.",
)
_TRIAGE_NOTES = (
    "Sorted by product and reason, priority as per the guide.",
    "Had a call with the customer before, see the older ticket. Be gentle.",
    "Checked the account: nothing unusual, warranty valid.",
    "Customer spends a lot in the shop, worth some goodwill.",
    "Wrong queue at first, moved it over.",
)
_SUBJECT_PREFIX = {
    Mood.CALM: ("", ""),
    Mood.POLITE: ("", "Question: ", "Help with: "),
    Mood.TERSE: ("",),
    Mood.ANNOYED: ("", "Again: ", "Still not working: "),
    Mood.FURIOUS: ("URGENT!! ", "COMPLAINT: ", ""),
}
_LETTERS = "abcdefghijklmnopqrstuvwxyz"


def _nth(texts: tuple[str, ...], thread: int) -> str:
    return texts[thread % len(texts)]


@dataclass(slots=True)
class Voice:
    """One customer in one conversation."""

    rng: Random
    mood: Mood
    channel: str
    typos: float
    name: str
    slots: dict[str, str]
    _told: set[str] = field(default_factory=set[str])

    def subject(self, topic: Topic) -> str:
        """A subject line, or for chats and calls a plain one."""
        text = self._pick(topic.subjects)
        if self.channel == "chat":
            return f"Chat with {self.name}"
        if self.channel == "voice":
            return f"Phone call from {self.name}: {text[0].lower()}{text[1:]}"
        return f"{self.rng.choice(_SUBJECT_PREFIX[self.mood])}{text}"

    def opening(self, topic: Topic) -> str:
        """The first message."""
        rng, mood = self.rng, self.mood
        if self.channel == "voice":
            detail = " ".join(self._details(topic, 1))
            return f'Notes of the call: "{self._pick(topic.openings)} {detail} {self._pick(topic.wishes)}"'
        few = mood is Mood.TERSE or self.channel == "chat"
        details = self._details(topic, rng.choice((0, 0, 1) if few else (0, 1, 1, 2, 2, 3)))
        wish = () if mood is Mood.TERSE and rng.random() < 0.5 else (self._pick(topic.wishes),)
        body = [self._pick(topic.openings), *details, *wish]
        return self._letter(rng.choice(_GREETINGS[mood]), rng.choice(_LEADS[mood]), body, rng.choice(_CLOSES[mood]))

    def answer(self, topic: Topic, thread: int) -> str:
        """What the customer comes back with after the agent's message of the same thread."""
        lead = self.rng.choice(_FOLLOW_LEADS[self.mood])
        body = [_nth(topic.answers, thread).format_map(self.slots)]
        if self.rng.random() < 0.25:
            body += self._details(topic, 1)
        return self._letter("", lead, body, "")

    def addition(self, topic: Topic) -> str:
        """Something that the customer adds without being asked; a question for news where all has been said."""
        details = self._details(topic, 1)
        if not details:
            return self.nudge()
        return self._letter("", self.rng.choice(_ADDITIONS), details, "")

    def nudge(self) -> str:
        """A question where the answer is."""
        return self._letter("", "", [self._pick(_NUDGES)], "")

    def thanks(self, agent: str) -> str:
        """A last friendly word."""
        return self.rng.choice(_THANKS).format(agent=agent)

    def complaint_after_solve(self, topic: Topic) -> str:
        """The message that reopens a ticket."""
        body = [self._pick(_REOPENS)]
        if self.rng.random() < 0.5:
            body += self._details(topic, 1)
        return self._letter("", "", body, self.rng.choice(_CLOSES[self.mood]))

    def _pick(self, texts: tuple[str, ...]) -> str:
        return self.rng.choice(texts).format_map(self.slots)

    def _details(self, topic: Topic, count: int) -> list[str]:
        """Details that have not been told yet."""
        left = [text for text in topic.details if text not in self._told]
        chosen = self.rng.sample(left, min(count, len(left)))
        self._told.update(chosen)
        return [text.format_map(self.slots) for text in chosen]

    def _letter(self, greeting: str, lead: str, body: list[str], close: str) -> str:
        rng = self.rng
        text = " ".join(part for part in (lead, *body) if part)
        if self.mood is Mood.FURIOUS and rng.random() < 0.3:
            text = text.replace(". ", "!! ", 1)
        if self.mood is Mood.TERSE and rng.random() < 0.5:
            text = text.lower()
        if self.typos:
            text = self._mistype(text)
        if rng.random() < 0.05:
            text = f"{text} {rng.choice(_EMOJI[self.mood])}"
        if self.channel in ("chat", "mobile_sdk", "native_messaging"):
            return text
        lines = [part for part in (greeting, text, close) if part]
        if self.channel == "email" and self.mood in (Mood.CALM, Mood.POLITE, Mood.ANNOYED) and greeting:
            lines.append(self.name if rng.random() < 0.6 else self.name.split()[0])
        return "\n\n".join(lines) if rng.random() < 0.8 else "\n".join(lines)

    def _mistype(self, text: str) -> str:
        rng = self.rng
        words = text.split(" ")
        for i, word in enumerate(words):
            if len(word) > 4 and word.isalpha() and rng.random() < self.typos:
                at = rng.randrange(1, len(word) - 1)
                way = rng.randrange(3)
                if way == 0:
                    words[i] = word[:at] + word[at + 1] + word[at] + word[at + 2 :]
                elif way == 1:
                    words[i] = word[:at] + word[at + 1 :]
                else:
                    words[i] = word[:at] + rng.choice(_LETTERS) + word[at + 1 :]
        return " ".join(words)


@dataclass(slots=True)
class Desk:
    """How agents write in one conversation."""

    rng: Random
    mood: Mood
    channel: str
    slots: dict[str, str]
    _said: set[str] = field(default_factory=set[str])

    def reply(self, topic: Topic, thread: int, agent: str) -> str:
        """An answer that asks or explains; the customer's answer and the fix of the same thread fit it."""
        return self._letter(_nth(topic.replies, thread), agent, _ASKING_CLOSES, self._empathy())

    def fix(self, topic: Topic, thread: int, agent: str) -> str:
        """The closing answer."""
        return self._letter(_nth(topic.fixes, thread), agent, _CLOSING_CLOSES)

    def quick(self, topic: Topic, agent: str) -> str:
        """An answer that settles it at once."""
        return self._letter(self.rng.choice(QUICK[topic.name]), agent, _CLOSING_CLOSES, self._empathy())

    def second_fix(self, agent: str) -> str:
        """The closing answer after a ticket came back."""
        return self._letter(self._unsaid(_SECOND_FIXES), agent, _CLOSING_CLOSES)

    def holding(self, agent: str) -> str:
        """A sign of life while others work on it."""
        return self._letter(self._unsaid(_HOLDING), agent, ("",))

    def out_of_stock(self, agent: str) -> str:
        """Why it will take weeks."""
        return self._letter(self.rng.choice(_OUT_OF_STOCK), agent, ("",))

    def note(self, topic: Topic) -> str:
        """An internal note about the case."""
        return self.rng.choice(topic.notes).format_map(self.slots)

    def triage_note(self) -> str:
        """An internal note by whoever sorted the ticket."""
        return self.rng.choice(_TRIAGE_NOTES)

    def escalation_note(self) -> str:
        """Why it goes to the next team."""
        return self.rng.choice(_ESCALATION_NOTES)

    def engineering_note(self) -> str:
        """Why it goes to Engineering."""
        return self.rng.choice(_ENGINEERING_NOTES)

    def _empathy(self) -> str:
        """A kind word, in the first message only."""
        return self.rng.choice(_EMPATHY[self.mood]) if not self._said else ""

    def _unsaid(self, texts: tuple[str, ...]) -> str:
        return self.rng.choice([text for text in texts if text not in self._said] or texts)

    def _letter(self, template: str, agent: str, closes: tuple[str, ...], empathy: str = "") -> str:
        rng = self.rng
        self._said.add(template)
        text = template.format_map(self.slots)
        parts = (empathy, text, rng.choice(closes))
        if self.channel in ("chat", "native_messaging"):
            return " ".join(part for part in parts if part)
        greeting = rng.choice(_AGENT_GREETINGS).format_map(self.slots)
        body = " ".join(part for part in parts if part)
        return f"{greeting}\n\n{body}\n\n{rng.choice(_SIGN_OFFS)}\n{agent}"
