"""The published semantic manifest: models, how dimensions are reached from them, and what metrics rest on."""

from __future__ import annotations

import copy
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

import orjson
import psycopg

from assets import catalog
from serving.planning.plan import Grain
from serving.semantics.catalogue import Dimension, Metric, Semantics
from serving.semantics.errors import NothingPublished

DOCUMENT = "semantic_manifest"
"""Name of the published document."""
BY_TAG = "_by_tag"
"""Suffix of the twins that count a ticket once under each of its tags."""

# Periods that a plan may ask for, finest first.
GRAINS = tuple(Grain)


@dataclass(frozen=True, slots=True)
class Attribute:
    """A dimension as the manifest has it."""

    model: str
    name: str
    expression: str
    public: Dimension


@dataclass(frozen=True, slots=True)
class Model:
    """A semantic model: one mart seen as facts or as attributes."""

    name: str
    relation: str
    primary_entity: str
    primary_key: str
    foreign: Mapping[str, str]
    """Column by entity that leads to another model."""
    attributes: tuple[Attribute, ...]
    times: Mapping[str, tuple[str, Grain]]
    """Public name to (column expression, finest grain) of the time dimensions."""
    default_time: str | None


@dataclass(frozen=True, slots=True)
class Manifest:
    """One published manifest with everything derived from it; never changed after it is made."""

    digest: str
    body: bytes
    """What MetricFlow reads: the published one with the twins by tag added."""
    models: Mapping[str, Model]
    paths: Mapping[str, Mapping[str, tuple[str, Attribute]]]
    """For each model: public dimension to the name by which MetricFlow reaches it, and the attribute."""
    bases: Mapping[str, tuple[str, ...]]
    """Models that a metric's measures lie in."""
    dated: Mapping[str, tuple[str, ...]]
    """Time dimensions by which a metric's measures are dated."""
    counts: frozenset[str]
    """Metrics that count or sum rows: zero means that there was none."""
    stocks: frozenset[str]
    """Metrics that add up over anything but time: a period shows its last day."""
    semantics: Semantics
    """Without values."""

    def model_of(self, metric: str) -> Model:
        """The model through which a metric's dimensions are reached."""
        return self.models[self.bases[metric][0]]

    def times_of(self, relation: str) -> tuple[str, ...]:
        """Time dimensions of a measured mart, the one that its partitions are named by first."""
        for name in self.paths:
            model = self.models[name]
            if model.relation == relation:
                return tuple(sorted(model.times, key=lambda time: time != model.default_time))
        return ()


def load(connection: psycopg.Connection[Any]) -> tuple[Manifest, Semantics]:
    """The live manifest and its semantics with today's values; raises NothingPublished."""
    digest = catalog.live_digest(connection, DOCUMENT)
    if digest is None:
        raise NothingPublished
    manifest = _PARSED.get(digest)
    if manifest is None:
        manifest = _remember(parse(digest, catalog.document(connection, digest)))
    rows = connection.execute(
        "select dimension, value from catalog.dimension_values order by dimension, rows desc, value"
    ).fetchall()
    values: dict[str, list[str]] = {}
    for dimension, value in rows:
        values.setdefault(dimension, []).append(value)
    return manifest, manifest.semantics.with_values(values)


# A digest names its content, so a parsed manifest never goes stale; a few outlive a publication for requests in flight.
_PARSED: dict[str, Manifest] = {}
_KEPT = 4


def _remember(manifest: Manifest) -> Manifest:
    _PARSED[manifest.digest] = manifest
    for old in list(_PARSED)[:-_KEPT]:
        _PARSED.pop(old, None)
    return manifest


def parse(digest: str, body: bytes) -> Manifest:
    """Read a manifest as dbt writes it."""
    document = orjson.loads(body)
    semantic_models: list[dict[str, Any]] = document["semantic_models"]
    models = {raw["name"]: _model(raw) for raw in semantic_models}
    metrics: dict[str, dict[str, Any]] = {raw["name"]: raw for raw in document["metrics"]}
    measures = {measure["name"]: (raw, measure) for raw in semantic_models for measure in raw["measures"]}
    paths = {name: _paths(model, models) for name, model in models.items() if _has_facts(name, semantic_models)}
    bases = {name: tuple(sorted(_bases(raw, metrics, measures))) for name, raw in metrics.items()}
    dated = {name: tuple(sorted(_dates(raw, metrics, measures))) for name, raw in metrics.items()}
    stocks = frozenset(
        name
        for name, raw in metrics.items()
        if any(measure["non_additive_dimension"] for _, measure in _measures(raw, metrics, measures))
    )
    public = {name: _metric(raw, metrics, measures, models, paths) for name, raw in metrics.items()}
    dimensions = _dimensions(paths)
    _add_twins(document, paths)
    return Manifest(
        digest=digest,
        body=orjson.dumps(document),
        models=MappingProxyType(models),
        paths=MappingProxyType(paths),
        bases=MappingProxyType(bases),
        dated=MappingProxyType(dated),
        counts=frozenset(
            name for name, raw in metrics.items() if raw["type"] == "simple" and public[name].empty is not None
        ),
        stocks=stocks,
        semantics=Semantics(MappingProxyType(public), MappingProxyType(dimensions), digest),
    )


