"""Commands of the local stack: up, down, status, env, doctor, migrate."""

from typing import Annotated

import typer

from infra.local.directory import Directory


def up(
    context: typer.Context,
    only: Annotated[
        str | None, typer.Option(help="`stores` (the servers without Dagster, API and UI), or parts: postgres,kafka.")
    ] = None,
    tickets: Annotated[int | None, typer.Option(min=0, help="Size of the demo help desk [default: 2000].")] = None,
) -> None:
    """Start the local stack in the background; returns when every part answers."""
    from infra.local import stack
    from infra.local.parts.registry import chosen
    from infra.local.progress import Progress

    directory = _stack(context).path
    names = [part.name for part in chosen(only)]
    with Progress(names) as progress:
        started = stack.start(directory, only, tickets=tickets, report=progress.report)
    if not started:
        typer.echo(f"the stack in {directory} was already up: {', '.join(names)}; nothing changed")
    else:
        typer.echo(f"the stack in {directory} is up: {', '.join(started)}; `switchdesk env` prints its settings")


def down(context: typer.Context) -> None:
    """Stop the local stack and leave nothing running; its data stays."""
    from infra.local import stack
    from infra.local.progress import Progress

    directory = _stack(context).path
    with Progress([]) as progress:
        stopped = stack.stop(directory, report=progress.report)
    typer.echo(f"the stack in {directory} is down: {', '.join(stopped)}" if stopped else "nothing was running")


def status(
    context: typer.Context, as_json: Annotated[bool, typer.Option("--json", help="One JSON object.")] = False
) -> None:
    """Show every part and every stream."""
    from infra.local.state import look

    found = look(_stack(context))
    typer.echo(found.as_json() if as_json else found.as_text())


def env(context: typer.Context) -> None:
    """Print the settings that another shell needs, as `export` lines."""
    import shlex

    from infra.local.stack import exports

    for name, value in exports(_stack(context).path).items():
        typer.echo(f"export {name}={shlex.quote(value)}")


def doctor(context: typer.Context) -> None:
    """Check connections, versions, credentials and permissions; exit 1 where anything is wrong."""
    from assets.settings import load_settings
    from infra.local.doctor import examine

    findings = examine(load_settings(), _stack(context))
    width = max(len(finding.name) for finding in findings)
    for finding in findings:
        typer.echo(f"{'ok   ' if finding.is_ok else 'wrong'}  {finding.name:{width}}  {finding.detail}")
    if not all(finding.is_ok for finding in findings):
        raise typer.Exit(1)


def migrate() -> None:
    """Create or upgrade schemas, tables and logins of the database that the settings name."""
    from assets.settings import load_settings
    from infra.migrations import run

    typer.echo(f"the database is at revision {run.migrate(load_settings())}")


def _stack(context: typer.Context) -> Directory:
    stack = context.obj
    assert isinstance(stack, Directory)
    return stack
