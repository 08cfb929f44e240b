"""Scripted misbehaviour of the server, for whoever wants to know whether a client stands it."""

from enum import StrEnum
from fnmatch import fnmatch
from random import Random
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field, TypeAdapter


class Kind(StrEnum):
    """What goes wrong."""

    STATUS = "status"
    RESET = "reset"
    TRUNCATED = "truncated"
    BROKEN_JSON = "broken_json"
    HTML = "html"
    SLOW = "slow"
    EMPTY_PAGE = "empty_page"
    FOREIGN_LINK = "foreign_link"
    FORBIDDEN = "forbidden"
    NON_ADMIN = "non_admin"
    LIMITED = "limited"


class Fault(BaseModel):
    """One rule; the first that hits a call is the one that happens."""

    model_config = ConfigDict(extra="forbid")

    kind: Kind
    path: str = "*"
    """Pattern of the path after `/api/v2/`, without `.json`, such as `incremental/*`."""

    probability: Annotated[float, Field(ge=0, le=1)] = 1.0
    nth: list[int] | None = None
    """Which calls to that path, counted from 1 since the rule was set; all where left out."""

    times: int | None = None
    """How often at most."""

    status: Annotated[int, Field(ge=400, le=599)] = 503
    seconds: Annotated[float, Field(ge=0)] = 2.0
    """How long a slow answer takes; what Retry-After says where limited."""


RULES: TypeAdapter[list[Fault]] = TypeAdapter(list[Fault])


class Faults:
    """The rules in force, with chances drawn from a seed."""

    def __init__(self, rules: list[Fault], seed: int) -> None:
        self._seed = seed
        self.set(rules)

    def set(self, rules: list[Fault]) -> None:
        """Replace all rules and begin to count anew."""
        self.rules = rules
        self._random = Random(f"{self._seed}:faults")
        self._seen = [0] * len(rules)
        self._done = [0] * len(rules)
        self.happened: dict[str, int] = {}

    def strike(self, path: str) -> Fault | None:
        """The fault that hits this call, if any."""
        hit = None
        for i, rule in enumerate(self.rules):
            if not fnmatch(path, rule.path):
                continue
            self._seen[i] += 1
            if hit is not None or (rule.nth is not None and self._seen[i] not in rule.nth):
                continue
            if rule.times is not None and self._done[i] >= rule.times:
                continue
            if rule.probability < 1 and self._random.random() >= rule.probability:
                continue
            self._done[i] += 1
            self.happened[rule.kind.value] = self.happened.get(rule.kind.value, 0) + 1
            hit = rule
        return hit
