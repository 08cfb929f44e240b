import stat
from pathlib import Path

import pytest

from infra.local import stack
from infra.local.directory import Directory
from infra.local.errors import BrokenDirectory, StackError

GOOD = {"SWITCHDESK_REDIS_URL": "redis://:secret@127.0.0.1:6379/0", "SWITCHDESK_NEO4J_PASSWORD": "secret"}


@pytest.fixture
def home(tmp_path: Path) -> Directory:
    home = Directory(tmp_path / "var")
    home.create()
    home.write_env(GOOD)
    return home


def test_settings_are_read_as_written_and_by_nobody_else(home: Directory) -> None:
    assert home.read_env() == GOOD
    assert stat.S_IMODE(home.env_file.stat().st_mode) == 0o600
    assert stat.S_IMODE(home.path.stat().st_mode) == 0o700


@pytest.mark.parametrize(
    ("damage", "complaint"),
    [
        (b"SWITCHDESK_REDIS_URL", "line 1 of"),
        (b"\xff\xfe\x00", "unreadable"),
        (b"= =\n", "line 1 of"),
        (b"SWITCHDESK_NEO4J_PASSWORD=\n", "SWITCHDESK_NEO4J_PASSWORD is empty"),
        (b"SWITCHDESK_REDIS_URL=redis://:@127.0.0.1:6379/0\n", "SWITCHDESK_REDIS_URL lacks"),
        (b"SWITCHDESK_REDIS_URL=redis://:x@127.0.0.1/0\n", "SWITCHDESK_REDIS_URL lacks"),
        (b"SWITCHDESK_REDIS_URL=redis://:x@127.0.0.1:99999999/0\n", "SWITCHDESK_REDIS_URL lacks"),
    ],
)
def test_damaged_settings_are_one_sentence_with_the_copy_as_way_out(
    home: Directory, damage: bytes, complaint: str
) -> None:
    home.env_file.write_bytes(damage)
    with pytest.raises(BrokenDirectory) as caught:
        stack.start(home.path, "valkey")
    text = str(caught.value)
    assert complaint in text
    assert str(home.env_file.with_suffix(".env.copy")) in text
    assert "secret" not in text
    assert "\n" not in text
    assert home.env_file.read_bytes() == damage


def test_missing_settings_beside_data_are_not_made_up_anew(home: Directory) -> None:
    home.mark_made("valkey")
    home.data("valkey").mkdir()
    home.env_file.unlink()
    with pytest.raises(BrokenDirectory, match="holds the passwords of the data beside it"):
        stack.start(home.path, "valkey")
    assert not home.env_file.exists()


def test_missing_data_is_not_replaced_by_empty_data(home: Directory) -> None:
    home.mark_made("valkey")
    with pytest.raises(BrokenDirectory, match=r"valkey lost its data: .* is missing; put it back"):
        stack.start(home.path, "valkey")
    assert not home.data("valkey").exists()


@pytest.mark.parametrize("damage", ["", "{", "[]", '{"pid": "x"}', '{"pid": 1, "start_time": null}'])
def test_a_damaged_record_counts_as_none(home: Directory, damage: str) -> None:
    home.record_file("valkey").write_text(damage)
    assert home.record("valkey") is None


def test_a_folder_that_cannot_be_made_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(BrokenDirectory, match="name another with --dir"):
        stack.start(tmp_path / "file" / "var", "valkey")


def test_a_full_disk_is_refused_before_anything_starts(home: Directory, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("infra.local.stack._LEAST_FREE_BYTES", 10**18)
    with pytest.raises(StackError, match="too little disk space"):
        stack.start(home.path, "valkey")
    assert not home.data("valkey").exists()


def test_unknown_parts_are_refused_by_name(home: Directory) -> None:
    with pytest.raises(StackError, match="no such part: nix; there are stores and postgres"):
        stack.start(home.path, "valkey,nix")


def test_a_path_through_a_link_is_the_same_stack(home: Directory, tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to(home.path)
    assert Directory(tmp_path / "link").path == home.path
