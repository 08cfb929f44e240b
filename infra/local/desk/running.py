"""Runs the demo help desk as a process: builds its world, tells how to reach it, serves until told to stop."""

import asyncio
import os
import signal
import socket
import sys
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from aiohttp import web

from infra.local.desk.clock import Clock
from infra.local.desk.faults import Fault, Faults
from infra.local.desk.journal import Journal
from infra.local.desk.limits import Limits
from infra.local.desk.server import Credentials, DeskServer
from infra.local.desk.world import World
from infra.local.errors import PortTaken, StackError

HOST = "127.0.0.1"


@dataclass(frozen=True, slots=True)
class Options:
    """What the command line says."""

    tickets: int
    seed: int
    port: int
    live: bool
    per_hour: float
    calls: int
    seconds: float
    faults: list[Fault]
    credentials: Credentials
    journal: Path
    epoch: int | None = None


def run(options: Options) -> None:
    """Serve until SIGTERM or SIGINT."""
    clock = Clock()
    journal = Journal.open(options.journal, options.tickets, options.seed, options.epoch, clock.now())
    world = World.build(options.tickets, options.seed, datetime.fromtimestamp(journal.epoch, UTC))
    for first, last, per_hour in journal.live:
        for minute in range(first, last + 1):
            world.live(minute, per_hour)
    limits = Limits(options.calls, options.seconds)
    server = DeskServer(world, clock, options.credentials, limits, Faults(options.faults, options.seed))
    if options.live or journal.live:
        world.advance(clock.now())
    listening = _listen(options.port)
    _tell(listening.getsockname()[1], options.credentials)
    asyncio.run(_serve(server, listening, journal, options.per_hour if options.live else 0.0))


def _listen(port: int) -> socket.socket:
    listening = socket.socket()
    listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listening.bind((HOST, port))
    except OSError as error:
        raise PortTaken(
            f"demo desk cannot listen on {HOST}:{port}: {os.strerror(error.errno or 0)}; choose another --port"
        ) from None
    listening.listen(128)
    return listening


def _tell(port: int, credentials: Credentials) -> None:
    sys.stdout.write(
        f"export SWITCHDESK_ZENDESK_URL=http://{HOST}:{port}\n"
        f"export SWITCHDESK_ZENDESK_CLIENT_ID={credentials.client_id}\n"
        f"export SWITCHDESK_ZENDESK_CLIENT_SECRET={credentials.client_secret}\n"
    )
    sys.stdout.flush()


async def _serve(server: DeskServer, listening: socket.socket, journal: Journal, per_hour: float) -> None:
    stop = asyncio.Event()
    for name in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(name, stop.set)
    runner = web.AppRunner(server.app(), access_log=None, shutdown_timeout=2)
    await runner.setup()
    await web.SockSite(runner, listening).start()
    try:
        if per_hour:
            await _live(server, journal, per_hour, stop)
        else:
            await stop.wait()
    finally:
        await runner.cleanup()


async def _live(server: DeskServer, journal: Journal, per_hour: float, stop: asyncio.Event) -> None:
    announced = journal.live[-1][1] if journal.live else 0
    while not stop.is_set():
        coming = max(server.clock.now(), server.world.now) // 60 + 1
        if coming > announced:
            journal.go_live(coming, per_hour)
            server.world.live(coming, per_hour)
            announced = coming
        server.world.advance(server.clock.now())
        try:
            await asyncio.wait_for(stop.wait(), 1.0)
        except TimeoutError:
            continue


def parse_limit(text: str) -> tuple[int, float]:
    """`10/60`: calls and seconds of a window."""
    calls, _, seconds = text.partition("/")
    try:
        parsed = int(calls), float(seconds)
    except ValueError:
        parsed = (0, 0.0)
    if parsed[0] < 1 or parsed[1] <= 0:
        raise StackError(f"limit malformed: {text} is not CALLS/SECONDS, for example 10/60")
    return parsed
