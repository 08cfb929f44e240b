from pathlib import Path

import pytest

from assets.settings import SettingsError, load_settings


def test_the_environment_wins_over_the_local_stack(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "stack.env").write_text("SWITCHDESK_KAFKA_BOOTSTRAP=127.0.0.1:1\nSWITCHDESK_NEO4J_USER=local\n")
    monkeypatch.setenv("SWITCHDESK_DIR", str(tmp_path))
    monkeypatch.setenv("SWITCHDESK_KAFKA_BOOTSTRAP", "kafka.internal:9092")
    settings = load_settings()
    assert (settings.kafka_bootstrap, settings.neo4j_user) == ("kafka.internal:9092", "local")


def test_the_names_that_the_specification_gives_have_no_prefix(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DEFAULT_BUDGET", "0.5")
    assert str(load_settings().default_budget) == "0.5"


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("DEFAULT_BUDGET", "-1"),
        ("MAX_FALLBACK_ATTEMPTS", "many"),
        ("SWITCHDESK_TIME_ZONE", "Mars/Olympus"),
        ("SWITCHDESK_ZENDESK_URL", "globex"),
        ("SWITCHDESK_ZENDESK_URL", "https://user:hunter2@acme.example"),
        ("SWITCHDESK_ZENDESK_QUOTA_SHARE", "1.5"),
    ],
)
def test_a_malformed_setting_is_named_and_its_value_is_not(
    name: str, value: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(name, value)
    with pytest.raises(SettingsError) as raised:
        load_settings()
    assert str(raised.value).startswith(f"setting malformed: {name} is ")
    assert value not in str(raised.value)


def test_a_missing_setting_is_named_with_an_example() -> None:
    with pytest.raises(SettingsError, match="SWITCHDESK_REDIS_URL, for example redis://"):
        load_settings().require("redis_url")


def test_production_refuses_stores_on_this_machine(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SWITCHDESK_PRODUCTION", "true")
    monkeypatch.setenv("SWITCHDESK_REDIS_URL", "redis://:hunter2@127.0.0.1:6379/0")
    with pytest.raises(SettingsError, match="SWITCHDESK_REDIS_URL points at this machine") as raised:
        load_settings()
    assert "hunter2" not in str(raised.value)


def test_secrets_do_not_show_when_settings_are_printed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SWITCHDESK_NEO4J_PASSWORD", "hunter2")
    assert "hunter2" not in repr(load_settings())
