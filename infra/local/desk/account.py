"""The account as an administrator set it up: groups, brands, forms, fields, schedules, promises and macros."""

from dataclasses import dataclass
from datetime import date, timedelta
from typing import Any

from infra.local.desk.calendar import OpeningHours, iso

HOST = "https://fernhollow.example"
COMPANY = "Fernhollow"

TIER_1, TIER_2, ENGINEERING, BILLING, DELIVERIES, BUSINESS = range(360000000101, 360000000107)
GROUPS = {
    TIER_1: ("Tier 1 Support", "First answer to everything about devices, the app and accounts"),
    TIER_2: ("Tier 2 Support", "Difficult technical cases"),
    ENGINEERING: ("Engineering", "Defects in firmware, app and cloud"),
    BILLING: ("Billing", "Invoices, refunds and subscriptions"),
    DELIVERIES: ("Shop & Deliveries", "Orders, parcels and returns"),
    BUSINESS: ("Business Desk", "Companies on a Fernhollow Pro contract"),
}

BRAND_HOME, BRAND_SHOP, BRAND_PRO = 360000000201, 360000000202, 360000000203
BRANDS = {
    BRAND_HOME: ("Fernhollow", "fernhollow"),
    BRAND_SHOP: ("Fernhollow Shop", "fernhollow-shop"),
    BRAND_PRO: ("Fernhollow Pro", "fernhollow-pro"),
}

FORM_HELP, FORM_ORDER, FORM_BILLING = 360000000301, 360000000302, 360000000303
FORMS = {
    FORM_HELP: "Help with a product",
    FORM_ORDER: "Orders and deliveries",
    FORM_BILLING: "Billing and subscription",
}

PRODUCTS = {
    "hearth_hub": "Hearth Hub",
    "sparrow_camera": "Sparrow Camera",
    "fernhollow_app": "Fernhollow App",
    "fernhollow_plus": "Fernhollow Plus",
    "online_shop": "Online Shop",
}
REASONS = {
    "reason_setup": "Setting up",
    "reason_fault": "Device fault",
    "reason_app": "App problem",
    "reason_connection": "Connection",
    "reason_account": "Account and access",
    "reason_invoice": "Invoice and payment",
    "reason_subscription": "Subscription",
    "reason_delivery": "Delivery",
    "reason_return": "Return and refund",
    "reason_order": "Order",
    "reason_privacy": "Privacy and data",
    "reason_idea": "Question or idea",
}
FEATURES = {
    "feature_alerts": "Alerts",
    "feature_recordings": "Recordings",
    "feature_schedules": "Schedules",
    "feature_voice": "Voice control",
    "feature_sharing": "Sharing",
}

FIELD_PRODUCT, FIELD_REASON, FIELD_ORDER, FIELD_UNITS, FIELD_REFUND = range(360000000411, 360000000416)
FIELD_PURCHASED, FIELD_GOODWILL, FIELD_FEATURES, FIELD_SELECT = range(360000000416, 360000000420)
CUSTOM_FIELDS: dict[int, tuple[str, str, dict[str, str] | None]] = {
    FIELD_PRODUCT: ("tagger", "Product", PRODUCTS),
    FIELD_REASON: ("tagger", "Contact reason", REASONS),
    FIELD_ORDER: ("text", "Order number", None),
    FIELD_UNITS: ("integer", "Affected units", None),
    FIELD_REFUND: ("decimal", "Refund amount", None),
    FIELD_PURCHASED: ("date", "Purchased on", None),
    FIELD_GOODWILL: ("checkbox", "Goodwill given", None),
    FIELD_FEATURES: ("multiselect", "Affected features", FEATURES),
    # A title that is a keyword of SQL: real accounts have them, and a column is made of it.
    FIELD_SELECT: ("text", "Select", None),
}
SYSTEM_FIELDS = ("subject", "description", "status", "tickettype", "priority", "group", "assignee")

STATUS_IDS = {"new": 360000000501, "open": 360000000502, "pending": 360000000503, "hold": 360000000504}
STATUS_IDS["solved"] = 360000000505
STATUS_IDS["closed"] = STATUS_IDS["deleted"] = 360000000505
AWAITING_CARRIER, WITH_ENGINEERING = 360000000506, 360000000507
CUSTOM_STATUSES = (
    (STATUS_IDS["new"], "new", "New", "Open", True),
    (STATUS_IDS["open"], "open", "Open", "Open", True),
    (STATUS_IDS["pending"], "pending", "Pending", "Awaiting your reply", True),
    (STATUS_IDS["hold"], "hold", "On-hold", "Open", True),
    (STATUS_IDS["solved"], "solved", "Solved", "Solved", True),
    (AWAITING_CARRIER, "hold", "Awaiting carrier", "We are asking the carrier", False),
    (WITH_ENGINEERING, "hold", "With engineering", "Our engineers are looking into it", False),
)

SCHEDULE_EUROPE, SCHEDULE_AMERICA = 360000000601, 360000000602


