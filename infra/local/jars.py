"""The jars of the Java servers: fetched once for all stacks of a user, each checked against its committed hash."""

import hashlib
import os
import threading
import time
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from importlib import resources
from pathlib import Path
from typing import TYPE_CHECKING

from infra.local.errors import DownloadFailed

if TYPE_CHECKING:
    import httpx

_AT_ONCE = 8
_TRIES = 4


@dataclass(frozen=True, slots=True)
class Jar:
    """One file of a Maven repository."""

    coordinate: str
    """`group:artifact:version` or `group:artifact:version:classifier`."""
    size: int
    sha256: str

    @property
    def path(self) -> str:
        """Where a repository keeps it, and our cache too."""
        group, artifact, version, *classifier = self.coordinate.split(":")
        name = "-".join([artifact, version, *classifier])
        return f"{group.replace('.', '/')}/{artifact}/{version}/{name}.jar"


def listed(server: str) -> list[Jar]:
    """The committed list for `kafka` or `neo4j`."""
    lines = (resources.files("infra.local") / "jars.txt").read_text().splitlines()
    fields = [line.split() for line in lines if not line.startswith("#")]
    return [Jar(coordinate, int(size), sha256) for name, coordinate, size, sha256 in fields if name == server]


def fetch(jars: Iterable[Jar], cache: Path, repository: str, progress: Callable[[int, int], None]) -> list[Path]:
    """Return the jars' paths in the cache, fetching what is absent, cut short or damaged.

    `progress` is told the bytes fetched and the bytes to fetch. Raises DownloadFailed.
    """
    wanted = list(jars)
    try:
        cache.mkdir(parents=True, exist_ok=True)
        with ThreadPoolExecutor(_AT_ONCE) as pool:
            sound = list(pool.map(lambda jar: _is_sound(cache / jar.path, jar), wanted))
            missing = [jar for jar, is_sound in zip(wanted, sound, strict=True) if not is_sound]
            if missing:
                _fetch_all(missing, cache, repository, progress, pool)
    except OSError as error:
        raise DownloadFailed(
            f"jars not stored: {cache}: {error.strerror}; "
            "free some space, or name another folder in SWITCHDESK_JAR_CACHE"
        ) from None
    return [cache / jar.path for jar in wanted]


def _fetch_all(
    missing: list[Jar], cache: Path, repository: str, progress: Callable[[int, int], None], pool: ThreadPoolExecutor
) -> None:
    import httpx

    total = sum(jar.size for jar in missing)
    done = 0
    counting = threading.Lock()

    def count(size: int) -> None:
        nonlocal done
        with counting:
            done += size
            progress(min(done, total), total)

    with httpx.Client(timeout=httpx.Timeout(20.0), follow_redirects=True) as client:
        futures = [pool.submit(_fetch_one, client, jar, cache, repository.rstrip("/"), count) for jar in missing]
        try:
            for future in futures:
                future.result()
        finally:
            for future in futures:
                future.cancel()


def _is_sound(path: Path, jar: Jar) -> bool:
    try:
        if path.stat().st_size != jar.size:
            return False
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest() == jar.sha256
    except FileNotFoundError:
        return False


def _fetch_one(client: "httpx.Client", jar: Jar, cache: Path, repository: str, count: Callable[[int], None]) -> None:
    import httpx

    target = cache / jar.path
    target.parent.mkdir(parents=True, exist_ok=True)
    # One file a process: two stacks that start at once fetch twice rather than write into each other.
    part = target.with_name(f"{target.name}.{os.getpid()}.part")
    _adopt_leftover(target, part)
    url = f"{repository}/{jar.path}"
    reason = ""
    for attempt in range(_TRIES):
        if attempt:
            time.sleep(0.5 * 2**attempt)
        try:
            _append_rest(client, url, part, jar, count)
        except httpx.HTTPStatusError as error:
            reason = f"answered {error.response.status_code}"
            if error.response.status_code in {401, 403, 404}:
                break
            continue
        except httpx.TransportError as error:
            reason = f"could not be reached ({type(error).__name__})"
            continue
        if _is_sound(part, jar):
            part.rename(target)
            return
        part.unlink(missing_ok=True)
        reason = "sent other bytes than the listed hash says"
    raise DownloadFailed(
        f"download failed: {url} {reason}; check the network, or name a mirror of Maven Central in SWITCHDESK_MAVEN_URL"
    )


def _adopt_leftover(target: Path, part: Path) -> None:
    """Go on where a process that is gone stopped."""
    for leftover in target.parent.glob(f"{target.name}.*.part"):
        owner = leftover.name.removesuffix(".part").rpartition(".")[2]
        if leftover != part and not Path(f"/proc/{owner}").exists():
            leftover.rename(part)


def _append_rest(client: "httpx.Client", url: str, part: Path, jar: Jar, count: Callable[[int], None]) -> None:
    have = part.stat().st_size if part.exists() else 0
    if have >= jar.size:
        # Whole, or too long to be ours: the hash decides.
        count(jar.size)
        return
    headers = {"Accept-Encoding": "identity"}
    if have:
        headers["Range"] = f"bytes={have}-"
    with client.stream("GET", url, headers=headers) as response:
        response.raise_for_status()
        resumed = response.status_code == 206
        if resumed:
            count(have)
        with part.open("ab" if resumed else "wb") as file:
            for block in response.iter_raw():
                file.write(block)
                count(len(block))
