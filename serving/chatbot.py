"""The chat service's door: a message in, an answer out, as the local default user."""

from __future__ import annotations

from assets.settings import Settings, load_settings
from serving.access.asker import LOCAL
from serving.question import make_question
from serving.schemas import Answer, AskRequest
from serving.state import State, open_state


async def handle_message(message: str) -> Answer:
    """Answer one message within `DEFAULT_BUDGET`; the result prints as its text. A service keeps a `Chatbot` open."""
    async with Chatbot() as chatbot:
        return await chatbot.handle_message(message)


class Chatbot:
    """Answers messages over stores that stay open between them."""

    def __init__(self, settings: Settings | None = None) -> None:
        self._settings = settings or load_settings()
        self._opening = open_state(self._settings)
        self._state: State | None = None

    async def __aenter__(self) -> Chatbot:
        self._state = await self._opening.__aenter__()
        return self

    async def __aexit__(self, *failure: object) -> None:
        self._state = None
        await self._opening.__aexit__(*failure)  # pyright: ignore[reportArgumentType]

    async def handle_message(self, message: str) -> Answer:
        """Answer one message; raises a ServingError where it cannot be."""
        state = self._state
        if state is None:
            raise RuntimeError("a Chatbot is used inside `async with`")
        request = AskRequest(question=message)
        question = make_question(request, asker=LOCAL, settings=state.settings, policy=state.policy)
        return await state.answering.ask(question)
