"""`switchdesk demo-desk`: the demo help desk."""

from datetime import UTC, datetime
from typing import Annotated

import typer


def demo_desk(
    tickets: Annotated[int, typer.Option(min=0, help="Tickets of the history; 0 is an empty help desk.")] = 2000,
    seed: Annotated[int, typer.Option(help="Another seed, another world.")] = 7,
    port: Annotated[int, typer.Option(min=0, max=65535, help="0 takes a free one.")] = 0,
    live: Annotated[bool, typer.Option("--live", help="Go on producing tickets, replies, solves and ratings.")] = False,
    rate: Annotated[float, typer.Option(min=0.1, max=36000, help="New tickets an hour while live.")] = 30.0,
    limit: Annotated[str, typer.Option(metavar="CALLS/SECONDS", help="Export quota; 10/60 is the real one.")] = "600/1",
    faults: Annotated[str, typer.Option(metavar="JSON", help="Scripted misbehaviour.")] = "[]",
    epoch: Annotated[
        datetime | None,
        typer.Option(help="When the history ends (UTC) [default: the first start with this size and seed]."),
    ] = None,
) -> None:
    """Serve a demo help desk over the Zendesk API; first print how to reach it."""
    from pydantic import ValidationError

    from assets.settings import load_settings
    from infra.local.desk.faults import RULES
    from infra.local.desk.running import Options, parse_limit, run
    from infra.local.desk.server import Credentials
    from infra.local.errors import StackError

    settings = load_settings()
    try:
        rules = RULES.validate_json(faults)
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        place = ".".join(str(part) for part in first["loc"]) or "the whole"
        raise StackError(
            f"faults malformed: {place}: {first['msg']}; for example "
            '[{"kind": "status", "status": 503, "path": "incremental/*", "probability": 0.02}]'
        ) from None
    generated = Credentials.generate()
    secret = settings.zendesk_client_secret
    credentials = Credentials(
        settings.zendesk_client_id or generated.client_id,
        secret.get_secret_value() if secret else generated.client_secret,
    )
    calls, seconds = parse_limit(limit)
    run(
        Options(
            tickets=tickets,
            seed=seed,
            port=port,
            live=live,
            per_hour=rate,
            calls=calls,
            seconds=seconds,
            faults=rules,
            credentials=credentials,
            journal=settings.dir / "desk.json",
            epoch=int(epoch.replace(tzinfo=epoch.tzinfo or UTC).timestamp()) // 60 * 60 if epoch else None,
        )
    )
