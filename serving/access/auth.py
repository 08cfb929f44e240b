"""Authentication of a request: its bearer key becomes the asker."""

from __future__ import annotations

from typing import Annotated

from fastapi import Depends, Request

from serving.access.asker import Asker
from serving.errors import Unauthenticated
from serving.state import State


def serving_state(request: Request) -> State:
    """The state of this process."""
    return request.state.serving


Serving = Annotated[State, Depends(serving_state)]


async def authenticated(request: Request, state: Serving) -> Asker:
    """Who asks; raises Unauthenticated."""
    scheme, _, key = request.headers.get("authorization", "").partition(" ")
    key = key.strip()
    if scheme.lower() != "bearer" or not key:
        raise Unauthenticated("key missing: send `Authorization: Bearer KEY`; `switchdesk keys create NAME` makes one")
    kept = state.keyring.kept(key)
    return kept if kept is not None else await state.threads.run(lambda: state.keyring.check(key))


Caller = Annotated[Asker, Depends(authenticated)]
