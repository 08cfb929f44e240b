"""`switchdesk demo`: the whole way once, on the demo help desk."""

import os
import signal
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Annotated, Any

import typer

from assets.settings import Settings, SwitchdeskError, load_settings
from infra.local.directory import Directory

if TYPE_CHECKING:
    from rich.console import Console

_TICKETS = 2000
_LINES = 7
_INTERRUPTED = 130
"""What a shell reports of a command that Ctrl-C ended."""


class DemoFailed(SwitchdeskError):
    """The demo did not show what it is to show."""


def demo(
    context: typer.Context,
    tickets: Annotated[int, typer.Option(min=50, help="Size of the demo help desk.")] = _TICKETS,
    keep: Annotated[bool, typer.Option("--keep/--no-keep", help="Stay up until Ctrl-C, or stop at the end.")] = True,
) -> None:
    """Show the whole way once: start everything, copy the demo help desk, build, and ask five questions."""
    from rich.console import Console

    from infra.local import stack

    directory = context.obj
    assert isinstance(directory, Directory)
    _refuse_a_real_desk(directory)
    console = Console(highlight=False)
    began = time.monotonic()
    console.print("\n[bold]Switchdesk[/bold] [dim]the whole way once, on a made-up help desk[/dim]\n")
    with _terminates_like_interrupt():
        started: list[str] = []
        shown = False
        try:
            started = _start(directory, tickets, console)
            settings = load_settings()
            _load(settings, console)
            console.print(f"\n  [dim]ready after {time.monotonic() - began:.0f} s[/dim]\n")
            _ask_all(settings, console)
            _show_addresses(directory, console)
            shown = True
            if keep:
                console.print("  Everything stays up until Ctrl-C.\n")
                threading.Event().wait()
        except KeyboardInterrupt:
            console.print()
            if not shown:
                raise typer.Exit(_INTERRUPTED) from None
        finally:
            # A stack that was up before the demo belongs to somebody: it is left as it was found.
            if started:
                with console.status("  stopping every part"):
                    stack.stop(directory.path)
                console.print(f"  [green]✓[/green] stopped; the data stays in {directory.path}\n")


def _refuse_a_real_desk(directory: Directory) -> None:
    named = os.environ.get("SWITCHDESK_ZENDESK_URL")
    if named and named != directory.read_env().get("SWITCHDESK_ZENDESK_URL"):
        raise DemoFailed(
            f"demo refused: SWITCHDESK_ZENDESK_URL names {named}, and the demo copies a made-up help desk; unset it, "
            "or run `switchdesk up`, `sync` and `build` for that one"
        )


@contextmanager
def _terminates_like_interrupt() -> Iterator[None]:
    """Let SIGTERM end the demo as Ctrl-C does, so that nothing is left running."""

    def interrupt(*_: object) -> None:
        raise KeyboardInterrupt

    before = signal.signal(signal.SIGTERM, interrupt)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


def _start(directory: Directory, tickets: int, console: "Console") -> list[str]:
    from infra.local import stack
    from infra.local.parts.registry import PARTS
    from infra.local.phases import line

    began = time.monotonic()
    ready: set[str] = set()
    with console.status("  starting") as display:

        def report(part: str, state: stack.State, detail: str) -> None:
            if state is stack.State.READY:
                ready.add(part)
            waiting = [each.name for each in PARTS if each.name not in ready]
            display.update(f"  starting {', '.join(waiting[:4])}{' …' if len(waiting) > 4 else ''} [dim]{detail}[/dim]")

        started = stack.start(directory.path, tickets=tickets, report=report)
    what = f"{len(started)} parts up" if started else "already up"
    line(console, "Start the servers", what, time.monotonic() - began)
    return started


def _load(settings: Settings, console: "Console") -> None:
    from infra.local.phases import Phases
    from infra.local.runs import run_job

    with Phases(settings, console).shown() as phases:
        run_job(settings, "initial_load", on_event=phases.listen)


def _ask_all(settings: Settings, console: "Console") -> None:
    from infra.local.tour import ask, steps, world_at

    now = datetime.now(UTC)
    for number, step in enumerate(steps(now, world_at(settings, now)), start=1):
        console.print(f"  [bold cyan]{number}[/bold cyan]  [bold]{step.question}[/bold]")
        answer, equal = ask(settings, step)
        _show(console, answer)
        console.print(f"     [green]= the help desk: {equal}[/green]\n")


def _show(console: "Console", answer: dict[str, Any]) -> None:
    from rich.text import Text

    facts = [
        answer["tier"],
        answer["model"] or "no model",
        f"${answer['cost_usd']:.4f}",
        f"{answer['latency_ms']:,} ms",
    ]
    console.print(f"     [dim]{' · '.join([*facts, *_evidence(answer)])}[/dim]")
    # Ticket text may hold anything: no control character of it reaches the terminal, no bracket of it is markup.
    text = "".join(character for character in answer["text"] if character == "\n" or character.isprintable())
    lines = Text(text).wrap(console, min(console.width, 100) - 5)
    for line in lines[:_LINES]:
        console.print(Text("     ") + line)
    if len(lines) > _LINES:
        console.print("     [dim]…[/dim]")


def _evidence(answer: dict[str, Any]) -> list[str]:
    found = {"row": len(answer["rows"]), "quote": len(answer["citations"]), "ticket": len(answer["ticket_ids"])}
    return [f"{count} {name}{'' if count == 1 else 's'}" for name, count in found.items() if count]


def _show_addresses(directory: Directory, console: "Console") -> None:
    env = directory.read_env()
    console.print(f"  Dagster    {env['SWITCHDESK_DAGSTER_URL']}")
    console.print(f"  API docs   {env['SWITCHDESK_API_URL']}/docs")
    console.print(f'  API key    in {directory.env_file}, or `switchdesk ask "..."`\n')
