"""Answers in words, composed from rows, quotes and links alone: no number and no quote comes from anywhere else."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

from serving.planning.plan import GraphPlan, MetricPlan, Plan, SearchPlan, TemplatePlan, TimeRange
from serving.schemas import Cell
from serving.tiers.table import Column, Table, number

_LISTED = 5
_ABOUT = ("product", "reason", "brand", "form", "tags")
_DATES = "%Y-%m-%d"


def metric_text(plan: MetricPlan, table: Table, *, zone: ZoneInfo, as_of: datetime, limits: str = "") -> str:
    """One number, a series or a breakdown: the first sentence is the answer, with its limits, range and zone.

    `limits` are the plan's filters in words, as `where priority is urgent`.
    """
    span = range_phrase(plan.time, zone, as_of)
    if limits:
        span = f"{limits}, {span}"
    if not table.rows or not table.metrics:
        return f"There is nothing to count {span}."
    asked = asked_of_rows(plan, table)
    if asked is not None and plan.share_of:
        return "\n".join([_share(plan, table, asked, span), *_rows_text(table)])
    if asked is not None and plan.is_mean:
        return _mean(plan, table, asked, span)
    if table.dimensions or plan.time.grain is not None:
        return _breakdown(plan, table, span)
    parts = [
        f"{label(table.columns[at])}: {humanise(table.rows[0][at], table.columns[at].unit)}" for at in table.metrics
    ]
    return f"{'; '.join(parts)} {span}."


def asked_of_rows(plan: MetricPlan, table: Table) -> float | None:
    """The share of some rows, or their mean, where the plan asks for one and the table holds all of them."""
    if table.truncated or not table.metrics:
        return None
    values = [number(row[table.metrics[0]]) or 0 for row in table.rows]
    if plan.share_of and len(table.dimensions) == 1:
        part = [
            value for value, row in zip(values, table.rows, strict=True) if row[table.dimensions[0]] in plan.share_of
        ]
        return sum(part) / sum(values) if sum(values) else None
    if plan.is_mean and len(table.dimensions) == 1:
        return sum(values) / len(values) if values else None
    return None


def _share(plan: MetricPlan, table: Table, share: float, span: str) -> str:
    at, column = table.metrics[0], table.columns[table.dimensions[0]]
    whole = sum(number(row[at]) or 0 for row in table.rows)
    name = label(column).lower()
    if isinstance(plan.share_of[0], bool):
        part = name if plan.share_of[0] else f"not {name}"
    else:
        part = f"{name} {' or '.join(str(value) for value in plan.share_of)}"
    counts = f"{humanise(round(share * whole), None)} of {humanise(whole, table.columns[at].unit)}"
    return f"{humanise(share, 'share')} of {label(table.columns[at]).lower()} {span} are {part}: {counts}."


def _mean(plan: MetricPlan, table: Table, mean: float, span: str) -> str:
    column = table.columns[table.metrics[0]]
    whole = sum(number(row[table.metrics[0]]) or 0 for row in table.rows)
    grain = plan.time.grain.value if plan.time.grain else "period"
    return (
        f"{label(column)} {span}: {humanise(round(mean, 2), column.unit)} a {grain} on average, "
        f"{humanise(whole, column.unit)} in {counted(len(table.rows), grain)}."
    )


def template_text(plan: TemplatePlan, table: Table, *, zone: ZoneInfo, as_of: datetime, limits: str = "") -> str:
    """A list of tickets, or what is known of one; `limits` as for `metric_text`."""
    if plan.template == "ticket":
        return _facts(table) if table.rows else f"There is no ticket {plan.ticket_id}."
    span = range_phrase(plan.time, zone, as_of)
    if limits:
        span = f"{limits}, {span}"
    if not table.rows:
        return f"No ticket was found {span}."
    shown, total = len(table.rows), max(table.total or 0, len(table.rows))
    many = counted(total, "open ticket" if plan.template == "oldest_open" else "ticket")
    if plan.template == "most_replies":
        many += " with agent replies"
    first = {"ticket_list": "newest", "oldest_open": "oldest", "most_replies": "most replied to"}[plan.template]
    listed = f"the {shown:,} {first} are listed" if shown > 1 else f"the {first} is listed"
    cut = f"; {listed}" if total > shown else f", {first} first" if shown > 1 else ""
    lines = [f"{many} {span}{cut}."]
    lines += [f"- {_ticket_text(table, row)}" for row in table.rows[:_LISTED]]
    if len(table.rows) > _LISTED:
        lines.append(f"- and {len(table.rows) - _LISTED} more in the table")
    return "\n".join(lines)


def search_text(plan: SearchPlan, quotes: Sequence[tuple[int, str]], *, zone: ZoneInfo, as_of: datetime) -> str:
    """Comments found, (ticket id, quote) each, quoted word for word."""
    about = plan.query.strip()
    span = range_phrase(plan.time, zone, as_of)
    authors = {value for one in plan.filters if one.dimension == "author_role" for value in one.values}
    who = f"{'agent' if authors == {'agent'} else 'customer'} " if len(authors) == 1 else ""
    if not quotes:
        return f"No {who}comment was found about “{about}” {span}."
    tickets = len({ticket for ticket, _ in quotes})
    lines = [
        f"{counted(len(quotes), f'{who}comment')} in {counted(tickets, 'ticket')} "
        f"{'is' if len(quotes) == 1 else 'are'} nearest to “{about}” {span}:"
    ]
    lines += [f"- “{' '.join(quote.split())}” (ticket {ticket})" for ticket, quote in quotes[:_LISTED]]
    return "\n".join(lines)


_RELATIONS = {
    "related": ("related ticket", "related tickets"),
    "incidents": ("incident", "incidents"),
    "merged": ("merged ticket", "merged tickets"),
    "follow_ups": ("follow-up ticket", "follow-up tickets"),
    "repeat_contacts": ("requester who came back", "requesters who came back"),
    "escalations": ("escalation from group to group", "escalations from group to group"),
    "problems": ("problem ticket with incidents", "problem tickets with incidents"),
}


def graph_text(plan: GraphPlan, table: Table) -> str:
    """Links found, one line each."""
    about = f" for ticket {plan.ticket_id}" if plan.ticket_id is not None else ""
    one, many = _RELATIONS[plan.relation]
    if not table.rows:
        return f"No {one} was found{about}."
    total = max(table.total or 0, len(table.rows))
    cut = f"; the first {len(table.rows):,} are listed" if total > len(table.rows) else ""
    lines = [f"{total:,} {one if total == 1 else many}{about}{cut}:"]
    lines += [f"- {_link_text(table, row)}" for row in table.rows[:_LISTED]]
    if len(table.rows) > _LISTED:
        lines.append(f"- and {len(table.rows) - _LISTED} more in the table")
    return "\n".join(lines)


def range_phrase(time: TimeRange, zone: ZoneInfo, as_of: datetime) -> str:
    """The range in words, with its zone; whole days are shown with their last day."""
    moment = as_of.astimezone(zone)
    now = f"{moment:%Y-%m-%d %H:%M}"
    if time.from_ is None and time.to is None:
        return f"as of {now} ({zone.key})"
    start = time.from_.astimezone(zone) if time.from_ else None
    end = time.to.astimezone(zone) if time.to else None
    if start is not None and end is not None and _is_midnight(start) and _is_midnight(end):
        last = end - timedelta(days=1)
        if last.date() == start.date():
            return f"on {start:{_DATES}} ({zone.key})"
        return f"from {start:{_DATES}} to {last:{_DATES}} ({zone.key})"
    if start is None and end is not None:
        return f"before {_moment(end)} ({zone.key})"
    if start is not None and end is None:
        return f"since {_moment(start)}, as of {now} ({zone.key})"
    assert start is not None
    assert end is not None
    return f"from {_moment(start)} to {_moment(end)} ({zone.key})"


def humanise(cell: Cell, unit: str | None) -> str:
    """A value for people: 200 minutes are `3 h 20 min`, a share of 0.453 is `45.3 %`."""
    value = number(cell)
    if value is None:
        return "no value" if cell is None else _plain(str(cell))
    if unit == "minutes":
        return _duration(float(value))
    if unit == "share":
        return f"{value * 100:.1f} %"
    shown = f"{int(value):,}" if float(value).is_integer() else f"{value:,.2f}".rstrip("0").rstrip(".")
    if unit is None or unit == "number":
        return shown
    return f"{shown} {unit[:-1] if value == 1 and unit.endswith('s') else unit}"


def long_table(parts: Sequence[tuple[MetricPlan, Table]], *, zone: ZoneInfo) -> Table:
    """The figures of several plans as one table, a row a number."""
    units = {table.columns[at].unit for _, table in parts for at in table.metrics}
    rows: list[tuple[Cell, ...]] = []
    for plan, table in parts:
        span = [moment.astimezone(zone).isoformat() if moment else None for moment in (plan.time.from_, plan.time.to)]
        for row in table.rows:
            group = ", ".join(table.columns[at].name for at in table.dimensions) or None
            member = _names(table, row) or None
            rows += [(table.columns[at].name, *span, group, member, row[at]) for at in table.metrics]
    return Table(
        (
            Column("metric", "text", None, "dimension", "metric"),
            Column("from", "timestamp", None, "dimension", "from"),
            Column("to", "timestamp", None, "dimension", "to"),
            Column("dimension", "text", None, "dimension", "dimension"),
            Column("member", "text", None, "dimension", "member"),
            Column("value", "number", units.pop() if len(units) == 1 else None, "metric", "value"),
        ),
        tuple(rows),
        any(table.truncated for _, table in parts),
    )


def counted(count: int, noun: str) -> str:
    """`1 ticket`, `2 tickets`."""
    return f"{count:,} {noun}" if count == 1 else f"{count:,} {noun}s"


def plan_range(plan: Plan) -> TimeRange:
    """The range a plan counts over."""
    own = getattr(plan, "time", None)
    if isinstance(own, TimeRange):
        return own
    metrics = getattr(plan, "metrics", ())
    for part in metrics:
        if isinstance(part, MetricPlan):
            return part.time
    return TimeRange()  # pyright: ignore[reportCallIssue]


def _breakdown(plan: MetricPlan, table: Table, span: str) -> str:
    at = table.metrics[0]
    column = table.columns[at]
    held = [(number(row[at]), row) for row in table.rows]
    valued = [(value, row) for value, row in held if value is not None]
    name = label(column)
    if not valued:
        return f"{name} {span}: no value in any of {counted(len(table.rows), 'row')}."
    series = plan.time.grain is not None and len(table.dimensions) == 1
    top = max(valued, key=lambda pair: pair[0])
    low = min(valued, key=lambda pair: pair[0])
    if series:
        first, last = valued[0], valued[-1]
        return (
            f"{name} by {plan.time.grain.value if plan.time.grain else 'period'} {span}: "
            f"from {humanise(first[0], column.unit)} ({_names(table, first[1])}) to "
            f"{humanise(last[0], column.unit)} ({_names(table, last[1])}), "
            f"highest {humanise(top[0], column.unit)} ({_names(table, top[1])}), "
            f"lowest {humanise(low[0], column.unit)} ({_names(table, low[1])}), "
            f"over {counted(len(table.rows), 'period')}."
        )
    cuts = ", ".join(table.columns[at].label.lower() for at in table.dimensions)
    lines = [
        f"{name} by {cuts} {span}: most for {_names(table, top[1])} with {humanise(top[0], column.unit)}"
        + (
            f", least for {_names(table, low[1])} with {humanise(low[0], column.unit)}."
            if len(valued) > 1 and low[1] is not top[1]
            else "."
        )
    ]
    return "\n".join([*lines, *_rows_text(table)])


def _rows_text(table: Table) -> list[str]:
    lines = [f"- {_row_text(table, row)}" for row in table.rows[:_LISTED]]
    if len(table.rows) > _LISTED:
        lines.append(f"- and {len(table.rows) - _LISTED} more in the table")
    return lines


def _row_text(table: Table, row: Sequence[Cell]) -> str:
    ids = [
        f"{label(column).lower()} {cell}"
        for column, cell in zip(table.columns, row, strict=True)
        if column.role == "id" and cell is not None
    ]
    names = [
        member_text(column, cell) for column, cell in zip(table.columns, row, strict=True) if column.role == "dimension"
    ]
    values = [
        humanise(cell, column.unit) if len(table.metrics) == 1 else f"{label(column)} {humanise(cell, column.unit)}"
        for column, cell in zip(table.columns, row, strict=True)
        if column.role == "metric" and (cell is not None or not table.ticket_ids)
    ]
    head = ", ".join([*ids, *names])
    return f"{head}: {', '.join(values)}" if head and values else head or ", ".join(values)


def _facts(table: Table) -> str:
    """All that is known of one ticket, in four lines."""
    named = dict(zip(table.names, zip(table.columns, table.rows[0], strict=True), strict=True))
    held = {name: _shown(column, cell) for name, (column, cell) in named.items() if cell is not None}
    subject = f" “{held['subject']}”" if "subject" in held else ""
    state = [held.get("status", "without status"), f"priority {held.get('priority', 'not set')}"]
    state += [f"type {held['type']}"] if "type" in held else []
    state += [f"incident of problem {named['problem_id'][1]}"] if "problem_id" in held else []
    owner = ", ".join([held.get("assignee", "no assignee"), *([held["group"]] if "group" in held else [])])
    lines = [f"Ticket {named['ticket_id'][1]}{subject} is {', '.join(state)}; {owner}."]
    asked = f"- created {held.get('created_at')} by {held.get('requester', 'an unknown requester')}"
    asked += f" of {held['organization']}" if "organization" in held else ""
    asked += f" over {held['channel']}" if "channel" in held else ""
    if "solved_at" in held:
        asked += f"; solved {held['solved_at']}, after {held.get('full_resolution_minutes', 'no time known')}"
    elif "age_minutes" in held:
        asked += f"; {held['age_minutes']} old"
    lines.append(asked)
    replied = f"first reply after {held['first_reply_minutes']}" if "first_reply_minutes" in held else "no reply yet"
    counts = [
        counted(int(number(named[name][1]) or 0), noun)
        for name, noun in (("comments", "comment"), ("reopens", "reopen"), ("transfers", "transfer"))
        if name in named
    ]
    rated = [f"rated {held['satisfaction']}"] if "satisfaction" in held else []
    lines.append(f"- {', '.join([replied, *counts, *rated])}")
    about = [f"{label(named[name][0]).lower()} {held[name]}" for name in _ABOUT if name in held]
    return "\n".join([*lines, *([f"- {', '.join(about)}"] if about else [])])


def _ticket_text(table: Table, row: Sequence[Cell]) -> str:
    """A ticket of a list: what it is about, where it stands, who has it, how old it is."""
    held = {column.name: cell for column, cell in zip(table.columns, row, strict=True) if cell is not None}
    parts = [str(held[name]) for name in ("status", "priority", "group") if name in held]
    if "assignee" in table.names:
        parts.append(str(held.get("assignee", "no assignee")))
    if "created_at" in held:
        parts.append(f"created {_shown_time(str(held['created_at']))}")
    if "age_minutes" in held:
        parts.append(f"open for {humanise(held['age_minutes'], 'minutes')}")
    if "agent_replies" in held:
        parts.append(counted(int(number(held["agent_replies"]) or 0), "agent reply").replace("replys", "replies"))
    subject = f" “{_plain(str(held['subject']))}”" if "subject" in held else ""
    return f"ticket {held.get('ticket_id')}{subject}: {', '.join(parts)}"


def _link_text(table: Table, row: Sequence[Cell]) -> str:
    """One link: who or what, then what hangs on it."""
    held = {column.name: cell for column, cell in zip(table.columns, row, strict=True) if cell is not None}
    parts: list[str] = []
    if "requester" in held or "requester_id" in held:
        parts.append(str(held.get("requester") or f"requester {held['requester_id']}"))
        parts.append(f"came back {_times(held.get('repeats'))}, soonest after {_days(held.get('shortest_days'))}")
        return ": ".join([parts[0], f"{parts[1]} (tickets {held.get('ticket_ids', '')})"])
    if "from_group" in held or "to_group" in held:
        way = f"{held.get('from_group', 'no group')} to {held.get('to_group', 'no group')}"
        if "moves" in held:
            return f"{way}: {counted(int(number(held['moves']) or 0), 'move')} of {_tickets(held.get('tickets'))}"
        return f"{_shown_time(str(held.get('at', '')))}: {way}"
    head = f"ticket {held.get('ticket_id')}"
    if "subject" in held:
        head += f" “{_plain(str(held['subject']))}”"
    for name, words in (("merged_into", "merged into"), ("follows_up", "follows"), ("problem_id", "of problem")):
        if name in held:
            parts.append(f"{words} {held[name]}")
    if "relation" in held:
        parts.append(str(held["relation"]).replace("_", " "))
    if "status" in held:
        parts.append(str(held["status"]))
    if "created_at" in held:
        parts.append(f"created {_shown_time(str(held['created_at']))}")
    if "incidents" in held:
        span = [_shown_time(str(held[name]))[:10] for name in ("first_at", "last_at") if name in held]
        parts.append(
            f"{counted(int(number(held['incidents']) or 0), 'incident')} from {' to '.join(dict.fromkeys(span))}"
        )
    return f"{head}: {', '.join(parts)}" if parts else head


def _times(cell: Cell) -> str:
    many = int(number(cell) or 0)
    return {1: "once", 2: "twice"}.get(many, f"{many:,} times")


def _days(cell: Cell) -> str:
    days = number(cell)
    return "some days" if days is None else _duration(float(days) * 1440)


def _tickets(cell: Cell) -> str:
    return counted(int(number(cell) or 0), "ticket")


def _names(table: Table, row: Sequence[Cell]) -> str:
    return ", ".join(member_text(table.columns[at], row[at]) for at in table.dimensions)


def member_text(column: Column, cell: Cell) -> str:
    """A value of a dimension in words."""
    if cell is None:
        return f"no {label(column).lower()}"
    if isinstance(cell, bool):
        return f"{label(column).lower()}: {_shown(column, cell)}"
    return _shown(column, cell)


def _shown(column: Column, cell: Cell) -> str:
    if isinstance(cell, bool):
        return "yes" if cell else "no"
    if column.type in {"time", "date", "timestamp"} and isinstance(cell, str):
        return _shown_time(cell)
    return humanise(cell, column.unit)


def _shown_time(text: str) -> str:
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        return text
    return f"{moment:{_DATES}}" if _is_midnight(moment) else f"{moment:%Y-%m-%d %H:%M}"


def _plain(text: str) -> str:
    short = " ".join(text.split())
    return short if len(short) <= 120 else f"{short[:119]}…"


def label(column: Column) -> str:
    """A column's name as a heading."""
    return _capital(column.label)