@dataclass(frozen=True, slots=True)
class Schedule:
    """Opening hours under Zendesk's own name of the zone."""

    id: int
    name: str
    rails_zone: str
    zone: str
    intervals: tuple[tuple[int, int], ...]


def _weekly(days: range, opens: int, closes: int) -> tuple[tuple[int, int], ...]:
    return tuple((day * 1440 + opens * 60, day * 1440 + closes * 60) for day in days)


SCHEDULES = {
    SCHEDULE_EUROPE: Schedule(SCHEDULE_EUROPE, "Europe office", "Berlin", "Europe/Berlin", _weekly(range(1, 6), 8, 18)),
    SCHEDULE_AMERICA: Schedule(
        SCHEDULE_AMERICA,
        "America office",
        "Eastern Time (US & Canada)",
        "America/New_York",
        _weekly(range(1, 6), 9, 18) + _weekly(range(6, 7), 10, 14),
    ),
}


def holidays(schedule: int, years: range) -> list[tuple[int, str, date]]:
    """The days on which an office is closed: id, name and day."""
    days: list[tuple[str, date]] = []
    for year in years:
        days.append(("New Year's Day", date(year, 1, 1)))
        if schedule == SCHEDULE_EUROPE:
            days.append(("Labour Day", date(year, 5, 1)))
            days.append(("Christmas Day", date(year, 12, 25)))
            days.append(("Second Day of Christmas", date(year, 12, 26)))
        else:
            november = date(year, 11, 1)
            days.append(("Independence Day", date(year, 7, 4)))
            days.append(("Thanksgiving", november + timedelta(days=(3 - november.weekday()) % 7 + 21)))
            days.append(("Christmas Day", date(year, 12, 25)))
    return [(schedule * 100 + i, name, day) for i, (name, day) in enumerate(days)]


def opening_hours(now_year: int) -> dict[int, OpeningHours]:
    """Both offices' hours from four years before to four years after a year."""
    years = range(now_year - 4, now_year + 5)
    return {
        schedule.id: OpeningHours(
            schedule.zone,
            schedule.intervals,
            [day for _, _, day in holidays(schedule.id, years)],
            date(years[0], 1, 1),
            date(years[-1], 12, 31),
        )
        for schedule in SCHEDULES.values()
    }


PRIORITIES = ("low", "normal", "high", "urgent")
POLICY_BUSINESS, POLICY_STANDARD = 360000000701, 360000000702
SLA_METRICS = ("first_reply_time", "next_reply_time", "requester_wait_time", "agent_work_time")
"""Target minutes by policy, metric and priority; the business contract counts calendar minutes for its first reply."""
POLICIES: dict[int, tuple[str, dict[str, tuple[bool, dict[str, int]]]]] = {
    POLICY_BUSINESS: (
        "Business contract",
        {
            "first_reply_time": (False, {"low": 480, "normal": 240, "high": 120, "urgent": 45}),
            "next_reply_time": (True, {"low": 600, "normal": 300, "high": 180, "urgent": 60}),
            "requester_wait_time": (True, {"low": 2400, "normal": 1200, "high": 720, "urgent": 360}),
            "agent_work_time": (True, {"low": 1800, "normal": 900, "high": 480, "urgent": 240}),
        },
    ),
    POLICY_STANDARD: (
        "Standard promise",
        {
            "first_reply_time": (True, {"low": 600, "normal": 360, "high": 180, "urgent": 60}),
            "next_reply_time": (True, {"low": 900, "normal": 480, "high": 240, "urgent": 120}),
            "requester_wait_time": (True, {"low": 4800, "normal": 2400, "high": 1440, "urgent": 600}),
            "agent_work_time": (True, {"low": 3600, "normal": 1800, "high": 960, "urgent": 480}),
        },
    ),
}

MACROS = (
    (360000000801, "Ask for the order number", "Could you tell me your order number? It starts with FH-."),
    (360000000802, "Restart the hub", "Please unplug the hub, wait ten seconds and plug it in again."),
    (360000000803, "Close as solved", "I am marking this as solved. Just reply if anything comes up again."),
)

Row = dict[str, Any]


def _dates(created: int) -> Row:
    return {"created_at": iso(created), "updated_at": iso(created)}