def _has_facts(name: str, semantic_models: list[dict[str, Any]]) -> bool:
    return any(raw["name"] == name and raw["measures"] for raw in semantic_models)


def _meta(raw: Mapping[str, Any]) -> Mapping[str, Any]:
    return (raw.get("config") or {}).get("meta") or {}


def _model(raw: dict[str, Any]) -> Model:
    primary = next((entity for entity in raw["entities"] if entity["type"] == "primary"), None)
    attributes: list[Attribute] = []
    times: dict[str, tuple[str, Grain]] = {}
    for dimension in raw["dimensions"]:
        meta = _meta(dimension)
        if not dimension["label"]:
            continue
        public = Dimension(
            name=meta.get("name", dimension["name"]),
            label=dimension["label"],
            type="time" if dimension["type"] == "time" else meta["type"],
            synonyms=tuple(meta.get("synonyms", ())),
            value_synonyms={value: tuple(words) for value, words in meta.get("value_synonyms", {}).items()},
            is_free=meta.get("is_free", False),
            is_id=meta.get("role") == "id",
        )
        expression = dimension["expr"] or dimension["name"]
        attributes.append(Attribute(raw["name"], dimension["name"], expression, public))
        if dimension["type"] == "time":
            grain = dimension["type_params"]["time_granularity"]
            times[public.name] = (expression, Grain.DAY if grain == "day" else Grain.HOUR)
    return Model(
        name=raw["name"],
        relation=f"analytics.{raw['node_relation']['alias']}",
        primary_entity=primary["name"] if primary else raw["primary_entity"],
        primary_key=(primary["expr"] or primary["name"]) if primary else "",
        foreign={
            entity["name"]: entity["expr"] or entity["name"]
            for entity in raw["entities"]
            if entity["type"] == "foreign"
        },
        attributes=tuple(attributes),
        times=times,
        default_time=(raw["defaults"] or {}).get("agg_time_dimension"),
    )


def _paths(model: Model, models: Mapping[str, Model]) -> dict[str, tuple[str, Attribute]]:
    """Every dimension reachable over at most two joins; the nearest one wins where a name occurs twice."""
    by_entity = {other.primary_entity: other for other in models.values() if other.primary_key}
    found: dict[str, tuple[str, Attribute]] = {}

    def add(prefix: str, source: Model) -> None:
        for attribute in source.attributes:
            found.setdefault(attribute.public.name, (f"{prefix}__{attribute.name}", attribute))

    add(model.primary_entity, model)
    nearby = [(entity, by_entity[entity]) for entity in model.foreign if entity in by_entity]
    for entity, other in nearby:
        add(entity, other)
    for entity, other in nearby:
        for further in other.foreign:
            if further in by_entity:
                add(f"{entity}__{further}", by_entity[further])
    return found


def _dimensions(paths: Mapping[str, Mapping[str, tuple[str, Attribute]]]) -> dict[str, Dimension]:
    dimensions: dict[str, Dimension] = {}
    for reachable in paths.values():
        for name, (_, attribute) in reachable.items():
            dimensions.setdefault(name, attribute.public)
    return dimensions


def _inputs(raw: Mapping[str, Any], metrics: Mapping[str, dict[str, Any]]) -> Iterator[dict[str, Any]]:
    """The simple metrics that a metric rests on."""
    params = raw["type_params"]
    if raw["type"] == "simple":
        yield dict(raw)
    elif raw["type"] == "ratio":
        for part in (params["numerator"], params["denominator"]):
            yield from _inputs(metrics[part["name"]], metrics)
    else:
        for part in params["metrics"]:
            yield from _inputs(metrics[part["name"]], metrics)


def _measures(
    raw: Mapping[str, Any], metrics: Mapping[str, dict[str, Any]], measures: Mapping[str, Any]
) -> list[tuple[dict[str, Any], dict[str, Any]]]:
    return [measures[simple["type_params"]["measure"]["name"]] for simple in _inputs(raw, metrics)]


def _bases(raw: Mapping[str, Any], metrics: Mapping[str, dict[str, Any]], measures: Mapping[str, Any]) -> set[str]:
    return {model["name"] for model, _ in _measures(raw, metrics, measures)}


