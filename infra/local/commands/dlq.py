"""`switchdesk dlq`: records that no table could hold, straight from PostgreSQL, and back through Kafka."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Annotated

import typer

app = typer.Typer(no_args_is_help=True, pretty_exceptions_enable=False)


@app.command("list")
def show_all(
    stream: Annotated[str | None, typer.Option(metavar="STREAM", help="Only those of this stream.")] = None,
    everything: Annotated[bool, typer.Option("--all", help="Those that were dealt with too.")] = False,
) -> None:
    """List dead letters with reason, stream, age and origin."""
    from rich.console import Console
    from rich.table import Table

    from assets.settings import load_settings
    from assets.stores import postgres
    from assets.zendesk import dead_letters
    from assets.zendesk.errors import ZendeskError
    from assets.zendesk.streams import STREAMS

    if stream is not None and stream not in STREAMS:
        raise ZendeskError(f"stream unknown: {stream}; there are {', '.join(STREAMS)}")
    url = load_settings().require("postgres_url")
    with postgres.connect(url, application="switchdesk-dead-letters", autocommit=True) as connection:
        letters = dead_letters.listed(connection, stream=stream, settled=everything)
    console = Console()
    if not console.is_terminal:
        # For pipes: a line a letter, never folded.
        console = Console(width=400)
    if not letters:
        console.print("no dead letters: every record was loaded" if not everything else "no dead letters")
        return
    table = Table("id", "stream", "row", "state", "age", "origin", "reason", box=None, pad_edge=False)
    for letter in letters:
        row = str(letter.entity_id) if letter.entity_id is not None else ""
        # Reasons are our own words: columns, types and error classes.
        table.add_row(
            str(letter.id), letter.stream, row, letter.state, _age(letter.created_at), letter.origin, letter.reason
        )
    console.print(table)


@app.command()
def show(letter: Annotated[int, typer.Argument(metavar="ID", help="Number of the dead letter.")]) -> None:
    """Show one dead letter with the record as it stood in its topic."""
    from assets.settings import load_settings
    from assets.stores import postgres
    from assets.zendesk import dead_letters

    url = load_settings().require("postgres_url")
    with postgres.connect(url, application="switchdesk-dead-letters", autocommit=True) as connection:
        found = dead_letters.one(connection, letter)
    typer.echo(f"stream   {found.stream}")
    typer.echo(f"row      {found.entity_id if found.entity_id is not None else 'not readable'}")
    if found.ticket_id is not None:
        typer.echo(f"ticket   {found.ticket_id}")
    typer.echo(f"reason   {found.reason}")
    typer.echo(f"origin   {found.origin}")
    typer.echo(f"set by   {found.created_at.astimezone(UTC):%Y-%m-%d %H:%M:%S} UTC")
    typer.echo(f"state    {found.state}")
    typer.echo(f"\n{found.text()}")


@app.command()
def replay(
    letters: Annotated[list[int] | None, typer.Argument(metavar="ID…", help="Numbers of dead letters.")] = None,
    everything: Annotated[bool, typer.Option("--all", help="Every open one.")] = False,
) -> None:
    """Put dead letters into their topics again and load them; what was dealt with already stays as it is."""
    from assets.settings import load_settings
    from assets.zendesk import dead_letters
    from assets.zendesk.errors import ZendeskError

    if bool(letters) == everything:
        raise typer.BadParameter("name the dead letters by number, or all of them with --all")
    done = dead_letters.replay(load_settings(), None if everything else letters, notice=typer.echo)
    typer.echo(
        f"{len(done.replayed)} replayed: {len(done.replayed) - len(done.again)} loaded, {len(done.again)} refused"
    )
    if done.erased:
        numbers = ", ".join(map(str, done.erased))
        typer.echo(f"erased with their tickets' text: {numbers}; `switchdesk sync --since MOMENT` reads the rows again")
    if done.again:
        reasons = "; ".join(f"{number}: {reason}" for number, reason in done.again.items())
        raise ZendeskError(f"dead letters refused again: {reasons}; each has a dead letter of its own now")


def _age(moment: datetime) -> str:
    seconds = max(0, int((datetime.now(UTC) - moment).total_seconds()))
    for size, unit in ((86400, "d"), (3600, "h"), (60, "min")):
        if seconds >= size:
            return f"{seconds // size} {unit}"
    return f"{seconds} s"