def static_rows(opened: int, years: range) -> dict[str, list[Row]]:
    """Rows of every stream that only an administrator changes, as of the day the account opened."""
    api = f"{HOST}/api/v2"
    groups: list[Row] = [
        {
            "url": f"{api}/groups/{id}.json",
            "id": id,
            "is_public": True,
            "name": name,
            "description": description,
            "default": id == TIER_1,
            "deleted": False,
            **_dates(opened),
        }
        for id, (name, description) in GROUPS.items()
    ]
    brands: list[Row] = [
        {
            "url": f"{api}/brands/{id}.json",
            "id": id,
            "name": name,
            "brand_url": f"https://{subdomain}.example",
            "subdomain": subdomain,
            "host_mapping": None,
            "has_help_center": id == BRAND_HOME,
            "help_center_state": "enabled" if id == BRAND_HOME else "disabled",
            "active": True,
            "default": id == BRAND_HOME,
            "is_deleted": False,
            "logo": None,
            "ticket_form_ids": list(FORMS),
            "signature_template": "{{agent.signature}}",
            **_dates(opened),
        }
        for id, (name, subdomain) in BRANDS.items()
    ]
    forms: list[Row] = [
        {
            "url": f"{api}/ticket_forms/{id}.json",
            "id": id,
            "name": name,
            "raw_name": name,
            "display_name": name,
            "raw_display_name": name,
            "end_user_visible": True,
            "position": position,
            "ticket_field_ids": [360000000401 + i for i in range(len(SYSTEM_FIELDS))] + list(CUSTOM_FIELDS),
            "active": True,
            "default": id == FORM_HELP,
            "in_all_brands": True,
            "restricted_brand_ids": [],
            "end_user_conditions": [],
            "agent_conditions": [],
            **_dates(opened),
        }
        for position, (id, name) in enumerate(FORMS.items(), 1)
    ]
    statuses: list[Row] = [
        {
            "url": f"{api}/custom_statuses/{id}.json",
            "id": id,
            "status_category": category,
            "agent_label": label,
            "raw_agent_label": label,
            "end_user_label": shown,
            "raw_end_user_label": shown,
            "description": "",
            "raw_description": "",
            "end_user_description": "",
            "raw_end_user_description": "",
            "active": True,
            "default": default,
            **_dates(opened),
        }
        for id, category, label, shown, default in CUSTOM_STATUSES
    ]
    schedules: list[Row] = [
        {
            "id": schedule.id,
            "name": schedule.name,
            "time_zone": schedule.rails_zone,
            "intervals": [{"start_time": start, "end_time": end} for start, end in schedule.intervals],
            # The first one created is the account's default.
            **_dates(opened + schedule.id - SCHEDULE_EUROPE),
        }
        for schedule in SCHEDULES.values()
    ]
    macros: list[Row] = [
        {
            "url": f"{api}/macros/{id}.json",
            "id": id,
            "title": title,
            "active": True,
            "description": None,
            "actions": [{"field": "comment_value", "value": text}],
            "restriction": None,
            **_dates(opened),
        }
        for id, title, text in MACROS
    ]
    return {
        "groups": groups,
        "brands": brands,
        "ticket_forms": forms,
        "ticket_fields": _fields(api, opened),
        "custom_statuses": statuses,
        "sla_policies": _policies(api, opened),
        "schedules": schedules,
        "holidays": [
            {
                "schedule_id": schedule,
                "id": id,
                "name": name,
                "start_date": day.isoformat(),
                "end_date": day.isoformat(),
            }
            for schedule in SCHEDULES
            for id, name, day in holidays(schedule, years)
        ],
        "macros": macros,
    }


def _fields(api: str, opened: int) -> list[Row]:
    rows: list[Row] = []
    system = [
        (360000000401 + i, kind, kind.removeprefix("ticket").capitalize(), None) for i, kind in enumerate(SYSTEM_FIELDS)
    ]
    custom = [(id, kind, title, options) for id, (kind, title, options) in CUSTOM_FIELDS.items()]
    for position, (id, kind, title, options) in enumerate(system + custom):
        row: Row = {
            "url": f"{api}/ticket_fields/{id}.json",
            "id": id,
            "type": kind,
            "title": title,
            "raw_title": title,
            "description": "",
            "raw_description": "",
            "position": position,
            "active": True,
            "required": False,
            "collapsed_for_agents": False,
            "regexp_for_validation": None,
            "title_in_portal": title,
            "raw_title_in_portal": title,
            "visible_in_portal": True,
            "editable_in_portal": True,
            "required_in_portal": False,
            "tag": None,
            "removable": id in CUSTOM_FIELDS,
            "key": None,
            "agent_description": None,
            **_dates(opened),
        }
        if options is not None:
            row["custom_field_options"] = [
                {"id": id * 100 + i, "name": name, "raw_name": name, "value": value, "default": False}
                for i, (value, name) in enumerate(options.items())
            ]
        rows.append(row)
    return rows


def _policies(api: str, opened: int) -> list[Row]:
    rows: list[Row] = []
    for position, (id, (title, metrics)) in enumerate(POLICIES.items(), 1):
        conditions = [{"field": "organization_tags", "operator": "includes", "value": "pro"}]
        rows.append(
            {
                "url": f"{api}/slas/policies/{id}.json",
                "id": id,
                "title": title,
                "description": "",
                "position": position,
                "filter": {"all": conditions if id == POLICY_BUSINESS else [], "any": []},
                "policy_metrics": [
                    {
                        "priority": priority,
                        "metric": metric,
                        "target": minutes,
                        "target_in_seconds": minutes * 60,
                        "business_hours": business,
                    }
                    for metric, (business, targets) in metrics.items()
                    for priority, minutes in targets.items()
                ],
                **_dates(opened),
            }
        )
    return rows
