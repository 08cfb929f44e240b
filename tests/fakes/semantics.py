"""The real semantic catalogue of the dbt project with a few values, for tests that need no database."""

from __future__ import annotations

from functools import cache

from assets.dbt_project import semantic_manifest
from serving.semantics import manifest
from serving.semantics.catalogue import Semantics

VALUES = {
    "status": ("closed", "solved", "open", "pending", "new", "hold", "deleted"),
    "priority": ("normal", "high", "urgent", "low"),
    "type": ("question", "incident", "problem", "task"),
    "channel": ("email", "web", "chat", "api"),
    "group": (
        "Tier 1 Support",
        "Shop & Deliveries",
        "Billing",
        "Tier 2 Support",
        "Business Desk",
        "Engineering",
    ),
    "assignee": ("Ada Bergstrom", "Felix Okonjo", "May Lindqvist"),
    "organization": ("Alderbrook Dental", "Birchfield Bakery", "Heron Quay Offices"),
    "brand": ("Fernhollow", "Fernhollow Shop", "Fernhollow Pro"),
    "form": ("Help with a product", "Orders and deliveries", "Billing and subscription"),
    "product": ("Hearth Hub", "Sparrow Camera", "Fernhollow App", "Fernhollow Plus", "Online Shop"),
    "reason": ("Device fault", "Invoice and payment", "Delivery", "Subscription"),
    "tag": ("refund", "firmware", "vip", "login"),
    "satisfaction": ("good", "bad"),
    "author_role": ("agent", "customer"),
}


@cache
def semantics() -> Semantics:
    """Every metric and dimension of the project, with VALUES."""
    return manifest.parse("0" * 64, semantic_manifest()).semantics.with_values(VALUES)
