"""The streams of a help desk: where each is read, how its pages advance, what names and dates a row."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum

from assets.zendesk.limiter import LimitClass


class Paging(StrEnum):
    """How one page leads to the next."""

    CURSOR_EXPORT = "cursor export"
    """`after_cursor` until `end_of_stream`."""
    TIME_EXPORT = "time export"
    """`end_time` becomes `start_time` until `end_of_stream`; page ends repeat rows."""
    LISTING = "listing"
    """`meta.after_cursor` while `meta.has_more`, or plain links; a whole listing also shows what is gone."""


class Gone(StrEnum):
    """What becomes of a row that a whole listing no longer has."""

    KEPT = "kept"
    REMOVED = "removed"
    DELETED_FLAG = "flagged as deleted"
    INACTIVE_FLAG = "flagged as inactive"


@dataclass(frozen=True, slots=True)
class Stream:
    """One stream of the interface."""

    name: str
    """Name of its table and, between `zendesk.` and `.raw`, of its topic."""
    path: str
    """Path under `/api/v2/`."""
    rows_key: str
    """Key of a page's list of rows."""
    paging: Paging
    row_is: str
    """What one row is, for people."""
    dated_by: str | None = None
    """Payload field with the moment of the newest change, which decides between two copies; None: the fetch decides."""
    month_of: str | None = None
    """Column whose UTC month is the row's partition in the catalogue; None: the stream has no time axis."""
    limit: LimitClass = LimitClass.ACCOUNT
    params: dict[str, str | int] = field(default_factory=dict)
    page_size: int = 100
    """Rows asked for; 0: the endpoint answers with everything at once."""
    gone: Gone = Gone.KEPT
    partitions: int = 1
    """Partitions of its topic."""


_EXPORT_PAGE = 1000

STREAMS: dict[str, Stream] = {
    stream.name: stream
    for stream in (
        Stream(
            "tickets",
            "incremental/tickets/cursor.json",
            "tickets",
            Paging.CURSOR_EXPORT,
            "One ticket as Zendesk last changed it, with its metric set; deleted and archived ones included.",
            dated_by="generated_timestamp",
            month_of="created_at",
            limit=LimitClass.EXPORTS,
            # Tickets of AI agents are left out unless asked for.
            params={"include": "metric_sets", "support_type_scope": "all"},
            page_size=_EXPORT_PAGE,
            partitions=6,
        ),
        Stream(
            "ticket_events",
            "incremental/ticket_events.json",
            "ticket_events",
            Paging.TIME_EXPORT,
            "One audit: everything that one update changed on one ticket, comments included.",
            month_of="created_at",
            limit=LimitClass.EXPORTS,
            params={"include": "comment_events"},
            page_size=_EXPORT_PAGE,
            partitions=6,
        ),
        Stream(
            "ticket_comments",
            "incremental/ticket_events.json",
            "ticket_events",
            Paging.TIME_EXPORT,
            "One public comment or internal note, as its text stands now: redactions and privacy changes applied.",
            month_of="created_at",
            limit=LimitClass.EXPORTS,
            partitions=6,
        ),
        Stream(
            "users",
            "incremental/users/cursor.json",
            "users",
            Paging.CURSOR_EXPORT,
            "One user: end user, agent or administrator; deleted ones stay, inactive.",
            dated_by="updated_at",
            month_of="created_at",
            limit=LimitClass.USER_EXPORT,
            page_size=_EXPORT_PAGE,
            partitions=3,
        ),
        Stream(
            "organizations",
            "incremental/organizations.json",
            "organizations",
            Paging.TIME_EXPORT,
            "One organization, the customer company that users belong to.",
            dated_by="updated_at",
            month_of="created_at",
            limit=LimitClass.EXPORTS,
            page_size=_EXPORT_PAGE,
        ),
        Stream(
            "groups",
            "groups.json",
            "groups",
            Paging.LISTING,
            "One group of agents; deleted ones stay, flagged.",
            dated_by="updated_at",
            gone=Gone.DELETED_FLAG,
        ),
        Stream(
            "group_memberships",
            "group_memberships.json",
            "group_memberships",
            Paging.LISTING,
            "One agent's membership in one group.",
            dated_by="updated_at",
            gone=Gone.REMOVED,
        ),
        Stream(
            "brands",
            "brands.json",
            "brands",
            Paging.LISTING,
            "One brand under which customers reach the help desk.",
            dated_by="updated_at",
        ),
        Stream(
            "ticket_forms",
            "ticket_forms.json",
            "ticket_forms",
            Paging.LISTING,
            "One ticket form; forms no longer listed stay, inactive.",
            dated_by="updated_at",
            gone=Gone.INACTIVE_FLAG,
        ),
        Stream(
            "ticket_fields",
            "ticket_fields.json",
            "ticket_fields",
            Paging.LISTING,
            "One ticket field, system or custom, with its options; fields no longer listed stay, inactive.",
            dated_by="updated_at",
            gone=Gone.INACTIVE_FLAG,
        ),
        Stream(
            "sla_policies",
            "slas/policies.json",
            "sla_policies",
            Paging.LISTING,
            "One SLA policy with its filter and targets.",
            dated_by="updated_at",
            gone=Gone.REMOVED,
            page_size=0,
        ),
        Stream(
            "schedules",
            "business_hours/schedules.json",
            "schedules",
            Paging.LISTING,
            "One schedule of business hours in its own time zone.",
            dated_by="updated_at",
            gone=Gone.REMOVED,
            page_size=0,
        ),
        Stream(
            "holidays",
            "business_hours/schedules/{id}/holidays.json",
            "holidays",
            Paging.LISTING,
            "One holiday of one schedule.",
            gone=Gone.REMOVED,
            page_size=0,
        ),
        Stream(
            "satisfaction_ratings",
            "satisfaction_ratings.json",
            "satisfaction_ratings",
            Paging.LISTING,
            "One satisfaction rating, offered or given.",
            dated_by="updated_at",
            month_of="created_at",
        ),
        Stream(
            "custom_statuses",
            "custom_statuses.json",
            "custom_statuses",
            Paging.LISTING,
            "One ticket status with the category it belongs to.",
            dated_by="updated_at",
            gone=Gone.REMOVED,
            page_size=0,
        ),
        Stream(
            "ticket_metric_events",
            "incremental/ticket_metric_events.json",
            "ticket_metric_events",
            Paging.TIME_EXPORT,
            "One moment at which a clock of a ticket (reply, wait, work, SLA) started, stopped or breached.",
            month_of="time",
            limit=LimitClass.EXPORTS,
            page_size=_EXPORT_PAGE,
            partitions=6,
        ),
    )
}

EXPORTS = ("tickets", "ticket_events", "users", "organizations", "ticket_metric_events")
LISTINGS = tuple(name for name, stream in STREAMS.items() if stream.paging is Paging.LISTING)
DAILY = ("tickets", "ticket_events", "ticket_comments", "ticket_metric_events", "users", "organizations",
         "satisfaction_ratings")  # fmt: skip
"""Streams with a time axis, which can be re-read by day."""
