"""The routing policy: models, prices, paths and thresholds, read once from a reviewed file."""

from __future__ import annotations

import hashlib
from decimal import Decimal
from enum import StrEnum
from importlib import resources
from pathlib import Path
from typing import Annotated, Any

import yaml
from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError, model_validator

from assets.settings import Settings
from serving.errors import ServingError


class PolicyError(ServingError):
    """The policy file does not fit."""


class TaskClass(StrEnum):
    """How much a task asks of a model."""

    SIMPLE = "simple"
    MEDIUM = "medium"
    COMPLEX = "complex"


class Tier(StrEnum):
    """Who answered: a path through the system."""

    CACHE = "cache"
    PLANNER = "planner"
    SQL = "sql"
    SEMANTIC = "semantic"
    GRAPH = "graph"
    COMPLEX = "complex"


def _exact(value: Any) -> Any:
    """Floats of YAML and JSON become the decimal that was written, not its binary neighbour."""
    return Decimal(str(value)) if isinstance(value, float) else value


Usd = Annotated[Decimal, BeforeValidator(_exact), Field(ge=0)]


class _Frozen(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Price(_Frozen):
    """USD per 1,000 tokens."""

    input_per_1k_usd: Usd
    output_per_1k_usd: Usd

    def cost(self, input_tokens: int, output_tokens: int) -> Decimal:
        """USD of so many tokens, exact."""
        return (input_tokens * self.input_per_1k_usd + output_tokens * self.output_per_1k_usd) / 1000


class Endpoint(_Frozen):
    """One server that answers for a model."""

    url: str = Field(pattern=r"^https?://[^@\s]+$")
    model: str | None = None
    """The model's name there; None: the same."""
    api_key_env: str | None = None
    weight: float = Field(default=1, gt=0)
    timeout_ms: int = Field(default=30_000, ge=100, le=600_000)
    provider: str = "self"
    region: str | None = None
    price: Price | None = None
    """Overrides the model's price here."""


class ModelEntry(_Frozen):
    """A model of the registry."""

    name: str = Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._:/-]{0,99}$")
    version: str = "1"
    tier: TaskClass
    endpoints: tuple[Endpoint, ...] = Field(min_length=1, max_length=50)
    fallbacks: tuple[str, ...] = ()
    context_length: int = Field(ge=256)
    price: Price
    capabilities: tuple[str, ...] = ("chat",)
    state: str = Field(default="live", pattern="^(shadow|canary|live|draining|retired)$")

    def price_at(self, endpoint: Endpoint) -> Price:
        """What a token costs at one endpoint."""
        return endpoint.price or self.price


class TaskSize(_Frozen):
    """Expected tokens of one call."""

    input_tokens: int = Field(gt=0)
    max_tokens: int = Field(gt=0)


class PathCost(_Frozen):
    """What a path costs beside its tokens, and its cap in all."""

    fixed_usd: Usd
    cap_usd: Usd
    task: TaskClass | None = None
    """Class of the one model call the path makes; None: it makes none."""
    expected_ms: int = Field(gt=0)
    model_seconds: float | None = Field(default=None, gt=0)
    """Time all model calls of the path may take together."""


class Thresholds(_Frozen):
    """Where one path ends and the next begins."""

    plan_confidence: float = Field(ge=0, le=1)
    quality: float = Field(ge=0, le=1)
    stale_after_minutes: int = Field(gt=0)


class BreakerPolicy(_Frozen):
    """When an endpoint is left alone, and for how long at least."""

    failures: int = Field(ge=1)
    open_seconds: float = Field(ge=30)


class CachePolicy(_Frozen):
    """How long and how large an answer may lie in the cache."""

    ttl_seconds: int = Field(gt=0)
    max_bytes: int = Field(gt=0)


class Limits(_Frozen):
    """Bounds of one question."""

    question_chars: int = Field(gt=0)
    deadline_ms: int = Field(gt=0)
    rows: int = Field(gt=0)
    prompt_quotes: int = Field(gt=0)


class Policy(_Frozen):
    """The whole file, with its digest as version."""

    version: str
    models: tuple[ModelEntry, ...] = Field(min_length=1)
    tasks: dict[TaskClass, TaskSize]
    paths: dict[Tier, PathCost]
    thresholds: Thresholds
    breaker: BreakerPolicy
    cache: CachePolicy
    limits: Limits

    @model_validator(mode="after")
    def _is_complete(self) -> Policy:
        for task in TaskClass:
            if task not in self.tasks:
                raise ValueError(f"tasks: {task.value} is missing")
            if not any(model.tier == task for model in self.models):
                raise ValueError(f"models: none of tier {task.value}")
        for tier in Tier:
            if tier not in self.paths:
                raise ValueError(f"paths: {tier.value} is missing")
        return self

    @property
    def prices(self) -> dict[str, float]:
        """USD per 1,000 input tokens by model name, as the specification lists them."""
        return {model.name: float(model.price.input_per_1k_usd) for model in self.models}


def load_policy(settings: Settings | None = None) -> Policy:
    """Read the policy that settings name, or the packaged one; with `SWITCHDESK_MODELS_URL` all models live there."""
    path = settings.policy if settings is not None else None
    try:
        body = Path(path).read_bytes() if path else resources.files("serving").joinpath("policy.yaml").read_bytes()
        content = yaml.safe_load(body)
        policy = Policy.model_validate({"version": hashlib.sha256(body).hexdigest()[:16], **content})
    except OSError as error:
        raise PolicyError(f"policy unreadable: {path}: {error.strerror}; SWITCHDESK_POLICY names the file") from None
    except (yaml.YAMLError, ValidationError, TypeError) as error:
        raise PolicyError(f"policy malformed: {path or 'serving/policy.yaml'}: {_first(error)}") from None
    if settings is None or settings.models_url is None:
        return policy
    return policy.model_copy(update={"models": tuple(_moved(model, settings.models_url) for model in policy.models)})


def _moved(model: ModelEntry, url: str) -> ModelEntry:
    """The model at another address, everything else as the policy says."""
    return model.model_copy(update={"endpoints": (model.endpoints[0].model_copy(update={"url": url}),)})


def _first(error: Exception) -> str:
    if isinstance(error, ValidationError):
        first = error.errors(include_input=False, include_url=False)[0]
        return f"{'.'.join(str(part) for part in first['loc'])}: {first['msg']}"
    return str(error).splitlines()[0]
