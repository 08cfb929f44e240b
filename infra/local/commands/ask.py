"""`switchdesk ask` and `switchdesk route`: one question over HTTP, its answer or the decision alone."""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Iterator, Mapping
from typing import Annotated, Any

import typer

from assets.settings import SwitchdeskError

# An answer takes as long as its deadline; the server ends it, not the client.
_SECONDS = 600.0
_ROWS, _COLUMNS = 10, 6
_MOMENT = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d")


class AskError(SwitchdeskError):
    """The API did not answer the question."""


def ask(
    text: Annotated[str, typer.Argument(help="The question.")],
    as_json: Annotated[bool, typer.Option("--json", help="Print the whole answer as JSON.")] = False,
    as_of: Annotated[str | None, typer.Option("--as-of", help="The moment asked (ISO); default: now.")] = None,
    budget: Annotated[float | None, typer.Option(help="USD the answer may cost.")] = None,
    stream: Annotated[bool, typer.Option("--stream", help="Print the text as it comes.")] = False,
) -> None:
    """Ask one question."""
    body = {"question": text, "as_of": as_of, "budget_usd": budget}
    body = {name: value for name, value in body.items() if value is not None}
    answer = _streamed(body, shown=not as_json) if stream else _post("/v1/ask", body)
    if as_json:
        typer.echo(json.dumps(answer, indent=2, ensure_ascii=False))
    else:
        _print_answer(answer, with_text=not stream)


def route(
    text: Annotated[str, typer.Argument(help="The question.")],
    as_json: Annotated[bool, typer.Option("--json", help="Print the whole decision as JSON.")] = False,
) -> None:
    """Say where a question would go and what it would cost, without answering it."""
    from rich.console import Console
    from rich.table import Table

    decision = _post("/v1/route", {"question": text})
    if as_json:
        typer.echo(json.dumps(decision, indent=2, ensure_ascii=False))
        return
    console = Console(soft_wrap=True, highlight=False)
    if decision["reading"]:
        console.print(f"Understood as: {decision['reading']}", markup=False)
    for reason in decision["why"]:
        console.print(f"- {reason}", markup=False)
    table = Table("path", "expected USD", "expected ms", "why", box=None, pad_edge=False)
    for path in decision["paths"]:
        name = f"> {path['tier']}" if path["chosen"] else f"  {path['tier']}"
        table.add_row(name, _usd(path["expected_usd"]), str(path["expected_ms"]), path["why"])
    console.print(table)
    for candidate in decision["candidates"]:
        console.print(f"{candidate['model']}: {_usd(candidate['expected_usd'])}, {candidate['reason']}", markup=False)


def _print_answer(answer: Mapping[str, Any], *, with_text: bool) -> None:
    from rich.console import Console
    from rich.table import Table

    console = Console(soft_wrap=True, highlight=False)
    if with_text:
        console.print(_safe(answer["text"]), markup=False)
    if len(answer["rows"]) > 1 and answer["intent"] == "complex":
        console.print(f"\nall {len(answer['rows'])} figures behind it with --json", markup=False)
    elif len(answer["rows"]) > 1:
        shown = answer["columns"][:_COLUMNS]
        table = Table(*(_heading(column) for column in shown), box=None, pad_edge=False)
        for row in answer["rows"][:_ROWS]:
            table.add_row(*(_safe(_cell(cell))[:40] for cell in row[:_COLUMNS]))
        console.print()
        console.print(table)
        if len(answer["rows"]) > _ROWS or len(answer["columns"]) > _COLUMNS:
            size = f"{len(answer['rows'])} rows of {len(answer['columns'])} columns"
            console.print(f"… all {size} with --json", markup=False)
    console.print()
    for suggestion in answer["suggestions"] if answer["status"] != "clarify" else ():
        console.print(f"try: {_safe(suggestion)}", markup=False)
    for warning in answer["warnings"]:
        console.print(f"note: {_safe(warning)}", markup=False)
    evidence = [f"{one['dataset']} version {one['version']}" for one in answer["data"]]
    if answer["citations"]:
        evidence.append(f"{len(answer['citations'])} quotes")
    facts = [
        answer["status"],
        f"tier {answer['tier']}",
        f"model {answer['model'] or 'none'}",
        f"cost {_usd(answer['cost_usd'])} USD",
        f"{answer['latency_ms']} ms",
    ]
    console.print(" · ".join(facts), markup=False)
    if evidence:
        console.print(f"evidence: {', '.join(evidence)}; decision {answer['decision_id']}", markup=False)


