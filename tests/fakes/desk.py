"""The demo help desk in a thread of the test's own process, on a clock that only the test moves."""

import asyncio
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, TypeVar

from aiohttp import web

from infra.local.desk.clock import Clock
from infra.local.desk.faults import RULES, Faults
from infra.local.desk.limits import Limits
from infra.local.desk.server import Credentials, DeskServer
from infra.local.desk.truth import Truth
from infra.local.desk.world import World

NOON = datetime(2026, 11, 25, 12, tzinfo=UTC)
Result = TypeVar("Result")


@dataclass(frozen=True, slots=True)
class RunningDesk:
    """How to reach a desk, and its world for checking answers."""

    url: str
    client_id: str
    client_secret: str
    world: World
    truth: Truth
    server: DeskServer
    _loop: asyncio.AbstractEventLoop

    def call(self, action: Callable[[], Result]) -> Result:
        """Run something in the server's own thread, between two requests."""

        async def run() -> Result:
            return action()

        return asyncio.run_coroutine_threadsafe(run(), self._loop).result(120)

    def advance(self, seconds: int, per_hour: float = 0.0) -> None:
        """Let the world live on; with a rate, additional customers write meanwhile."""
        self.call(lambda: self.server.advance(seconds, per_hour))

    def script(self, faults: list[dict[str, Any]]) -> None:
        """Replace the scripted faults."""
        self.call(lambda: self.server.faults.set(RULES.validate_python(faults)))

    def stats(self) -> dict[str, Any]:
        """What callers did so far."""
        return self.call(self.server.stats)


@contextmanager
def demo_desk(
    tickets: int = 300,
    seed: int = 7,
    now: datetime = NOON,
    limit: tuple[int, float] = (10_000, 1.0),
    faults: list[dict[str, Any]] | None = None,
    world: World | None = None,
) -> Iterator[RunningDesk]:
    """Serve a world on a free port; its clock stands two minutes after `now`, so that no row is withheld."""
    world = world or World.build(tickets, seed, now)
    credentials = Credentials.generate()
    rules = RULES.validate_python(faults or [])
    server = DeskServer(world, Clock(stands_at=world.now + 120), credentials, Limits(*limit), Faults(rules, seed))
    loop = asyncio.new_event_loop()
    ready: list[int] = []
    started = threading.Event()
    stop = asyncio.Event()

    async def serve() -> None:
        runner = web.AppRunner(server.app(), access_log=None, shutdown_timeout=1)
        await runner.setup()
        site = web.TCPSite(runner, "127.0.0.1", 0)
        await site.start()
        ready.append(runner.addresses[0][1])
        started.set()
        await stop.wait()
        await runner.cleanup()

    thread = threading.Thread(target=loop.run_until_complete, args=(serve(),), daemon=True)
    thread.start()
    assert started.wait(30)
    try:
        yield RunningDesk(
            f"http://127.0.0.1:{ready[0]}",
            credentials.client_id,
            credentials.client_secret,
            world,
            Truth(world),
            server,
            loop,
        )
    finally:
        loop.call_soon_threadsafe(stop.set)
        thread.join(10)
        loop.close()
