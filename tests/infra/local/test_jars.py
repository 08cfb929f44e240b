import hashlib
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from infra.local import jars
from infra.local.errors import DownloadFailed
from tests.infra.local.repository import Repository

CONTENT = bytes(range(256)) * 400
JAR = jars.Jar("org.example:thing:1.0", len(CONTENT), hashlib.sha256(CONTENT).hexdigest())
PATH = "org/example/thing/1.0/thing-1.0.jar"


@pytest.fixture
def repository() -> Iterator[Repository]:
    served = Repository({PATH: CONTENT})
    yield served
    served.close()


def fetch(repository: Repository, cache: Path) -> list[Path]:
    return jars.fetch([JAR], cache, repository.url, lambda done, total: None)


@pytest.mark.parametrize("server", ["kafka", "neo4j"])
def test_every_listed_jar_has_a_version_a_size_and_a_hash(server: str) -> None:
    listed = jars.listed(server)
    assert len(listed) > 40
    assert len({jar.path for jar in listed}) == len(listed)
    for jar in listed:
        assert re.fullmatch(r"[\w.-]+(:[\w.-]+){2,3}", jar.coordinate)
        assert jar.size > 0
        assert re.fullmatch(r"[0-9a-f]{64}", jar.sha256)


def test_a_classifier_goes_into_the_file_name() -> None:
    jar = jars.Jar("io.netty:netty-epoll:4.1:linux-x86_64", 1, "")
    assert jar.path == "io/netty/netty-epoll/4.1/netty-epoll-4.1-linux-x86_64.jar"


def test_a_second_stack_downloads_nothing(repository: Repository, tmp_path: Path) -> None:
    (first,) = fetch(repository, tmp_path)
    repository.requests.clear()
    assert fetch(repository, tmp_path) == [first]
    assert first.read_bytes() == CONTENT
    assert repository.requests == []


def test_a_download_cut_short_goes_on_where_it_stopped(repository: Repository, tmp_path: Path) -> None:
    repository.faults[PATH] = ["cut"]
    (path,) = fetch(repository, tmp_path)
    assert path.read_bytes() == CONTENT
    assert repository.requests == [(PATH, None), (PATH, f"bytes={len(CONTENT) // 2}-")]


def test_what_a_killed_process_left_is_taken_up(repository: Repository, tmp_path: Path) -> None:
    leftover = tmp_path / f"{PATH}.{2**22 + 1}.part"
    leftover.parent.mkdir(parents=True)
    leftover.write_bytes(CONTENT[:1000])
    (path,) = fetch(repository, tmp_path)
    assert path.read_bytes() == CONTENT
    assert repository.requests == [(PATH, "bytes=1000-")]
    assert not leftover.exists()


@pytest.mark.parametrize("damage", [b"", CONTENT[:-1], CONTENT + b"!", bytes(len(CONTENT))])
def test_a_damaged_jar_in_the_cache_is_replaced(repository: Repository, tmp_path: Path, damage: bytes) -> None:
    (path,) = fetch(repository, tmp_path)
    path.write_bytes(damage)
    fetch(repository, tmp_path)
    assert path.read_bytes() == CONTENT


@pytest.mark.parametrize("fault", ["garbled", "busy"])
def test_a_fault_that_passes_is_overcome(repository: Repository, tmp_path: Path, fault: str) -> None:
    repository.faults[PATH] = [fault]
    (path,) = fetch(repository, tmp_path)
    assert path.read_bytes() == CONTENT


def test_bytes_with_another_hash_are_never_kept(
    repository: Repository, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("infra.local.jars.time.sleep", lambda seconds: None)
    repository.files[PATH] = CONTENT[::-1]
    with pytest.raises(DownloadFailed, match="other bytes than the listed hash"):
        fetch(repository, tmp_path)
    assert [file for file in tmp_path.rglob("*") if file.is_file()] == []


def test_a_missing_jar_is_named_at_once_with_the_mirror_setting(repository: Repository, tmp_path: Path) -> None:
    repository.files.clear()
    with pytest.raises(DownloadFailed, match=r"thing-1\.0\.jar answered 404.*SWITCHDESK_MAVEN_URL"):
        fetch(repository, tmp_path)
    assert len(repository.requests) == 1


def test_without_network_one_sentence_says_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("infra.local.jars.time.sleep", lambda seconds: None)
    with pytest.raises(DownloadFailed, match="could not be reached") as caught:
        jars.fetch([JAR], tmp_path, "http://127.0.0.1:9", lambda done, total: None)
    assert "\n" not in str(caught.value)


def test_a_cache_that_cannot_be_written_is_named(repository: Repository, tmp_path: Path) -> None:
    blocked = tmp_path / "file"
    blocked.write_text("in the way")
    with pytest.raises(DownloadFailed, match="SWITCHDESK_JAR_CACHE"):
        fetch(repository, blocked / "jars")


def test_progress_counts_up_to_all_bytes(repository: Repository, tmp_path: Path) -> None:
    told: list[tuple[int, int]] = []
    jars.fetch([JAR], tmp_path, repository.url, lambda done, total: told.append((done, total)))
    assert told[-1] == (len(CONTENT), len(CONTENT))
    assert [done for done, _ in told] == sorted(done for done, _ in told)
