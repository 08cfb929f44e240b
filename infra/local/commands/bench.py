"""`switchdesk bench`: how fast the parts are, each beside its peer."""

from __future__ import annotations

import importlib
from typing import Annotated, Any

import typer

from infra.local.errors import StackError

app = typer.Typer(no_args_is_help=True, pretty_exceptions_enable=False)


@app.command()
def sync(
    tickets: Annotated[int, typer.Option(min=10, help="Tickets of the demo help desk that is read.")] = 5000,
    rounds: Annotated[int, typer.Option(min=1, help="Times that each side is measured, in turn.")] = 3,
) -> None:
    """Help desk to PostgreSQL through Kafka, beside a bare httpx and orjson loop over the same pages."""
    _benchmark("sync").run(tickets=tickets, rounds=rounds, say=typer.echo)


@app.command()
def load(
    tickets: Annotated[int, typer.Option(min=10, help="Tickets whose rows are loaded.")] = 5000,
    rounds: Annotated[int, typer.Option(min=1, help="Times that each side is measured, in turn.")] = 3,
) -> None:
    """Kafka to PostgreSQL, beside a plain COPY of the same rows."""
    _benchmark("load").run(tickets=tickets, rounds=rounds, say=typer.echo)


def _benchmark(name: str) -> Any:
    try:
        return importlib.import_module(f"benchmarks.{name}")
    except ModuleNotFoundError as error:
        if not str(error.name).startswith("benchmarks"):
            raise
        raise StackError(
            "benchmarks not found: they are no part of the installed package; run `switchdesk bench` from a checkout"
        ) from None
