"""Where things are: the one reader of the environment and of the local stack's `stack.env`."""

from __future__ import annotations

import os
from decimal import Decimal
from pathlib import Path
from urllib.parse import urlsplit
from zoneinfo import ZoneInfo

from pydantic import Field, SecretStr, ValidationError, field_validator
from pydantic_settings import BaseSettings, PydanticBaseSettingsSource, SettingsConfigDict
from pydantic_settings.sources import DotEnvSettingsSource


class SwitchdeskError(Exception):
    """Root of every error of ours: its text is one sentence a user can act on."""


class SettingsError(SwitchdeskError):
    """A setting is missing or malformed."""


_EXAMPLES = {
    "zendesk_url": "https://acme.zendesk.com",
    "postgres_url": "postgresql+psycopg://switchdesk:PASSWORD@127.0.0.1:5432/switchdesk",
    "postgres_serving_url": "postgresql+psycopg://switchdesk_serving:PASSWORD@127.0.0.1:5432/switchdesk",
    "postgres_questions_url": "postgresql+psycopg://switchdesk_questions:PASSWORD@127.0.0.1:5432/switchdesk",
    "dagster_storage_url": "postgresql+psycopg2://switchdesk:PASSWORD@127.0.0.1:5432/dagster",
    "kafka_bootstrap": "127.0.0.1:9092",
    "redis_url": "redis://:PASSWORD@127.0.0.1:6379/0",
    "milvus_url": "http://127.0.0.1:19530",
    "neo4j_url": "bolt://127.0.0.1:7687",
    "neo4j_user": "neo4j",
    "neo4j_password": "PASSWORD",
    "models_url": "http://127.0.0.1:8000/v1",
    "api_url": "http://127.0.0.1:8080",
    "time_zone": "Europe/Berlin",
    "default_budget": "0.01",
    "max_fallback_attempts": "2",
    "cost_alert_threshold": "0.8",
    "zendesk_quota_share": "0.8",
    "sync_cron": "* * * * *",
}

_LOOPBACK = {"127.0.0.1", "localhost", "::1"}