def _post(path: str, body: Mapping[str, Any]) -> dict[str, Any]:
    import httpx

    url, headers = _target()
    try:
        response = httpx.post(f"{url}{path}", json=body, headers=headers, timeout=_SECONDS, trust_env=False)
    except httpx.HTTPError as error:
        raise _unreachable(url, error) from None
    content = _content(response.content)
    if response.status_code != 200:
        raise AskError(_refusal(response.status_code, content))
    return content


def _streamed(body: Mapping[str, Any], *, shown: bool) -> dict[str, Any]:
    """The answer at the end of its events, its text printed as it comes."""
    import httpx

    url, headers = _target()
    headers["Accept"] = "text/event-stream"
    try:
        with httpx.stream(
            "POST", f"{url}/v1/ask", json=body, headers=headers, timeout=_SECONDS, trust_env=False
        ) as response:
            if response.status_code != 200:
                raise AskError(_refusal(response.status_code, _content(response.read())))
            for name, data in _events(response.iter_lines()):
                if name == "token" and shown:
                    sys.stdout.write(_safe(data["text"]))
                    sys.stdout.flush()
                elif name == "error":
                    raise AskError(_refusal(data.get("status", 500), data))
                elif name == "answer":
                    if shown:
                        sys.stdout.write("\n")
                    return data
    except httpx.HTTPError as error:
        raise _unreachable(url, error) from None
    raise AskError("answer incomplete: the stream ended without one; ask again")


def _events(lines: Iterator[str]) -> Iterator[tuple[str, dict[str, Any]]]:
    name = ""
    for line in lines:
        if line.startswith("event: "):
            name = line.removeprefix("event: ")
        elif line.startswith("data: "):
            yield name, json.loads(line.removeprefix("data: "))


def _target() -> tuple[str, dict[str, str]]:
    from assets.settings import load_settings

    settings = load_settings()
    return settings.require("api_url"), {"Authorization": f"Bearer {settings.require('api_key')}"}


def _content(body: bytes) -> dict[str, Any]:
    try:
        content = json.loads(body)
    except ValueError:
        raise AskError("answer unreadable: that is no switchdesk API; check SWITCHDESK_API_URL") from None
    return content if isinstance(content, dict) else {}


def _refusal(status: int, content: Mapping[str, Any]) -> str:
    nearest = ", ".join(content.get("nearest", ()))
    return f"{content.get('detail') or f'the API answered {status}'}" + (f" (nearest: {nearest})" if nearest else "")


def _unreachable(url: str, error: Exception) -> AskError:
    return AskError(
        f"API unreachable: {url}: {type(error).__name__}; `switchdesk up` or `switchdesk serve` starts it, "
        "SWITCHDESK_API_URL names it"
    )


def _heading(column: Mapping[str, Any]) -> str:
    return f"{column['name']} ({column['unit']})" if column["unit"] == "minutes" else str(column["name"])


def _cell(cell: object) -> str:
    if cell is None:
        return ""
    if isinstance(cell, str) and _MOMENT.match(cell):
        return cell[:16].replace("T", " ")
    return f"{cell:,.2f}".rstrip("0").rstrip(".") if isinstance(cell, float) else str(cell)


def _safe(text: str) -> str:
    """Ticket text may hold control characters; a terminal must not obey them."""
    return "".join(sign if sign.isprintable() or sign == "\n" else " " for sign in text)


def _usd(amount: float) -> str:
    return f"{amount:.6f}".rstrip("0").rstrip(".") or "0"
