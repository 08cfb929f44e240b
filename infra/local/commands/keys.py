"""`switchdesk keys`: API keys, straight to PostgreSQL."""

from __future__ import annotations

from datetime import UTC, datetime
from decimal import Decimal, InvalidOperation
from typing import Annotated

import typer

app = typer.Typer(no_args_is_help=True, pretty_exceptions_enable=False)


@app.command()
def create(
    name: Annotated[str, typer.Argument(help="Name of the key, unique.")],
    scopes: Annotated[str, typer.Option(help="Comma-separated: ask, search, admin, feedback, verify.")] = "ask,search",
    rows: Annotated[str | None, typer.Option(help="Rows it sees: dimension=value[,value][;…].")] = None,
    budget: Annotated[str | None, typer.Option(help="Cap of a period, such as 5/day or 100/month (USD).")] = None,
    request_budget: Annotated[str | None, typer.Option(help="Cap of one request (USD).")] = None,
    expires: Annotated[str | None, typer.Option(help="Moment it ends (ISO, with zone).")] = None,
) -> None:
    """Make a key; its secret is printed once, alone on the last line."""
    from assets.settings import load_settings
    from serving.access.keys import create_key

    amount, period = _budget(budget)
    secret = create_key(
        load_settings(),
        name,
        scopes=[scope.strip() for scope in scopes.split(",") if scope.strip()],
        rows=rows,
        budget_usd=amount,
        budget_period=period,
        request_budget_usd=_usd(request_budget, "--request-budget") if request_budget else None,
        expires_at=_moment(expires) if expires else None,
    )
    typer.echo(f"key {name} made; this is the only time its secret is shown:")
    typer.echo(secret)


@app.command("list")
def show() -> None:
    """List every key, revoked ones too."""
    from rich.console import Console
    from rich.table import Table

    from assets.settings import load_settings
    from serving.access.keys import list_keys

    table = Table("name", "state", "scopes", "rows", "budget", "a request", "expires", box=None, pad_edge=False)
    for key in list_keys(load_settings()):
        table.add_row(
            key.name,
            key.state,
            ", ".join(key.scopes),
            key.row_filter or "all",
            f"{key.budget_usd.normalize():f} USD/{key.budget_period}" if key.budget_usd is not None else "no cap",
            f"{key.request_budget_usd.normalize():f} USD" if key.request_budget_usd is not None else "default",
            f"{key.expires_at:%Y-%m-%d %H:%M} UTC" if key.expires_at else "never",
        )
    Console().print(table)


@app.command()
def revoke(name: Annotated[str, typer.Argument(help="Name of the key.")]) -> None:
    """End a key for good; replicas refuse it within two seconds."""
    from assets.settings import load_settings
    from serving.access.keys import revoke_key

    revoke_key(load_settings(), name)
    typer.echo(f"key {name} revoked")


@app.command()
def rotate(
    name: Annotated[str, typer.Argument(help="Name of the key.")],
    grace: Annotated[int, typer.Option(min=0, max=86400, help="Seconds the old secret still works.")] = 0,
) -> None:
    """Give a key a new secret, printed alone on the last line."""
    from assets.settings import load_settings
    from serving.access.keys import rotate_key

    secret = rotate_key(load_settings(), name, grace_seconds=grace)
    typer.echo(f"key {name} rotated; the old secret works for {grace} s more, this one from now on:")
    typer.echo(secret)


def _budget(text: str | None) -> tuple[Decimal | None, str]:
    if text is None:
        return None, "month"
    amount, slash, period = text.partition("/")
    if slash and period not in {"day", "month"}:
        raise typer.BadParameter(f"{text!r} is not an amount a day or month, such as 5/day", param_hint="--budget")
    return _usd(amount, "--budget"), period or "month"


def _usd(text: str, option: str) -> Decimal:
    try:
        amount = Decimal(text)
    except InvalidOperation:
        amount = Decimal(-1)
    if not amount.is_finite() or amount <= 0:
        raise typer.BadParameter(f"{text!r} is not an amount of USD above zero", param_hint=option)
    return amount


def _moment(text: str) -> datetime:
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        raise typer.BadParameter(
            f"{text!r} is no ISO time, such as 2027-01-31T00:00:00Z", param_hint="--expires"
        ) from None
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)