class Settings(BaseSettings):
    """Every setting, from the environment first, then from `stack.env` of the local stack."""

    model_config = SettingsConfigDict(
        env_prefix="SWITCHDESK_", extra="ignore", populate_by_name=True, hide_input_in_errors=True
    )

    dir: Path = Path("var")
    """Folder of the local stack."""
    production: bool = False
    """Refuses loopback stores and generated passwords."""

    model_registry_url: str | None = Field(None, alias="MODEL_REGISTRY_URL")
    """Base URL of a registry that speaks ours; unset: the registry in this process."""
    default_model: str = Field("phi-3.5-mini", alias="DEFAULT_MODEL")
    """Model where no classification is to be had at all."""
    max_fallback_attempts: int = Field(2, ge=0, le=10, alias="MAX_FALLBACK_ATTEMPTS")
    """Further attempts after the first."""
    default_budget: Decimal = Field(Decimal("0.01"), gt=0, alias="DEFAULT_BUDGET")
    """USD a request may cost if neither it nor its key says."""
    cost_alert_threshold: float = Field(0.8, gt=0, le=1, alias="COST_ALERT_THRESHOLD")
    """Share of a budget that raises an alert."""

    zendesk_url: str | None = None
    zendesk_client_id: str | None = None
    zendesk_client_secret: SecretStr | None = None
    zendesk_email: str | None = None
    zendesk_api_token: SecretStr | None = None
    zendesk_quota_share: float = Field(0.8, gt=0, le=1)
    """Share of each export limit that we may use."""

    postgres_url: SecretStr | None = None
    """The owner's login: migrations, loads, builds."""
    postgres_serving_url: SecretStr | None = None
    """The API's own tables."""
    postgres_questions_url: SecretStr | None = None
    """Runs questions; can only read."""
    dagster_storage_url: SecretStr | None = None
    """Dagster's own database (`postgresql+psycopg2://`)."""
    kafka_bootstrap: str | None = None
    redis_url: SecretStr | None = None
    milvus_url: str | None = None
    neo4j_url: str | None = None
    neo4j_user: str = "neo4j"
    neo4j_password: SecretStr | None = None

    models_url: str | None = None
    """OpenAI-compatible base URL that answers under every model name of the policy; unset: the policy's endpoints."""
    models_api_key: SecretStr | None = None
    policy: Path | None = None
    """Routing policy; unset: the packaged `serving/policy.yaml`."""
    time_zone: str = "UTC"
    """Zone of "yesterday", days and weeks."""
    sync_cron: str = "* * * * *"
    """When `zendesk_sync_schedule` ticks."""
    max_body_bytes: int = Field(1 << 20, ge=1024)
    """Largest request body the API reads."""
    api_url: str | None = None
    api_key: SecretStr | None = None

    maven_url: str = "https://repo.maven.apache.org/maven2"
    """Maven repository from which the local stack takes the jars of Kafka and Neo4j."""
    jar_cache: Path | None = None
    """Where those jars are kept for all stacks of a user; unset: `switchdesk/jars` in the user's cache folder."""
    cache_home: Path = Field(Path("~/.cache"), alias="XDG_CACHE_HOME")
    """The user's cache folder."""

    @field_validator("time_zone")
    @classmethod
    def _zone_exists(cls, value: str) -> str:
        try:
            ZoneInfo(value)
        except (KeyError, ValueError, OSError) as error:
            raise ValueError("not a time zone name") from error
        return value

    @field_validator("zendesk_url", "models_url", "api_url", "milvus_url", "model_registry_url", "maven_url")
    @classmethod
    def _is_http_url(cls, value: str | None) -> str | None:
        if value is None:
            return None
        parts = urlsplit(value)
        if parts.scheme not in {"http", "https"} or not parts.hostname:
            raise ValueError("not an http or https URL")
        if parts.username or parts.password:
            raise ValueError("a URL with credentials in it")
        return value.rstrip("/")

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """Environment over `stack.env`; no `.env` of the working folder is read behind the user's back."""
        directory = Path(init_settings().get("dir") or os.environ.get("SWITCHDESK_DIR") or "var")
        stack = DotEnvSettingsSource(settings_cls, env_file=directory / "stack.env")
        return init_settings, env_settings, stack

    def require(self, name: str) -> str:
        """Return the setting's text, or raise SettingsError naming it, its shape and an example."""
        value = getattr(self, name)
        if value is None:
            raise SettingsError(
                f"setting missing: {_env_name(name)}, for example {_EXAMPLES.get(name, 'VALUE')}; "
                "start the local stack with `switchdesk up` or set it in the environment"
            )
        return value.get_secret_value() if isinstance(value, SecretStr) else str(value)

    @property
    def zone(self) -> ZoneInfo:
        """The zone in which days and weeks are cut when a question names none."""
        return ZoneInfo(self.time_zone)


def load_settings(**overrides: object) -> Settings:
    """Read all settings; raise SettingsError naming the first bad one, its shape and an example, never its value."""
    try:
        settings = Settings(**overrides)  # pyright: ignore[reportArgumentType]
    except ValidationError as error:
        first = error.errors(include_input=False, include_url=False)[0]
        name = str(first["loc"][0]) if first["loc"] else "settings"
        field = name.removeprefix("SWITCHDESK_").lower()
        example = _EXAMPLES.get(field)
        hint = f", for example {_env_name(field)}={example}" if example else ""
        raise SettingsError(f"setting malformed: {_env_name(field)} is {_reason(first['msg'])}{hint}") from None
    if settings.production:
        _refuse_local_stores(settings)
    return settings


def _env_name(field: str) -> str:
    info = Settings.model_fields.get(field)
    return str(info.alias) if info is not None and info.alias else f"SWITCHDESK_{field.upper()}"


def _reason(message: str) -> str:
    return message.removeprefix("Value error, ")[:1].lower() + message.removeprefix("Value error, ")[1:]


def _refuse_local_stores(settings: Settings) -> None:
    stores = ("postgres_url", "postgres_serving_url", "postgres_questions_url", "redis_url", "milvus_url", "neo4j_url")
    for name in stores:
        value = getattr(settings, name)
        if value is None:
            continue
        url = value.get_secret_value() if isinstance(value, SecretStr) else value
        if urlsplit(url).hostname in _LOOPBACK:
            raise SettingsError(
                f"setting refused: {_env_name(name)} points at this machine while SWITCHDESK_PRODUCTION is true; "
                "name the real store or unset SWITCHDESK_PRODUCTION"
            )
