import os
import subprocess
import sys
from pathlib import Path

import pytest

from infra.local import cli
from infra.local.directory import Directory


def switchdesk(*arguments: str, **env: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "infra.local.cli", *arguments],
        capture_output=True,
        text=True,
        cwd="/",
        env={**os.environ, **env},
        timeout=60,
    )


@pytest.fixture
def stopped(tmp_path: Path) -> Directory:
    home = Directory(tmp_path / "var")
    home.create()
    home.write_env({"SWITCHDESK_DIR": str(home.path), "SWITCHDESK_KAFKA_BOOTSTRAP": "127.0.0.1:1"})
    return home


def test_help_names_every_command_without_importing_any() -> None:
    code = "import sys; sys.argv = ['switchdesk', '--help']\n" + (
        "from infra.local.cli import main\n"
        "try:\n    main()\n"
        "finally:\n"
        "    heavy = {'dagster', 'dbt', 'pymilvus', 'sqlalchemy', 'psycopg', 'fastapi'} & set(sys.modules)\n"
        "    print('heavy:', sorted(heavy))\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60)
    assert done.returncode == 0
    assert "heavy: []" in done.stdout
    for name in ("up", "down", "status", "env", "doctor", "migrate", "sync", "build", "serve", "ask", "route", "keys"):
        assert f"\n  {name} " in done.stdout


@pytest.mark.parametrize("arguments", [["nonsense"], ["up", "--nonsense"], ["up", "--tickets", "many"], []])
def test_bad_usage_exits_with_2(arguments: list[str]) -> None:
    done = switchdesk(*arguments)
    assert done.returncode == 2
    assert "Traceback" not in done.stdout + done.stderr


def test_an_error_of_ours_is_one_sentence_on_stderr(tmp_path: Path) -> None:
    done = switchdesk("up", "--only", "nix", "--dir", str(tmp_path / "var"))
    assert done.returncode == 1
    assert done.stdout == ""
    assert done.stderr.startswith("no such part: nix;")
    assert len(done.stderr.splitlines()) == 1


def test_debug_shows_where_an_error_came_from(tmp_path: Path) -> None:
    done = switchdesk("up", "--only", "nix", "--debug", "--dir", str(tmp_path / "var"))
    assert done.returncode == 1
    assert "Traceback" in done.stderr


def test_a_fault_of_ours_names_its_type_and_the_way_to_see_more(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def broken() -> None:
        raise ZeroDivisionError("secret")

    monkeypatch.setattr(cli, "_load", lambda module, attribute: broken)
    monkeypatch.setattr(sys, "argv", ["switchdesk", "up"])
    monkeypatch.setattr(os, "environ", {**os.environ, "SWITCHDESK_DIR": "/nonexistent/var"})
    with pytest.raises(SystemExit) as exit_code:
        cli.main()
    assert exit_code.value.code == 1
    error = capsys.readouterr().err
    assert error.startswith("unexpected ZeroDivisionError")
    assert "--debug" in error
    assert "secret" not in error


@pytest.mark.parametrize("place", ["front", "back", "equals"])
def test_the_folder_may_be_named_anywhere(stopped: Directory, place: str) -> None:
    path = str(stopped.path)
    arguments = {"front": ["--dir", path, "env"], "back": ["env", "--dir", path], "equals": ["env", f"--dir={path}"]}
    done = switchdesk(*arguments[place])
    assert done.returncode == 0
    assert f"export SWITCHDESK_DIR={path}\n" in done.stdout


def test_a_relative_folder_holds_from_where_the_command_was_given(stopped: Directory) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "infra.local.cli", "env", "--dir", "var"],
        capture_output=True,
        text=True,
        cwd=stopped.path.parent,
        timeout=60,
    )
    assert f"export SWITCHDESK_DIR={stopped.path}\n" in done.stdout


def test_the_folder_named_wins_over_another_stack_that_the_shell_exported(stopped: Directory, tmp_path: Path) -> None:
    other = Directory(tmp_path / "other")
    other.create()
    exported = {"SWITCHDESK_DIR": str(other.path), "SWITCHDESK_ZENDESK_URL": "http://127.0.0.1:2"}
    other.write_env(exported)
    stopped.write_env({**stopped.read_env(), "SWITCHDESK_ZENDESK_URL": "http://127.0.0.1:3"})
    done = switchdesk("env", "--dir", str(stopped.path), **exported)
    assert "export SWITCHDESK_ZENDESK_URL=http://127.0.0.1:3\n" in done.stdout


def test_a_real_help_desk_in_the_environment_is_not_hidden_by_the_demo(stopped: Directory) -> None:
    stopped.write_env({**stopped.read_env(), "SWITCHDESK_ZENDESK_URL": "http://127.0.0.1:3"})
    done = switchdesk("env", "--dir", str(stopped.path), SWITCHDESK_ZENDESK_URL="https://acme.zendesk.com")
    assert done.returncode == 0
    assert "ZENDESK" not in done.stdout


def test_values_are_quoted_for_a_shell(stopped: Directory) -> None:
    stopped.write_env({**stopped.read_env(), "DAGSTER_HOME": "/a b/$(touch x)'"})
    done = switchdesk("env", "--dir", str(stopped.path))
    shown = subprocess.run(
        ["sh", "-c", f'{done.stdout}\nprintf %s "$DAGSTER_HOME"'], capture_output=True, text=True, timeout=10
    )
    assert shown.stdout == "/a b/$(touch x)'"


def test_where_there_is_no_stack_env_says_so(tmp_path: Path) -> None:
    done = switchdesk("env", "--dir", str(tmp_path / "var"))
    assert done.returncode == 1
    assert "run `switchdesk up` first" in done.stderr
    assert not (tmp_path / "var").exists()


def test_status_of_no_stack_is_all_stopped(tmp_path: Path) -> None:
    import json

    done = switchdesk("status", "--json", "--dir", str(tmp_path / "var"))
    assert done.returncode == 0
    found = json.loads(done.stdout)
    assert {part["state"] for part in found["parts"]} == {"stopped"}
    assert set(found["parts"][0]) == {"name", "state", "pid", "port", "rss_mb", "detail"}
    assert found["streams"] == []


def test_doctor_without_a_stack_says_what_is_missing_and_exits_with_1(tmp_path: Path) -> None:
    done = switchdesk("doctor", "--dir", str(tmp_path / "var"))
    assert done.returncode == 1
    assert "setting missing: SWITCHDESK_POSTGRES_URL" in done.stdout
    assert "Traceback" not in done.stdout + done.stderr


def test_down_without_a_stack_has_nothing_to_do(tmp_path: Path) -> None:
    done = switchdesk("down", "--dir", str(tmp_path / "var"))
    assert done.returncode == 0
    assert done.stdout == "nothing was running\n"


@pytest.mark.parametrize("name", ["a,b", "a:b", 'a"b', "a$b", "a\\b"])
def test_a_folder_name_that_configuration_files_misread_is_refused(tmp_path: Path, name: str) -> None:
    done = switchdesk("up", "--only", "valkey", "--dir", str(tmp_path / name))
    assert done.returncode == 1
    assert "name another with --dir" in done.stderr
    assert not (tmp_path / name).exists()
