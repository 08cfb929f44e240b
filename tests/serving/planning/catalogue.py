"""The catalogue of the repository's own marts, read from their YAML, with a small world of values."""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import Any

import yaml

from serving.planning.plan import Grain
from serving.semantics.catalogue import Dimension, Metric, Semantics

_MARTS = Path(__file__).parents[3] / "dbt_project" / "models" / "marts"

VALUES: dict[str, tuple[str, ...]] = {
    "status": ("closed", "solved", "open", "pending", "new", "hold", "deleted"),
    "backlog_status": ("open", "pending", "new", "hold"),
    "priority": ("normal", "high", "low", "urgent"),
    "type": ("question", "incident", "problem", "task"),
    "channel": ("email", "web", "chat", "api", "voice"),
    "product": ("Hearth Hub", "Sparrow Camera", "Fernhollow App", "Fernhollow Plus", "Online Shop"),
    "reason": (
        "Setting up",
        "Device fault",
        "App problem",
        "Connection",
        "Delivery",
        "Return and refund",
        "Subscription",
    ),
    "tag": ("refund", "vip", "firmware_4_2", "carrier_strike", "billing", "other"),
    "satisfaction": ("good", "bad"),
    "group": (
        "Tier 1 Support",
        "Tier 2 Support",
        "Engineering",
        "Billing",
        "Shop & Deliveries",
        "Business Desk",
        "Other",
    ),
    "brand": ("Fernhollow", "Fernhollow Shop", "Fernhollow Pro"),
    "form": ("Help with a product", "Orders and deliveries"),
    "assignee": ("Ada Lovelace", "Bao Nguyen", "May Fernandez", "Zoë Kraus", "Chidi Okafor"),
    "organization": ("Acme", "Globex", "Initech", "Stark Industries", "Wayne Enterprises", "Brightwater Schools"),
    "author_role": ("agent", "customer"),
}
_OWN = {"tickets": "fct_tickets", "comments": "fct_comments", "backlog": "fct_backlog_daily"}


def _models() -> dict[str, dict[str, Any]]:
    models: dict[str, dict[str, Any]] = {}
    for path in sorted(_MARTS.glob("*.yml")):
        for model in yaml.safe_load(path.read_text()).get("semantic_models", ()):
            models[model["name"]] = model
    return models


def _metrics() -> list[dict[str, Any]]:
    return [
        metric
        for path in sorted(_MARTS.glob("*.yml"))
        for metric in yaml.safe_load(path.read_text()).get("metrics", ())
    ]


def _meta(raw: dict[str, Any]) -> dict[str, Any]:
    return (raw.get("config") or {}).get("meta") or {}


def _dimension(raw: dict[str, Any]) -> Dimension:
    meta = _meta(raw)
    name = meta.get("name", raw["name"])
    return Dimension(
        name=name,
        label=raw["label"],
        type="time" if raw["type"] == "time" else meta["type"],
        synonyms=tuple(meta.get("synonyms", ())),
        values=VALUES.get(name, ()),
        value_synonyms={value: tuple(words) for value, words in meta.get("value_synonyms", {}).items()},
        is_free=meta.get("is_free", False),
        is_id=meta.get("role") == "id",
    )


def _measure_names(metric: dict[str, Any], by_name: dict[str, dict[str, Any]]) -> set[str]:
    params = metric["type_params"]
    if metric["type"] == "simple":
        return {params["measure"]["name"]}
    parts = [params[key] for key in ("numerator", "denominator") if key in params] + list(params.get("metrics", ()))
    return {name for part in parts for name in _measure_names(by_name[part["name"]], by_name)}


@cache
def catalogue() -> Semantics:
    """Metrics and dimensions as the published manifest gives them."""
    models = _models()
    reachable: dict[str, dict[str, Dimension]] = {}
    for name in _OWN:
        if name not in models:
            continue
        found: dict[str, Dimension] = {}
        around = ["tickets"] if name != "tickets" else []
        for other in (
            name,
            *around,
            *(key for key in models if key not in _OWN and (key != "authors" or name == "comments")),
        ):
            for raw in models[other]["dimensions"]:
                if raw.get("label"):
                    found.setdefault(_dimension(raw).name, _dimension(raw))
        reachable[name] = found
    by_name = {metric["name"]: metric for metric in _metrics()}
    measures = {m["name"]: (model, m) for model in models.values() for m in model.get("measures", ())}
    metrics: dict[str, Metric] = {}
    for name, raw in by_name.items():
        meta = _meta(raw)
        used = [measures[measure] for measure in sorted(_measure_names(raw, by_name))]
        times = {m.get("agg_time_dimension") or model["defaults"]["agg_time_dimension"] for model, m in used}
        own = reachable[used[0][0]["name"]]
        fill = raw["type_params"].get("measure", {}).get("fill_nulls_with") if raw["type"] == "simple" else None
        stock = used[0][0]["name"] == "backlog"
        dates = ["backlog_date"] if stock else sorted(key for key, one in own.items() if one.type == "time")
        metrics[name] = Metric(
            name=name,
            label=raw["label"],
            description=raw["description"],
            unit=meta["unit"],
            synonyms=tuple(meta.get("synonyms", ())),
            direction=meta["direction"],
            is_additive=meta["additive"],
            is_now=meta.get("is_now", False),
            time=next(iter(times)) if len(times) == 1 else None,
            times=tuple(dates) if len(times) == 1 else (),
            dimensions=frozenset(own),
            finest_grain=Grain.DAY if stock else Grain.HOUR,
            empty=fill,
            datasets=(f"analytics.{used[0][0]['name']}",),
        )
    dimensions = {key: one for found in reachable.values() for key, one in found.items()}
    return Semantics(metrics, dimensions, "test")