def _dates(raw: Mapping[str, Any], metrics: Mapping[str, dict[str, Any]], measures: Mapping[str, Any]) -> set[str]:
    return {_default_time(model, measure) for model, measure in _measures(raw, metrics, measures)}


def _metric(
    raw: Mapping[str, Any],
    metrics: Mapping[str, dict[str, Any]],
    measures: Mapping[str, Any],
    models: Mapping[str, Model],
    paths: Mapping[str, Mapping[str, tuple[str, Attribute]]],
) -> Metric:
    meta = _meta(raw)
    used = _measures(raw, metrics, measures)
    names = sorted({model["name"] for model, _ in used})
    defaults = _dates(raw, metrics, measures)
    own = [models[name] for name in names]
    shared = set.intersection(*(set(paths[name]) for name in names))
    times = {name for name in shared if all(paths[model][name][1].public.type == "time" for model in names)}
    if any(measure["non_additive_dimension"] for _, measure in used):
        times = defaults
    finest = max(
        (
            model.times[_default_time(source, measure)][1]
            for source, measure in used
            for model in own
            if model.name == source["name"]
        ),
        key=GRAINS.index,
    )
    simple = raw["type"] == "simple"
    fill = raw["type_params"]["measure"]["fill_nulls_with"] if simple else (0 if raw["type"] == "derived" else None)
    return Metric(
        name=raw["name"],
        label=raw["label"],
        description=raw["description"],
        unit=meta["unit"],
        synonyms=tuple(meta.get("synonyms", ())),
        direction=meta["direction"],
        is_additive=meta["additive"],
        is_now=meta.get("is_now", False),
        time=next(iter(defaults)) if len(defaults) == 1 else None,
        times=tuple(sorted(times)) if len(defaults) == 1 else (),
        dimensions=frozenset(shared - {"metric_time"}),
        finest_grain=finest,
        empty=fill,
        datasets=tuple(model.relation for model in own),
    )


def _default_time(model: Mapping[str, Any], measure: Mapping[str, Any]) -> str:
    return measure["agg_time_dimension"] or model["defaults"]["agg_time_dimension"]


def _add_twins(document: dict[str, Any], paths: Mapping[str, Mapping[str, tuple[str, Attribute]]]) -> None:
    """Point every model at the published schema and add, for models with tags, twins that fan out by tag.

    MetricFlow refuses joins that multiply rows; a twin reads `<relation>_by_tag`, one row a ticket and tag, so that
    counts, medians and rates by tag are exact.
    """
    twins: list[dict[str, Any]] = []
    twin_measures: set[str] = set()
    for raw in document["semantic_models"]:
        _publish_relation(raw)
        for measure in raw["measures"]:
            # MetricFlow looks for the last day among the rows that a filter leaves; a group without open tickets that
            # day would show an older one. The compiler picks the day itself.
            measure["non_additive_dimension"] = None
        reached = paths.get(raw["name"], {}).get("tag")
        if reached is None:
            continue
        twin = copy.deepcopy(raw)
        twin["name"] += BY_TAG
        twin["node_relation"]["relation_name"] += BY_TAG
        twin["node_relation"]["alias"] += BY_TAG
        for entity in twin["entities"]:
            if entity["type"] == "primary":
                entity["expr"] = f"concat({entity['expr']}, ' ', tag)"
                entity["name"] += BY_TAG
        if twin["primary_entity"]:
            twin["primary_entity"] += BY_TAG
        for measure in twin["measures"]:
            twin_measures.add(measure["name"])
            measure["name"] += BY_TAG
        twin["dimensions"].append(
            {**twin["dimensions"][-1], "name": "tag", "type": "categorical", "type_params": None, "expr": "tag"}
        )
        twins.append(twin)
    document["semantic_models"].extend(twins)
    document["metrics"].extend(
        _twin_metric(raw) for raw in list(document["metrics"]) if _measure_names(raw) <= twin_measures
    )
    for spine in document["project_configuration"]["time_spines"]:
        _publish_relation(spine)


def _publish_relation(raw: dict[str, Any]) -> None:
    relation = raw["node_relation"]
    relation["schema_name"] = "analytics"
    relation["relation_name"] = f"analytics.{relation['alias']}"


def _measure_names(raw: Mapping[str, Any]) -> set[str]:
    return {measure["name"] for measure in raw["type_params"]["input_measures"]}


def _twin_metric(raw: dict[str, Any]) -> dict[str, Any]:
    twin = copy.deepcopy(raw)
    twin["name"] += BY_TAG
    params = twin["type_params"]
    for part in (params["measure"], params["numerator"], params["denominator"], *params["input_measures"]):
        if part is not None:
            part["name"] += BY_TAG
    for part in params["metrics"] or []:
        part["alias"] = part["alias"] or part["name"]
        part["name"] += BY_TAG
    return twin