def _capital(text: str) -> str:
    return text[:1].upper() + text[1:]


def _moment(moment: datetime) -> str:
    return f"{moment:{_DATES}}" if _is_midnight(moment) else f"{moment:%Y-%m-%d %H:%M}"


def _is_midnight(moment: datetime) -> bool:
    return (moment.hour, moment.minute, moment.second, moment.microsecond) == (0, 0, 0, 0)


def _duration(minutes: float) -> str:
    sign, minutes = ("-", -minutes) if minutes < 0 else ("", minutes)
    if minutes < 1:
        return f"{sign}{round(minutes * 60)} s"
    if minutes < 10:
        return f"{sign}{f'{minutes:.1f}'.removesuffix('.0')} min"
    whole = round(minutes)
    days, rest = divmod(whole, 1440)
    hours, left = divmod(rest, 60)
    if days:
        return f"{sign}{days} d {hours} h" if hours else f"{sign}{days} d"
    if hours:
        return f"{sign}{hours} h {left} min" if left else f"{sign}{hours} h"
    return f"{sign}{left} min"


def utc_text(moment: datetime) -> str:
    """A moment for warnings, in UTC."""
    return f"{moment.astimezone(UTC):%Y-%m-%d %H:%M} UTC"


def sentence(text: str) -> str:
    """A phrase as a sentence."""
    return _capital(text if text.endswith((".", "?", "!")) else f"{text}.")


def clarify_text(reason: str, suggestions: Sequence[str]) -> str:
    """A question back, with what could have been meant."""
    lines = [f"{_capital(reason).rstrip('.')}."]
    if suggestions:
        lines.append("Did you mean one of these?")
        lines += [f"- {suggestion}" for suggestion in suggestions]
    return "\n".join(lines)
