"""Kept answers in Redis: how their keys are named, and how those that name a ticket are removed.

Serving keeps answers, the sync removes the ones that quote a ticket whose text was erased. What both must know stands
here: an answer is kept together with its name in the list of each ticket that it names. An erasure empties the lists
and marks the tickets for longer than a question can take, so that an answer read before it cannot be kept after it.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import redis
from redis.exceptions import RedisError

from assets.settings import SwitchdeskError

MARKED_SECONDS = 900
"""No question takes this long."""
_MOST_TICKETS = 200
_MANY = "many"
"""List of the answers that name more tickets than that; each erasure empties it."""
_TICKETS_A_CALL = 200

KEEP = """
for i = 2, #KEYS, 2 do
  if redis.call('EXISTS', KEYS[i]) == 1 then return 0 end
end
redis.call('SET', KEYS[1], ARGV[1], 'EX', ARGV[2])
for i = 3, #KEYS, 2 do
  redis.call('SADD', KEYS[i], KEYS[1])
  if redis.call('TTL', KEYS[i]) < tonumber(ARGV[2]) then redis.call('EXPIRE', KEYS[i], ARGV[2]) end
end
return 1
"""
"""Keeps the answer ARGV[1] for ARGV[2] seconds under KEYS[1]; the other keys are those of `names`."""

_REMOVE = """
for i = 1, #KEYS, 2 do
  redis.call('SET', KEYS[i], 1, 'EX', ARGV[1])
  for _, answer in ipairs(redis.call('SMEMBERS', KEYS[i + 1])) do redis.call('UNLINK', answer) end
  redis.call('UNLINK', KEYS[i + 1])
end
"""


class AnswersError(SwitchdeskError):
    """Redis does not answer, so answers could not be removed."""


def answer(key: str) -> str:
    """Where an answer is kept."""
    return f"switchdesk:answer:{key}"


def names(database: str, tickets: Iterable[int]) -> list[str]:
    """For each ticket that an answer names: the mark of its erasure, and the list of answers that name it."""
    distinct = sorted(set(tickets))
    named = [str(ticket) for ticket in distinct] if len(distinct) <= _MOST_TICKETS else [_MANY]
    return list(_names(database, named))


def remove(url: str, database: str, tickets: Iterable[int]) -> None:
    """Remove every kept answer that names one of these tickets; raises AnswersError where Redis is away."""
    named = [str(ticket) for ticket in sorted(set(tickets))]
    client = redis.Redis.from_url(url, socket_connect_timeout=5.0, socket_timeout=10.0)
    try:
        for start in range(0, len(named), _TICKETS_A_CALL):
            keys = list(_names(database, [_MANY, *named[start : start + _TICKETS_A_CALL]]))
            client.eval(_REMOVE, len(keys), *keys, str(MARKED_SECONDS))
    except RedisError as error:
        raise AnswersError(
            f"Redis does not answer: answers were not removed ({type(error).__name__}); check SWITCHDESK_REDIS_URL"
        ) from None
    finally:
        client.close()


def _names(database: str, named: Iterable[str]) -> Iterator[str]:
    for name in named:
        yield f"switchdesk:erased:{database}:{name}"
        yield f"switchdesk:answers-of:{database}:{name}"
